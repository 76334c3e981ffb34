"""Facts about a wrong array that need no weights: it would agree rearranged, rescaled, or with other bytes."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array
from npblender.groundtruth.comparison.axis_layouts import letters_of, unusual_axis_layouts
from npblender.groundtruth.comparison.mistakes.operation import factor as named_number
from npblender.groundtruth.comparison.mistakes.operation import sources
from npblender.groundtruth.noise.units import STANDS_FOR_HIDDEN, Noise, diverged, score

PRODUCTS = ("q", "k", "v", "output", "hidden", "logits", "scores", "context")
"""Points that a matrix product gives."""

MOST_STRIDE = 16
"""The most numbers that a wrong stride is tried to be off by."""

MOST_MOVED = 3
"""The most places along an axis whose origin is listed."""


def agree(reference: Array, values: Array, noise: Noise | None) -> bool:
    """Whether two arrays agree but for noise."""
    return not diverged(score(reference, values, noise))


def _computed(reference: Array, values: Array) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Both arrays in float64, and where both have numbers that are computed and not set."""
    expected, found = np.asarray(reference, np.float64), np.asarray(values, np.float64)
    return expected, found, np.isfinite(expected) & np.isfinite(found) & (np.abs(expected) < STANDS_FOR_HIDDEN)


def orders(reference: Array, mine: Array, noise: Noise | None, axes: str | None, heads: int | None) -> Iterator[str]:
    """Try unusual axis layouts and report the first in which it agrees."""
    for layout in unusual_axis_layouts(axes, reference.shape, mine.shape, heads):
        if agree(reference, layout.read(mine), noise):
            axes_moved = layout.name.startswith("[")
            yield f"it would agree {'transposed' if axes_moved else 'in another order'}, as {layout.name}"
            if axes_moved and "*" not in layout.name:
                yield "axes of one length look alike: with other lengths this would be read as a layout"
            return


def more_columns(reference: Array, mine: Array, noise: Noise | None) -> Iterator[str]:
    """Whether the last axis is only longer, as where a vocabulary is padded."""
    if mine.ndim and reference.ndim == mine.ndim and mine.shape[:-1] == reference.shape[:-1]:
        more = mine.shape[-1] - reference.shape[-1]
        if more > 0 and agree(reference, mine[..., : reference.shape[-1]], noise):
            yield f"its first {reference.shape[-1]:,} columns agree, {more:,} more follow: a padded vocabulary or width"


def other_shape(reference: Array, mine: Array, noise: Noise | None, axes: str | None) -> Iterator[str]:
    """Say along which axes a shape differs, and whether heads are cut in another number."""
    if reference.ndim != mine.ndim:
        return
    letters = letters_of(axes, reference.shape)
    triples = enumerate(zip(letters, mine.shape, reference.shape, strict=True))
    sizes = {letter: (a, b, axis) for axis, (letter, a, b) in triples if a != b}
    if set(sizes) == {"H", "K"} and mine.shape[1] * mine.shape[3] == reference.shape[1] * reference.shape[3]:
        merged, right = (each.swapaxes(1, 2).reshape(len(each), each.shape[2], -1) for each in (mine, reference))
        columns = agree(right, merged, noise) or agree(right, merged * sqrt(mine.shape[3] / reference.shape[3]), noise)
        same = ", and its columns agree" if columns else ""
        (mine_heads, heads, _), (mine_size, size, _) = sizes["H"], sizes["K"]
        yield f"{mine_heads} heads of {mine_size} where the reference has {heads} of {size}: a wrong number{same}"
    elif sizes:
        yield "; ".join(f"{letter} is {a:,} where the reference has {b:,}" for letter, (a, b, _) in sizes.items())
        for letter, (a, b, axis) in sizes.items():
            if letter in ("T", "S", "L") and a < b and len(sizes) == 1:
                for text, start in (("last", b - a), ("first", 0)):
                    if agree(np.take(reference, range(start, start + a), axis), mine, noise):
                        yield f"it is the {text} {a:,} of the reference's {b:,} along {letter}"
                        break


def other_bytes(reference: Array, values: Array, noise: Noise | None) -> Iterator[str]:
    """Whether the bytes of each number come in the other order."""
    with np.errstate(all="ignore"):
        if values.dtype.kind == "f" and agree(reference, values.byteswap(), noise):
            yield "it would agree with its bytes swapped: big-endian numbers"


