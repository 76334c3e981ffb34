"""Compares one array with its reference: in which axis layout it agrees, how far it is off, and where.

An array is read in every layout that its shape allows (`axis_layouts`); the first in which it agrees is taken, else
the nearest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from npblender.common.array_types import Array
from npblender.groundtruth.comparison.axis_layouts import AxisLayout, axis_layouts
from npblender.groundtruth.noise.units import STANDS_FOR_HIDDEN, Noise, Score, Verdict, judge, score

HIDES = -5e8
"""A score at or below this hides a key completely: beside a visible key its weight is 0 in every dtype."""

OTHER_CONVENTION = 1e-3
"""Hidden scores that differ by more than this fraction differ by design and not by rounding."""


@dataclass(frozen=True)
class Reading:
    """One array as it was read. `score` is None where no layout fits its shape."""

    score: Score | None
    layout: AxisLayout | None = None  # None: as it is
    factor: float = 1.0  # by which it was multiplied
    hidden: int = 0  # scores that hide as the reference's do, by another number
    values: Array | None = None  # as they were compared

    @property
    def verdict(self) -> Verdict:
        """How far off it is; another shape is diverged."""
        return "diverged" if self.score is None else judge(self.score)

    @property
    def diverged(self) -> bool:
        """Whether it is further off than noise, or of another shape."""
        return self.verdict == "diverged"

    @property
    def units(self) -> float:
        """The rms error in units; infinite without a score."""
        return float("inf") if self.score is None else self.score.units


def agree_hidden(reference: Array, mine: Array) -> tuple[Array, int]:
    """Replace hidden scores in `mine` by the reference's and count those that use another number for "hidden".

    ParlAI hides with -1e20, transformers with the dtype's minimum, others with -1e9 or -inf; a hidden key's weight is
    0 in all of them. -1e4 does not hide. A number that float32 rounds to the reference's is replaced and not counted.

    >>> agree_hidden(np.array([1.0, -1e20]), np.array([1.0, -np.inf]))
    (array([ 1.e+00, -1.e+20]), 1)
    """
    if reference.dtype.kind != "f" or mine.dtype.kind != "f" or not (reference <= -STANDS_FOR_HIDDEN).any():
        return mine, 0
    dtype = np.result_type(reference, mine, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        expected, found = reference.astype(dtype), mine.astype(dtype)
        both = (expected <= -STANDS_FOR_HIDDEN) & (found <= HIDES)
        least = np.float64(np.finfo(np.float32).min)  # the smallest float64 is the smallest float32, as in `units`
        expected = np.where(np.isfinite(expected), np.maximum(expected, least), expected)
        found = np.where(np.isfinite(found), np.maximum(found, least), found)
        other = both & (np.abs(found - expected) > OTHER_CONVENTION * np.abs(expected))
        rounded = both & (expected.astype(np.float32) == found.astype(np.float32))
    same = other | rounded
    return (np.where(same, reference.astype(dtype), mine) if same.any() else mine), int(other.sum())


def read_as(
    reference: Array,
    mine: Array,
    noise: Noise | None,
    *,
    axes: str | None = None,
    heads: int | None = None,
    factors: tuple[float, ...] = (1.0,),
    alone: bool = False,
) -> Reading:
    """Return the first reading of `mine` that agrees with the reference, or the nearest.

    >>> reference = np.arange(12.0).reshape(1, 2, 2, 3)
    >>> merged = reference.transpose(0, 2, 1, 3).reshape(1, 2, 6)
    >>> found = read_as(reference, merged, None, axes="B H T K")
    >>> found.layout.name, found.diverged
    ('[B, T, H*K]', False)
    >>> read_as(reference, np.zeros((1, 2, 7)), None, axes="B H T K").score is None
    True
    """
    best = Reading(None)
    for layout in axis_layouts(axes, reference.shape, mine.shape, heads):
        for factor in factors:
            values = mine if layout is None else layout.read(mine)
            values, hidden = agree_hidden(reference, values if factor == 1.0 else values * factor)
            found = Reading(score(reference, values, noise, alone=alone), layout, factor, hidden, values)
            if not found.diverged:
                return found
            if best.score is None or found.units < best.units:
                best = found
    return best
