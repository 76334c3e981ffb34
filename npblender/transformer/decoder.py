"""The decoder: target ids and a cache -> states, and a longer cache.

    x = LN(E[ids] * sqrt(D)) + P[positions]                    embed_target: the norm comes BEFORE the positions
    x = LN(x + SelfAttention(x)); x = LN(x + CrossAttention(x, encoder)); x = LN(x + FFN(x))     decoder_layer
The order in `embed_target` is ParlAI's `xlm` variant, with which the model was trained. One function serves whole
targets, prompts and single steps: T new tokens over the L that the cache then holds. Arguments are checked at the
border (`inputs`), not here.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from npblender import ops
from npblender.common.array_types import Array, Mask
from npblender.transformer import parameters
from npblender.transformer.attention import (
    add_and_norm,
    attend,
    feed_forward,
    project_keys_values,
    project_qkv,
    project_queries,
)
from npblender.transformer.context import Context
from npblender.transformer.encoder import scale_embeddings
from npblender.transformer.kv_cache import Cache, LayerCache, empty_cache
from npblender.transformer.masks import key_mask, self_attention_mask
from npblender.transformer.outputs import BaseModelOutputWithPastAndCrossAttentions


def start(w: parameters.Decoder, batch: int, encoder_states: Array | None, context: Context) -> Cache:
    """The cache before the first token: no keys of its own, and the source's [B, S, D], projected once a layer.

    Without encoder states (the causal head alone) the decoder has no cross-attention at all.

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> cache = start(model.weights.decoder, 1, np.ones((1, 4, 6), np.float32), Context(model.config, model.dialect))
    >>> cache.length, cache.source_length, [array.shape for array in cache[0]]
    (0, 4, [(1, 3, 0, 2), (1, 3, 0, 2), (1, 3, 4, 2), (1, 3, 4, 2)])
    """
    heads, d = context.config.decoder_attention_heads, context.config.d_model
    dtype = w.embed_positions.weight.dtype
    if encoder_states is None:
        return empty_cache(batch, heads, d // heads, len(w.layers), dtype)
    here = context.at("decoder")
    cross = [
        project_keys_values(layer.encoder_attn, encoder_states, heads, here.at(f"layers.{n}.encoder_attn"))
        for n, layer in enumerate(w.layers)
    ]
    return empty_cache(batch, heads, d // heads, cross, dtype)


def embed_target(w: parameters.Decoder, tokens: Array, positions: NDArray[np.int64], context: Context) -> Array:
    """Token embeddings, scaled already, [B, T, D] -> what the first layer gets, [B, T, D].

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> tokens, context = np.ones((1, 2, 6), np.float32), Context(model.config, model.dialect)
    >>> embed_target(model.weights.decoder, tokens, np.array([[0, 1]]), context).shape
    (1, 2, 6)
    """
    x = ops.layer_norm(tokens, w.layernorm_embedding.weight, w.layernorm_embedding.bias)
    context.tap("norm", x)
    position_rows = ops.embed(positions, w.embed_positions.weight)  # [B, T, D]
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
    """[B, T, D] -> [B, T, D], the longer memory, self-attention [B, H, T, L] and cross-attention [B, H, T, S].

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> w, context = model.weights.decoder, Context(model.config, model.dialect)
    >>> memory = start(w, 1, np.ones((1, 4, 6), np.float32), context)[0]
    >>> x = np.ones((1, 1, 6), np.float32)
    >>> x, memory, attention, cross = decoder_layer(w.layers[0], x, memory, None, None, None, None, context)
    >>> x.shape, memory.key.shape, attention.shape, cross.shape
    ((1, 1, 6), (1, 3, 1, 2), (1, 3, 1, 1), (1, 3, 1, 4))
    """
    here, heads = context.at("self_attn"), context.config.decoder_attention_heads
    q, k, v = project_qkv(w.self_attn, x, heads, here)  # [B, T, D] -> [B, H, T, K]
    memory = memory.append(k, v)  # [B, H, L, K]
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
    w: parameters.Decoder,
    shared: parameters.Embedding,
    context: Context,
    cache: Cache,
    *,
    input_ids: NDArray[np.int64] | None = None,  # [B, T]
    inputs_embeds: Array | None = None,  # [B, T, D]
    attention_mask: Mask | None = None,  # [B, L], L = cache.length + T
    encoder_attention_mask: Mask | None = None,  # [B, S]
    head_mask: Array | None = None,  # [layers, H]
    cross_attn_head_mask: Array | None = None,  # [layers, H]
    position_ids: NDArray[np.int64] | None = None,  # [B, T]
) -> BaseModelOutputWithPastAndCrossAttentions:
    """States [B, T, D] of the new tokens and the cache grown by them, from exactly one of ids and embeddings.

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> w, context = model.weights, Context(model.config, model.dialect)
    >>> cache = start(w.decoder, 1, None, context)
    >>> out = decode(w.decoder, w.shared, context, cache, input_ids=np.array([[1, 9]]))
    >>> out.last_hidden_state.shape, out.past_key_values.length
    ((1, 2, 6), 2)
    """
    here = context.at("decoder")
    embed = here.at("embed")
    scale = context.dialect.scale_decoder_inputs_embeds
    if inputs_embeds is None:
        assert input_ids is not None
        inputs_embeds = ops.embed(input_ids, shared.weight)  # [B, T] -> [B, T, D]
        embed.tap("tokens", inputs_embeds)
        scale = context.dialect.scale_decoder_embeddings
    if scale:
        inputs_embeds = scale_embeddings(inputs_embeds, embed)
    embed.tap("scaled", inputs_embeds)
    batch, new = inputs_embeds.shape[:2]
    if position_ids is None:
        position_ids = np.broadcast_to(np.arange(cache.length, cache.length + new), (batch, new))
    x = embed_target(w, inputs_embeds, position_ids, embed)

    self_mask = self_attention_mask(new, cache.length + new, attention_mask)
    cross_mask = key_mask(encoder_attention_mask)
    states: list[Array] = [x]
    memories: list[LayerCache] = []
    attentions: list[Array | None] = []
    cross_attentions: list[Array | None] = []
    for n, (layer, memory) in enumerate(zip(w.layers, cache, strict=True)):
        if context.skips_layer(context.config.decoder_layerdrop):
            states.append(x)  # the layer is left out, and with it its attentions, as in transformers
            memories.append(memory)
            continue
        x, memory, attention, cross_attention = decoder_layer(
            layer,
            x,
            memory,
            self_mask,
            cross_mask,
            None if head_mask is None else head_mask[n],
            None if cross_attn_head_mask is None else cross_attn_head_mask[n],
            here.at(f"layers.{n}"),
        )
        states.append(x)
        memories.append(memory)
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
