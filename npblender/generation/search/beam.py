"""Beam search and beam sampling as transformers does them since 4.50, for all sources of a batch at once.

    log-probabilities -> processors -> the best continuations of all beams of a source, more than there are beams
        -> the best unfinished ones go on, finished ones are kept aside if they are among the best
A score is the sum of processed log-probabilities in float32; a finished one is divided by its length to the power of
`length_penalty`. -1e9 stands for "not yet" throughout, and keeps places that nothing has filled. W is the number of
beams.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array, Ids
from npblender.generation.decoder_state import DecoderState
from npblender.generation.logits.chain import Processor, apply, log_probabilities, to_float32
from npblender.generation.logits.sampling import draw_sums
from npblender.generation.logits.top_k import top_k_of_sums
from npblender.generation.outputs import GenerateBeamEncoderDecoderOutput, StepRecord
from npblender.generation.plan import Plan
from npblender.generation.stopping import Stopping

NOT_YET = np.float32(-1e9)


@dataclass
class Beams:
    """Some sequences of every source, best first: W running ones, W finished ones, or the candidates for both."""

    ids: Ids  # [B, W, longest]
    scores: Array  # [B, W]
    origins: NDArray[np.int64]  # [B, W, longest - P]: the row of [B * W] that each token was chosen in; -1 = none yet
    ended: NDArray[np.bool_]  # [B, W]

    def take(self, indices: NDArray[np.int64]) -> Beams:
        """Return the sequences of the given indices [B, N] of each source, in that order."""
        wide = indices[:, :, None]
        each = (self.ids, wide), (self.scores, indices), (self.origins, wide), (self.ended, indices)
        return Beams(*(np.take_along_axis(array, at, axis=1) for array, at in each))

    def best(self, count: int) -> Beams:
        """Return the `count` best of each source, earlier ones first among equals."""
        return self.take(np.argsort(-self.scores, axis=1, kind="stable")[:, :count])

    def join(self, others: Beams) -> Beams:
        """Return these sequences of each source, and then the others."""
        pairs = zip(vars(self).values(), vars(others).values(), strict=True)
        return Beams(*(np.concatenate(pair, axis=1) for pair in pairs))


def search_beams(
    plan: Plan,
    decoder: DecoderState,
    chain: list[Processor],
    stopping: Stopping,
    rng: np.random.Generator | None,
    *,
    sources_settle: bool,
) -> Generator[Ids, None, GenerateBeamEncoderDecoderOutput]:
    """Search with several beams a source; continuations are drawn if there is an `rng`. Yields nothing.

    With `sources_settle`, a source whose running beams cannot improve on its finished ones takes no more of them,
    although the others go on: what 5.23 does and 4.52.4 does not.
    """
    beams, prompt = plan.num_beams, plan.prompt_length
    running, finished = _begin(plan, decoder)
    record = StepRecord(plan, decoder)
    can_improve = np.ones((len(running.ids), 1), np.bool_)
    length = prompt
    while True:
        ids = running.ids[:, :, :length].reshape(-1, length)  # [B, W, L] -> [B * W, L]
        logits = to_float32(decoder.logits(ids)[:, 0])
        log_probs = apply(chain, ids, log_probabilities(logits), owned=True)
        record.step(logits, log_probs)
        candidates = _continue(plan, running, log_probs, length, rng)
        length += 1
        candidates.ended = stopping(candidates.ids[:, :, :length].reshape(-1, length), record.scores).reshape(
            candidates.ended.shape
        )
        going_on = candidates.scores + candidates.ended.astype(np.float32) * NOT_YET  # hopeless for what has ended
        running = replace(candidates, scores=going_on).best(beams)
        finished = _finish(plan, finished, candidates, can_improve if sources_settle else None, length)
        still = _may_improve(plan, running, finished, length)
        can_improve = can_improve & still if sources_settle else still
        is_full = plan.settings.early_stopping is True and bool(finished.ended.all())
        if not can_improve.any() or is_full or candidates.ended.all():
            break
        decoder.keep(running.origins[:, :, length - 1 - prompt].reshape(-1))
    if plan.settings.return_dict_in_generate:
        decoder.keep(running.origins[:, :, length - 1 - prompt].reshape(-1))
    count = plan.num_return_sequences
    sequences = finished.ids[:, :count].reshape(-1, plan.max_length)
    origins = finished.origins[:, :count].reshape(len(sequences), -1)
    generated = int((origins >= 0).sum(axis=1).max())
    scores = finished.scores[:, :count].reshape(-1)
    return record.of_beams(sequences[:, : prompt + generated], scores, origins[:, :generated])
    yield  # makes a generator of it, like the searches that can be read while they run


def _begin(plan: Plan, decoder: DecoderState) -> tuple[Beams, Beams]:
    """Make the first running beams, of which one a source counts so that they become different, and no finished ones.

    Unfilled places hold the pad, or the eos where the pad is 0, since transformers tests the truth of the pad id.
    """
    prompts = decoder.prompts().reshape(-1, plan.num_beams, plan.prompt_length)
    batch, beams = prompts.shape[:2]
    filling = (plan.pad or plan.eos[0]) if plan.eos else -1
    ids = np.full((batch, beams, plan.max_length), filling, np.int64)
    ids[:, :, : plan.prompt_length] = prompts
    origins = np.full((batch, beams, plan.max_length - plan.prompt_length), -1, np.int64)
    scores = np.full((batch, beams), NOT_YET)
    ended = np.zeros((batch, beams), np.bool_)
    finished = Beams(ids, scores, origins, ended)
    first = scores.copy()
    first[:, 0] = 0
    return Beams(ids, first, origins, ended), finished


def _continue(plan: Plan, running: Beams, log_probs: Array, length: int, rng: np.random.Generator | None) -> Beams:
    """Choose or draw continuations of every source: enough that as many as there are beams do not end in eos."""
    batch, beams = running.scores.shape
    vocabulary = log_probs.shape[1]
    count = max(2, 1 + len(plan.eos)) * beams
    if count > beams * vocabulary:
        raise ValueError(f"num_beams={beams} looks at {count} continuations; {vocabulary} tokens do not give as many")
    by_source = log_probs.reshape(batch, beams, vocabulary)
    with np.errstate(over="ignore"):  # of what `remove_invalid_values` has made finite
        picked = [
            top_k_of_sums(values, scores, count) if rng is None else draw_sums(values, scores, count, rng)
            for values, scores in zip(by_source, running.scores, strict=True)
        ]
    scores, came_from, tokens = (np.stack(parts) for parts in zip(*picked, strict=True))  # [B, N]
    candidates = running.take(came_from)
    candidates.ids[:, :, length] = tokens
    candidates.origins[:, :, length - plan.prompt_length] = came_from + np.arange(batch)[:, None] * beams
    candidates.scores = scores
    return candidates


def _finish(
    plan: Plan, finished: Beams, candidates: Beams, can_improve: NDArray[np.bool_] | None, length: int
) -> Beams:
    """The finished sequences after a step: those there were and those that ended now among the best W candidates."""
    beams = plan.num_beams
    penalty = plan.settings.length_penalty
    assert penalty is not None
    ended = candidates.ended & (np.arange(candidates.ended.shape[1]) < beams)
    with np.errstate(over="ignore"):
        scores = candidates.scores / np.float32((length - plan.prompt_length) ** penalty)
        if plan.settings.early_stopping is True:
            scores = scores + finished.ended.all(axis=1, keepdims=True) * NOT_YET
        if can_improve is not None:
            scores = scores + ~can_improve * NOT_YET
        scores = scores + ~ended * NOT_YET
    return finished.join(replace(candidates, scores=scores, ended=ended)).best(beams)


def _may_improve(plan: Plan, running: Beams, finished: Beams, length: int) -> NDArray[np.bool_]:
    """Whether the best running beam of a source could still beat its worst finished one, [B, 1].

    Scores fall with every token, and the penalty divides them by the length: which length is the heuristic that
    `early_stopping` chooses.
    """
    penalty = plan.settings.length_penalty
    assert penalty is not None
    hopes_for_more = plan.settings.early_stopping == "never" and penalty > 0
    hoped = (plan.max_length if hopes_for_more else length) - plan.prompt_length
    with np.errstate(over="ignore"):
        best_possible = running.scores[:, :1] / np.float32(hoped**penalty)
    worst = np.where(finished.ended, finished.scores.min(axis=1, keepdims=True), NOT_YET)
    return np.asarray((best_possible > worst).any(axis=1, keepdims=True))