def _named_factor(factor: float, shape: tuple[int, ...], letters: list[str]) -> str:
    """Write a factor as a short number, or by the sizes of the axes where it is one of them, or a root.

    >>> _named_factor(6**-0.5, (5, 6), ["T", "D"]), _named_factor(0.5, (5, 6), ["T", "D"])
    ('1/sqrt(6)', '0.5')
    >>> _named_factor((4 / 6) ** 0.5, (2, 4, 7, 6), ["B", "H", "T", "K"])
    '0.816497, which is sqrt(H/K)'
    """
    for text, value in (("-1", -1.0), ("0.5", 0.5), ("2", 2.0)):
        if abs(factor - value) < 1e-5:
            return text
    size = shape[-1] if shape else 1
    for text, value in ((f"sqrt({size})", sqrt(size)), (f"1/sqrt({size})", 1 / sqrt(size))):
        if abs(factor / value - 1) < 1e-5:
            return text
    sizes = {letter: n for letter, n in zip(letters, shape, strict=True) if n > 1 and letter not in ("B", "axis 0")}
    if "H" in sizes and "K" in sizes:
        sizes["D"] = sizes["H"] * sizes["K"]
    sizes = {"1": 1} | sizes
    for above, n in sizes.items():
        for below, m in sizes.items():
            for text, value in ((f"{above}/{below}", n / m), (f"sqrt({above}/{below})", sqrt(n / m))):
                if above != below and abs(factor / value - 1) < 1e-5:
                    return f"{factor:.6g}, which is {text}"
    return f"{factor:.6g}"


def arithmetic(reference: Array, values: Array, noise: Noise | None, axes: str | None) -> Iterator[str]:
    """Try a factor, then a factor or an amount for each column, row, head or row of the batch."""
    with np.errstate(all="ignore"):
        expected, found, seen = _computed(reference, values)
        a, b = found[seen], expected[seen]
        squares = float(a @ a)
        if a.size > 1 and squares > 0:
            factor = float(a @ b) / squares
            named = _named_factor(factor, expected.shape, letters_of(axes, reference.shape))
            if factor != 0 and named != "1" and agree(expected, np.where(seen, found * factor, found), noise):
                yield f"it would agree times {named}"
                return
        for what, along in _groups(expected, letters_of(axes, reference.shape)):
            apart = np.where(seen, expected - found, 0.0)
            amount = np.median(apart, axis=along, keepdims=True)
            if amount.any() and agree(expected, np.where(seen, found + amount, found), noise):
                yield f"it would agree plus one amount per {what}"
                return
            squares_here = np.where(seen, found * found, 0).sum(along, keepdims=True)
            factors = np.where(seen, expected * found, 0).sum(along, keepdims=True) / squares_here
            factors = np.where(squares_here == 0, 1.0, factors)
            if not factors.all() or (np.abs(factors - 1) < 1e-5).all():
                continue  # a factor of 0 agrees with zeros, whatever mine is
            if agree(expected, np.where(seen, found * factors, found), noise):
                least, most = named_number(factors.min()), named_number(factors.max())
                if least == most:  # near one another, and not the same
                    least, most = f"{factors.min():.7g}", f"{factors.max():.7g}"
                yield f"it would agree times one factor per {what}, {least} to {most}"
                return


