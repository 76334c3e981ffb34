"""Beam search as transformers did it before 4.50: group beams and constrained beams of 4.52.4 still work so.

A hypothesis leaves its beam when it ends, the best ones are kept, and the search of that source, or of one of its
groups, is over when none of the running ones can become better than the worst of them. Scores of hypotheses are
float64 here, quotients of float32 sums. `GroupedBeams` is the search; what is special to either is in their files.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array, Ids
from npblender.generation.decoder_state import DecoderState
from npblender.generation.logits.chain import Processor, apply, log_probabilities, to_float32
from npblender.generation.logits.top_k import top_k_of_sums
from npblender.generation.outputs import GenerateBeamEncoderDecoderOutput, StepRecord
from npblender.generation.plan import Plan
from npblender.generation.stopping import Stopping


@dataclass(frozen=True)
class ScoredSequence:
    """A finished hypothesis, without the eos that ended it."""

    score: float
    ids: NDArray[np.int64]  # [L]
    origins: tuple[int, ...]  # the row that each new token was chosen in, the eos included


@dataclass
class BeamHypotheses:
    """The best `size` finished hypotheses."""

    plan: Plan
    size: int
    kept: list[ScoredSequence] = field(default_factory=list)
    worst: float = 1e9
    is_done: bool = False

    def add(self, ids: NDArray[np.int64], total: float, origins: tuple[int, ...], generated: int) -> None:
        """Keep a hypothesis of `generated` new tokens with the sum `total` if it is among the best."""
        score = total / generated**self._penalty
        if len(self.kept) < self.size or score > self.worst:
            self.kept.append(ScoredSequence(score, ids.copy(), origins))
            if len(self.kept) > self.size:
                ranked = sorted((kept.score, n) for n, kept in enumerate(self.kept))
                del self.kept[ranked[0][1]]
                self.worst = ranked[1][0]
            else:
                self.worst = min(score, self.worst)

    def update_done(self, best_total: float, generated: int) -> None:
        """Set `is_done` if no continuation can be kept: the best has `generated` new tokens, and their sum."""
        if self.is_done or len(self.kept) < self.size:
            return
        settings = self.plan.settings
        if settings.early_stopping is True:
            self.is_done = True
            return
        hopes_for_more = settings.early_stopping == "never" and self._penalty > 0
        length = self.plan.max_length - self.plan.prompt_length if hopes_for_more else generated
        self.is_done = self.worst >= best_total / length**self._penalty

    @property
    def _penalty(self) -> float:
        penalty = self.plan.settings.length_penalty
        assert penalty is not None
        return penalty


@dataclass(frozen=True)
class NextBeams:
    """How the running beams of a source or group go on."""

    scores: Array  # [W]
    tokens: NDArray[np.int64]  # [W]
    rows: NDArray[np.int64]  # [W]: which of the running beams each comes from, 0 to W - 1


def best_of(plan: Plan, finished: list[list[BeamHypotheses]]) -> tuple[NDArray[np.int64], Array, NDArray[np.int64]]:
    """Return the best finished hypotheses of every source: sequences [N, T], scores [N], origins [N, T].

    An eos is put behind every one that is shorter than the limit, and pads behind that.
    """
    chosen: list[ScoredSequence] = []
    for groups in finished:
        ranked = sorted((kept for group in groups for kept in group.kept), key=lambda kept: kept.score)
        chosen += ranked[::-1][: plan.num_return_sequences]
    width = min(max(len(kept.ids) for kept in chosen) + 1, plan.max_length)
    sequences = np.full((len(chosen), width), 0 if plan.pad is None else plan.pad, np.int64)
    origins = np.full((len(chosen), width), -1, np.int64)
    for n, kept in enumerate(chosen):
        sequences[n, : len(kept.ids)] = kept.ids
        origins[n, : len(kept.origins)] = kept.origins
        if len(kept.ids) < width and plan.eos:
            sequences[n, len(kept.ids)] = plan.eos[0]
    with np.errstate(over="ignore"):
        scores = np.array([kept.score for kept in chosen], np.float32)
    return sequences, scores, origins


@dataclass
class GroupedBeams:
    """The search: beams of every source, in groups that go on one after another. Constrained beams are one group."""

    plan: Plan
    decoder: DecoderState
    stopping: Stopping
    groups: int = 1
    earlier: Ids = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    """[B, N]: the tokens that earlier groups have just chosen."""
    records_sums: ClassVar[bool] = False  # whether the record's `scores` are the sums of whole targets

    def may_end(self, ids: Ids) -> bool:
        """Whether a target [L] may end here."""
        return True

    def choose(self, step: NextBeams, ids: Ids, sums: Array) -> NextBeams:
        """Choose how the beams [W, L] of a group go on: as in `step`, where they score best, or otherwise."""
        return step

    def run(self, chain: list[Processor]) -> Generator[Ids, None, GenerateBeamEncoderDecoderOutput]:
        """Search. Yields nothing."""
        plan, decoder = self.plan, self.decoder
        size = plan.num_beams // self.groups
        ids = decoder.prompts()  # [B * W, L]
        rows_of = np.arange(len(ids)).reshape(-1, self.groups, size)
        totals = np.full(len(ids), -1e9, np.float32)
        totals[rows_of[:, :, 0]] = 0
        finished = [[BeamHypotheses(plan, size) for _ in groups] for groups in rows_of]
        every = [hypotheses for groups in finished for hypotheses in groups]
        origins: list[tuple[int, ...]] = [()] * len(ids)
        record = StepRecord(plan, decoder)
        while True:
            logits = decoder.logits(ids)[:, 0]
            processed = np.zeros_like(logits, np.float32 if self.records_sums else None)
            came_from, tokens = np.zeros((2, len(ids)), np.int64)
            generated = ids.shape[1] + 1 - plan.prompt_length
            for group in range(self.groups):
                here = rows_of[:, group].reshape(-1)
                self.earlier = tokens.reshape(len(rows_of), -1)[:, : group * size]
                scores = apply(chain, ids[here], log_probabilities(to_float32(logits[here])), owned=True)
                offsets = totals
                if self.records_sums:
                    with np.errstate(over="ignore"):  # of what `remove_invalid_values` has made finite
                        scores, offsets = scores + totals[here, None], np.zeros_like(totals)
                processed[here] = scores
                by_source = scores.reshape(len(rows_of), size, -1)
                for rows, groups, values in zip(rows_of[:, group], finished, by_source, strict=True):
                    if groups[group].is_done:
                        assert plan.pad is not None  # nothing is done before something has ended in an eos
                        # An idle group repeats the first source's first beam, with a pad.
                        came_from[rows], totals[rows], tokens[rows] = rows_of[0, group, 0], 0, plan.pad
                        continue
                    before = ids[rows], offsets[rows], values
                    step = advance(plan, groups[group], *before, rows, origins, generated, self.may_end)
                    step = self.choose(step, ids[rows], values)
                    came_from[rows], totals[rows], tokens[rows] = rows[step.rows], step.scores, step.tokens
            record.step(logits, processed)
            origins = [(*origins[row], int(row)) for row in came_from]
            ids = np.concatenate([ids[came_from], tokens[:, None]], axis=1)
            decoder.reorder_across_sources(came_from)
            if all(hypotheses.is_done for hypotheses in every) or self.stopping(ids, record.scores).all():
                break
        for rows, hypotheses in zip(rows_of.reshape(-1, size), every, strict=True):
            if not hypotheses.is_done:  # at the limit: those that may end and, if they are too few, the others
                ending = np.array([self.may_end(ids[row]) for row in rows])
                others = rows[~ending] if ending.sum() < plan.num_return_sequences else []
                for row in (*rows[ending], *others):
                    hypotheses.add(ids[row], float(totals[row]), origins[row], generated)
        sequences, sequences_scores, indices = best_of(plan, finished)
        return record.of_beams(sequences, sequences_scores, indices if plan.wants("scores") else None)
        yield  # makes a generator of it, like the searches that can be read while they run


def advance(
    plan: Plan,
    hypotheses: BeamHypotheses,
    ids: Ids,
    totals: Array,
    log_probs: Array,
    rows: NDArray[np.int64],
    origins: list[tuple[int, ...]],
    generated: int,
    may_end: Callable[[Ids], bool] = lambda ids: True,
) -> NextBeams:
    """Go one step on with W beams of a source: finished ones are added to the hypotheses, the best of the others go on.

    ids [W, L], sums so far [W], log-probabilities [W, V], the number of each beam's row and the origins of its tokens.
    What ends and may not is lost.
    """
    size = len(log_probs)
    with np.errstate(over="ignore"):  # of what `remove_invalid_values` has made finite
        scores, beams, tokens = top_k_of_sums(log_probs, totals, max(2, 1 + len(plan.eos)) * size)
    ends = np.isin(tokens, plan.eos)
    for rank in np.flatnonzero(ends[:size]):  # an eos that is not among the best W is passed over
        beam, row = beams[rank], rows[beams[rank]]
        if may_end(ids[beam]):
            hypotheses.add(ids[beam], float(scores[rank]), (*origins[row], int(row)), generated)
    going_on = np.flatnonzero(~ends)[:size]
    hypotheses.update_done(float(scores.max()), generated)
    return NextBeams(scores[going_on], tokens[going_on], beams[going_on])
