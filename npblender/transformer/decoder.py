"""The decoder: target ids and a cache -> states, and a longer cache.

    x = LN(E[ids] * sqrt(D)) + P[positions]                    embed_target: the norm comes BEFORE the positions
    x = LN(x + SelfAttention(x)); x = LN(x + CrossAttention(x, encoder)); x = LN(x + FFN(x))     decoder_layer
The order in `embed_target` is ParlAI's `xlm` variant, with which the model was trained. One function serves whole
targets, prompts and single steps: T new tokens over the L that the cache then holds. Arguments are checked before the
pass (see `checks`), not here.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array, Mask
from npblender.ops import unchecked as ops
from npblender.transformer import parameters
from npblender.transformer.attention import (
    add_and_norm,
    attend,
    feed_forward,
    project_keys_values,
    project_qkv,
    project_queries,
)
from npblender.transformer.context import Context, Target
from npblender.transformer.encoder import scale_embeddings
from npblender.transformer.kv_cache import Cache, LayerCache, empty_cache
from npblender.transformer.masks import key_mask, self_attention_mask
from npblender.transformer.outputs import BaseModelOutputWithPastAndCrossAttentions


def start_cache(weights: parameters.Weights, batch: int, encoder_states: Array | None, context: Context) -> Cache:
    """The cache before the first token: no keys of its own, and the source's [B, S, D], projected once a layer.

    Without encoder states (the causal head alone) the decoder has no cross-attention at all.

    >>> cache = start_cache(weights, 1, np.ones((1, 4, 6), np.float32), context)
    >>> cache.length, cache.source_length
    (0, 4)
    """
    w, heads, d = weights.decoder, context.config.decoder_attention_heads, context.config.d_model
    if encoder_states is None:
        return empty_cache(batch, heads, d // heads, len(w.layers), weights.dtype)
    here = context.at("decoder")
    cross = [  # [B, S, D] -> [B, H, S, K] each
        project_keys_values(layer.encoder_attn, encoder_states, heads, here.at(f"layers.{n}.encoder_attn"))
        for n, layer in enumerate(w.layers)
    ]
    return empty_cache(batch, heads, d // heads, cross, weights.dtype)


def embed_target(w: parameters.Decoder, tokens: Array, positions: NDArray[np.int64], context: Context) -> Array:
    """LN(tokens) + P[positions]: scaled token embeddings [B, T, D] -> what the first layer gets, [B, T, D]."""
    x = ops.layer_norm(tokens, w.layernorm_embedding.weight, w.layernorm_embedding.bias)
    context.tap("norm", x)
    position_rows = ops.embed(positions, w.embed_positions.weight)  # [B, T] -> [B, T, D]
    context.tap("positions", position_rows)
    x = x + position_rows
    context.tap("sum", x)
    x = context.dropout(x, context.config.dropout)
    context.tap("output", x)
    return x


def decoder_layer(
    w: parameters.DecoderLayer,
    x: Array,
    memory: LayerCache,
    self_mask: Mask | None,
    cross_mask: Mask | None,
    head_mask: Array | None,
    cross_head_mask: Array | None,
    context: Context,
) -> tuple[Array, LayerCache, Array, Array | None]:
    """Self-attention, attention to the source, then feed-forward: [B, T, D] -> [B, T, D].

    With it come the longer memory and the weights of self-attention [B, H, T, L] and of cross-attention [B, H, T, S].
    """
    here, heads = context.at("self_attn"), context.config.decoder_attention_heads
    q, k, v = project_qkv(w.self_attn, x, heads, here)  # [B, T, D] -> [B, H, T, K] each
    memory = memory.append(k, v)  # [B, H, L - T, K] -> [B, H, L, K]
    output, attention = attend(w.self_attn, q, memory.key, memory.value, self_mask, head_mask, here)
    x = add_and_norm(w.self_attn_layer_norm, x, output, here)

    cross_attention = None
    if memory.cross_key is not None and memory.cross_value is not None:
        here = context.at("encoder_attn")
        q = project_queries(w.encoder_attn, x, heads, here)  # [B, T, D] -> [B, H, T, K]
        output, cross_attention = attend(
            w.encoder_attn, q, memory.cross_key, memory.cross_value, cross_mask, cross_head_mask, here
        )
        x = add_and_norm(w.encoder_attn_layer_norm, x, output, here)

    x = feed_forward(w, x, context.at("ffn"))
    context.tap("output", x)
    return x, memory, attention, cross_attention


def decode(
    weights: parameters.Weights, target: Target, cache: Cache, context: Context
) -> BaseModelOutputWithPastAndCrossAttentions:
    """States [B, T, D] of the new tokens, and the cache grown by them from L - T to L.

    >>> cache = start_cache(weights, 1, None, context)
    >>> out = decode(weights, Target(np.array([[1, 9]])), cache, context)
    >>> out.past_key_values.length, out.last_hidden_state[0, :, 0].round(4)
    (2, array([ 1.5025, -1.382 ], dtype=float32))
    """
    w, here = weights.decoder, context.at("decoder")
    embed = here.at("embed")
    tokens, scale = target.inputs_embeds, context.dialect.scale_decoder_inputs_embeds
    if tokens is None:
        assert target.input_ids is not None
        tokens = ops.embed(target.input_ids, weights.shared.weight)  # [B, T] -> [B, T, D]
        embed.tap("tokens", tokens)
        scale = context.dialect.scale_decoder_embeddings
    if scale:
        tokens = scale_embeddings(tokens, embed)
    embed.tap("scaled", tokens)
    batch, new = tokens.shape[:2]
    positions = target.position_ids  # [B, T]
    if positions is None:
        positions = np.broadcast_to(np.arange(cache.length, cache.length + new), (batch, new))
    x = embed_target(w, tokens, positions, embed)

    self_mask = self_attention_mask(new, cache.length + new, target.attention_mask)
    cross_mask = key_mask(target.encoder_attention_mask)
    states: list[Array] = [x]
    memories: list[LayerCache] = []
    attentions: list[Array | None] = []
    cross_attentions: list[Array | None] = []
    for n, (layer, memory) in enumerate(zip(w.layers, cache, strict=True)):
        if context.skips_layer(context.config.decoder_layerdrop):
            if context.collect_states:
                states.append(x)  # the layer is left out, and with it its attentions, as in transformers
            memories.append(memory)
            continue
        x, memory, attention, cross_attention = decoder_layer(
            layer,
            x,
            memory,
            self_mask,
            cross_mask,
            None if target.head_mask is None else target.head_mask[n],
            None if target.cross_attn_head_mask is None else target.cross_attn_head_mask[n],
            here.at(f"layers.{n}"),
        )
        memories.append(memory)
        if context.collect_states:
            states.append(x)
        if context.collect_attentions:
            attentions.append(attention)
            if cross_attention is not None:
                cross_attentions.append(cross_attention)
    here.tap("states", x)
    sees_source = cache.source_length is not None
    return BaseModelOutputWithPastAndCrossAttentions(
        last_hidden_state=x,
        past_key_values=replace(cache, layers=tuple(memories)),
        hidden_states=tuple(states) if context.collect_states else None,
        attentions=tuple(attentions) if context.collect_attentions else None,
        cross_attentions=tuple(cross_attentions) if context.collect_attentions and sees_source else None,
    )