def _groups(reference: Array, letters: list[str]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield groups of values that may share an amount: what they are called, and the axes within a group."""
    axes = tuple(range(reference.ndim))
    size = reference.shape[-1] if axes else 0
    if size and reference.size // size >= 3:
        yield "column of the last axis, the same in every row: a bias", axes[:-1]
    for letter in ("B", "H"):
        if letter in letters and reference.shape[letters.index(letter)] > 1:
            yield letter, tuple(axis for axis in axes if axis != letters.index(letter))
    if size >= 4 and reference.size > size:
        yield "row, the same in all its columns", axes[-1:]


def rearranged(reference: Array, values: Array, noise: Noise | None, axes: str | None) -> Iterator[str]:
    """Try the array moved along each axis or in memory, and say which slices of it stand where."""
    letters = letters_of(axes, reference.shape)
    if reference.size < 2 or reference.shape != values.shape:
        return
    for shift in (1, -1):
        if agree(reference, np.roll(values.reshape(-1), -shift).reshape(values.shape), noise):
            yield f"it would agree rolled by {-shift:+d} in memory: a stride or an offset is off by one"
            return
    for axis, letter in enumerate(letters):
        size = reference.shape[axis]
        for shift in (1, -1) if size > 1 else ():
            if agree(reference, np.roll(values, -shift, axis), noise):
                yield f"it would agree rolled by {-shift:+d} along {letter}"
                return
            part, other = (slice(1, None), slice(None, -1))[::shift]
            index = (slice(None),) * axis
            if size > 2 and agree(reference[(*index, other)], values[(*index, part)], noise):
                yield f"it agrees with the reference shifted by {shift:+d} along {letter}"
                return
        source = sources(reference, values, axis) if size > 1 else None
        if source is None or (letter not in ("B", "H") and np.unique(source).size == 1):
            continue
        if agree(np.take(reference, source, axis), values, noise):
            yield _said_of_sources(source, letter)
            return
    yield from _rows_moved(reference, values, noise)


def _rows_moved(reference: Array, values: Array, noise: Noise | None) -> Iterator[str]:
    """Say which rows hold others, counted through all axes but the last."""
    right, mine = (each.reshape(-1, each.shape[-1]) for each in (reference, values))
    source = sources(right, mine, 0) if right.ndim == 2 and len(right) > 1 and reference.ndim > 2 else None
    if source is None or not agree(right[source], mine, noise):
        return
    wrong = np.flatnonzero(source != np.arange(len(source)))
    apart = np.unique(source[wrong] - wrong)
    if apart.size == 1:
        place = [int(n) for n in np.unravel_index(wrong[0], reference.shape[:-1])]
        which = "before" if apart[0] < 0 else "behind"
        yield f"{len(wrong)} rows, from {place} on, hold those {abs(int(apart[0]))} {which}"


def other_stride(reference: Array, values: Array, noise: Noise | None) -> Iterator[str]:
    """Whether rows were written in one stride and read in another."""
    if reference.ndim < 2 or reference.shape != values.shape or reference.size < 4 * reference.shape[-1]:
        return
    width, flat = reference.shape[-1], reference.ravel()
    rows, columns = np.divmod(np.arange(reference.size), width)
    for more in (*range(1, MOST_STRIDE + 1), *range(-1, -min(MOST_STRIDE, width - 1) - 1, -1)):
        at = rows * (width + more) + columns
        there = at < reference.size
        if agree(flat[at[there]], values.ravel()[there], noise):
            yield f"rows of {width} read in a stride of {width + more}"
            return


def _said_of_sources(source: NDArray[np.intp], letter: str) -> str:
    """Say where the slices along an axis come from.

    >>> _said_of_sources(np.array([0, 2, 1, 3]), "H")
    'H = 0..3 read as [2, 2] the other way: slice 1 holds 2, slice 2 holds 1'
    """
    size, own = len(source), np.arange(len(source))
    if np.unique(source).size == 1:
        return f"every {letter} agrees with the reference's {letter} = {int(source[0])}"
    if (source == own[::-1]).all():
        return f"its {letter} is in reverse order"
    listed = [f"slice {n} holds {int(source[n])}" for n in own[source != own]]
    some = ", ".join(listed[:MOST_MOVED]) + (", ..." if len(listed) > MOST_MOVED else "")
    for rows in range(2, size):
        if size % rows == 0 and (source == own.reshape(rows, -1).T.ravel()).all():
            return f"{letter} = 0..{size - 1} read as [{rows}, {size // rows}] the other way: {some}"
    if len(listed) <= MOST_MOVED:
        return f"along {letter}, {some} of the reference"
    return f"its {letter} is in another order: {some}"


def kind_of_error(name: str, reference: Array, values: Array) -> Iterator[str]:
    """Say what the size and spread of the errors are typical of."""
    with np.errstate(all="ignore"):
        expected, found, seen = _computed(reference, values)
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


def one_number(reference: Array, values: Array, wrong: NDArray[np.bool_]) -> Iterator[str]:
    """Whether all wrong values are one number: 0 where nothing was written, or where they stop being right."""
    held = values[wrong]
    if held.size >= 4 and (held == held[0]).all() and np.unique(reference[wrong]).size > 1:
        one = float(held[0]) or 0.0  # not -0
        if one <= -STANDS_FOR_HIDDEN:
            yield f"all {held.size:,} wrong values are hidden ({one:g}), where the reference shows a score"
            return
        what = "a fixed number in place of a computed one" if one else "not computed, or not written"
        yield f"all {held.size:,} wrong values are exactly {one:g}: {what}"


def clipped(reference: Array, values: Array) -> Iterator[str]:
    """Whether many values stop at one number that the reference exceeds."""
    with np.errstate(all="ignore"):
        seen = np.isfinite(values) & (np.abs(reference) < STANDS_FOR_HIDDEN) & (np.abs(values) < STANDS_FOR_HIDDEN)
        for limit, beyond in ((values[seen].max(initial=-np.inf), 1), (values[seen].min(initial=np.inf), -1)):
            there = values == limit
            over = there & (beyond * (reference - limit) > 1e-3 * abs(limit))
            stopped, exceeded = int(there.sum()), int(over.sum())
            if limit != 0 and stopped >= 5 and exceeded >= 0.9 * stopped:
                yield f"{stopped:,} places are exactly {float(limit):g}, where the reference goes on: clipped"
