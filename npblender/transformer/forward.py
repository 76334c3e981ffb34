"""The model as functions of weights and checked arrays: source -> states -> cache -> states -> logits -> loss.

    Source --run_encoder--> states [B, S, D] --start--> Cache --run_decoder--> states [B, T, D], longer Cache
                                                              --logits_of--> [B, T, V] --loss_of--> []
The classes in `model` and the searches in `generation` both stand on these. Nothing is checked here (see `inputs`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npblender import ops
from npblender.common.array_types import IGNORED_LABEL, Array, Ids
from npblender.transformer.context import Context
from npblender.transformer.decoder import decode, start
from npblender.transformer.encoder import encode
from npblender.transformer.execution import each_group, groups_of_rows, one_blas_thread, packed_for
from npblender.transformer.inputs import Source, Target
from npblender.transformer.kv_cache import Cache
from npblender.transformer.outputs import BaseModelOutput, BaseModelOutputWithPastAndCrossAttentions
from npblender.transformer.parameters import Weights


def run_encoder(weights: Weights, source: Source, context: Context) -> BaseModelOutput:
    """The source's states [B, S, D].

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> context = Context(model.config, model.dialect)
    >>> run_encoder(model.weights, Source(np.array([[5, 6, 7]])), context).last_hidden_state.shape
    (1, 3, 6)
    """
    assert weights.encoder is not None, "a causal head has no encoder"
    with one_blas_thread(weights):
        groups = groups_of_rows(*source.size, weights, context)
        if len(groups) == 1:
            return _encode(weights, source, context)
        states = np.empty((*source.size, context.config.d_model), weights.dtype)  # [B, S, D]

        def some_rows(group: slice) -> None:
            states[group] = _encode(weights, source.rows(group), context).last_hidden_state

        each_group(some_rows, groups)
        return BaseModelOutput(last_hidden_state=states)


def _encode(weights: Weights, source: Source, context: Context) -> BaseModelOutput:
    assert weights.encoder is not None
    return encode(
        weights.encoder,
        weights.shared,
        context,
        input_ids=source.input_ids,
        inputs_embeds=source.inputs_embeds,
        attention_mask=source.attention_mask,
        head_mask=source.head_mask,
        position_ids=source.position_ids,
    )


def start_decoder(weights: Weights, batch: int, encoder_states: Array | None, context: Context) -> Cache:
    """The cache before the first target token, with the source's keys and values if there is a source.

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> cache = start_decoder(model.weights, 1, None, Context(model.config, model.dialect))
    >>> cache.length, len(cache)
    (0, 2)
    """
    with one_blas_thread(weights):
        return start(weights.decoder, batch, encoder_states, context)


def run_decoder(
    weights: Weights, target: Target, cache: Cache, context: Context
) -> BaseModelOutputWithPastAndCrossAttentions:
    """States [B, T, D] of the new tokens, and the cache grown by T.

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> context = Context(model.config, model.dialect)
    >>> cache = start_decoder(model.weights, 1, None, context)
    >>> run_decoder(model.weights, Target(np.array([[1, 9]])), cache, context).past_key_values.length
    2
    """
    with packed_for(weights, math.prod(target.size)):
        groups = groups_of_rows(*target.size, weights, context)
        if len(groups) == 1:
            return _decode(weights, target, cache, context)
        states = np.empty((*target.size, context.config.d_model), weights.dtype)  # [B, T, D]
        roomy = cache.with_room(target.size[1])

        def some_rows(group: slice) -> None:
            states[group] = _decode(weights, target.rows(group), roomy.rows(group), context).last_hidden_state

        each_group(some_rows, groups)
        return BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=states, past_key_values=roomy.filled(target.size[1])
        )


def _decode(
    weights: Weights, target: Target, cache: Cache, context: Context
) -> BaseModelOutputWithPastAndCrossAttentions:
    return decode(
        weights.decoder,
        weights.shared,
        context,
        cache,
        input_ids=target.input_ids,
        inputs_embeds=target.inputs_embeds,
        attention_mask=target.attention_mask,
        encoder_attention_mask=target.encoder_attention_mask,
        head_mask=target.head_mask,
        cross_attn_head_mask=target.cross_attn_head_mask,
        position_ids=target.position_ids,
    )


def logits_of(weights: Weights, states: Array, context: Context) -> Array:
    """[B, T, D] -> [B, T, V]: products with the shared matrix, plus the final bias where the model has one.

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> logits = logits_of(model.weights, np.ones((1, 2, 6), np.float32), Context(model.config, model.dialect))
    >>> logits.shape, float(logits[0, 0, 1]) < -9e19  # ParlAI never says the start token, 1
    ((1, 2, 11), True)
    """
    bias = None if weights.final_logits_bias is None else weights.final_logits_bias[0]  # [1, V] -> [V]
    with packed_for(weights, states.size // states.shape[-1]):
        logits = ops.linear(states, weights.shared.weight, bias)
    if context.dialect.start_logit is not None and context.config.decoder_start_token_id is not None:
        logits[..., context.config.decoder_start_token_id] = context.dialect.start_logit
    context.tap("logits", logits)
    if context.tap:
        context.tap("log_probabilities", ops.log_softmax(logits))
    return logits


def loss_of(logits: Array, labels: Ids, context: Context) -> np.floating[Any]:
    """Mean negative log-probability of the labels [B, T] that are not -100; NaN when all of them are (as in torch).

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> logits, labels = np.log([[[0.25, 0.75], [0.5, 0.5]]]), np.array([[0, -100]])
    >>> loss_of(logits, labels, Context(model.config, model.dialect)).round(6)
    np.float64(1.386294)
    """
    loss = ops.cross_entropy(logits, labels, IGNORED_LABEL)
    context.tap("loss", np.asarray(loss))
    return loss


def shift_right(labels: Ids, start_id: int, pad_id: int) -> Ids:
    """Decoder input from labels [B, T]: the start id, then all labels but the last; -100 becomes the pad.

    >>> shift_right(np.array([[7, 8, -100, 2]]), start_id=1, pad_id=0)
    array([[1, 7, 8, 0]])
    """
    shifted = np.empty_like(labels)
    shifted[:, 0] = start_id
    shifted[:, 1:] = labels[:, :-1]
    shifted[shifted == IGNORED_LABEL] = pad_id
    return shifted
