"""What a work computes besides products: GELU, softmax, norms, and the scores of the vocabulary; with nothing else.

Each is computed as npblender does, by its threads and its groups of rows, on the same arrays in every layer, so that
they stay in cache where they can. It is the fastest evaluation that is known here, not a bound on any.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from npblender.ops import unchecked as ops
from npblender.transformer.context import Context
from npblender.transformer.execution import each_group, groups_of_rows, run, whose_threads
from npblender.transformer.parameters import Weights
from tools.bench.works import Attention, Pass

Array: TypeAlias = np.ndarray[Any, Any]


def between_products(weights: Weights, context: Context, beams: int) -> Callable[[Pass], None]:
    """A function that computes what stands between the products of a pass; greedy search takes the best score."""
    config = context.config

    def scores(rows: int) -> None:
        logits = noise(rows, config.vocab_size)
        if beams > 1:
            ops.log_softmax(logits)
        else:
            np.argmax(logits, axis=-1)

    def layers(rows: int, ffn: int, count: int, norms: int) -> None:
        activation = ops.ACTIVATIONS[config.activation_function]
        for _ in range(count):
            activation(noise(rows, ffn))
            for _ in range(norms):
                ops.layer_norm(noise(rows, config.d_model), np.ones(config.d_model, np.float32), zeros(config.d_model))

    def compute(each: Pass) -> None:
        groups = [slice(0, each.batch)]
        if each.part in ("encoder", "layers"):
            groups = groups_of_rows(each.batch, each.tokens, weights, context)

        def some(group: slice) -> None:
            rows = (group.stop - group.start) * each.tokens
            if each.part == "encoder":
                layers(rows, config.encoder_ffn_dim, config.encoder_layers, norms_of("encoder"))
            elif each.part == "layers":
                layers(rows, config.decoder_ffn_dim, config.decoder_layers, norms_of("layers"))
            elif each.part == "vocabulary":
                scores(rows)

        run(whose_threads(weights, len(groups)), each_group, some, groups)

    return compute


def norms_of(part: str) -> int:
    """How many norms a layer has: after attention, or both attentions, and after the feed-forward block.

    >>> norms_of("encoder"), norms_of("layers")
    (2, 3)
    """
    return {"encoder": 2, "layers": 3}[part]


def softmaxes(weights: Weights, context: Context) -> Callable[[Attention], None]:
    """A function that computes the weights of attention from its scores."""

    def compute(each: Attention) -> None:
        groups = groups_of_rows(each.batch, each.queries, weights, context)

        def some(group: slice) -> None:
            scores = noise(group.stop - group.start, each.heads, each.queries, each.keys)
            for _ in range(each.layers):
                ops.softmax(scores)

        run(whose_threads(weights, len(groups)), each_group, some, groups)

    return compute


def zeros(size: int) -> Array:
    """[size], float32."""
    return np.zeros(size, np.float32)


@functools.lru_cache(maxsize=64)
def noise(*shape: int) -> Array:
    """Normal numbers, always the same ones."""
    return np.random.default_rng(0).standard_normal(shape, np.float32)
