"""Multi-head attention (Vaswani et al. 2017, section 3.2), and the feed-forward block that follows it in every layer.

Queries, keys and values are projected by functions of their own because keys and values outlive the call: a decoder
keeps its own from step to step, and those of the source for the whole reply. Layers are put together elsewhere.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from npblender import ops
from npblender.common.array_types import Array, Mask
from npblender.transformer import parameters
from npblender.transformer.context import Context
from npblender.transformer.masks import hide


def split_heads(x: Array, heads: int) -> Array:
    """[B, T, D] -> [B, H, T, K]: head h takes columns h*K to (h+1)*K.

    >>> split_heads(np.arange(6).reshape(1, 1, 6), 2)[0, :, 0]
    array([[0, 1, 2],
           [3, 4, 5]])
    """
    batch, new, d = x.shape
    return x.reshape(batch, new, heads, d // heads).transpose(0, 2, 1, 3)


def merge_heads(x: Array) -> Array:
    """[B, H, T, K] -> [B, T, D], undoing `split_heads`.

    >>> merge_heads(split_heads(np.arange(6).reshape(1, 1, 6), 3)).ravel()
    array([0, 1, 2, 3, 4, 5])
    """
    batch, heads, new, size = x.shape
    return x.transpose(0, 2, 1, 3).reshape(batch, new, heads * size)


def project_queries(w: parameters.Attention, x: Array, heads: int, context: Context) -> Array:
    """[B, T, D] -> [B, H, T, K], divided by sqrt(K) so that scores of independent vectors have variance about 1.

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> w, context = model.weights.encoder.layers[0].self_attn, Context(model.config, model.dialect)
    >>> project_queries(w, np.ones((1, 4, 6), np.float32), 2, context).shape
    (1, 2, 4, 3)
    """
    q = _scaled(split_heads(ops.linear(x, w.q_proj.weight, w.q_proj.bias), heads))
    context.tap("q", q)
    return q


def project_keys_values(w: parameters.Attention, states: Array, heads: int, context: Context) -> tuple[Array, Array]:
    """[B, L, D] -> keys and values, [B, H, L, K] each.

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> w, context = model.weights.encoder.layers[0].self_attn, Context(model.config, model.dialect)
    >>> [part.shape for part in project_keys_values(w, np.ones((1, 4, 6), np.float32), 2, context)]
    [(1, 2, 4, 3), (1, 2, 4, 3)]
    """
    both = ops.linears(states, [(w.k_proj.weight, w.k_proj.bias), (w.v_proj.weight, w.v_proj.bias)])
    k, v = (split_heads(part, heads) for part in both)
    context.tap("k", k)
    context.tap("v", v)
    return k, v


def project_qkv(w: parameters.Attention, x: Array, heads: int, context: Context) -> tuple[Array, Array, Array]:
    """[B, T, D] -> queries, keys and values, [B, H, T, K] each: what self-attention makes of the same rows.

    In one product if their matrices lie side by side and nobody listens; its numbers are those of two.

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> w, context = model.weights.encoder.layers[0].self_attn, Context(model.config, model.dialect)
    >>> [part.shape for part in project_qkv(w, np.ones((1, 4, 6), np.float32), 2, context)]
    [(1, 2, 4, 3), (1, 2, 4, 3), (1, 2, 4, 3)]
    """
    projections = (w.q_proj, w.k_proj, w.v_proj)
    queries = w.q_proj.weight
    if not (context.can_fuse and isinstance(queries, ops.MatrixLike) and queries.is_part):
        return project_queries(w, x, heads, context), *project_keys_values(w, x, heads, context)
    q, k, v = (split_heads(y, heads) for y in ops.linears(x, [(one.weight, one.bias) for one in projections]))
    return _scaled(q), k, v


def _scaled(q: Array) -> Array:
    """q [B, H, T, K] / sqrt(K), in place: the product is the caller's own."""
    q /= np.sqrt(q.dtype.type(q.shape[-1]))
    return q


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

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> w, context = model.weights.encoder.layers[0].self_attn, Context(model.config, model.dialect)
    >>> q, k, v = (np.ones((1, 2, n, 3), np.float32) for n in (1, 2, 2))
    >>> output, weights = attend(w, q, k, v, np.array([False, True]), None, context)
    >>> output.shape, weights[0, 0]
    ((1, 1, 6), array([[0., 1.]], dtype=float32))
    """
    scores = ops.products(q, k.transpose(0, 1, 3, 2))  # [B, H, T, K] @ [B, H, K, L] -> [B, H, T, L]
    context.tap("scores", scores)
    scores = hide(scores, mask, context.dialect.masked_score)
    context.tap("masked_scores", scores)
    probabilities = ops.softmax(scores)  # over the keys
    if head_mask is not None:
        probabilities = probabilities * head_mask[:, None, None]  # [H, 1, 1]
    context.tap("weights", probabilities)
    kept = context.dropout(probabilities, context.config.attention_dropout)
    mixed = merge_heads(ops.products(kept, v))  # [B, H, T, L] @ [B, H, L, K] -> [B, H, T, K] -> [B, T, D]
    context.tap("context", mixed)
    output = ops.linear(mixed, w.out_proj.weight, w.out_proj.bias)  # [B, T, D]
    context.tap("output", output)
    return output, probabilities


def add_and_norm(norm: parameters.LayerNorm, residual: Array, output: Array, context: Context) -> Array:
    """LayerNorm(residual + dropout(output)), [B, T, D]: post-LN, the norm after the sum, as the model was trained.

    >>> from npblender.models.example import example_model
    >>> context = Context(example_model().config, example_model().dialect)
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
    """The part of a layer that both stacks have alike."""

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
    """LayerNorm(x + fc2(activation(fc1(x)))), [B, T, D] -> [B, T, F] -> [B, T, D].

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> layer, context = model.weights.encoder.layers[0], Context(model.config, model.dialect)
    >>> feed_forward(layer, np.ones((1, 4, 6), np.float32), context).shape
    (1, 4, 6)
    """
    activation = ops.ACTIVATIONS[context.config.activation_function]
    if context.can_fuse and ops.can_be_shared(x, w.fc1.weight, w.fc2.weight):  # the same in one, if nobody looks inside
        output = ops.two_linears(x, w.fc1.weight, w.fc1.bias, activation, w.fc2.weight, w.fc2.bias)
    else:
        hidden = ops.linear(x, w.fc1.weight, w.fc1.bias)  # [B, T, D] -> [B, T, F]
        context.tap("hidden", hidden)
        hidden = activation(hidden)
        context.tap("activation", hidden)
        hidden = context.dropout(hidden, context.config.activation_dropout)
        output = ops.linear(hidden, w.fc2.weight, w.fc2.bias)  # [B, T, F] -> [B, T, D]
    context.tap("output", output)
    return add_and_norm(w.final_layer_norm, x, output, context)
