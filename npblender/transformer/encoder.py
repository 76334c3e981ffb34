"""The encoder: ids or embeddings of the source -> its states.

    x = LN(E[ids] * sqrt(D) + P[positions])                    embed_source
    x = LN(x + SelfAttention(x)); x = LN(x + FFN(x))           encoder_layer, once a layer
There is no norm after the last layer. Where the dialect says so, states at pads are zeroed after the embeddings and
after every layer (ParlAI). Arguments are checked at the border (`inputs`), not here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from npblender import ops
from npblender.common.array_types import Array, Mask
from npblender.transformer import parameters
from npblender.transformer.attention import add_and_norm, attend, feed_forward, project_qkv
from npblender.transformer.context import Context
from npblender.transformer.masks import key_mask
from npblender.transformer.outputs import BaseModelOutput


def scale_embeddings(tokens: Array, context: Context) -> Array:
    """Token embeddings [B, T, D] times sqrt(D), if the config has `scale_embedding` set.

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> scale_embeddings(np.ones((1, 1, 6)), Context(model.config, model.dialect))[0, 0, 0].round(4)
    np.float64(2.4495)
    """
    d = tokens.dtype.type(tokens.shape[-1])
    return tokens * np.sqrt(d) if context.config.scale_embedding else tokens


def source_positions(batch: int, length: int, mask: Mask | None, context: Context) -> NDArray[np.int64]:
    """[B, S]: columns 0 .. S-1; or, where the dialect says so, how many tokens before this one are not pads.

    In the second form (ParlAI's) left padding changes nothing; leading pads all stand at position 0.

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> source_positions(1, 4, np.array([[False, False, True, True]]), Context(model.config, model.dialect))
    array([[0, 0, 0, 1]])
    """
    if mask is not None and context.dialect.positions_follow_mask:
        return np.maximum(np.cumsum(mask, axis=1, dtype=np.int64) - 1, 0)
    return np.broadcast_to(np.arange(length), (batch, length))


def zero_pads(x: Array, mask: Mask | None, context: Context) -> Array:
    """States [B, S, D] with zeros at pads, where the dialect wants them.

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> zero_pads(np.ones((1, 2, 1)), np.array([[True, False]]), Context(model.config, model.dialect)).ravel()
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
    """Token embeddings, scaled already, [B, S, D] -> what the first layer gets, [B, S, D].

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> tokens, context = np.ones((1, 4, 6), np.float32), Context(model.config, model.dialect)
    >>> embed_source(model.weights.encoder, tokens, None, None, context).shape
    (1, 4, 6)
    """
    if positions is None:
        positions = source_positions(tokens.shape[0], tokens.shape[1], mask, context)  # [B, S]
    position_rows = ops.embed(positions, w.embed_positions.weight)  # [B, S, D]
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
    """[B, S, D] -> [B, S, D] and the attention's weights [B, H, S, S]. `mask` is [B, S], `head_mask` [H].

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> layer, x = model.weights.encoder.layers[0], np.ones((1, 4, 6), np.float32)
    >>> [part.shape for part in encoder_layer(layer, x, None, None, Context(model.config, model.dialect))]
    [(1, 4, 6), (1, 2, 4, 4)]
    """
    here, heads = context.at("self_attn"), context.config.encoder_attention_heads
    q, k, v = project_qkv(w.self_attn, x, heads, here)  # [B, S, D] -> [B, H, S, K]
    output, attention = attend(w.self_attn, q, k, v, key_mask(mask), head_mask, here)
    x = add_and_norm(w.self_attn_layer_norm, x, output, here)
    x = feed_forward(w, x, context.at("ffn"))
    x = zero_pads(x, mask, context)
    context.tap("output", x)
    return x, attention


def encode(
    w: parameters.Encoder,
    shared: parameters.Embedding,
    context: Context,
    *,
    input_ids: NDArray[np.int64] | None = None,  # [B, S]
    inputs_embeds: Array | None = None,  # [B, S, D], taken as they are: no original scales them
    attention_mask: Mask | None = None,  # [B, S]
    head_mask: Array | None = None,  # [layers, H]
    position_ids: NDArray[np.int64] | None = None,  # [B, S]
) -> BaseModelOutput:
    """The source's states [B, S, D], from exactly one of ids and embeddings.

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> w, ids = model.weights, np.array([[5, 6, 7]])
    >>> encode(w.encoder, w.shared, Context(model.config, model.dialect), input_ids=ids).last_hidden_state.shape
    (1, 3, 6)
    """
    here = context.at("encoder")
    embed = here.at("embed")
    if inputs_embeds is None:
        assert input_ids is not None
        tokens = ops.embed(input_ids, shared.weight)  # [B, S] -> [B, S, D]
        embed.tap("tokens", tokens)
        inputs_embeds = scale_embeddings(tokens, embed)
    embed.tap("scaled", inputs_embeds)
    x = embed_source(w, inputs_embeds, attention_mask, position_ids, embed)

    states: list[Array] = [x]
    attentions: list[Array | None] = []
    for n, layer in enumerate(w.layers):
        attention = None
        if not context.skips_layer(context.config.encoder_layerdrop):
            heads_kept = None if head_mask is None else head_mask[n]
            x, attention = encoder_layer(layer, x, attention_mask, heads_kept, here.at(f"layers.{n}"))
        states.append(x)
        attentions.append(attention)
    here.tap("states", x)
    return BaseModelOutput(
        last_hidden_state=x,
        hidden_states=tuple(states) if context.collect_states else None,
        attentions=tuple(attentions) if context.collect_attentions else None,
    )
