"""Expresses errors in units of rounding noise: 1 is usual for float32, beyond 10 is diverged, 100 is a bug.

A point of the model has a measured float32 noise (`noise.measured`). The unit of a value of that point is the larger
of the noise's rms and half a float32 ulp of the value, whatever dtype the value is stored in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from npblender.common.printable import shown

Verdict = Literal["within noise", "borderline", "diverged"]

DIVERGED = 10.0
"""An rms of more units than this is not rounding noise."""

BORDERLINE, BORDERLINE_PART = 5.0, 0.625
"""An rms of more units than this, or a single value beyond this part of its limit, is as far as plain float32 loops go:
measured, correct ports stay below 3.6 units and, but for one value in some thousand points, this part of the limit."""

ALONE, ALONE_SPREAD = 5.0, 2.0
"""Of an operation alone, given the reference's own inputs, an rms of more units than this is not rounding noise, nor a
value that is off by more than this many times the largest deviation seen (and 10 units)."""

BUG = 100.0
"""An rms of more units than this cannot come from another order of the same operations."""

SPREAD = 3.0
"""How many times the largest deviation seen when the noise was measured a single value may be off. Trained models have
a few values whose noise is 40 times that of their point; correct ports reached 2.5 times what was seen there."""

FALLBACK_ULPS = 16.0
"""Where no noise was measured, this many float32 ulps of the reference's rms are assumed. Measured, nine of ten points
have less than 8.8 (the demo) or 16 (random weights of the 90M's size); the noisiest have 30."""

FALLBACK_SPREAD = 20.0
"""How many times its rms the largest deviation is assumed to be where no noise was measured. Of the points with as much
noise as is assumed, it was 15 times the rms at most; few with a fourth of that have 40 times their own."""

STANDS_FOR_HIDDEN = 1e18
"""Values of this magnitude and more are set and not computed: scores of hidden keys, logits never chosen."""

HISTOGRAM_BOUNDS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1024.0, float("inf"))
"""Upper bounds, in float32 ulps, of the bins of `Score.ulp_histogram`."""

_LARGEST = float(np.finfo(np.float32).max)
_LOWEST_EXPONENT, _HIGHEST_EXPONENT, _MANTISSA_BITS = -126, 127, 23


@dataclass(frozen=True)
class Noise:
    """How far correct float32 evaluations of one point lie from the truth, absolute."""

    rms: float
    max: float
    each: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """Of every value by itself, where the condition of each is known."""
    spread: float | None = None
    """How many times the noise of its own value the largest deviation seen was."""

    def __post_init__(self) -> None:
        if self.spread is not None and not 0 <= self.spread < float("inf"):
            raise ValueError(f"a spread is at least 0 and finite; got {shown(self.spread)}")
        if not (0 <= self.rms <= self.max < float("inf")):
            raise ValueError(f"noise has 0 <= rms <= max, finite; got rms {shown(self.rms)} and max {shown(self.max)}")

    @property
    def numbers(self) -> dict[str, float]:
        """What stands in JSON: rms and max, and the spread where the noise is of every value."""
        found = {"rms": self.rms, "max": self.max}
        return found if self.spread is None else found | {"spread": self.spread}


@dataclass(frozen=True)
class Score:
    """How far one array lies from its reference."""

    units: float  # rms of the errors in units
    worst: float  # the largest error in units
    units_limit: float  # the largest rms that is still noise
    worst_limit: float  # the largest single error that is still noise at this point
    worst_index: tuple[int, ...] | None  # where it is; None if there are no values
    reference_value: float  # the two values there; NaN if there are no values
    mine_value: float
    max_error: float  # absolute; infinite where one is NaN or infinite and the other is not the same
    rms_error: float
    ulp_histogram: tuple[tuple[float, int], ...]  # (upper bound in float32 ulps, how many values up to it)
    values: int
    reference_nan: int
    mine_nan: int
    reference_infinite: int
    mine_infinite: int
    noise: Noise  # the noise that the units are of
    measured: bool  # False: nothing was measured, and the noise is `assumed_noise`
    alone: bool = False  # whether it is one operation's answer to the reference's own inputs


