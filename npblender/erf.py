"""The error function and the standard normal distribution function, which NumPy lacks."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from npblender.elementwise import FloatArray, float_array


def _erfc_series(x: Any) -> Any:
    """1 - erf by the power series below 3, and by the continued fraction above."""
    one = np.longdouble(1)
    square = x * x
    pi = np.longdouble("3.14159265358979323846264338327950288")
    if x < 3:
        term, total, n = x, x, 0
        while abs(term) > total * np.finfo(np.longdouble).eps / 8:
            n += 1
            term = term * 2 * square / (2 * n + 1)
            total = total + term
        return one - 2 / np.sqrt(pi) * np.exp(-square) * total
    tail = x
    for n in range(120, 0, -1):
        tail = x + (one * n / 2) / tail
    return np.exp(-square) / np.sqrt(pi) / tail


def _erfc_scalar(x: Any) -> Any:
    if not isinstance(x, np.longdouble):
        return type(x)(math.erfc(float(x)))
    if not np.isfinite(x):
        return np.longdouble(math.erfc(float(x)))
    return _erfc_series(x) if x >= 0 else 2 - _erfc_series(-x)


def erf(x: npt.ArrayLike) -> FloatArray:
    """The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x; shape and dtype of x."""
    x = float_array("x", x)
    if x.dtype == np.longdouble:
        values: list[Any] = [
            1 - _erfc_scalar(v) if v >= 0 or v != v else _erfc_scalar(-v) - 1 for v in x.ravel()
        ]
    else:
        values = [math.erf(v) for v in x.ravel()]
    return np.array(values, dtype=x.dtype).reshape(x.shape)


def normal_cdf(x: npt.ArrayLike) -> FloatArray:
    """The standard normal distribution function, erfc(-x/sqrt(2))/2; shape and dtype of x."""
    x = float_array("x", x)
    scaled = -x * np.sqrt(x.dtype.type(0.5))
    values = [_erfc_scalar(v) / 2 for v in scaled.ravel()]
    return np.array(values, dtype=x.dtype).reshape(x.shape)
