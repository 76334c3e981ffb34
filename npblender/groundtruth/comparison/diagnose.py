"""Diagnoses a diverging array: would it match if transposed, rescaled, or compared with a different point?

Each remark is a fact that was tested on the arrays; the usual causes of a fault are in `causes`. Small errors say
nothing about their cause, so below `TELLING` units there is no remark.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array
from npblender.groundtruth.comparison.axis_layouts import unusual_axis_layouts
from npblender.groundtruth.comparison.hypotheses import Weights, explain
from npblender.groundtruth.comparison.reading import Reading, read_as
from npblender.groundtruth.noise.units import (
    DIVERGED,
    STANDS_FOR_HIDDEN,
    Noise,
    Score,
    diverged,
    errors_in_units,
    score,
)
from npblender.groundtruth.tracing.points import known_point

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

PRODUCTS = ("q", "k", "v", "output", "hidden", "logits", "scores", "context")
"""Points that a matrix product gives."""


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
    point = known_point(name)
    axes = None if point is None or len(point.axes.split()) != reference.ndim else point.axes
    said = []
    if reference.size <= MOST_VALUES:
        said += list(_orders(reference, mine, noise.get(name), axes, heads))
    said += list(_more_columns(reference, mine, noise.get(name)))
    if reading.values is not None and reading.score is not None:
        values = reading.values
        with np.errstate(invalid="ignore"):  # a NaN may be a signalling one
            wide = np.asarray(values, np.float64)
        explained = None if known is None else explain(name, known, wide)
        if explained is not None:
            said.append(explained)
        else:
            said += list(_other_bytes(reference, values, noise.get(name)))
            said += list(_arithmetic(reference, values, noise.get(name)))
            said += list(_moved(reference, values, noise.get(name), axes))
            said += list(_other_points(name, arrays, noise, values))
        if not said:
            said += list(_kind_of_error(name, reference, values))
        said += list(_clipped(reference, values))
        said += list(_places(reference, values, reading.score.noise, axes, scattered=not said))
    return tuple(said)


def _agree(reference: Array, values: Array, noise: Noise | None) -> bool:
    return not diverged(score(reference, values, noise))


def _orders(reference: Array, mine: Array, noise: Noise | None, axes: str | None, heads: int | None) -> Iterator[str]:
    """Try unusual axis layouts and reports the first in which it agrees."""
    for layout in unusual_axis_layouts(axes, reference.shape, mine.shape, heads):
        if _agree(reference, layout.read(mine), noise):
            axes_moved = layout.name.startswith("[")
            yield f"it would agree {'transposed' if axes_moved else 'in another order'}, as {layout.name}"
            if axes_moved and "*" not in layout.name:
                yield "axes of one length look alike: with other lengths this would be read as a layout"
            return


def _more_columns(reference: Array, mine: Array, noise: Noise | None) -> Iterator[str]:
    """Whether the last axis is only longer, as where a vocabulary is padded."""
    if mine.ndim and reference.ndim == mine.ndim and mine.shape[:-1] == reference.shape[:-1]:
        more = mine.shape[-1] - reference.shape[-1]
        if more > 0 and _agree(reference, mine[..., : reference.shape[-1]], noise):
            yield f"its first {reference.shape[-1]:,} columns agree, {more:,} more follow: a padded vocabulary or width"


def _other_bytes(reference: Array, values: Array, noise: Noise | None) -> Iterator[str]:
    """Whether the bytes of each number come in the other order."""
    with np.errstate(all="ignore"):
        if values.dtype.kind == "f" and _agree(reference, values.byteswap(), noise):
            yield "it would agree with its bytes swapped: big-endian numbers"


def _named_factor(factor: float, shape: tuple[int, ...]) -> str:
    """Write a factor as a root of the last axis' length or as a short number."""
    for text, value in (("-1", -1.0), ("0.5", 0.5), ("2", 2.0)):
        if abs(factor - value) < 1e-5:
            return text
    size = shape[-1] if shape else 1
    for text, value in ((f"sqrt({size})", sqrt(size)), (f"1/sqrt({size})", 1 / sqrt(size))):
        if abs(factor / value - 1) < 1e-5:
            return text
    return f"{factor:.6g}"


def _arithmetic(reference: Array, values: Array, noise: Noise | None) -> Iterator[str]:
    """Try a factor, and one amount per column."""
    with np.errstate(all="ignore"):
        expected, found = np.asarray(reference, np.float64), np.asarray(values, np.float64)
        seen = np.isfinite(expected) & np.isfinite(found) & (np.abs(expected) < STANDS_FOR_HIDDEN)
        a, b = found[seen], expected[seen]
        squares = float(a @ a)
        if a.size > 1 and squares > 0:
            factor = float(a @ b) / squares
            named = _named_factor(factor, expected.shape)
            if factor != 0 and named != "1" and _agree(expected, np.where(seen, found * factor, found), noise):
                yield f"it would agree times {named}"
                return
        rows = expected.size // expected.shape[-1] if expected.ndim and expected.shape[-1] else 0
        if rows >= 3 and seen.any():
            apart = np.where(seen, expected - found, 0.0).reshape(rows, -1)
            amount = np.median(apart, axis=0)
            if amount.any() and _agree(expected, np.where(seen, found + amount, found), noise):
                yield "it would agree plus one amount per column of the last axis, the same in every row: a bias"