def short(value: float) -> float:
    """Round to three digits: noise is no more exact than that, and files stay small."""
    return float(f"{value:.2e}")


def float32_ulp(values: ArrayLike) -> NDArray[np.float64]:
    """The gap between neighbouring float32 numbers at |values|, the smallest subnormal at 0.

    >>> float32_ulp([1.0, -0.75, 0.0]).tolist() == [2.0**-23, 2.0**-24, 2.0**-149]
    True
    """
    magnitude = np.minimum(np.abs(np.asarray(values, np.float64)), _LARGEST)  # NaN stays NaN
    exponent = np.frexp(magnitude)[1] - 1
    exponent = np.where(magnitude == 0, _LOWEST_EXPONENT, exponent)
    ulp: NDArray[np.float64] = np.ldexp(1.0, np.clip(exponent, _LOWEST_EXPONENT, _HIGHEST_EXPONENT) - _MANTISSA_BITS)
    return ulp


def assumed_noise(reference: ArrayLike) -> Noise:
    """Assume a noise for a point where none was measured: some ulps of the values' rms.

    >>> assumed_noise([1.0, -1.0]).rms == FALLBACK_ULPS * 2.0**-23
    True
    """
    values = np.asarray(reference, np.float64)
    values = values[np.abs(values) < STANDS_FOR_HIDDEN]  # NaN and infinity fall out, too
    if values.size == 0:
        return Noise(0.0, 0.0)
    rms = FALLBACK_ULPS * float(float32_ulp(np.sqrt(np.mean(np.square(values)))))
    return Noise(rms, FALLBACK_SPREAD * rms)


def unit(reference: ArrayLike, noise: Noise) -> NDArray[np.float64]:
    """Compute the unit of each value: the larger of its noise, or of the point's, and half a float32 ulp of the value.

    >>> unit([1.0, 64.0], Noise(1e-7, 5e-7)).tolist() == [1e-7, 2.0**-18]
    True
    """
    ulp = float32_ulp(reference)
    own = noise.each is not None and noise.each.shape == ulp.shape
    return np.maximum(ulp / 2, noise.each if own and noise.each is not None else noise.rms)


def worst_limit(noise: Noise, *, alone: bool = False) -> float:
    """The limit of a single value, in units: 10, or 3 times the largest measured deviation; 2 times it alone.

    >>> [worst_limit(Noise(1.0, seen)) for seen in (2.0, 4.0, 6.0, 20.0)]
    [10.0, 12.0, 18.0, 60.0]
    """
    seen = noise.max / noise.rms if noise.rms > 0 else 0.0
    seen = seen if noise.spread is None else noise.spread
    return max(DIVERGED, (ALONE_SPREAD if alone else SPREAD) * seen)


def _comparable(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Convert to float64 and clip to float32's range: a float64 program hides keys with -1.8e308."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, not {array.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):  # a NaN may be a signalling one
        if array.dtype.kind == "f":
            array = np.where(np.isfinite(array), array.clip(-_LARGEST, _LARGEST), array)
        return array.astype(np.float64)


def _differences(reference: NDArray[np.float64], mine: NDArray[np.float64]) -> NDArray[np.float64]:
    """|mine - reference|; 0 where both are NaN or the same infinity, infinite where only one of them is."""
    with np.errstate(invalid="ignore"):
        difference = np.abs(mine - reference)
    same = (reference == mine) | (np.isnan(reference) & np.isnan(mine))
    return np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference))


