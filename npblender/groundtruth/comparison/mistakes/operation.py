"""One operation of the reference, open to be recomputed with a mistake; and what narrow number formats keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from npblender import ops
from npblender.common.array_types import Array
from npblender.groundtruth.noise.units import STANDS_FOR_HIDDEN
from npblender.groundtruth.single_ops.cases import Case
from npblender.groundtruth.single_ops.compute import compute

Arrays = Mapping[str, Array]
Candidates = Iterator[tuple[str, Array]]
"""Mistakes: what follows "it would be right with", and the output that a port with that mistake gives."""

FITTED = "an approximated"
"""How the text of a mistake begins that follows the wrong array wherever it goes: the last to be named."""

FIT = " (read off the result)"
"""How the text of a mistake ends whose number is read off the wrong array: named where no fixed one explains it."""

NOTHING = "nothing"
"""The operation of a point that repeats another: its output is its input."""

MOST_OTHERS = 60
"""The most other points or parameters of the same shape that are tried in an operand's place."""

LARGE = 1 << 23
"""Operands of more values are tried in the usual narrow formats only."""

BLOCK = 32
"""How many values share a scale where rows are quantized in blocks."""

TILES = (2, 4, 8, 16, 32, 64)
"""How many elements programs take at once."""


@dataclass(frozen=True, eq=False)
class Weights:
    """What an operation can be recomputed from: cases by point, arrays of the reference, parameters by name."""

    cases: Mapping[str, Case] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)
    parameters: Arrays = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Operation:
    """One case with its inputs and parameters by role, its right output, and the wrong one to be explained."""

    case: Case
    given: Arrays
    parameters: Arrays
    right: Array
    mine: Array
    known: Weights

    def again(self, given: Arrays | None = None, parameters: Arrays | None = None, **settings: float) -> Array:
        """Compute the case once more, with other inputs, parameters or settings."""
        case = replace(self.case, settings=dict(self.case.settings) | settings)
        if case.op == NOTHING:
            return (given or self.given)["x"]
        return compute(case, {**self.given, **(given or {})}, {**self.parameters, **(parameters or {})})

    def elsewhere(self, role: str) -> Candidates:
        """Yield the output with every other point of the same shape in an input's place."""
        named, array = self.case.inputs[role], self.given[role]
        yield from self._siblings(role)
        if len(named) > 1 or array.dtype.kind != "f":
            return
        others = [each for each, other in self.known.arrays.items() if other.shape == array.shape and each not in named]
        for other in others[:MOST_OTHERS]:
            yield f"{other} in place of {named[0]}", self.again({role: self.known.arrays[other].astype(np.float64)})

    def _siblings(self, role: str) -> Candidates:
        """Yield the output with keys for values, or values for keys, in every step of a cache."""
        named = self.case.inputs[role]
        for letter in "qkv":
            others = tuple(f"{name.rpartition('.')[0]}.{letter}" for name in named)
            known = all(other in self.known.arrays for other in others)
            if len(named) < 2 or others == named or not known:
                continue
            taken = np.concatenate([self.known.arrays[other] for other in others], axis=2).astype(np.float64)
            if taken.shape == self.given[role].shape:
                yield f"{others[-1]} in place of {named[-1]}, in every step", self.again({role: taken})
                new = int(self.known.arrays[named[-1]].shape[2])
                last = np.concatenate([self.given[role][:, :, :-new], taken[:, :, -new:]], axis=2)
                yield f"{others[-1]} in place of {named[-1]}", self.again({role: last})

    def _before(self, shape: tuple[int, ...]) -> list[str]:
        """List the arrays of a shape that no later operation gives, but for rows of a table, which depend on none."""
        names = [name for name, case in self.known.cases.items() if case.op != "embed" or name == self.case.name]
        later = set(names[names.index(self.case.name) :]) if self.case.name in names else set()
        return [name for name, array in self.known.arrays.items() if array.shape == shape and name not in later]

    def increased(self, role: str) -> Candidates:
        """Yield the output with every other point of the same shape added to an input."""
        named, array = self.case.inputs[role], self.given[role]
        others = self._before(array.shape)
        for other in others[:MOST_OTHERS] if array.dtype.kind == "f" and len(named) == 1 else []:
            taken = self.known.arrays[other].astype(np.float64)
            if not (np.abs(taken) > STANDS_FOR_HIDDEN).any():
                yield f"{other} added to its input {named[0]}", self.again({role: array + taken})

    def others(self, role: str) -> Iterator[tuple[str, Array]]:
        """Yield every other parameter of the same shape, by name."""
        own, array = self.case.parameters[role], self.parameters[role]
        found = [name for name, other in self.known.parameters.items() if other.shape == array.shape and name != own]
        for name in found[:MOST_OTHERS]:
            yield name, self.known.parameters[name].astype(np.float64)

    def other_modules(self) -> Iterator[tuple[str, dict[str, Array]]]:
        """Yield every other module whose weight has the same shape, with its weight and, where it fits, its bias."""
        for name, weight in self.others("weight"):
            module, _, kind = name.rpartition(".")
            bias, own = self.known.parameters.get(f"{module}.bias"), self.parameters.get("bias")
            found = {"weight": weight}
            if bias is not None and own is not None and bias.shape == own.shape:
                found["bias"] = bias.astype(np.float64)
            if kind == "weight":
                yield module, found

    def normed(self, x: Array) -> Candidates:
        """Yield x after every norm of the model, by the norm's name."""
        for name, gain in self.known.parameters.items():
            if name.endswith("norm.weight") and gain.shape == x.shape[-1:]:
                module = name.removesuffix(".weight")
                bias = self.known.parameters[f"{module}.bias"].astype(np.float64)
                yield module, ops.layer_norm(x, gain.astype(np.float64), bias)

    def rounded(self, roles: tuple[str, ...]) -> Candidates:
        """Yield the output with each operand, and with both, in every narrow format."""
        for kind, to in ROUNDINGS.items():
            narrow = {}
            for role in roles:
                array = self.given[role] if role in self.given else self.parameters[role]
                if (array.size > LARGE and kind not in USUAL) or ("block" in kind and array.shape[-1] <= BLOCK):
                    continue
                narrow[role] = to(array)
                named = self.case.parameters.get(role) or f"its input {' and '.join(self.case.inputs[role])}"
                inputs, weights = self._by_side({role: narrow[role]})
                yield f"{named} in {kind}", self.again(inputs, weights)
            if len(narrow) == len(roles) > 1:
                yield f"both operands in {kind}", self.again(*self._by_side(narrow))

    def _by_side(self, changed: dict[str, Array]) -> tuple[Arrays, Arrays]:
        inputs = {role: array for role, array in changed.items() if role in self.given}
        return inputs, {role: array for role, array in changed.items() if role not in self.given}


