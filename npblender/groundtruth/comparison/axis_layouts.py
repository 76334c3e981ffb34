"""Lists the axis orders in which programs store the same numbers: heads split or merged, axes exchanged, flattened.

An axis layout is accepted only where an array's shape differs from the reference's and the values then agree, so that
no fault is read away. An array of the reference's own shape is compared as it is; an order in which it would agree is
only reported (`diagnose`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from math import prod

import numpy as np

from npblender.common.array_types import Array

MOST_AXES = 5
"""Arrays of more axes are compared as they are, or flat."""


@dataclass(frozen=True)
class AxisLayout:
    """One way to read an array as its reference: split into `sizes`, then put the axes back in order."""

    name: str  # its axes, such as "[B, T, H*K]"
    sizes: tuple[int, ...]  # of the axes as this layout orders them, none of them merged
    order: tuple[int, ...]  # which axis of the reference each of them is
    shape: tuple[int, ...]  # the reference's
    rows: int | None = None  # how often the whole is repeated, where the axis of rows is left out

    @property
    def places(self) -> tuple[int, ...]:
        """The order of the axes longer than 1, by which two layouts of the same values differ."""
        return tuple(axis for axis, size in zip(self.order, self.sizes, strict=True) if size != 1)

    def read(self, array: Array) -> Array:
        """Bring an array into the reference's axis order and shape.

        >>> merged = AxisLayout("[B, T, H*K]", (1, 2, 2, 3), (0, 2, 1, 3), (1, 2, 2, 3))
        >>> merged.read(np.arange(12).reshape(1, 2, 6))[0, 1].tolist()
        [[3, 4, 5], [9, 10, 11]]
        """
        if self.rows is not None:
            return np.broadcast_to(array.reshape(self.shape[1:]), self.shape)
        return array.reshape(self.sizes).transpose(np.argsort(self.order)).reshape(self.shape)


def letters_of(axes: str | None, shape: tuple[int, ...]) -> list[str]:
    """Name the axes of a shape.

    >>> letters_of("B T D", (1, 2, 3)), letters_of(None, (3,))
    (['B', 'T', 'D'], ['axis 0'])
    """
    return axes.split() if axes is not None else [f"axis {n}" for n in range(len(shape))]


def axis_letters(axes: str | None, shape: tuple[int, ...], heads: int | None) -> list[tuple[str, int]] | None:
    """List letter and size of each axis of a reference, the model width split into heads if their number is known.

    >>> axis_letters("B T D", (2, 5, 6), 3)
    [('B', 2), ('T', 5), ('H', 3), ('K', 2)]
    """
    letters = letters_of(axes, shape)
    if len(letters) != len(shape) or len(shape) > MOST_AXES:
        return None
    found = list(zip(letters, shape, strict=True))
    if heads is not None and letters[-1:] == ["D"] and "H" not in letters and shape[-1] % heads == 0:
        found[-1:] = [("H", heads), ("K", shape[-1] // heads)]
    return found


def _is_usual(group: Sequence[str], every: Sequence[str]) -> bool:
    """Whether programs merge these neighbouring axes: in the reference's order, rows with tokens or heads, heads."""
    if any(list(group) == list(every[n : n + len(group)]) for n in range(len(every))):
        return True
    if list(group[-2:]) == ["H", "K"]:
        return set(group[:-2]) <= {"B", "S", "T"}
    return len(group) == 2 and "B" in group and bool({"H", "S", "T"} & set(group))


def _groupings(count: int) -> Iterator[list[tuple[int, int]]]:
    """Yield every way to cut `count` axes into neighbouring groups, the finest first."""
    for cuts in sorted(range(2 ** max(count - 1, 0)), key=lambda bits: -bits.bit_count()):
        ends = [n + 1 for n in range(count - 1) if cuts >> n & 1] + [count]
        yield list(zip([0, *ends[:-1]], ends, strict=True))


def _without_ones(shape: Sequence[int]) -> list[int]:
    return [size for size in shape if size != 1]


