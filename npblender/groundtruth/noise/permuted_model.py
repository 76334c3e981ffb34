"""Permutes the inner dimensions of a model, so that every sum in it adds its terms in another order.

The mathematics does not say which column of the model's vectors comes first, which head, or which unit of a
feed-forward block. Permuting each of them in all weights alike gives the same model in exact arithmetic; in floating
point every product and every norm adds its terms in another order and rounds differently, as it would with other
kernels, blocks or threads. `restore` returns an array of the permuted model to the original order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array
from npblender.config import BlenderbotSmallConfig
from npblender.groundtruth.tracing.evaluate import Evaluation
from npblender.groundtruth.tracing.inputs import Run
from npblender.groundtruth.tracing.points import without_step
from npblender.transformer import parameters as tree
from npblender.transformer.attention import merge_heads, split_heads
from npblender.transformer.inputs import Source, Target

Order = NDArray[np.int64]  # new position i holds what was at order[i]
Layer = TypeVar("Layer", tree.EncoderLayer, tree.DecoderLayer)


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

    attentions, feed_forwards = {}, {}
    for n in range(config.encoder_layers):
        attentions[f"encoder.layers.{n}.self_attn"] = attention(config.encoder_attention_heads)
        feed_forwards[f"encoder.layers.{n}"] = rng.permutation(config.encoder_ffn_dim)
    for n in range(config.decoder_layers):
        for kind in ("self_attn", "encoder_attn"):
            attentions[f"decoder.layers.{n}.{kind}"] = attention(config.decoder_attention_heads)
        feed_forwards[f"decoder.layers.{n}"] = rng.permutation(config.decoder_ffn_dim)
    return Permutation(rng.permutation(d), attentions, feed_forwards)


def permuted(evaluation: Evaluation, order: Permutation) -> Evaluation:
    """Apply a permutation to an evaluation: to its weights, head masks and given embeddings."""
    return replace(
        evaluation,
        weights=_weights(evaluation.weights, order),
        run=_run(evaluation.run, order),
    )


def _linear(linear: tree.Linear, out: Order, inner: Order) -> tree.Linear:
    return tree.Linear(linear.weight[np.ix_(out, inner)], linear.bias[out])


def _norm(norm: tree.LayerNorm, order: Permutation) -> tree.LayerNorm:
    return tree.LayerNorm(norm.weight[order.model], norm.bias[order.model])


def _columns(table: tree.Embedding, order: Permutation) -> tree.Embedding:
    return tree.Embedding(np.ascontiguousarray(table.weight[:, order.model]))


def _attention(attention: tree.Attention, order: Permutation, path: str) -> tree.Attention:
    own, model = order.attentions[path], order.model
    return tree.Attention(
        q_proj=_linear(attention.q_proj, own.keys, model),
        k_proj=_linear(attention.k_proj, own.keys, model),
        v_proj=_linear(attention.v_proj, own.values, model),
        out_proj=_linear(attention.out_proj, model, own.values),
    )


def _layer(layer: Layer, order: Permutation, path: str) -> Layer:
    feed_forward = order.feed_forwards[path]
    changed: dict[str, Any] = {
        "self_attn": _attention(layer.self_attn, order, f"{path}.self_attn"),
        "self_attn_layer_norm": _norm(layer.self_attn_layer_norm, order),
        "fc1": _linear(layer.fc1, feed_forward, order.model),
        "fc2": _linear(layer.fc2, order.model, feed_forward),
        "final_layer_norm": _norm(layer.final_layer_norm, order),
    }
    if isinstance(layer, tree.DecoderLayer):
        changed["encoder_attn"] = _attention(layer.encoder_attn, order, f"{path}.encoder_attn")
        changed["encoder_attn_layer_norm"] = _norm(layer.encoder_attn_layer_norm, order)
    return replace(layer, **changed)


def _weights(weights: tree.Weights, order: Permutation) -> tree.Weights:
    def stem(stack: tree.Encoder | tree.Decoder) -> tuple[tree.Embedding, tree.LayerNorm]:
        return _columns(stack.embed_positions, order), _norm(stack.layernorm_embedding, order)

    encoder, decoder = weights.encoder, weights.decoder
    if encoder is not None:
        layers = tuple(_layer(layer, order, f"encoder.layers.{n}") for n, layer in enumerate(encoder.layers))
        encoder = tree.Encoder(*stem(encoder), layers)
    decoder_layers = tuple(_layer(layer, order, f"decoder.layers.{n}") for n, layer in enumerate(decoder.layers))
    decoder = tree.Decoder(*stem(decoder), decoder_layers)
    return tree.Weights(_columns(weights.shared, order), encoder, decoder, weights.final_logits_bias)


def _run(run: Run, order: Permutation) -> Run:
    def embeds(array: Array | None) -> Array | None:
        return None if array is None else np.ascontiguousarray(array[..., order.model])

    def heads(mask: Array | None, path: str) -> Array | None:
        """[layers, H], each layer's heads in its new order."""
        if mask is None:
            return None
        return np.stack([row[order.attentions[path.format(n)].heads] for n, row in enumerate(mask)])

    source: Source | None = run.source
    if source is not None:
        source = replace(
            source,
            inputs_embeds=embeds(source.inputs_embeds),
            head_mask=heads(source.head_mask, "encoder.layers.{}.self_attn"),
        )
    target: Target = replace(
        run.target,
        inputs_embeds=embeds(run.target.inputs_embeds),
        head_mask=heads(run.target.head_mask, "decoder.layers.{}.self_attn"),
        cross_attn_head_mask=heads(run.target.cross_attn_head_mask, "decoder.layers.{}.encoder_attn"),
    )
    return replace(run, source=source, target=target)


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
