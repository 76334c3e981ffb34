"""Faults of wiring: what is added to what, in which order, for which positions, keys and rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from npblender.ops import unchecked as ops
from npblender.transformer import attention, decoder, encoder, masks
from npblender.transformer.context import Context
from npblender.transformer.kv_cache import LayerCache
from reference_tests.faults.zoo import Array, Fault, Patch, everywhere

SOURCE, TARGET = "encoder.layers.0.self_attn", "prefill.decoder.layers.0"
CROSS_KEYS = "decoder.layers.0.encoder_attn.k"


def encoder_norm_first(w: Any, tokens: Array, mask: Any, positions: Any, context: Context) -> Array:
    """The decoder's order in the encoder."""
    if positions is None:
        positions = encoder.source_positions(tokens.shape[0], tokens.shape[1], mask, context)
    x = decoder.embed_target(w, tokens, positions, replace(context, tap=muted(context.tap, "output")))
    x = encoder.zero_pads(x, mask, context)
    context.tap("output", x)
    return x


def muted(tap: Any, name: str) -> Any:
    """The tap, deaf to one name."""
    sink = tap.sink
    if sink is None:
        return tap
    return replace(tap, sink=lambda heard, array: None if heard == tap.path + name else sink(heard, array))


def decoder_norm_last(w: Any, tokens: Array, positions: Array, context: Context) -> Array:
    """The order of the encoder, and of most models, in the decoder."""
    rows = ops.embed(positions, w.embed_positions.weight)
    context.tap("positions", rows)
    context.tap("sum", tokens + rows)
    x = ops.layer_norm(tokens + rows, w.layernorm_embedding.weight, w.layernorm_embedding.bias)
    context.tap("norm", x)
    context.tap("output", x)
    return x


def pre_norm(patch: Patch) -> None:
    """x + f(LN(x)) in place of LN(x + f(x)): what reads a block's input gets its norm, the sum stays as it is."""
    layer_norms: dict[int, Any] = {}
    right_queries, right_qkv = attention.project_queries, attention.project_qkv
    right_encoder, right_decoder = encoder.encoder_layer, decoder.decoder_layer

    def of_layer(right: Any) -> Any:
        def layer(w: Any, *arguments: Any) -> Any:
            layer_norms[id(w.self_attn)] = w.self_attn_layer_norm
            if hasattr(w, "encoder_attn"):
                layer_norms[id(w.encoder_attn)] = w.encoder_attn_layer_norm
            return right(w, *arguments)

        return layer

    def before(w: Any, x: Array) -> Array:
        norm = layer_norms[id(w)]
        return ops.layer_norm(x, norm.weight, norm.bias)

    def project_queries(w: Any, x: Array, *rest: Any) -> Any:
        return right_queries(w, before(w, x), *rest)

    def project_qkv(w: Any, x: Array, *rest: Any) -> Any:
        return right_qkv(w, before(w, x), *rest)

    def add_only(norm: Any, residual: Array, output: Array, context: Context) -> Array:
        total = residual + output
        context.tap("sum", total)
        context.tap("norm", total)
        return total

    def feed_forward(w: Any, x: Array, context: Context) -> Array:
        inner = ops.layer_norm(x, w.final_layer_norm.weight, w.final_layer_norm.bias)
        hidden = ops.linear(inner, w.fc1.weight, w.fc1.bias)
        context.tap("hidden", hidden)
        active = ops.gelu(hidden)
        context.tap("activation", active)
        output = ops.linear(active, w.fc2.weight, w.fc2.bias)
        context.tap("output", output)
        return add_only(None, x, output, context)

    everywhere(right_encoder, of_layer)(patch)
    everywhere(right_decoder, of_layer)(patch)
    everywhere(right_queries, lambda _: project_queries)(patch)
    everywhere(right_qkv, lambda _: project_qkv)(patch)
    everywhere(attention.feed_forward, lambda _: feed_forward)(patch)
    everywhere(attention.add_and_norm, lambda _: add_only)(patch)


def no_residual(right: Any) -> Any:
    return lambda norm, residual, output, context: right(norm, np.zeros_like(residual), output, context)


def no_mask(right: Any) -> Any:
    return lambda mask: None