def half(x: Array) -> Array:
    """Round to float16."""
    return np.clip(x, -65504, 65504).astype(np.float16).astype(x.dtype)


def shortened(x: Array, bits: int, *, cut: bool = False) -> Array:
    """Keep so many bits of mantissa, rounded to the nearest or cut.

    >>> shortened(np.array([1.0, 1.00390625, 1.01]), 8)
    array([1.       , 1.       , 1.0078125])
    """
    mantissa, exponent = np.frexp(x)
    whole = np.ldexp(mantissa, bits)
    return np.asarray(np.ldexp(np.trunc(whole) if cut else np.round(whole), exponent - bits))


def whole_steps(x: Array, steps: int, axis: int | None = -1) -> Array:
    """Round to so many steps on either side of 0, up to the largest value of each row or of all.

    >>> whole_steps(np.array([[0.1, 127.0], [2.0, 0.3]]), 127).round(3).tolist()
    [[0.0, 127.0], [2.0, 0.299]]
    """
    step = np.abs(x).max(axis=axis, keepdims=True) / steps
    return np.asarray(np.round(x / np.where(step == 0, 1, step)) * step)


def in_blocks(x: Array, steps: int) -> Array:
    """Round to steps, a scale for each block of a row; the last block of a row may be shorter."""
    pieces = [whole_steps(x[..., start : start + BLOCK], steps) for start in range(0, x.shape[-1], BLOCK)]
    return np.concatenate(pieces, axis=-1)


def whole_steps_from(x: Array, axis: int | None = -1) -> Array:
    """Round to 255 steps from the least to the largest value, of each row or of all: 8 bits with a zero point."""
    least = np.minimum(x.min(axis=axis, keepdims=True), 0)
    step = (np.maximum(x.max(axis=axis, keepdims=True), 0) - least) / 255
    step = np.where(step == 0, 1, step)
    zero = np.round(-least / step)
    return np.asarray((np.clip(np.round(x / step) + zero, 0, 255) - zero) * step)


def eighth(x: Array) -> Array:
    """Round to the 8-bit float with four bits of mantissa (e4m3), the largest value at 448."""
    scale = 448 / max(float(np.abs(x).max(initial=0.0)), 1e-30)
    return shortened(x * scale, 4) / scale


