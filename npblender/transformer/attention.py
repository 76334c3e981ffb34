"""Multi-head attention (Vaswani et al. 2017, section 3.2), and the feed-forward block that follows it in every layer.

    Attention(q, k, v) = softmax(q k^T / sqrt(K)) v            attend, of queries that are divided already
    FFN(x) = fc2(activation(fc1(x)))                           feed_forward
Queries, keys and values are projected by functions of their own because keys and values outlive the call: a decoder
keeps its own from step to step, and those of the source for the whole reply.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from npblender.common.array_types import Array, Mask
from npblender.ops import unchecked as ops
from npblender.transformer import parameters
from npblender.transformer.context import Context
from npblender.transformer.masks import hide


def split_heads(x: Array, heads: int) -> Array:
    """Cut the last axis into heads: head h takes columns h*K to (h+1)*K. [B, T, D] -> [B, H, T, K].

    >>> split_heads(np.arange(6).reshape(1, 1, 6), 2)[0, :, 0]
    array([[0, 1, 2],
           [3, 4, 5]])
    """
    batch, new, d = x.shape
    return x.reshape(batch, new, heads, d // heads).transpose(0, 2, 1, 3)  # [B, T, D] -> [B, T, H, K] -> [B, H, T, K]


def merge_heads(x: Array) -> Array:
    """Put the heads of each token side by side again, undoing `split_heads`. [B, H, T, K] -> [B, T, D].

    >>> merge_heads(split_heads(np.arange(6).reshape(1, 1, 6), 3)).ravel()
    array([0, 1, 2, 3, 4, 5])
    """
    batch, heads, new, size = x.shape
    return x.transpose(0, 2, 1, 3).reshape(batch, new, heads * size)  # [B, H, T, K] -> [B, T, H, K] -> [B, T, D]


def scale_queries(q: Array) -> Array:
    """q / sqrt(K), so that scores of independent vectors have variance about 1. [B, H, T, K] -> [B, H, T, K].

    >>> scale_queries(np.full((1, 1, 1, 4), 3.0)).ravel()
    array([1.5, 1.5, 1.5, 1.5])
    """
    scaled: Array = q / np.sqrt(q.dtype.type(q.shape[-1]))
    return scaled


def project_queries(w: parameters.Attention, x: Array, heads: int, context: Context) -> Array:
    """Queries of x, scaled: [B, T, D] -> [B, H, T, K]."""
    q = scale_queries(split_heads(ops.linear(x, *w.q_proj), heads))
    context.tap("q", q)
    return q


def project_keys_values(w: parameters.Attention, states: Array, heads: int, context: Context) -> tuple[Array, Array]:
    """Keys and values of some states: [B, L, D] -> [B, H, L, K] each."""
    k, v = (split_heads(y, heads) for y in ops.linears(states, [w.k_proj, w.v_proj]))
    context.tap("k", k)
    context.tap("v", v)
    return k, v


def project_qkv(w: parameters.Attention, x: Array, heads: int, context: Context) -> tuple[Array, Array, Array]:
    """Queries, scaled, keys and values of the same x, as self-attention needs them: [B, T, D] -> [B, H, T, K] each."""
    q, k, v = (split_heads(y, heads) for y in ops.linears(x, [w.q_proj, w.k_proj, w.v_proj]))
    q = scale_queries(q)
    context.tap("q", q)
    context.tap("k", k)
    context.tap("v", v)
    return q, k, v


def attend(
    w: parameters.Attention,
    q: Array,
    k: Array,
    v: Array,
    mask: Mask | None,
    head_mask: Array | None,
    context: Context,
) -> tuple[Array, Array]:
    """Queries [B, H, T, K] over keys and values [B, H, L, K] -> output [B, T, D] and weights [B, H, T, L].

    `mask` broadcasts to [B, H, T, L], True = may attend. `head_mask` [H] multiplies the weights after the softmax,
    so a head with 0 contributes nothing but its share of the output bias (as in transformers 4.52.4). The weights
    returned are those before dropout.

    Two keys, of which the query sees the second alone:

    >>> w = weights.encoder.layers[0].self_attn
    >>> q, k, v = (np.ones((1, 2, n, 3), np.float32) for n in (1, 2, 2))
    >>> attend(w, q, k, v, np.array([False, True]), None, context)[1][0, 0]
    array([[0., 1.]], dtype=float32)
    """
    scores = ops.products(q, k.transpose(0, 1, 3, 2))  # [B, H, T, K] @ [B, H, K, L] -> [B, H, T, L]
    context.tap("scores", scores)
    scores = hide(scores, mask, context.dialect.masked_score)
    context.tap("masked_scores", scores)
    probabilities = ops.softmax(scores)  # over the keys
    if head_mask is not None:
        probabilities = probabilities * head_mask[:, None, None]  # [H, 1, 1]
    context.tap("weights", probabilities)
    dropped = context.dropout(probabilities, context.config.attention_dropout)
    mixed = merge_heads(ops.products(dropped, v))  # [B, H, T, L] @ [B, H, L, K] -> [B, H, T, K] -> [B, T, D]
    context.tap("context", mixed)
    output = ops.linear(mixed, *w.out_proj)  # [B, T, D] -> [B, T, D]
    context.tap("output", output)
    return output, probabilities


def add_and_norm(norm: parameters.LayerNorm, residual: Array, output: Array, context: Context) -> Array:
    """LayerNorm(residual + dropout(output)), [B, T, D]: post-LN, the norm after the sum, as the model was trained.

    >>> norm = parameters.LayerNorm(np.ones(2), np.zeros(2))
    >>> add_and_norm(norm, np.array([[[1.0, 0.0]]]), np.array([[[4.0, 1.0]]]), context).round(4)
    array([[[ 1., -1.]]])
    """
    total = residual + context.dropout(output, context.config.dropout)
    context.tap("sum", total)
    normed = ops.layer_norm(total, norm.weight, norm.bias)
    context.tap("norm", normed)
    return normed


class FeedForward(Protocol):
    """The part of a layer that the encoder and the decoder have alike."""

    @property
    def fc1(self) -> parameters.Linear:
        """[F, D]."""

    @property
    def fc2(self) -> parameters.Linear:
        """[D, F]."""

    @property
    def final_layer_norm(self) -> parameters.LayerNorm:
        """The norm after the block's sum."""


def feed_forward(w: FeedForward, x: Array, context: Context) -> Array:
    """LayerNorm(x + fc2(activation(fc1(x)))): [B, T, D] -> [B, T, F] -> [B, T, D]."""
    activation = ops.ACTIVATIONS[context.config.activation_function]
    output = ops.mlp(x, w.fc1, activation, w.fc2, context.between_maps)  # [B, T, D] -> [B, T, F] -> [B, T, D]
    context.tap("output", output)
    return add_and_norm(w.final_layer_norm, x, output, context)
