"""Arithmetic on timings: ratios taken within a round, their median and spread, and growth along a line.

Absolute times drift with the machine; what two programs cost in one round is compared, and only then summed up. It
times nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Spread:
    """Several measurements of one thing."""

    median: float
    low: float
    high: float
    rounds: int

    def as_json(self) -> dict[str, Any]:
        return {"median": self.median, "low": self.low, "high": self.high, "rounds": self.rounds}


def spread(values: Sequence[float]) -> Spread:
    """Median, least and greatest.

    >>> spread([3.0, 1.0, 2.0])
    Spread(median=2.0, low=1.0, high=3.0, rounds=3)
    """
    if not values:
        raise ValueError("nothing was measured")
    return Spread(statistics.median(values), min(values), max(values), len(values))


def ratios(others: Sequence[float], ours: Sequence[float]) -> Spread:
    """How many times as long the others took, round by round.

    A machine that is twice as slow in the second round changes nothing:

    >>> ratios([3.0, 6.0], [1.0, 2.0])
    Spread(median=3.0, low=3.0, high=3.0, rounds=2)
    """
    if len(others) != len(ours):
        raise ValueError(f"{len(others)} rounds cannot be compared with {len(ours)}")
    if min(ours, default=1.0) <= 0:
        raise ValueError("a time is not positive")
    return spread([other / own for other, own in zip(others, ours, strict=True)])


def line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """Offset and slope of the least-squares line, and the largest distance from it as a share of the line's value.

    >>> line([1, 2, 3], [3.0, 5.0, 7.0])
    (1.0, 2.0, 0.0)
    """
    slope, offset = statistics.linear_regression(x, y)
    fitted = [offset + slope * a for a in x]
    return offset, slope, max(abs(b - f) / f for b, f in zip(y, fitted, strict=True))


def by_column(rows: Sequence[Sequence[float]]) -> list[float]:
    """The median of each column: of what several rounds took at the same place.

    >>> by_column([[1.0, 9.0], [3.0, 8.0], [2.0, 7.0]])
    [2.0, 8.0]
    """
    return [statistics.median(column) for column in zip(*rows, strict=True)]


def flatness(steps: Sequence[float], span: int = 16) -> float:
    """What the last steps cost beside the first ones, by the medians of `span` of each.

    >>> flatness([9.0] + [1.0] * 31 + [1.1] * 16)
    1.1
    """
    if len(steps) < 2 * span:
        raise ValueError(f"{len(steps)} steps are too few for two spans of {span}")
    return statistics.median(steps[-span:]) / statistics.median(steps[:span])
