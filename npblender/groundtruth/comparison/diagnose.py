"""Diagnoses a diverging array: would it match if transposed, rescaled, or compared with a different point?

Each remark is a fact that was tested on the arrays (`facts`), or a mistake that gives just these numbers
(`hypotheses`); the usual causes of a fault are in `causes`. Small errors say nothing about their cause, so below
`TELLING` units there is no remark.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array
from npblender.groundtruth.comparison import facts
from npblender.groundtruth.comparison.axis_layouts import letters_of
from npblender.groundtruth.comparison.hypotheses import explain
from npblender.groundtruth.comparison.mistakes.operation import FIT, Weights
from npblender.groundtruth.comparison.reading import Reading, read_as
from npblender.groundtruth.noise.units import DIVERGED, STANDS_FOR_HIDDEN, Noise, Score, errors_in_units
from npblender.groundtruth.tracing.points import axes_of

TELLING = 30.0
"""An error of fewer units, as an rms and in its worst value, has no remark and no cause."""

MOST_OTHERS = 200
"""The most points of the same shape that a wrong array is compared with."""

MOST_RANGES = 6
"""The most separate ranges of wrong places along an axis that are reported."""

SCATTERED = 0.5
"""Wrong values that fill less than this part of the block around them are scattered."""

MOST_VALUES = 1 << 22
"""The largest array that is tried in other axis orders."""


def is_telling(found: Score | None) -> bool:
    """Whether an error is large enough for its cause to be looked for; another shape always is."""
    return found is None or not max(found.units, found.worst) < TELLING


def diagnose(
    name: str,
    arrays: Mapping[str, Array],
    noise: Mapping[str, Noise],
    mine: Array,
    reading: Reading,
    heads: int | None = None,
    known: Weights | None = None,
) -> tuple[str, ...]:
    """List remarks on an array that diverges at a point of the reference `arrays`, the most informative first.

    >>> right = np.arange(8.0).reshape(2, 4)
    >>> diagnose("x", {"x": right}, {}, 2 * right, read_as(right, 2 * right, None))
    ('it would agree times 0.5',)
    """
    if not is_telling(reading.score):
        return ()
    reference = arrays[name]
    axes, own = axes_of(name, reference), noise.get(name)
    said = []
    if reference.size <= MOST_VALUES:
        said += list(facts.orders(reference, mine, own, axes, heads))
    said += list(facts.more_columns(reference, mine, own))
    if reading.values is None or reading.score is None:
        return tuple(said or facts.other_shape(reference, mine, own, axes))
    values = reading.values
    wrong = errors_in_units(reference, values, reading.score.noise) > DIVERGED
    with np.errstate(invalid="ignore"):  # a NaN may be a signalling one
        wide = np.asarray(values, np.float64)
    explained = None if known is None else explain(name, known, wide, reading.score.noise.rms, wrong)
    if explained is not None and not explained[1]:
        said.append(explained[0])
    else:
        said += list(facts.other_bytes(reference, values, own))
        said += list(facts.arithmetic(reference, values, own, axes))
        said += [*facts.rearranged(reference, values, own, axes), *facts.other_stride(reference, values, own)]
        said += list(_other_points(name, arrays, noise, values))
        said += list(facts.one_number(reference, values, wrong))
        if explained is not None and (not said or explained[0].endswith(FIT)):
            said.append(explained[0])
        if not said:
            said += list(facts.kind_of_error(name, reference, values))
            said += list(facts.clipped(reference, values))
    said += list(_places(reference, values, wrong, axes, scattered=not said))
    return tuple(said)


def _other_points(name: str, arrays: Mapping[str, Array], noise: Mapping[str, Noise], values: Array) -> Iterator[str]:
    """Look for another point of the reference with which it agrees."""
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


def _places(
    reference: Array, values: Array, wrong: NDArray[np.bool_], axes: str | None, *, scattered: bool
) -> Iterator[str]:
    """List the rows, heads or tokens that are wrong, unless all are; and whether they are `scattered`, if asked."""
    if not wrong.any():
        return
    missing = np.isnan(values) & ~np.isnan(reference)
    if missing.any():
        yield f"NaN in {int(missing.sum()):,} places, first at {[int(n) for n in np.argwhere(missing)[0]]}"
    if wrong.sum() == 1:
        if wrong.size > 1:
            yield "one value alone is wrong"
        return
    hidden = np.abs(np.asarray(reference, np.float64)) >= STANDS_FOR_HIDDEN
    computed = ~hidden if wrong[~hidden].any() else np.ones_like(hidden)
    if hidden.any() and not wrong[~hidden].any():
        yield "wrong only where the reference hides a score or blocks a token: left out, or hidden by another number"
    some, block = [], 1
    for axis, letter in enumerate(letters_of(axes, wrong.shape)):
        along = tuple(n for n in range(wrong.ndim) if n != axis)
        there = np.flatnonzero(wrong.any(axis=along))
        could_be = np.flatnonzero((wrong | computed).any(axis=along))
        ranges = _ranges(there)
        size = wrong.shape[axis]
        block *= there.size
        if there.size < could_be.size and len(ranges) <= MOST_RANGES:
            tokens = letter in ("S", "T") and size > 2
            which = ", the last token only" if tokens and there.tolist() == [size - 1] else ""
            which = ", all but the last token" if tokens and there.tolist() == list(range(size - 1)) else which
            some.append(f"{letter} = {', '.join(ranges)} of 0..{size - 1}{which}")
    if some:
        yield f"wrong only at {'; '.join(some)}"
    if scattered and wrong.sum() < SCATTERED * min(block, wrong.size):
        yield f"{int(wrong.sum()):,} of {wrong.size:,} values are wrong, here and there: a race, or memory not written"


def _ranges(numbers: NDArray[np.intp]) -> list[str]:
    """Write ascending numbers as ranges.

    >>> _ranges(np.array([0, 3, 4, 5]))
    ['0', '3..5']
    """
    pieces = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    return [f"{each[0]}" if each.size == 1 else f"{each[0]}..{each[-1]}" for each in pieces]
