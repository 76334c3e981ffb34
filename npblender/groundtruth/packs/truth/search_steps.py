"""Retraces the decisions of a search from the scores that it recorded, by code of its own.

A search of one source records a step's scores [beams, V]. From these alone its decisions follow: which continuations
were best, by how much, and which beams went on. A pack is made only if retracing arrives at the beams that the search
returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from npblender.common.array_types import Array
from npblender.groundtruth.packs.files import short

NEAR_TIE = 1e-4
"""Scores closer than this may change places in another program's float32."""
HOPELESS = np.float32(-1e20)
NOT_YET = np.float32(-1e9)


@dataclass(frozen=True)
class Step:
    """The best continuations of one step, best first, as (row, token, score).

    `gap` is the least difference between neighbours among them and the next one; None if a draw decided.
    """

    candidates: tuple[tuple[int, int, float], ...]
    gap: float | None

    def to_json(self) -> dict[str, Any]:
        """Convert the step for the pack."""
        rows, tokens, scores = zip(*self.candidates, strict=True) if self.candidates else ((), (), ())
        return {
            "rows": list(rows),
            "tokens": list(tokens),
            "scores": [short(score) for score in scores],
            "gap": None if self.gap is None else short(self.gap),
            "near_tie": self.gap is not None and self.gap < NEAR_TIE,
        }


def _ordered(totals: Array, count: int) -> tuple[list[tuple[int, int, float]], float]:
    """Return the `count` best of [beams, V] with their places, and the least gap down to the next one."""
    flat = totals.reshape(-1)
    order = np.argsort(-flat, kind="stable")[: count + 1]
    values = flat[order].astype(np.float64)
    real = values[values > -1e9]  # blocked continuations and beams that do not exist yet do not compete
    gap = float(np.diff(-real).min()) if len(real) > 1 else float("inf")
    places = [(int(n) // totals.shape[1], int(n) % totals.shape[1], float(flat[n])) for n in order[:count]]
    return [place for place in places if place[2] > -1e9], min(gap, 1e9)


def retrace_rows(scores: Sequence[Array], shown: int = 5, *, drawn: bool) -> list[Step]:
    """Retrace a search that follows one path: the best tokens, and the first's lead over the second."""
    steps = []
    for each in scores:
        best, _ = _ordered(each, shown)
        lead = best[0][2] - best[1][2] if len(best) > 1 else 1e9
        steps.append(Step(tuple(best), None if drawn else lead))
    return steps


def retrace_beams(scores: Sequence[Array], beams: int, eos: Sequence[int]) -> tuple[list[Step], list[tuple[Any, Any]]]:
    """Retrace transformers' beam search: it takes so many continuations that `beams` of them do not end.

    Returns the steps, and for each the rows and tokens of those continuations.
    """
    running = np.full(beams, NOT_YET)
    running[0] = 0
    steps, chosen = [], []
    for each in scores:
        totals = each + running[:, None]
        best, gap = _ordered(totals, max(2, 1 + len(eos)) * beams)
        steps.append(Step(tuple(best), gap))
        chosen.append(([row for row, _, _ in best], [token for _, token, _ in best]))
        going = [score for _, token, score in best if token not in eos][:beams]
        running = np.full(beams, NOT_YET)
        running[: len(going)] = going
    return steps, chosen


def retrace_parlai_beams(scores: Sequence[Array], eos: int) -> tuple[list[Step], list[tuple[Any, Any]]]:
    """Retrace ParlAI's beam search: as many continuations as beams; ended ones keep theirs."""
    running, ended = np.zeros(1, np.float32), np.zeros(1, bool)
    steps, chosen = [], []
    for each in scores:
        hopes = np.where(ended, HOPELESS, running)
        totals = each[: len(hopes)] + hopes[:, None]
        order = np.argsort(-totals.reshape(-1), kind="stable")[: len(each)]
        rows, tokens = order // each.shape[1], order % each.shape[1]
        best, gap = _ordered(totals, len(each))
        steps.append(Step(tuple(best), gap))
        chosen.append((rows.tolist(), tokens.tolist()))
        running, ended = totals.reshape(-1)[order], tokens == eos
    return steps, chosen
