"""Permutes the inner dimensions of a model, so that every sum in it adds its terms in another order.

The mathematics does not say which column of the model's vectors comes first, which head, or which unit of a
feed-forward block. Permuting each of them in all weights alike gives the same model in exact arithmetic; in floating
point every product and every norm adds its terms in another order and rounds differently, as it would with other
kernels, blocks or threads. `restore` returns an array of the permuted model to the original order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array
from npblender.config import BlenderbotSmallConfig
from npblender.groundtruth.tracing.evaluate import Evaluation, changed_weights
from npblender.groundtruth.tracing.inputs import with_arrays
from npblender.groundtruth.tracing.points import without_step
from npblender.transformer.attention import merge_heads, split_heads

Order = NDArray[np.int64]  # new position i holds what was at order[i]


@dataclass(frozen=True, eq=False)
class AttentionPermutation:
    """The new order of an attention's heads, of the columns of its queries and keys, and of its values."""

    heads: Order  # [H]
    keys: Order  # [D]: heads in their order, each with its columns in one of its own
    values: Order  # [D]


@dataclass(frozen=True, eq=False)
class Permutation:
    """A new order of every inner dimension of a model."""

    model: Order  # [D]
    attentions: dict[str, AttentionPermutation]  # by the attention's path, such as encoder.layers.0.self_attn
    feed_forwards: dict[str, Order]  # [F] by the layer's path


def draw_permutation(config: BlenderbotSmallConfig, rng: np.random.Generator) -> Permutation:
    """Draw a permutation for models of this configuration. Columns stay within their head.

    >>> order = draw_permutation(config, np.random.default_rng(0)).attentions["encoder.layers.0.self_attn"]
    >>> order.heads, order.values  # two heads of three columns
    (array([0, 1]), array([2, 0, 1, 4, 5, 3]))
    """
    d = config.d_model

    def attention(heads: int) -> AttentionPermutation:
        order, size = rng.permutation(heads), d // heads
        columns = [np.concatenate([h * size + rng.permutation(size) for h in order]) for _ in ("keys", "values")]
        return AttentionPermutation(order, *columns)

    attentions: dict[str, AttentionPermutation] = {}
    feed_forwards: dict[str, Order] = {}
    for stack, kinds in (("encoder", ("self_attn",)), ("decoder", ("self_attn", "encoder_attn"))):
        layers, heads, inner = (getattr(config, f"{stack}_{size}") for size in ("layers", "attention_heads", "ffn_dim"))
        for layer in (f"{stack}.layers.{n}" for n in range(layers)):
            attentions |= {f"{layer}.{kind}": attention(heads) for kind in kinds}
            feed_forwards[layer] = rng.permutation(inner)
    return Permutation(rng.permutation(d), attentions, feed_forwards)


def permuted(evaluation: Evaluation, order: Permutation) -> Evaluation:
    """Apply a permutation to an evaluation: to its weights, head masks and given embeddings."""
    weights = changed_weights(evaluation.config, evaluation.weights, lambda name, array: _parameter(name, array, order))
    run = evaluation.run
    if run.source is not None:
        run = replace(run, source=with_arrays(run.source, _input(order, {"head_mask": "encoder.layers.{}.self_attn"})))
    paths = {"head_mask": "decoder.layers.{}.self_attn", "cross_attn_head_mask": "decoder.layers.{}.encoder_attn"}
    return replace(evaluation, weights=weights, run=replace(run, target=with_arrays(run.target, _input(order, paths))))


def _parameter(name: str, array: Array, order: Permutation) -> Array:
    """Reorder the rows of a parameter as what it gives, [out, in] or [out], and its columns as what it takes."""
    path, _, module = name.rpartition(".")[0].rpartition(".")
    if module in ("shared", "embed_positions"):  # rows are tokens or positions
        return np.ascontiguousarray(array[:, order.model])
    if not module:
        return array  # final_logits_bias
    out = inner = order.model
    if module in ("q_proj", "k_proj"):
        out = order.attentions[path].keys
    elif module == "v_proj":
        out = order.attentions[path].values
    elif module == "out_proj":
        inner = order.attentions[path].values
    elif module == "fc1":
        out = order.feed_forwards[path]
    elif module == "fc2":
        inner = order.feed_forwards[path]
    return array[out] if array.ndim == 1 else array[np.ix_(out, inner)]


def _input(order: Permutation, masks: dict[str, str]) -> Callable[[str, Array], Array]:
    """Make the function that reorders an input; `masks` names the attention of each layer by the mask of its heads."""

    def change(name: str, array: Array) -> Array:
        if name == "inputs_embeds":
            return np.ascontiguousarray(array[..., order.model])
        if name in masks:  # [layers, H], each layer's heads in its new order
            paths = (masks[name].format(n) for n in range(len(array)))
            return np.stack([row[order.attentions[path].heads] for row, path in zip(array, paths, strict=True)])
        return array

    return change


def restore(name: str, array: Array, order: Permutation) -> Array:
    """Return an array of a point of the permuted model to the original order of its axes.

    >>> order = draw_permutation(config, np.random.default_rng(0))
    >>> restore("encoder.states", np.arange(6.0)[order.model][None, None], order).ravel()
    array([0., 1., 2., 3., 4., 5.])
    """
    path, _, point = without_step(name).rpartition(".")
    if not path:
        return array  # logits, log_probabilities and loss have no inner axis
    layer, _, kind = path.rpartition(".")
    if kind in ("self_attn", "encoder_attn"):
        own = order.attentions[path]
        if point in ("scores", "masked_scores", "weights"):
            return array[:, np.argsort(own.heads)]
        if point in ("q", "k", "v"):
            columns = own.values if point == "v" else own.keys
            return split_heads(merge_heads(array)[..., np.argsort(columns)], len(own.heads))
        if point == "context":
            return array[..., np.argsort(own.values)]
    if kind == "ffn" and point in ("hidden", "activation"):
        return array[..., np.argsort(order.feed_forwards[layer])]
    return array[..., np.argsort(order.model)]