def errors_in_units(reference: ArrayLike, mine: ArrayLike, noise: Noise) -> NDArray[np.float64]:
    """Compute |mine - reference| / unit, value by value. NaN and infinity agree only with themselves.

    >>> errors_in_units([1.0, 2.0, np.nan], [1.0, 2.5, np.nan], Noise(0.25, 0.25))
    array([0., 2., 0.])
    """
    expected, found = _comparable("the reference", reference), _comparable("what is compared", mine)
    if expected.shape != found.shape:
        raise ValueError(f"shapes differ: the reference has {expected.shape}, what is compared {found.shape}")
    finite = np.where(np.isfinite(expected), expected, 0.0)
    return _differences(expected, found) / unit(finite, noise)


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0


def _histogram(reference: NDArray[np.float64], difference: NDArray[np.float64]) -> tuple[tuple[float, int], ...]:
    ulps = difference / float32_ulp(np.where(np.isfinite(reference), reference, 0.0))
    bins = np.searchsorted(HISTOGRAM_BOUNDS, ulps.ravel(), side="left")
    counts = np.bincount(bins, minlength=len(HISTOGRAM_BOUNDS))
    return tuple(zip(HISTOGRAM_BOUNDS, map(int, counts), strict=True))


def score(reference: ArrayLike, mine: ArrayLike, noise: Noise | None = None, *, alone: bool = False) -> Score:
    """Measure how far `mine` lies from `reference`, arrays of one shape and any real dtypes, in units of `noise`.

    An operation `alone`, given the reference's own inputs, has narrower limits. Without noise, `assumed_noise` of the
    reference is used and `measured` is False. Raises TypeError for arrays that
    do not hold real numbers, ValueError for unequal shapes.

    >>> found = score([1.0, 2.0, 3.0], [1.0, 2.0, 4.0], Noise(0.5, 1.0))
    >>> found.worst, found.worst_index, found.max_error, round(found.units, 3)
    (2.0, (2,), 1.0, 1.155)
    """
    expected, found = _comparable("the reference", reference), _comparable("what is compared", mine)
    used = assumed_noise(expected) if noise is None else noise
    errors = errors_in_units(expected, found, used)
    difference = _differences(expected, found)
    index = tuple(int(i) for i in np.unravel_index(np.argmax(errors), errors.shape)) if errors.size else None
    return Score(
        units=_rms(errors),
        worst=float(errors.max(initial=0.0)),
        units_limit=ALONE if alone else DIVERGED,
        worst_limit=worst_limit(used, alone=alone),
        worst_index=index,
        reference_value=float("nan") if index is None else float(expected[index]),
        mine_value=float("nan") if index is None else float(found[index]),
        max_error=float(difference.max(initial=0.0)),
        rms_error=_rms(difference),
        ulp_histogram=_histogram(expected, difference),
        values=int(expected.size),
        reference_nan=int(np.isnan(expected).sum()),
        mine_nan=int(np.isnan(found).sum()),
        reference_infinite=int(np.isinf(expected).sum()),
        mine_infinite=int(np.isinf(found).sum()),
        noise=used,
        measured=noise is not None,
        alone=alone,
    )


def judge(found: Score) -> Verdict:
    """Decide whether noise explains an error, as a whole and in each single value; alone, nothing is borderline.

    >>> [judge(score([1.0], [1.0 + error], Noise(0.05, 0.1))) for error in (0.1, 0.45, 0.6)]
    ['within noise', 'borderline', 'diverged']
    >>> judge(score([1.0], [1.3], Noise(0.05, 0.1), alone=True))
    'diverged'
    """
    if found.units > found.units_limit or found.worst > found.worst_limit:
        return "diverged"
    if not found.alone and (found.units > BORDERLINE or found.worst > BORDERLINE_PART * found.worst_limit):
        return "borderline"
    return "within noise"


def diverged(found: Score) -> bool:
    """Whether an array is further off than noise explains, as a whole or in a single value.

    >>> diverged(score([1.0, 2.0], [1.0, 2.0], Noise(1e-7, 2e-7))), diverged(score([0.0], [1.0], Noise(0.05, 0.1)))
    (False, True)
    """
    return judge(found) == "diverged"
