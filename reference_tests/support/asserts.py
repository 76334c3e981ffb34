"""Asserts that say where two arrays differ: the index, both values, the ulps between, and a call to paste.

All of them compare shape first, then dtype, then NaN and infinity, then values, and report the first rung
of that ladder that breaks.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from mpmath import mp, mpf

from reference_tests.support.tolerances import Tolerance

PASTE_LIMIT = 400  # values; more than this is described rather than written out


def exact(value: Any) -> mpf:
    """The mpmath number that equals a finite NumPy float to the last bit, or a NaN or infinity."""
    if not np.isfinite(value):
        return mpf(float(value))
    mantissa, exponent = np.frexp(value)
    with mp.workprec(300):
        return mp.ldexp(mpf(int(np.ldexp(mantissa, 120))), int(exponent) - 120)


def ulp_of(value: mpf, dtype: Any) -> mpf:
    """The spacing of `dtype` in the binade of `value`: that of the subnormals below the smallest normal."""
    info = np.finfo(dtype)
    exponent = mp.frexp(value)[1] if value else info.minexp
    return mp.ldexp(mpf(1), max(int(exponent) - 1, int(info.minexp)) - int(info.nmant))


def ulps(actual: Any, expected: Any) -> float:
    """How many ulps of `actual`'s dtype, at the expected value, lie between; `expected` may be an mpf."""
    reference = expected if isinstance(expected, mpf) else exact(expected)
    value = exact(actual)
    if mp.isnan(reference) or mp.isnan(value):
        return 0.0 if mp.isnan(reference) and mp.isnan(value) else float("inf")
    if mp.isinf(reference) or mp.isinf(value):
        return 0.0 if reference == value else float("inf")
    with mp.workprec(300):
        return float(abs(value - reference) / ulp_of(reference, np.asarray(actual).dtype))


def paste(value: Any) -> str:
    """`value` as Python source that gives the same bits."""
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        name = "longdouble" if array.dtype == np.longdouble else array.dtype.name
        if array.size > PASTE_LIMIT:
            return f"<{name} array of shape {array.shape}>"
        if array.dtype.kind != "f":
            return f"np.array({array.tolist()!r}, np.{name})"
        if array.dtype == np.longdouble:
            flat = ", ".join(f"'{v!s}'" for v in array.ravel())
        else:
            flat = ", ".join(str(v).replace("nan", "np.nan").replace("inf", "np.inf") for v in array.ravel())
        return f"np.array([{flat}], np.{name}).reshape({array.shape})"
    return repr(value)


def call_text(function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """The call `function(*args, **kwargs)` as text to paste after the import of the module it names."""
    arguments = [paste(a) for a in args] + [f"{k}={paste(v)}" for k, v in kwargs.items()]
    return f"{function.__module__}.{function.__qualname__}({', '.join(arguments)})"


def _report(why: str, actual: np.ndarray, expected: np.ndarray, index: tuple[int, ...], call: str | None) -> str:
    got, wanted = actual[index], expected[index]
    lines = [
        why,
        f"  at index {tuple(int(i) for i in index)} of shape {actual.shape}, {actual.dtype}",
        f"  actual   {got!r}",
        f"  expected {wanted!r}",
    ]
    if actual.dtype.kind == "f":
        lines.append(f"  apart    {ulps(got, wanted):.4g} ulp")
    if call is not None:
        lines.append(f"  call     {call}")
    return "\n".join(lines)


def _first(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(np.argwhere(mask)[0]) if mask.ndim else ()


def _assert_comparable(actual: np.ndarray, expected: np.ndarray, call: str | None, dtypes: bool) -> None:
    suffix = "" if call is None else f"\n  call     {call}"
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}{suffix}"
    if dtypes:
        assert actual.dtype == expected.dtype, f"dtype {actual.dtype}, expected {expected.dtype}{suffix}"


def assert_same(actual: Any, expected: Any, call: str | None = None) -> None:
    """Equal in shape, dtype and every bit that matters: NaN equals NaN, and -0.0 is not 0.0."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    _assert_comparable(actual, expected, call, dtypes=True)
    differ = actual != expected
    if actual.dtype.kind == "f":
        differ &= ~(np.isnan(actual) & np.isnan(expected))
        differ |= (actual == 0) & (expected == 0) & (np.signbit(actual) != np.signbit(expected))
    if differ.any():
        raise AssertionError(_report("values differ", actual, expected, _first(differ), call))


def _bound_in_ulps(tolerance: Tolerance, expected: mpf, largest: mpf, dtype: Any) -> float:
    """The bound of `tolerance` in ulps at an mpmath number, in a tensor whose largest magnitude is `largest`."""
    if tolerance.unit == "ulp":
        return tolerance.value
    scale = {
        "ulp of the max": ulp_of(largest, dtype),
        "relative": abs(expected),
        "relative above 1": max(abs(expected), mpf(1)),
        "of the max": largest,
        "absolute": mpf(1),
    }[tolerance.unit]
    return float(scale * tolerance.value / ulp_of(expected, dtype))


def assert_close(actual: Any, expected: Any, tolerance: Tolerance, call: str | None = None) -> None:
    """Within a row of the tolerance table. `expected` may be of a wider dtype, or hold mpmath numbers.

    NaN must meet NaN, and an infinity the same infinity. Reports the worst value.
    """
    actual = np.asarray(actual)
    expected = np.asarray(expected)
    _assert_comparable(actual, expected, call, dtypes=False)
    if actual.size == 0:
        return
    if expected.dtype != object:
        special = ~np.isfinite(expected) | ~np.isfinite(actual)
        wrong = special & ~((actual == expected) | (np.isnan(actual) & np.isnan(expected)))
        if wrong.any():
            raise AssertionError(_report("NaN or infinity differ", actual, expected, _first(wrong), call))
    error, bound = error_and_bound(actual, expected, tolerance)
    if not (error <= bound).all():
        excess = np.where(error > bound, error - bound, -1)
        index = tuple(map(int, np.unravel_index(int(np.argmax(excess)), actual.shape)))
        why = f"outside {tolerance.value:.3g} {tolerance.unit} ({tolerance.reason})"
        raise AssertionError(_report(why, actual, expected, index, call))


def error_and_bound(actual: np.ndarray, expected: np.ndarray, tolerance: Tolerance) -> tuple[np.ndarray, np.ndarray]:
    """How far each value is off, and how far it may be; in ulps where mpmath numbers are expected. NaN and infinity
    are off by 0. Every comparison within a row of the table goes through here."""
    if expected.dtype == object:
        error = np.empty(actual.shape, np.longdouble)
        bound = np.empty(actual.shape, np.longdouble)
        largest = max((abs(e) for e in expected.ravel() if mp.isfinite(e)), default=mpf(0))
        for index in np.ndindex(actual.shape):
            error[index] = ulps(actual[index], expected[index])
            bound[index] = _bound_in_ulps(tolerance, expected[index], largest, actual.dtype)
        return error, bound
    finite = np.isfinite(expected) & np.isfinite(actual)
    error = np.zeros(actual.shape, np.longdouble)
    np.subtract(actual, expected, out=error, where=finite, dtype=np.longdouble)
    return np.abs(error), np.asarray(tolerance.bound(np.where(finite, expected, 0), actual.dtype))