ROUNDINGS: Mapping[str, Callable[[Array], Array]] = {
    "float16 (or TF32)": half,
    "bfloat16": lambda x: shortened(x, 8),
    "int8, a scale a row": lambda x: whole_steps(x, 127),
    "int8, one scale": lambda x: whole_steps(x, 127, None),
    "bfloat16, cut and not rounded": lambda x: shortened(x, 8, cut=True),
    "float16 (or TF32), cut and not rounded": lambda x: shortened(x, 11, cut=True),
    "int8, a scale a block of 32": lambda x: in_blocks(x, 127),
    "int8, a scale a column": lambda x: whole_steps(x, 127, -2 if x.ndim > 1 else -1),
    "8 bits with a zero point, a scale a row": whole_steps_from,
    "8 bits with a zero point, one scale": lambda x: whole_steps_from(x, None),
    "4 bits, a scale a block of 32": lambda x: in_blocks(x, 7),
    "4 bits, a scale a row": lambda x: whole_steps(x, 7),
    "float8 (e4m3)": eighth,
}
"""Narrow formats in which ports keep operands, by name; the usual ones first."""

USUAL = tuple(ROUNDINGS)[:4]

SUMS = {"float16": 11, "bfloat16": 8}
"""In how many bits of mantissa programs keep sums, by the format's name."""


def as_function(x: Array, y: Array) -> Array:
    """Interpolate y as a function of x, each value from its neighbours in x: y itself, if it is a smooth function."""
    seen = np.isfinite(x) & np.isfinite(y) & (np.abs(x) < STANDS_FOR_HIDDEN)
    if seen.sum() < 8:
        return np.full_like(y, np.nan)
    order = np.argsort(x[seen], kind="stable")
    a, b = x[seen][order], y[seen][order]
    smooth = b.copy()
    smooth[1:-1:2] = np.interp(a[1:-1:2], a[::2], b[::2])
    smooth[2:-1:2] = np.interp(a[2:-1:2], a[1::2], b[1::2])
    out = np.array(y)
    out[seen] = smooth[np.argsort(order, kind="stable")]
    return out


def added_in(terms: Array, bits: int) -> Array:
    """Add the last axis from left to right, every sum kept in so many bits of mantissa.

    >>> added_in(np.array([2048.0, 1.0, 1.0]), 11)
    array(2048.)
    """
    total = np.zeros(terms.shape[:-1])
    for n in range(terms.shape[-1]):
        total = shortened(total + terms[..., n], bits)
    return np.asarray(total)


def factor(value: float) -> str:
    """Write a fitted factor: a whole number, its inverse, the root of one, or four digits.

    >>> [factor(each) for each in (2.0000001, -1.0, 0.2, 2.4494898, 0.57735027, 1 / 3, 1.1)]
    ['2', '-1', '0.2', 'sqrt(6)', '1/sqrt(3)', '1/3', '1.1']
    """
    if value > 0 and abs(value - round(value, 2)) > 1e-5 * value:
        for text, whole in (("1/{}", 1 / value), ("sqrt({})", value**2), ("1/sqrt({})", value**-2)):
            if round(whole) > 1 and abs(whole / round(whole) - 1) < 2e-5:
                return text.format(round(whole))
    return f"{value:.4g}"


def sources(reference: Array, values: Array, axis: int) -> NDArray[np.intp] | None:
    """Find for each slice of `values` along an axis the slice of the reference nearest to it; None: each its own.

    There may be more slices in the reference.

    >>> sources(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.array([[3.0, 4.0], [1.0, 2.0]]), 0)
    array([1, 0])
    """
    with np.errstate(invalid="ignore"):  # a NaN may be a signalling one
        right, mine = (
            np.moveaxis(np.where(np.abs(each) < STANDS_FOR_HIDDEN, each, 0.0), axis, 0).reshape(each.shape[axis], -1)
            for each in (reference.astype(np.float64), values.astype(np.float64))
        )
    direction = np.cos(np.arange(1, right.shape[1] + 1))
    marks, wanted = right @ direction, mine @ direction
    if not np.isfinite(wanted).all() or right.shape[1] < 2:
        return None
    order = np.argsort(marks)
    upper = np.clip(np.searchsorted(marks[order], wanted), 1, len(order) - 1)
    lower = np.abs(marks[order[upper - 1]] - wanted) <= np.abs(marks[order[upper]] - wanted)
    nearest = np.where(lower, order[upper - 1], order[upper])
    own = np.arange(len(wanted))
    stays = np.zeros(len(wanted), bool)
    few = min(len(marks), len(wanted))
    limit = np.abs(marks[nearest] - wanted) + 1e-6 * np.abs(wanted)
    stays[:few] = np.abs(marks[:few] - wanted[:few]) <= limit[:few]
    source = np.where(stays, own, nearest)
    return None if (source == own).all() else source


def moved(array: Array, source: int, to: int) -> Array:
    """Copy an array with one row in another's place."""
    changed = array.copy()
    changed[to] = array[source]
    return changed