def _moved(reference: Array, values: Array, noise: Noise | None, axes: str | None) -> Iterator[str]:
    """Try the array moved along each axis, one row for all, and rows in another order."""
    letters = axes.split() if axes is not None else [f"axis {n}" for n in range(reference.ndim)]
    if reference.size < 2 or reference.shape != values.shape:
        return
    for shift in (1, -1):
        if _agree(reference, np.roll(values.reshape(-1), -shift).reshape(values.shape), noise):
            yield f"it would agree rolled by {-shift:+d} in memory: a stride or an offset is off by one"
            return
    for axis, letter in enumerate(letters):
        size = reference.shape[axis]
        for shift in (1, -1) if size > 1 else ():
            if _agree(reference, np.roll(values, -shift, axis), noise):
                yield f"it would agree rolled by {-shift:+d} along {letter}"
                return
            part = slice(1, None) if shift == 1 else slice(None, -1)
            other = slice(None, -1) if shift == 1 else slice(1, None)
            index = (slice(None),) * axis
            if size > 2 and _agree(reference[(*index, other)], values[(*index, part)], noise):
                yield f"it agrees with the reference shifted by {shift:+d} along {letter}"
                return
        if size > 1 and letter in ("B", "H"):
            first = np.take(reference, [0], axis)
            if _agree(np.broadcast_to(first, reference.shape), values, noise) and not _agree(reference, values, noise):
                yield f"every {letter} agrees with the reference's {letter} = 0"
                return


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


def _kind_of_error(name: str, reference: Array, values: Array) -> Iterator[str]:
    """Say what the size and spread of the errors are typical of."""
    with np.errstate(all="ignore"):
        expected, found = np.asarray(reference, np.float64), np.asarray(values, np.float64)
        seen = np.isfinite(expected) & np.isfinite(found) & (np.abs(expected) < STANDS_FOR_HIDDEN)
        a, b = expected[seen], found[seen]
        if a.size < 16 or not a.any():
            return
        bits = b.astype(np.float32).view(np.uint32)
        if b.any() and not (bits & 0xFFFF).any():
            yield "every value is a bfloat16 number: the result is kept in bfloat16"
            return
        if b.any() and (b == b.astype(np.float16)).all() and not (a == a.astype(np.float16)).all():
            yield "every value is a float16 number: the result is kept in half precision"
            return
        gone = (b == 0) & (a != 0)
        ratio = np.median(b[~gone & (a != 0)] / a[~gone & (a != 0)]) if (~gone & (a != 0)).any() else 0.0
        if 5 <= gone.sum() < a.size / 2 and abs(ratio * (1 - gone.sum() / a.size) - 1) < 0.2 and ratio > 1.01:
            yield f"{int(gone.sum()):,} values are 0 and the others {ratio:.3g} times as large: dropout left on"
            return
        error = b - a
        part = float(np.sqrt(np.mean(np.square(error)) / np.mean(np.square(a))))
        wrong = float(np.mean(np.abs(error) > 1e-3 * part * np.sqrt(np.mean(np.square(a)))))
        if wrong < 0.9:
            return
        relative = np.abs(error / a)[a != 0]
        middle = float(np.median(relative))
        same = float(np.mean((relative > middle / 2) & (relative < middle * 2))) if middle else 0.0
        if same > 0.9 and middle < 0.05:
            yield f"every value is off by about the same part of itself, {middle:.1g}: an approximated function"
        elif name.rpartition(".")[2] in PRODUCTS and abs(float(np.corrcoef(a, error)[0, 1])) < 0.3:
            for kind, low, high in (("float16 or TF32", 6e-5, 6e-4), ("bfloat16", 6e-4, 4e-3), ("int8", 4e-3, 4e-2)):
                if low < part < high:
                    yield f"off by {part:.1g} of its size throughout, as products are with an operand in {kind}"


def _clipped(reference: Array, values: Array) -> Iterator[str]:
    """Whether many values stop at one number that the reference exceeds."""
    with np.errstate(all="ignore"):
        seen = np.isfinite(values) & (np.abs(reference) < STANDS_FOR_HIDDEN)
        for limit, beyond in ((values[seen].max(initial=-np.inf), 1), (values[seen].min(initial=np.inf), -1)):
            there = values == limit
            stopped, exceeded = (
                int(there.sum()),
                int((there & (beyond * (reference - limit) > 1e-3 * abs(limit))).sum()),
            )
            if limit != 0 and stopped >= 5 and exceeded >= 0.9 * stopped:
                yield f"{stopped:,} places are exactly {float(limit):g}, where the reference goes on: clipped"


def _places(reference: Array, values: Array, noise: Noise, axes: str | None, *, scattered: bool) -> Iterator[str]:
    """List the rows, heads or tokens that are wrong, unless all are; and whether they are `scattered`, if asked."""
    errors = errors_in_units(reference, values, noise)
    wrong = errors > DIVERGED
    if not wrong.any():
        return
    missing = np.isnan(values) & ~np.isnan(reference)
    if missing.any():
        yield f"NaN in {int(missing.sum()):,} places, first at {[int(n) for n in np.argwhere(missing)[0]]}"
    letters = axes.split() if axes is not None else [f"axis {n}" for n in range(wrong.ndim)]
    if wrong.sum() == 1:
        yield "one value alone is wrong"
        return
    hidden = np.abs(np.asarray(reference, np.float64)) >= STANDS_FOR_HIDDEN
    if hidden.any() and not wrong[~hidden].any():
        yield "wrong only where the reference hides a score or blocks a token: left out, or hidden by another number"
    some, block = [], 1
    for axis, letter in enumerate(letters):
        there = np.flatnonzero(wrong.any(axis=tuple(n for n in range(wrong.ndim) if n != axis)))
        ranges = _ranges(there)
        size = wrong.shape[axis]
        block *= there.size
        if there.size < size and len(ranges) <= MOST_RANGES:
            last = ", the last token only" if letter in ("S", "T") and there.tolist() == [size - 1] else ""
            some.append(f"{letter} = {', '.join(ranges)} of 0..{size - 1}{last}")
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
