"""The model as functions of weights and checked arrays: source -> states -> cache -> states -> logits -> loss.

    Source --run_encoder--> states [B, S, D] --start_decoder--> Cache
    Target, Cache --run_decoder--> states [B, T, D], longer Cache --logits_of--> [B, T, V] --loss_of--> []
The public classes in `models` and the searches in `generation` both stand on these. What they compute stands in
`encoder` and `decoder`, how it is executed in `execution`; nothing is checked here (see `checks`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npblender.common.array_types import IGNORED_LABEL, Array, Ids
from npblender.ops import unchecked as ops
from npblender.transformer.context import Context, Source, Target
from npblender.transformer.decoder import start_cache
from npblender.transformer.execution import (
    NO_LIMIT,
    decode_rows,
    encode_rows,
    groups_of_rows,
    packed_for,
    run,
    whose_threads,
)
from npblender.transformer.kv_cache import Cache
from npblender.transformer.outputs import BaseModelOutput, BaseModelOutputWithPastAndCrossAttentions
from npblender.transformer.parameters import Weights


def run_encoder(weights: Weights, source: Source, context: Context) -> BaseModelOutput:
    """The source's states [B, S, D]."""
    groups = groups_of_rows(*source.size, weights, context)
    return run(whose_threads(weights, len(groups)), encode_rows, weights, source, context, groups)


def start_decoder(weights: Weights, batch: int, encoder_states: Array | None, context: Context) -> Cache:
    """The cache before the first target token, with the source's keys and values if there is a source.

    >>> start_decoder(weights, 1, None, context).length
    0
    """
    return run(whose_threads(weights), start_cache, weights, batch, encoder_states, context)


def run_decoder(
    weights: Weights, target: Target, cache: Cache, context: Context
) -> BaseModelOutputWithPastAndCrossAttentions:
    """States [B, T, D] of the new tokens, and the cache grown by T.

    >>> cache = start_decoder(weights, 1, None, context)
    >>> run_decoder(weights, Target(np.array([[1, 9]])), cache, context).past_key_values.length
    2
    """
    groups = groups_of_rows(*target.size, weights, context)
    limit = packed_for(weights, math.prod(target.size), len(groups))
    return run(limit, decode_rows, weights, target, cache, context, groups)


def logits_of(weights: Weights, states: Array, context: Context) -> Array:
    """[B, T, D] -> [B, T, V]: products with the shared matrix, plus the final bias where the model has one.

    >>> logits = logits_of(weights, np.ones((1, 2, 6), np.float32), context)
    >>> logits[0, 0, 1]  # ParlAI never says the start token, 1
    np.float32(-1e+20)
    """
    return run(packed_for(weights, math.prod(states.shape[:-1])), _logits, weights, states, context)


def _logits(weights: Weights, states: Array, context: Context) -> Array:
    bias = None if weights.final_logits_bias is None else weights.final_logits_bias[0]  # [1, V] -> [V]
    logits = ops.linear(states, weights.shared.weight, bias)  # [B, T, D] -> [B, T, V]
    if context.dialect.start_logit is not None and context.config.decoder_start_token_id is not None:
        logits[..., context.config.decoder_start_token_id] = context.dialect.start_logit
    context.tap("logits", logits)
    if context.tap:
        context.tap("log_probabilities", ops.log_softmax(logits))
    return logits


def next_logits(
    weights: Weights, target: Target, cache: Cache, context: Context, order: Ids | None = None, last: int = 1
) -> tuple[Array, BaseModelOutputWithPastAndCrossAttentions]:
    """One step of a search as one pass: `run_decoder`, then `logits_of` the last tokens, [B, last, V].

    `order` [B] names the rows whose logits are wanted, in their order; None stands for all rows as they come.

    >>> cache = start_decoder(weights, 1, None, context)
    >>> logits, output = next_logits(weights, Target(np.array([[1, 9]])), cache, context)
    >>> int(logits[0, -1].argmax()), output.past_key_values.length
    (9, 2)
    """
    groups = groups_of_rows(*target.size, weights, context)

    def step() -> tuple[Array, BaseModelOutputWithPastAndCrossAttentions]:
        output = decode_rows(weights, target, cache, context, groups)
        states = output.last_hidden_state if order is None else output.last_hidden_state[order]
        return _logits(weights, states[:, -last:], context), output

    return run(packed_for(weights, math.prod(target.size), len(groups)), step)


def loss_of(logits: Array, labels: Ids, context: Context) -> np.floating[Any]:
    """Mean negative log-probability of the labels [B, T] that are not -100; NaN when all of them are (as in torch).

    >>> logits, labels = np.log([[[0.25, 0.75], [0.5, 0.5]]]), np.array([[0, -100]])
    >>> loss_of(logits, labels, context).round(6)
    np.float64(1.386294)
    """
    loss = run(NO_LIMIT, ops.cross_entropy, logits, labels, IGNORED_LABEL)
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
