"""The encoder: ids or embeddings of the source -> its states.

    x = LN(E[ids] * sqrt(D) + P[positions])                    embed_source
    x = LN(x + SelfAttention(x)); x = LN(x + FFN(x))           encoder_layer, once a layer
There is no norm after the last layer. Where the dialect says so, states at pads are zeroed after the embeddings and
after every layer (ParlAI). Arguments are checked before the pass (see `checks`), not here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array, Mask
from npblender.ops import unchecked as ops
from npblender.transformer import parameters
from npblender.transformer.attention import add_and_norm, attend, feed_forward, project_qkv
from npblender.transformer.context import Context, Source
from npblender.transformer.masks import key_mask
from npblender.transformer.outputs import BaseModelOutput


def scale_embeddings(tokens: Array, context: Context) -> Array:
    """Token embeddings [B, T, D] times sqrt(D), if the config has `scale_embedding` set.

    >>> scale_embeddings(np.ones((1, 1, 6)), context)[0, 0, 0].round(4)
    np.float64(2.4495)
    """
    d = tokens.dtype.type(tokens.shape[-1])
    return tokens * np.sqrt(d) if context.config.scale_embedding else tokens


def source_positions(batch: int, length: int, mask: Mask | None, context: Context) -> NDArray[np.int64]:
    """[B, S]: columns 0 .. S-1; or, where the dialect says so, how many tokens before this one are not pads.

    In the second form (ParlAI's) left padding changes nothing; leading pads all stand at position 0.

    >>> source_positions(1, 4, np.array([[False, False, True, True]]), context)
    array([[0, 0, 0, 1]])
    """
    if mask is not None and context.dialect.positions_follow_mask:
        return np.maximum(np.cumsum(mask, axis=1, dtype=np.int64) - 1, 0)
    return np.broadcast_to(np.arange(length), (batch, length))


def zero_pads(x: Array, mask: Mask | None, context: Context) -> Array:
    """States [B, S, D] with zeros at pads, where the dialect wants them.

    >>> zero_pads(np.ones((1, 2, 1)), np.array([[True, False]]), context).ravel()
    array([1., 0.])
    """
    if mask is None or not context.dialect.zero_padded_states:
        return x
    return x * mask[:, :, None]


def embed_source(
    w: parameters.Encoder,
    tokens: Array,
    mask: Mask | None,
    positions: NDArray[np.int64] | None,
    context: Context,
) -> Array:
    """LN(tokens + P[positions]): scaled token embeddings [B, S, D] -> what the first layer gets, [B, S, D]."""
    if positions is None:
        positions = source_positions(tokens.shape[0], tokens.shape[1], mask, context)  # [B, S]
    position_rows = ops.embed(positions, w.embed_positions.weight)  # [B, S] -> [B, S, D]
    context.tap("positions", position_rows)
    total = tokens + position_rows
    context.tap("sum", total)
    x = ops.layer_norm(total, w.layernorm_embedding.weight, w.layernorm_embedding.bias)
    context.tap("norm", x)
    x = zero_pads(context.dropout(x, context.config.dropout), mask, context)
    context.tap("output", x)
    return x


def encoder_layer(
    w: parameters.EncoderLayer, x: Array, mask: Mask | None, head_mask: Array | None, context: Context
) -> tuple[Array, Array]:
    """Self-attention, then feed-forward: [B, S, D] -> [B, S, D] and the attention's weights [B, H, S, S].

    `mask` is [B, S], `head_mask` [H].
    """
    here, heads = context.at("self_attn"), context.config.encoder_attention_heads
    q, k, v = project_qkv(w.self_attn, x, heads, here)  # [B, S, D] -> [B, H, S, K] each
    output, attention = attend(w.self_attn, q, k, v, key_mask(mask), head_mask, here)
    x = add_and_norm(w.self_attn_layer_norm, x, output, here)
    x = feed_forward(w, x, context.at("ffn"))
    x = zero_pads(x, mask, context)
    context.tap("output", x)
    return x, attention


def encode(weights: parameters.Weights, source: Source, context: Context) -> BaseModelOutput:
    """The source's states [B, S, D].

    >>> source = Source(np.array([[5, 6, 7]]))
    >>> encode(weights, source, context).last_hidden_state[0, :, 0].round(4)
    array([-1.594 , -1.3313,  0.1372], dtype=float32)
    """
    w = weights.encoder
    assert w is not None, "a causal head has no encoder"
    here = context.at("encoder")
    embed = here.at("embed")
    tokens = source.inputs_embeds  # [B, S, D], taken as they are: no original scales them
    if tokens is None:
        assert source.input_ids is not None
        rows = ops.embed(source.input_ids, weights.shared.weight)  # [B, S] -> [B, S, D]
        embed.tap("tokens", rows)
        tokens = scale_embeddings(rows, embed)
    embed.tap("scaled", tokens)
    x = embed_source(w, tokens, source.attention_mask, source.position_ids, embed)

    states: list[Array] = [x]
    attentions: list[Array | None] = []
    for n, layer in enumerate(w.layers):
        attention = None
        if not context.skips_layer(context.config.encoder_layerdrop):
            head_mask = None if source.head_mask is None else source.head_mask[n]  # [layers, H] -> [H]
            x, attention = encoder_layer(layer, x, source.attention_mask, head_mask, here.at(f"layers.{n}"))
        if context.collect_states:
            states.append(x)
        if context.collect_attentions:
            attentions.append(attention)
    here.tap("states", x)
    return BaseModelOutput(
        last_hidden_state=x,
        hidden_states=tuple(states) if context.collect_states else None,
        attentions=tuple(attentions) if context.collect_attentions else None,
    )
