"""Diagnoses a diverging array: would it match if transposed, rescaled, or compared with a different point?

Each remark is a fact that was tested on the arrays; the usual causes of a fault are in `causes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array
from npblender.groundtruth.comparison.axis_layouts import unusual_axis_layouts
from npblender.groundtruth.comparison.reading import Reading, read_as
from npblender.groundtruth.noise.units import DIVERGED, STANDS_FOR_HIDDEN, Noise, diverged, errors_in_units, score
from npblender.groundtruth.tracing.points import known_point

MOST_OTHERS = 200
"""The most points of the same shape that a wrong array is compared with."""

MOST_RANGES = 6
"""The most separate ranges of wrong places along an axis that are reported."""

MOST_VALUES = 1 << 22
"""The largest array that is tried in other axis orders."""


def diagnose(
    name: str,
    arrays: Mapping[str, Array],
    noise: Mapping[str, Noise],
    mine: Array,
    reading: Reading,
    heads: int | None = None,
) -> tuple[str, ...]:
    """Lists remarks on an array that diverges at a point of the reference `arrays`, the most informative first.

    >>> right = np.arange(8.0).reshape(2, 4)
    >>> diagnose("x", {"x": right}, {}, 2 * right, read_as(right, 2 * right, None))
    ('it would agree times 0.5',)
    """
    reference = arrays[name]
    point = known_point(name)
    axes = None if point is None or len(point.axes.split()) != reference.ndim else point.axes
    said = []
    if reference.size <= MOST_VALUES:
        said += list(_orders(reference, mine, noise.get(name), axes, heads))
    if reading.values is not None and reading.score is not None:
        values = reading.values
        said += list(_arithmetic(reference, values, noise.get(name)))
        said += list(_other_points(name, arrays, noise, values))
        said += list(_places(reference, values, reading.score.noise, axes))
    return tuple(said)


def _orders(reference: Array, mine: Array, noise: Noise | None, axes: str | None, heads: int | None) -> Iterator[str]:
    """Tries unusual axis layouts and reports the first in which it agrees."""
    for layout in unusual_axis_layouts(axes, reference.shape, mine.shape, heads):
        if not diverged(score(reference, layout.read(mine), noise)):
            axes_moved = layout.name.startswith("[")
            yield f"it would agree {'transposed' if axes_moved else 'in another order'}, as {layout.name}"
            if axes_moved and "*" not in layout.name:
                yield "axes of one length look alike: with other lengths this would be read as a layout"
            return


def _named_factor(factor: float, shape: tuple[int, ...]) -> str:
    """Writes a factor as a root of the last axis' length or as a short number."""
    for text, value in (("-1", -1.0), ("0.5", 0.5), ("2", 2.0)):
        if abs(factor - value) < 1e-5:
            return text
    size = shape[-1] if shape else 1
    for text, value in ((f"sqrt({size})", sqrt(size)), (f"1/sqrt({size})", 1 / sqrt(size))):
        if abs(factor / value - 1) < 1e-5:
            return text
    return f"{factor:.6g}"


def _arithmetic(reference: Array, values: Array, noise: Noise | None) -> Iterator[str]:
    """Tries a factor, and one amount per column."""
    with np.errstate(all="ignore"):
        expected, found = np.asarray(reference, np.float64), np.asarray(values, np.float64)
        seen = np.isfinite(expected) & np.isfinite(found) & (np.abs(expected) < STANDS_FOR_HIDDEN)
        a, b = found[seen], expected[seen]
        squares = float(a @ a)
        if a.size > 1 and squares > 0:
            factor = float(a @ b) / squares
            scaled = np.where(seen, found * factor, found)
            if factor != 0 and not diverged(score(expected, scaled, noise)):
                yield f"it would agree times {_named_factor(factor, expected.shape)}"
                return
        rows = expected.size // expected.shape[-1] if expected.ndim and expected.shape[-1] else 0
        if rows >= 3 and seen.any():
            apart = np.where(seen, expected - found, 0.0).reshape(rows, -1)
            amount = np.median(apart, axis=0)
            if amount.any() and not diverged(score(expected, np.where(seen, found + amount, found), noise)):
                yield "it would agree plus one amount per column of the last axis, the same in every row: a bias"


def _other_points(name: str, arrays: Mapping[str, Array], noise: Mapping[str, Noise], values: Array) -> Iterator[str]:
    """Looks for another point of the reference with which it agrees."""
    tried = 0
    for other, array in arrays.items():
        if other == name or array.shape != values.shape or tried >= MOST_OTHERS or _is_far(array, values):
            continue
        tried += 1
        if array.size > 1 and array.any() and not read_as(array, values, noise.get(other)).diverged:
            yield f"it agrees with the reference's {other}"
            return


def _is_far(reference: Array, values: Array) -> bool:
    """Whether the first few values alone show that two arrays are not the same."""
    with np.errstate(invalid="ignore"):
        some = np.abs(np.asarray(reference.ravel()[:8], np.float64) - values.ravel()[:8])
        return bool((some > 0.01 * np.abs(reference).max(initial=0.0)).any())


def _places(reference: Array, values: Array, noise: Noise, axes: str | None) -> Iterator[str]:
    """Lists the rows, heads or tokens that are wrong, unless all are."""
    errors = errors_in_units(reference, values, noise)
    wrong = errors > DIVERGED
    if not wrong.any():
        return
    missing = np.isnan(np.asarray(values, np.float64)) & ~np.isnan(np.asarray(reference, np.float64))
    if missing.any():
        yield f"NaN in {int(missing.sum()):,} places, first at {[int(n) for n in np.argwhere(missing)[0]]}"
    letters = axes.split() if axes is not None else [f"axis {n}" for n in range(wrong.ndim)]
    if wrong.sum() == 1:
        yield "one value alone is wrong"
        return
    some = []
    for axis, letter in enumerate(letters):
        there = np.flatnonzero(wrong.any(axis=tuple(n for n in range(wrong.ndim) if n != axis)))
        ranges = _ranges(there)
        if there.size < wrong.shape[axis] and len(ranges) <= MOST_RANGES:
            some.append(f"{letter} = {', '.join(ranges)} of 0..{wrong.shape[axis] - 1}")
    if some:
        yield f"wrong only at {'; '.join(some)}"


def _ranges(numbers: NDArray[np.intp]) -> list[str]:
    """Writes ascending numbers as ranges.

    >>> _ranges(np.array([0, 3, 4, 5]))
    ['0', '3..5']
    """
    pieces = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    return [f"{each[0]}" if each.size == 1 else f"{each[0]}..{each[-1]}" for each in pieces]