def causal_from(shift: int, upper_left: bool = False) -> Callable[[Patch], None]:
    """The causal mask with its edge moved; counted from the upper left corner, as for targets without a cache."""

    def self_attention_mask(new: int, keys: int, attention_mask: Any) -> Any:
        padding = masks.key_mask(attention_mask)
        causal = np.tri(new, keys, shift if upper_left else keys - new + shift, dtype=np.bool_)[None, None]
        return causal if padding is None else causal & padding

    return everywhere(masks.self_attention_mask, lambda _: self_attention_mask)


def without(*fields: str) -> Callable[[Any], Any]:
    """decode() that is not given some fields of its target."""

    def make(right: Any) -> Any:
        def decode(weights: Any, target: Any, cache: Any, context: Context) -> Any:
            return right(weights, replace(target, **dict.fromkeys(fields)), cache, context)

        return decode

    return make


def positions_from(change: Callable[[Array], Array]) -> Callable[[Any], Any]:
    """The decoder's positions, changed."""
    return lambda right: lambda w, tokens, positions, context: right(w, tokens, change(positions), context)


def source_positions_from(first: int) -> Callable[[Any], Any]:
    return lambda right: lambda *arguments: right(*arguments) + first


def start_with(change: Callable[[Array], Array]) -> Callable[[Any], Any]:
    """Other encoder states for the cross keys and values."""
    return lambda right: lambda weights, batch, states, context: right(weights, batch, change(states), context)


def cross_keys_of_the_embeddings(patch: Patch) -> None:
    embedded: list[Array] = []

    def remember(right: Any) -> Any:
        def embed_source(*arguments: Any) -> Array:
            embedded.append(right(*arguments))
            return embedded[-1]

        return embed_source

    everywhere(encoder.embed_source, remember)(patch)
    everywhere(decoder.start_cache, start_with(lambda states: embedded[-1]))(patch)


def merged_by_columns(x: Array) -> Array:
    """[B, H, T, K] -> [B, T, K * H]: a token's heads woven into each other."""
    return x.transpose(0, 2, 3, 1).reshape(x.shape[0], x.shape[2], -1)


def merged_untransposed(x: Array) -> Array:
    return x.reshape(x.shape[0], x.shape[2], -1)


