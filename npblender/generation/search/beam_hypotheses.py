"""Keeps the finished hypotheses of one source, or of one of its groups, as transformers did before 4.50.

Group beams and constrained beams of 4.52.4 still work so: a hypothesis leaves its beam when it ends, the best ones are
kept, and the search of that source is over when none of the running ones can become better than the worst of them.
Scores are float64 here, quotients of float32 sums.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array
from npblender.generation.plan import Plan


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
