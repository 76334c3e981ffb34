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


def groups_for(each: Pass, weights: Weights, context: Context) -> list[slice]:
    """The groups of rows in which npblender makes a pass: those of whole layers may be cut."""
    if each.part in ("encoder", "layers"):
        return groups_of_rows(each.batch, each.tokens, weights, context)
    return [slice(0, each.batch)]


def between_products(weights: Weights, context: Context, beams: int) -> Callable[[Pass], None]:
    """A function that computes what stands between the products of a pass; greedy search takes the best score."""
    config = context.config
    layers_of = {  # how many, their hidden values, and their norms: after each attention and the feed-forward block
        "encoder": (config.encoder_layers, config.encoder_ffn_dim, 2),
        "layers": (config.decoder_layers, config.decoder_ffn_dim, 3),
    }
    gain = shift = np.ones(config.d_model, np.float32)

    def compute(each: Pass) -> None:
        groups = groups_for(each, weights, context)

        def some(group: slice) -> None:
            rows = (group.stop - group.start) * each.tokens
            count, hidden, norms = layers_of.get(each.part, (0, 0, 0))
            for _ in range(count):
                ops.ACTIVATIONS[config.activation_function](noise(rows, hidden))
                for _ in range(norms):
                    ops.layer_norm(noise(rows, config.d_model), gain, shift)
            if each.part == "vocabulary":
                logits = noise(rows, config.vocab_size)
                ops.log_softmax(logits) if beams > 1 else np.argmax(logits, axis=-1)

        run(whose_threads(weights, len(groups)), each_group, some, groups)

    return compute


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


@functools.lru_cache(maxsize=64)
def noise(*shape: int) -> Array:
    """Normal numbers, always the same ones."""
    return np.random.default_rng(0).standard_normal(shape, np.float32)