def split_by_columns(x: Array, heads: int) -> Array:
    batch, new, d = x.shape
    return x.reshape(batch, new, d // heads, heads).transpose(0, 3, 1, 2)


def prepended(memory: LayerCache, key: Array, value: Array) -> LayerCache:
    joined = [np.concatenate(pair, axis=2) for pair in ((key, memory.key), (value, memory.value))]
    return replace(memory, key=joined[0], value=joined[1])


def cache_lost(patch: Patch) -> None:
    """Keys and values of the new tokens only, and the mask's columns for them."""

    def attend(right: Any) -> Any:
        def attend_to_these(w: Any, q: Array, k: Array, v: Array, mask: Any, *rest: Any) -> Any:
            return right(w, q, k, v, None if mask is None else mask[..., -k.shape[2] :], *rest)

        return attend_to_these

    patch.setattr(LayerCache, "append", lambda memory, key, value: replace(memory, key=key, value=value))
    everywhere(attention.attend, attend)(patch)


def last_normed(right: Any) -> Any:
    """A norm after the last layer, with the last layer's parameters for want of others."""

    def encode(weights: Any, source: Any, context: Context) -> Any:
        out = right(weights, source, replace(context, tap=muted(context.tap, "encoder.states")))
        norm = weights.encoder.layers[-1].final_layer_norm
        x = ops.layer_norm(out.last_hidden_state, np.ones_like(norm.weight), np.zeros_like(norm.bias))
        context.at("encoder").tap("states", x)
        return replace(out, last_hidden_state=x)

    return encode


WIRING: dict[str, Fault] = {
    "encoder norm before positions": Fault(
        "encoder.embed.sum",
        "The decoder's order of the embedding is used in the encoder, where positions come before the norm.",
        everywhere(encoder.embed_source, lambda _: encoder_norm_first),
    ),
    "decoder norm after positions": Fault(
        "prefill.decoder.embed.norm",
        "The encoder's order of the embedding is used in the decoder, where the norm comes before the positions.",
        everywhere(decoder.embed_target, lambda _: decoder_norm_last),
    ),
    "pre-LN": Fault(f"{SOURCE}.q", "Blocks compute x + f(LN(x)); this model computes LN(x + f(x)).", pre_norm),
    "final encoder norm": Fault(
        "encoder.states",
        "A norm after the last encoder layer, which BlenderbotSmall's larger relatives have.",
        everywhere(encoder.encode, last_normed),
    ),
    "residual dropped": Fault(
        f"{SOURCE}.sum", "A block's input is not added to its output.", everywhere(attention.add_and_norm, no_residual)
    ),
    "pads attended": Fault(f"{SOURCE}.masked_scores", "No mask hides pads.", everywhere(masks.key_mask, no_mask)),
    "source pads attended by the decoder": Fault(
        f"{TARGET}.encoder_attn.masked_scores",
        "The source's mask is used in the encoder, but not in cross-attention.",
        everywhere(decoder.decode, without("encoder_attention_mask")),
    ),
    "target pads attended": Fault(
        f"{TARGET}.self_attn.masked_scores",
        "The decoder's mask is causal only, and the mask of a padded prompt is forgotten.",
        everywhere(decoder.decode, without("attention_mask")),
    ),
    "causal mask off by one": Fault(
        f"{TARGET}.self_attn.masked_scores",
        "Token i attends to key i + 1: a comparison has lost its equals sign.",
        causal_from(1),
    ),
    "own token hidden": Fault(
        f"{TARGET}.self_attn.masked_scores", "Token i does not attend to itself.", causal_from(-1)
    ),
    "causal mask missing": Fault(
        f"{TARGET}.self_attn.masked_scores", "All tokens attend to all others.", causal_from(99)
    ),
    "causal mask from the upper left": Fault(
        "step1.decoder.layers.0.self_attn.masked_scores",
        "The causal mask is counted from the first key, so a step sees the first tokens of its cache only.",
        causal_from(0, upper_left=True),
    ),
    "positions off by one": Fault(
        "encoder.embed.positions",
        "Positions count from 1.",
        everywhere(encoder.source_positions, source_positions_from(1)),
    ),
    "positions off by two": Fault(
        "encoder.embed.positions",
        "BART's offset: its position tables begin with two rows that are not used.",
        everywhere(encoder.source_positions, source_positions_from(2)),
    ),
    "target positions off by one": Fault(
        "prefill.decoder.embed.positions",
        "The decoder's positions count from 1.",
        everywhere(decoder.embed_target, positions_from(lambda positions: positions + 1)),
    ),
    "positions restarted with the cache": Fault(
        "step1.decoder.embed.positions",
        "Each step counts positions from 0; they go on from the cache's length.",
        everywhere(decoder.embed_target, positions_from(lambda positions: positions - positions.min())),
    ),
    "cache prepended to": Fault(
        "step1.decoder.layers.0.self_attn.scores",
        "New keys and values are put before those of earlier tokens.",
        lambda patch: patch.setattr(LayerCache, "append", prepended),
    ),
    "cache lost": Fault(
        "step1.decoder.layers.0.self_attn.scores",
        "A step attends to its own token only: the cache is not read.",
        cache_lost,
    ),
    "cross keys from the embeddings": Fault(
        CROSS_KEYS,
        "Cross-attention reads the encoder's embeddings instead of its last states.",
        cross_keys_of_the_embeddings,
    ),
    "cross keys of another row": Fault(
        CROSS_KEYS,
        "The rows of a batch get each other's source, as after an expansion for beams in the wrong order.",
        everywhere(decoder.start_cache, start_with(lambda states: np.roll(states, 1, axis=0))),
    ),
    "heads merged by columns": Fault(
        f"{SOURCE}.context",
        "[B, H, T, K] is made [B, T, K H]; a token's heads stand side by side.",
        everywhere(attention.merge_heads, lambda _: merged_by_columns),
    ),
    "heads merged without a transpose": Fault(
        f"{SOURCE}.context",
        "[B, H, T, K] is reshaped to [B, T, D] as it lies in memory.",
        everywhere(attention.merge_heads, lambda _: merged_untransposed),
    ),
    "heads split by columns": Fault(
        f"{SOURCE}.q",
        "Head h takes columns h, h + H, ...; it takes the columns from h K on.",
        everywhere(attention.split_heads, lambda _: split_by_columns),
    ),
}
