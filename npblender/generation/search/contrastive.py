"""Contrastive search (Su et al. 2022) as 4.52.4 does it: probable tokens, unlike those before them.

the k most probable tokens, each read by the decoder -> (1 - alpha) * probability - alpha * the greatest cosine of
its state with the states of the target so far -> the best one
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array, Ids, Mask
from npblender.generation.decoder_state import DecoderState
from npblender.generation.logits.chain import Processor, apply, probabilities, to_float32
from npblender.generation.logits.top_k import top_k
from npblender.generation.outputs import GenerateEncoderDecoderOutput, StepRecord
from npblender.generation.plan import Plan
from npblender.generation.stopping import Stopping


def likeness(candidates: Array, context: Array, mask: Mask | None) -> Array:
    """Return the greatest cosine between a candidate's state and those of the target: [R, k, D], [R, L, D] -> [R, k].

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
    plan: Plan, decoder: DecoderState, chain: list[Processor], stopping: Stopping
) -> Generator[Ids, None, GenerateEncoderDecoderOutput]:
    """Yield the tokens [R] of each step; return the record with all of them."""
    alpha, k = plan.settings.penalty_alpha, plan.settings.top_k
    assert alpha is not None
    assert k is not None
    ids = decoder.prompts()
    rows = np.arange(len(ids))
    mask = decoder.prompt_mask
    record = StepRecord(plan, decoder)
    logits = to_float32(decoder.logits(ids)[:, 0])
    assert decoder.last_hidden_state is not None
    states = decoder.last_hidden_state  # [R, L, D]
    running = np.ones(len(ids), np.bool_)
    while True:
        scores = apply(chain, ids, logits, owned=record.logits is None)
        record.step(logits, scores)
        best = [top_k(row, k) for row in probabilities(scores)]
        shares = np.stack([values for values, _ in best])  # [R, k]
        tokens = np.stack([where for _, where in best])
        decoder.take(np.repeat(rows, k))
        tried = np.concatenate([np.repeat(ids, k, axis=0), tokens.reshape(-1, 1)], axis=1)  # [R * k, L + 1]
        each_logits = decoder.logits(tried)[:, 0]
        found = decoder.last_hidden_state.reshape(len(ids), k, -1)
        chosen = ((1.0 - alpha) * shares - alpha * likeness(found, states, mask)).argmax(axis=1)
        kept = rows * k + chosen
        decoder.take(kept)
        _keep_newest(decoder, kept)
        logits = to_float32(each_logits[kept])
        states = np.concatenate([states, found[rows, chosen][:, None]], axis=1)
        mask = None if mask is None else np.concatenate([mask, np.ones((len(ids), 1), np.bool_)], axis=1)
        new = tokens[rows, chosen]
        if plan.eos:
            new = np.where(running, new, plan.pad)  # an eos stands in for a missing pad
        ids = np.concatenate([ids, new[:, None]], axis=1)
        running &= ~stopping(ids, record.scores)
        yield new
        if not running.any():
            break
    _drop_newest(decoder)
    return record.of_rows(ids)


def _keep_newest(decoder: DecoderState, rows: NDArray[np.int64]) -> None:
    """Keep the attentions and states of the chosen candidates only."""
    for collected in (decoder.attentions, decoder.cross_attentions, decoder.hidden_states):
        if collected:
            collected[-1] = tuple(layer[rows] for layer in collected[-1])


def _drop_newest(decoder: DecoderState) -> None:
    """Drop the step that read the last chosen token: nothing was chosen after it."""
    for collected in (decoder.attentions, decoder.cross_attentions, decoder.hidden_states):
        if collected:
            collected.pop()
    decoder.crop(decoder.cache.length - 1)
