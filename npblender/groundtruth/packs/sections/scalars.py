"""Scalar operations in a pack: one CSV file an operation, inputs and outputs as hexadecimal floats.

    x,y,ulps,region
    0x1.8000000000000p+0,0x1.6...p+0,4,middle
x is a float32 number, y the exact value at x rounded to float64, `ulps` the largest error of a float32 result in
float32 ulps of y, and `region` one of special, tiny, middle, tail, large. NaN and infinities are written `nan`, `inf`,
`-inf`.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npblender import ops
from npblender.common.printable import cut, shown
from npblender.groundtruth.packs.files import PackFile
from npblender.groundtruth.packs.truth.arithmetic import LIBM, Arithmetic
from npblender.groundtruth.packs.truth.operations import SCALARS, scalar
from npblender.groundtruth.packs.verdict import Subject, Verdict

KIND = "scalar operation"
COLUMNS = ("x", "y", "ulps", "region")
BOUNDS: Mapping[str, float] = {"erf": 1, "gelu": 4, "gelu_new": 4, "silu": 4, "relu": 0}
"""The error bounds of `npblender.ops` in ulps of the result, in the left tail too."""
TAILS: Mapping[str, tuple[float, float]] = {
    "erf": (-4.5, -1.0),
    "gelu": (-14.6, -1.0),
    "gelu_new": (-11.5, -1.0),
    "silu": (-110.0, -1.0),
    "relu": (-9, -1),
}
"""The tails: from where float32 underflows (or the function reaches its limit) to where the middle begins."""
LARGE = (6.0, 6.5, 7.25, 12.0, 24.0, 50.0, 88.75, 90.0, 100.0, 1000.0)
"""Beyond the middle: activations that a clipped function cuts off, and where an exponential overflows in float32."""
AGREE = 1e-12
"""The largest relative difference between mpmath's and float64's values in an export."""


def points(name: str, rng: np.random.Generator, count: int = 48) -> Iterator[tuple[float, str]]:
    """Yield float32 inputs with the region of each; `count` in the middle and in the tail."""
    info = np.finfo(np.float32)
    largest, smallest, tiniest = float(info.max), float(info.tiny), float(info.smallest_subnormal)
    special = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0]
    special += [sign * size for size in (tiniest, smallest, largest) for sign in (1.0, -1.0)]
    yield from ((x, "special") for x in special)
    for exponent in range(-120, 0, 12):
        for sign in (1.0, -1.0):
            yield float(np.float32(sign * rng.uniform(1, 2) * 2.0**exponent)), "tiny"
    yield from ((float(np.float32(x)), "middle") for x in rng.uniform(-1, 1, count // 2))
    yield from ((float(np.float32(x)), "middle") for x in rng.uniform(1, 9, count // 2))
    low, high = TAILS[name]
    yield from ((float(np.float32(x)), "tail") for x in rng.uniform(low, high, count))
    yield from ((x, "large") for x in LARGE)


def make(seed: int, a: Arithmetic) -> Iterator[PackFile]:
    """Make the CSV files.

    Raises:
        ValueError: the arithmetic, Python's float64 or npblender's own float64 disagree about a value.
    """
    for number, name in enumerate(SCALARS):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for x, region in points(name, np.random.default_rng([seed, number])):
            y = scalar(a, name, x)
            with np.errstate(all="ignore"):
                own = float(getattr(ops, name)(np.array([x]))[0])
            for other, value in (("float64", scalar(LIBM, name, x)), ("npblender", own)):
                if not _close(y, value):
                    raise ValueError(f"{name}({shown(x)}) is {shown(y)} by {a.name}, but {shown(value)} by {other}")
            writer.writerow([x.hex(), y.hex(), f"{BOUNDS[name]:g}", region])
        yield PackFile(f"ops/{name}.csv", KIND, f"{name} at float32 numbers", text.getvalue().encode("ascii"))


def _operation(name: str) -> Callable[[Any], Any]:
    if name not in BOUNDS:
        raise ValueError(f"{shown(name)} is no scalar operation of a pack; there are {', '.join(BOUNDS)}")
    operation: Callable[[Any], Any] = getattr(ops, name)
    return operation


def _close(y: float, value: float) -> bool:
    same = y == value or (math.isnan(y) and math.isnan(value))
    # Below float32's smallest numbers it is enough that both are that small.
    return same or abs(y - value) <= max(AGREE * abs(y), 1e-60)


def read(path: Path) -> list[tuple[float, float, float, str]]:
    """Read the rows of a CSV file: x, y, ulps and region. Raises ValueError if it has another form."""
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="ascii"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV file: {error}") from error
    if not rows or tuple(rows[0]) != COLUMNS:
        raise ValueError(f"{path} has no header {','.join(COLUMNS)}")
    try:
        return [(float.fromhex(x), float.fromhex(y), float(ulps), region) for x, y, ulps, region in rows[1:]]
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{path}: {cut(str(error))}") from error


def check(path: Path, subject: Subject, *, exact: bool = True) -> Verdict:
    """Compare the operation of the file's name with the file, in the model's dtype and its ulps, or float64's at most.

    A pack made without mpmath is not `exact`: its float64 values have relative errors of up to `AGREE`.
    """
    rows = read(path)
    x, y = (np.array(column) for column in list(zip(*rows, strict=True))[:2])
    dtype, narrow = subject.dtype, subject.dtype == np.float32
    allowed = np.array([ulps for _, _, ulps, _ in rows]) + (0.0 if narrow else 0.5)  # y itself is rounded to float64
    with np.errstate(all="ignore"):
        mine = _operation(path.stem)(x.astype(dtype))
        errors = np.abs(mine.astype(np.longdouble) - y) / _ulp(y, np.dtype(np.float32 if narrow else np.float64))
        errors[(mine == y.astype(dtype)) | (np.isnan(mine) & np.isnan(y))] = 0
        if not exact and not narrow:
            errors[np.abs(mine - y) <= AGREE * np.abs(y)] = 0
    wrong = np.flatnonzero(~(errors <= allowed))
    problems = [
        f"{path.stem}({x[n].hex()}) is {shown(float(mine[n]))}, and the pack has {shown(y[n])}: "
        f"{float(errors[n]):.3g} ulp, "
        f"at most {allowed[n]:g}"
        for n in wrong[:5]
    ]
    worst = float(np.nanmax(errors)) if len(errors) else 0.0
    return Verdict(not len(wrong), f"{len(rows)} values, at most {worst:.2f} ulp", tuple(problems))


def _ulp(y: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Compute the gap between neighbours of `dtype` at |y|, the smallest subnormal at 0."""
    info = np.finfo(dtype)
    magnitude = np.minimum(np.abs(np.where(np.isfinite(y), y, 1.0)), float(np.finfo(np.float64).max))
    exponent = np.where(magnitude == 0, info.minexp, np.maximum(np.frexp(magnitude)[1] - 1, info.minexp))
    return np.asarray(np.ldexp(np.longdouble(1), exponent - info.nmant))