def _fitting(
    letters: Sequence[tuple[str, int]], shape: tuple[int, ...], found: tuple[int, ...]
) -> Iterator[tuple[AxisLayout, bool]]:
    """Yield every order of values that the shape `found` allows, once, and whether it is a usual one."""
    names, sizes = [letter for letter, _ in letters], [size for _, size in letters]
    kept: dict[tuple[int, ...], tuple[AxisLayout, bool]] = {}
    for order in permutations(range(len(sizes))):
        moved, ordered = [names[axis] for axis in order], [sizes[axis] for axis in order]
        data_order = tuple(axis for axis in order if sizes[axis] != 1)
        for groups in _groupings(len(order)):
            if _without_ones([prod(ordered[a:b]) for a, b in groups]) != _without_ones(found):
                continue
            usual = all(_is_usual(moved[a:b], names) for a, b in groups)
            if data_order not in kept or (usual and not kept[data_order][1]):
                name = "[" + ", ".join("*".join(moved[a:b]) for a, b in groups if b > a) + "]"
                kept[data_order] = (AxisLayout(name, tuple(ordered), order, shape), usual)
    yield from kept.values()


def axis_layouts(
    axes: str | None, shape: tuple[int, ...], found: tuple[int, ...], heads: int | None = None
) -> list[AxisLayout | None]:
    """List the layouts in which an array of shape `found` may be its reference of `shape`; None stands for "as it is".

    `axes` are a point's letters; without them, axes are numbered. The list is empty where the shapes do not fit each
    other. With `heads`, the width may be split.

    >>> axis_layouts("B H T K", (1, 2, 5, 3), (1, 2, 5, 3))
    [None]
    >>> [layout.name for layout in axis_layouts("B H T K", (1, 2, 5, 3), (1, 5, 6))]
    ['[B, T, H*K]']
    >>> axis_layouts("B H T K", (1, 2, 5, 3), (1, 5, 7))
    []
    """
    if found == shape:
        return [None]
    letters = axis_letters(axes, shape, heads)
    has_rows = axes is not None and axes.startswith("B ") and axes.endswith(" D") and shape[0] > 1
    if axes is not None and has_rows and _without_ones(found) == _without_ones(shape[1:]):
        return [AxisLayout(f"[{', '.join(axes.split()[1:])}], the same for every row", (), (), shape, rows=shape[0])]
    if prod(found) != prod(shape):
        return []
    plain = AxisLayout("the same values in order, in another shape", shape, tuple(range(len(shape))), shape)
    if letters is None:
        return [plain] if len(found) <= 1 or _without_ones(found) == _without_ones(shape) else []
    if _without_ones(found) == _without_ones(shape):
        more = "without" if len(found) < len(shape) else "with more"
        return [AxisLayout(f"{more} axes of length 1", shape, tuple(range(len(shape))), shape)]
    return [layout for layout, usual in _fitting(letters, shape, found) if usual]


def unusual_axis_layouts(
    axes: str | None, shape: tuple[int, ...], found: tuple[int, ...], heads: int | None = None
) -> list[AxisLayout]:
    """List further orders of the same values. An array that agrees in one has the right values in wrong places.

    >>> [layout.name for layout in unusual_axis_layouts("H T K", (2, 4, 4), (2, 4, 4))][:2]
    ['[H, K, T]', 'the flat order of [T, H, K]']
    """
    letters = axis_letters(axes, shape, heads)
    if prod(found) != prod(shape) or letters is None:
        return []
    seen = {layout.places for layout in axis_layouts(axes, shape, found, heads) if layout is not None}
    seen.add(tuple(axis for axis, (_, size) in enumerate(letters) if size != 1))
    strange = []
    for sizes in (found, (prod(found),)):
        for layout, _ in _fitting(letters, shape, sizes):
            if layout.places not in seen:
                seen.add(layout.places)
                flat = f"the flat order of {layout.name.replace('*', ', ')}"
                strange.append(layout if sizes == found else replace(layout, name=flat))
    return strange
