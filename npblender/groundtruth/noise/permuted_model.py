"""The same model under other labels: its inner dimensions in another order, and so every sum in another order.

Nothing in the mathematics says which column of the model's vectors comes first, which head, or which unit of a
feed-forward block. A permutation of each, applied to all weights alike, is the same model in exact arithmetic; in
floating point every product and every norm adds its terms in another order and rounds otherwise, as it would with
other kernels, blocks or threads. `restore` puts an array of the permuted model back under the old labels. Nothing
here runs a model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array
from npblender.config import BlenderbotSmallConfig
from npblender.groundtruth.tracing.evaluate import Evaluation, without_step
from npblender.groundtruth.tracing.inputs import Run
from npblender.transformer import parameters as tree
from npblender.transformer.attention import merge_heads, split_heads
from npblender.transformer.inputs import Source, Target

Order = NDArray[np.int64]  # new position i holds what was at order[i]
Layer = TypeVar("Layer", tree.EncoderLayer, tree.DecoderLayer)


@dataclass(frozen=True, eq=False)
class AttentionLabels:
    """The order of an attention's heads, and of all columns of its queries and keys, and of its values."""

    heads: Order  # [H]
    keys: Order  # [D]: heads in their order, each with its columns in one of its own
    values: Order  # [D]


@dataclass(frozen=True, eq=False)
class Labels:
    """One relabelling of a model."""

    model: Order  # [D]
    attentions: dict[str, AttentionLabels]  # by the attention's path, such as encoder.layers.0.self_attn
    feed_forwards: dict[str, Order]  # [F] by the layer's path


def draw_labels(config: BlenderbotSmallConfig, rng: np.random.Generator) -> Labels:
    """A random relabelling of models of this configuration.

    >>> from npblender.models.example import EXAMPLE_CONFIG
    >>> labels = draw_labels(EXAMPLE_CONFIG, np.random.default_rng(0))
    >>> sorted(labels.attentions["encoder.layers.0.self_attn"].values.tolist())
    [0, 1, 2, 3, 4, 5]
    """
    d = config.d_model

    def attention(heads: int) -> AttentionLabels:
        order, size = rng.permutation(heads), d // heads
        columns = [np.concatenate([h * size + rng.permutation(size) for h in order]) for _ in ("keys", "values")]
        return AttentionLabels(order, *columns)

    attentions, feed_forwards = {}, {}
    for n in range(config.encoder_layers):
        attentions[f"encoder.layers.{n}.self_attn"] = attention(config.encoder_attention_heads)
        feed_forwards[f"encoder.layers.{n}"] = rng.permutation(config.encoder_ffn_dim)
    for n in range(config.decoder_layers):
        for kind in ("self_attn", "encoder_attn"):
            attentions[f"decoder.layers.{n}.{kind}"] = attention(config.decoder_attention_heads)
        feed_forwards[f"decoder.layers.{n}"] = rng.permutation(config.decoder_ffn_dim)
    return Labels(rng.permutation(d), attentions, feed_forwards)


def permuted(evaluation: Evaluation, labels: Labels) -> Evaluation:
    """The same evaluation under other labels: weights, head masks and given embeddings in the new order."""
    return replace(
        evaluation,
        weights=_weights(evaluation.weights, labels),
        run=_run(evaluation.run, labels),
    )


def _linear(linear: tree.Linear, out: Order, inner: Order) -> tree.Linear:
    return tree.Linear(linear.weight[np.ix_(out, inner)], linear.bias[out])


def _norm(norm: tree.LayerNorm, labels: Labels) -> tree.LayerNorm:
    return tree.LayerNorm(norm.weight[labels.model], norm.bias[labels.model])


def _columns(table: tree.Embedding, labels: Labels) -> tree.Embedding:
    return tree.Embedding(np.ascontiguousarray(table.weight[:, labels.model]))


def _attention(attention: tree.Attention, labels: Labels, path: str) -> tree.Attention:
    own, model = labels.attentions[path], labels.model
    return tree.Attention(
        q_proj=_linear(attention.q_proj, own.keys, model),
        k_proj=_linear(attention.k_proj, own.keys, model),
        v_proj=_linear(attention.v_proj, own.values, model),
        out_proj=_linear(attention.out_proj, model, own.values),
    )


def _layer(layer: Layer, labels: Labels, path: str) -> Layer:
    feed_forward = labels.feed_forwards[path]
    changed: dict[str, Any] = {
        "self_attn": _attention(layer.self_attn, labels, f"{path}.self_attn"),
        "self_attn_layer_norm": _norm(layer.self_attn_layer_norm, labels),
        "fc1": _linear(layer.fc1, feed_forward, labels.model),
        "fc2": _linear(layer.fc2, labels.model, feed_forward),
        "final_layer_norm": _norm(layer.final_layer_norm, labels),
    }
    if isinstance(layer, tree.DecoderLayer):
        changed["encoder_attn"] = _attention(layer.encoder_attn, labels, f"{path}.encoder_attn")
        changed["encoder_attn_layer_norm"] = _norm(layer.encoder_attn_layer_norm, labels)
    return replace(layer, **changed)


def _weights(weights: tree.Weights, labels: Labels) -> tree.Weights:
    def stem(stack: tree.Encoder | tree.Decoder) -> tuple[tree.Embedding, tree.LayerNorm]:
        return _columns(stack.embed_positions, labels), _norm(stack.layernorm_embedding, labels)

    encoder, decoder = weights.encoder, weights.decoder
    if encoder is not None:
        layers = tuple(_layer(layer, labels, f"encoder.layers.{n}") for n, layer in enumerate(encoder.layers))
        encoder = tree.Encoder(*stem(encoder), layers)
    decoder_layers = tuple(_layer(layer, labels, f"decoder.layers.{n}") for n, layer in enumerate(decoder.layers))
    decoder = tree.Decoder(*stem(decoder), decoder_layers)
    return tree.Weights(_columns(weights.shared, labels), encoder, decoder, weights.final_logits_bias)


def _run(run: Run, labels: Labels) -> Run:
    def embeds(array: Array | None) -> Array | None:
        return None if array is None else np.ascontiguousarray(array[..., labels.model])

    def heads(mask: Array | None, path: str) -> Array | None:
        """[layers, H], each layer's heads in its new order."""
        if mask is None:
            return None
        return np.stack([row[labels.attentions[path.format(n)].heads] for n, row in enumerate(mask)])

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


def restore(name: str, array: Array, labels: Labels) -> Array:
    """An array of a point of the permuted model, with its axes in the order they had before.

    >>> from npblender.models.example import EXAMPLE_CONFIG
    >>> labels = draw_labels(EXAMPLE_CONFIG, np.random.default_rng(0))
    >>> restore("encoder.states", np.arange(6.0)[labels.model][None, None], labels).ravel()
    array([0., 1., 2., 3., 4., 5.])
    """
    path, _, point = without_step(name).rpartition(".")
    if not path:
        return array  # logits, log_probabilities and loss have no inner axis
    layer, _, kind = path.rpartition(".")
    if kind in ("self_attn", "encoder_attn"):
        own = labels.attentions[path]
        if point in ("scores", "masked_scores", "weights"):
            return array[:, np.argsort(own.heads)]
        if point in ("q", "k", "v"):
            order = own.values if point == "v" else own.keys
            return split_heads(merge_heads(array)[..., np.argsort(order)], len(own.heads))
        if point == "context":
            return array[..., np.argsort(own.values)]
    if kind == "ffn" and point in ("hidden", "activation"):
        return array[..., np.argsort(labels.feed_forwards[layer])]
    return array[..., np.argsort(labels.model)]
