"""The error function and the standard normal distribution function, which NumPy lacks.

Both come from polynomials whose coefficients `tools/measure/derive_erf.py` derives from the definition. With r for the
polynomial of the row, a different one in each:

    |x| < 1     erf(x) = x + x (1/8 - 9/32 x^2 + r(x^2))
    |x| >= 1    erf(x) = 1 - erfc(x), and erfc(y) = exp(-y^2) (1 + r((y - 4)/(y + 4))) / (2y + 1)
    |x| < 1     Phi(x) = 1/2 + x (3/8 + r(x^2))
    |x| >= 1    Phi(x) = Q(-x) or 1 - Q(x), and Q(u) = exp(-u^2/2) (1 + r((u - 5)/(u + 5))) / (2u + 3/2)

Accuracy is lost in two places if one is careless. A rounding of u^2/2 by one part in 2^53 changes exp(-u^2/2) by
u^2/2 such parts: so an argument is split into a short head, whose square is exact, and the rest, and
u^2 = head^2 + (u - head)(u + head). And every factor near 1 that is multiplied on costs another rounding: so the small
corrections are summed up first and applied in one step, as value + value * correction. Where a result is subnormal,
what multiplies the exponential is below 1/2, so that its rounding down there does not grow.

float32 goes through float64. Measured against mpmath (`tools/measure/ops.py`; figures in docs/ops.md): erf is
within 1 ulp in float32 and float64 and within 2 in longdouble, on the whole line, subnormal results included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from npblender.common.array_types import FloatArray
from npblender.ops import erf_tables
from npblender.ops.threads import in_blocks

Scalar: TypeAlias = np.floating[Any]
Kernel: TypeAlias = Callable[[FloatArray], FloatArray]


def erf(x: FloatArray) -> FloatArray:
    """The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x. Any shape; dtype of x.

    >>> x = np.array([-np.inf, 0.0, 0.5, 1.0])
    >>> t = (np.arange(2000) + 0.5) / 2000  # the integral's middles, from 0 to 1
    >>> (2 / np.sqrt(np.pi) * np.exp(-t * t).mean()).round(6)
    np.float64(0.842701)
    >>> erf(x).round(6)
    array([-1.      ,  0.      ,  0.5205  ,  0.842701])

    Odd in every bit: erf(-x) is -erf(x) and erf(-0.0) is -0.0. erf of an infinity is 1 with its sign; NaN stays NaN.
    Definition: Abramowitz and Stegun, 7.1.1; error bounds at the top of this module.
    """
    return in_blocks(lambda block: near_or_far(block, _erf_near, _erf_far), x)


def normal_cdf(x: FloatArray) -> FloatArray:
    """(1 + erf(x/sqrt(2)))/2, the standard normal distribution function. Any shape; dtype of x.

    >>> x = np.array([-np.inf, -1.0, 0.0, 1.0, np.inf])
    >>> ((1 + erf(x / np.sqrt(2))) / 2).round(6)
    array([0.      , 0.158655, 0.5     , 0.841345, 1.      ])
    >>> normal_cdf(x).round(6)
    array([0.      , 0.158655, 0.5     , 0.841345, 1.      ])

    Accurate in the left tail, where it underflows gradually, as erfc(-x/sqrt(2))/2 does and the line above does not;
    NaN stays NaN.
    """
    return in_blocks(lambda block: near_or_far(block, normal_near, _normal_far), x)


@dataclass(frozen=True)
class _Constants:
    """What the kernels need to know about one dtype."""

    erf_near: tuple[Scalar, ...]
    erf_tail: tuple[Scalar, ...]
    normal_near: tuple[Scalar, ...]
    normal_tail: tuple[Scalar, ...]
    erf_is_one: float  # from this argument on
    tail_is_zero: float  # from this argument on, Q and its product with the argument underflow


def _constants(dtype: type[Scalar]) -> _Constants:
    info = np.finfo(dtype)  # longdouble is the same as double on some machines, and wider on others
    extended = info.nmant > 52
    wide_exponent = info.minexp < -2000

    def chosen(double: tuple[float, ...], pairs: tuple[tuple[float, float], ...]) -> tuple[Scalar, ...]:
        return tuple(dtype(head) + dtype(rest) for head, rest in pairs) if extended else tuple(map(dtype, double))

    return _Constants(
        erf_near=chosen(erf_tables.ERF_NEAR, erf_tables.ERF_NEAR_EXTENDED),
        erf_tail=chosen(erf_tables.ERF_TAIL, erf_tables.ERF_TAIL_EXTENDED),
        normal_near=chosen(erf_tables.NORMAL_NEAR, erf_tables.NORMAL_NEAR_EXTENDED),
        normal_tail=chosen(erf_tables.NORMAL_TAIL, erf_tables.NORMAL_TAIL_EXTENDED),
        erf_is_one=7.0 if extended else 6.0,
        tail_is_zero=152.0 if wide_exponent else 39.0,
    )


_DOUBLE = _constants(np.float64)
_LONGDOUBLE = _constants(np.longdouble)


def _constants_of(x: FloatArray) -> _Constants:
    return _LONGDOUBLE if x.dtype == np.longdouble else _DOUBLE


def _polynomial(coefficients: tuple[Scalar, ...], variable: FloatArray) -> FloatArray:
    """Horner's rule; lowest power first."""
    value = variable * coefficients[-1]
    for c in coefficients[-2:0:-1]:
        value += c
        value *= variable
    value += coefficients[0]
    return value


