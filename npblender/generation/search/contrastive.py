"""Contrastive search (Su et al. 2022) as 4.52.4 does it: probable, but unlike what has been said.

the k most probable tokens, each read by the decoder -> (1 - alpha) * probability - alpha * the greatest cosine of
its state with the states of the target so far -> the best one
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array, Ids, Mask
from npblender.generation.decoder_state import DecoderState
from npblender.generation.logits.chain import Filter, apply, to_float32
from npblender.generation.logits.top_k import top
from npblender.generation.outputs import GenerateEncoderDecoderOutput, StepRecord
from npblender.generation.plan import Plan
from npblender.generation.stopping import Stopping
from npblender.ops import softmax


def likeness(candidates: Array, context: Array, mask: Mask | None) -> Array:
    """The greatest cosine between a candidate's state and those of the target: [R, k, D], [R, L, D] -> [R, k].

    Positions that `mask` [R, L] hides do not count.

    >>> likeness(np.array([[[0.0, 2.0], [3.0, 4.0]]]), np.array([[[1.0, 0.0], [0.0, 5.0]]]), None)
    array([[1. , 0.8]])
    """
    cosines = _normed(candidates) @ _normed(context).transpose(0, 2, 1)  # [R, k, L]
    if mask is not None:
        cosines = cosines + np.where(mask, 0, np.finfo(cosines.dtype).min)[:, None]
    return np.asarray(cosines.max(axis=2))


def _normed(states: Array) -> Array:
    return np.asarray(states / np.linalg.norm(states, axis=-1, keepdims=True))


def search_contrastive(
    plan: Plan, decoding: DecoderState, chain: list[Filter], stopping: Stopping
) -> Generator[Ids, None, GenerateEncoderDecoderOutput]:
    """Yield the tokens [R] of each step; return the record with all of them."""
    alpha, k = plan.settings.penalty_alpha, plan.settings.top_k
    assert alpha is not None
    assert k is not None
    ids = decoding.prompts()
    rows = np.arange(len(ids))
    mask = decoding.prompt_mask
    recording = StepRecord(plan, decoding)
    logits = to_float32(decoding.logits(ids)[:, 0])
    assert decoding.last_hidden_state is not None
    states = decoding.last_hidden_state  # [R, L, D]
    running = np.ones(len(ids), np.bool_)
    while True:
        scores = apply(chain, ids, logits, owned=recording.logits is None)
        recording.step(logits, scores)
        best = [top(row, k) for row in softmax(scores)]
        probabilities = np.stack([values for values, _ in best])  # [R, k]
        tokens = np.stack([where for _, where in best])
        decoding.take(np.repeat(rows, k))
        tried = np.concatenate([np.repeat(ids, k, axis=0), tokens.reshape(-1, 1)], axis=1)  # [R * k, L + 1]
        each_logits = decoding.logits(tried)[:, 0]
        found = decoding.last_hidden_state.reshape(len(ids), k, -1)
        chosen = ((1.0 - alpha) * probabilities - alpha * likeness(found, states, mask)).argmax(axis=1)
        kept = rows * k + chosen
        decoding.take(kept)
        _keep_newest(decoding, kept)
        logits = to_float32(each_logits[kept])
        states = np.concatenate([states, found[rows, chosen][:, None]], axis=1)
        mask = None if mask is None else np.concatenate([mask, np.ones((len(ids), 1), np.bool_)], axis=1)
        new = tokens[rows, chosen]
        if plan.eos:
            new = np.where(running, new, plan.pad)  # an eos stands in for a missing pad
        ids = np.concatenate([ids, new[:, None]], axis=1)
        running &= ~stopping(ids, recording.scores)
        yield new
        if not running.any():
            break
    _drop_newest(decoding)
    return recording.of_rows(ids)


def _keep_newest(decoding: DecoderState, rows: NDArray[np.int64]) -> None:
    """Of what the candidates' step has shown, keep what the chosen ones have."""
    for collected in (decoding.attentions, decoding.cross_attentions, decoding.hidden_states):
        if collected:
            collected[-1] = tuple(layer[rows] for layer in collected[-1])


def _drop_newest(decoding: DecoderState) -> None:
    """Forget the last chosen token's own step: nothing was chosen after it."""
    for collected in (decoding.attentions, decoding.cross_attentions, decoding.hidden_states):
        if collected:
            collected.pop()
    decoding.crop(decoding.cache.length - 1)