def _head(x: FloatArray) -> FloatArray:
    """x rounded to 24 bits: its square, of 48 bits, is exact."""
    return x.astype(np.float32).astype(x.dtype)


def short_head(x: FloatArray, bits: int) -> FloatArray:
    """x rounded to `bits` bits, by Veltkamp's splitting: its powers are exact while they fit.

    >>> short_head(np.array([1 / 3]), 4), 11 / 32
    (array([0.34375]), 0.34375)
    """
    wide = x * x.dtype.type(2.0 ** (np.finfo(x.dtype).nmant + 1 - bits) + 1)
    return wide - (wide - x)


def _apply(value: FloatArray, smooth: FloatArray, steep: FloatArray) -> None:
    """value *= (1 + smooth) * exp(steep), for small smooth and steep, with one rounding that counts."""
    correction = np.expm1(steep)
    correction += correction * smooth
    correction += smooth
    correction *= value
    value += correction


def near_or_far(x: FloatArray, near: Kernel, far: Kernel) -> FloatArray:
    """near(x) where |x| < 1, else far(x).

    >>> near_or_far(np.array([-2.0, 0.5, 3.0]), np.negative, np.square)
    array([ 4. , -0.5,  9. ])
    """
    is_near = np.abs(x) < 1
    if is_near.all():
        return near(x)
    is_far = ~is_near
    value = np.empty_like(x)
    value[is_far] = far(x[is_far])
    value[is_near] = near(x[is_near])
    return value


def _erf_near(x: FloatArray) -> FloatArray:
    head = short_head(x, 16)  # its cube, of 48 bits, is exact
    rest = x - head
    small = _polynomial(_constants_of(x).erf_near, x * x)
    small *= x
    small += rest * (0.125 - 0.28125 * (head * head + head * x + x * x))  # x^3 - head^3 is rest times this sum
    small += head * (0.125 - 0.28125 * (head * head))  # exact but for the smallest x; so it is added late
    small += x
    tiny = np.abs(x) < 1e-200
    if tiny.any():  # above, several products may be subnormal, each of them rounded; here it is one
        np.copyto(small, x + x * (_constants_of(x).erf_near[0] + 0.125), where=tiny)
    return small


def _erf_far(x: FloatArray) -> FloatArray:
    size = np.clip(np.abs(x), 1, _constants_of(x).erf_is_one)
    head = _head(size)
    value = np.exp(head * -head)
    value /= size + size + 1
    smooth = _polynomial(_constants_of(x).erf_tail, (size - 4) / (size + 4))
    _apply(value, smooth, (head - size) * (size + head))
    np.subtract(1, value, out=value)
    return np.copysign(value, x, out=value)


def normal_near(x: FloatArray) -> FloatArray:
    """The standard normal distribution function, for |x| < 1.

    >>> normal_near(np.array([0.0, 0.5])).round(6)
    array([0.5     , 0.691462])
    """
    head = _head(x)
    value = _polynomial(_constants_of(x).normal_near, x * x)
    value *= x
    value += (x - head) * 0.375
    value += head * 0.375 + 0.5  # exact but for the smallest x
    return value


def normal_tail(size: FloatArray, times_size: bool = False) -> FloatArray:
    """Q(size), or size * Q(size), for size >= 1.

    Q(u) = erfc(u/sqrt(2))/2 is the probability that a standard normal variable exceeds u.

    >>> normal_tail(np.array([1.0, 2.0])).round(6), normal_tail(np.array([2.0]), times_size=True).round(6)
    (array([0.158655, 0.02275 ]), array([0.0455]))
    """
    constants = _constants_of(size)
    size = np.clip(size, 1, constants.tail_is_zero)
    head = _head(size)
    value = np.exp(head * head * -0.5)
    smooth = _polynomial(constants.normal_tail, (size - 5) / (size + 5))
    if times_size:  # size/(2 size + 3/2) = (1 - w)/2
        value *= 0.5
        w = 1.5 / (size + size + 1.5)
        smooth -= w + w * smooth
    else:
        value /= size + size + 1.5
    _apply(value, smooth, (head - size) * (size + head) * 0.5)
    return value


def _normal_far(x: FloatArray) -> FloatArray:
    value = normal_tail(np.abs(x))
    return np.subtract(1, value, out=value, where=x > 0)
