"""What the operations share: checks of their input, and evaluation in blocks that stay in cache.

Not here: any mathematics. A kernel is a function of one contiguous block; this module only feeds it.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from npblender.common.array_types import FloatArray
from npblender.ops.threads import num_threads, run_in_threads

FLOAT_CODES = frozenset("fdg")  # NumPy's codes of float32, float64 and longdouble
NATIVE = tuple(np.dtype(code) for code in "fdg")


def float_array(name: str, x: npt.ArrayLike) -> FloatArray:
    """Return `x` as an array if its dtype is float32, float64 or longdouble; never convert a dtype.

    Raises TypeError, naming the argument and its dtype, for anything else (integers, float16, complex,
    a byte-swapped float, a masked array).

    >>> float_array("x", [0.5, 1.0])
    array([0.5, 1. ])
    >>> float_array("x", np.ones(3, np.float16))
    Traceback (most recent call last):
        ...
    TypeError: x has dtype float16, but float32, float64 or longdouble is needed: convert it first, \
for example x.astype(np.float32)
    """
    if type(x) is np.ndarray and x.dtype in NATIVE:  # nearly always
        return x
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be lost: pass {name}.filled(value)")
    array = np.asarray(x)
    if array.dtype.char not in FLOAT_CODES or not array.dtype.isnative:
        raise TypeError(
            f"{name} has dtype {array.dtype}, but float32, float64 or longdouble is needed: "
            f"convert it first, for example {name}.astype(np.float32)"
        )
    return array


def same_dtype(name: str, x: npt.ArrayLike, other_name: str, other: FloatArray) -> FloatArray:
    """Return `x` as a float array of the dtype of `other`; raise TypeError with both dtypes if it differs.

    >>> same_dtype("bias", np.zeros(2), "x", np.zeros(2, np.float32))
    Traceback (most recent call last):
        ...
    TypeError: bias has dtype float64, but x has float32: convert one of them, so that nothing is promoted
    """
    array = float_array(name, x)
    if array.dtype != other.dtype:
        raise TypeError(
            f"{name} has dtype {array.dtype}, but {other_name} has {other.dtype}: "
            "convert one of them, so that nothing is promoted"
        )
    return array


BLOCK = 8192  # values: a block of doubles is 64 KB, and a kernel's few temporaries stay in the second-level cache


def in_blocks(kernel: Callable[[FloatArray], FloatArray], x: FloatArray) -> FloatArray:
    """Evaluate an elementwise `kernel` block by block; shape and dtype of x.

    A kernel of many steps runs several times faster on blocks that stay in cache than on an array that does
    not. It is given one axis of at most `BLOCK` contiguous values, which it must not change: of longdouble
    for longdouble, else of float64, so that a float32 result is rounded once. Floating point warnings are
    off: a kernel lets NaN and infinity flow.

    >>> in_blocks(np.square, np.array([[1.0, 2.0]], np.float32))
    array([[1., 4.]], dtype=float32)
    """
    working = np.longdouble if x.dtype == np.longdouble else np.float64
    flat = x.reshape(-1)
    result = np.empty(flat.shape, x.dtype)
    with np.errstate(all="ignore"):
        for start in range(0, flat.size, BLOCK):
            block: FloatArray = np.ascontiguousarray(flat[start : start + BLOCK], dtype=working)
            result[start : start + BLOCK] = kernel(block)
    return result.reshape(x.shape)


ROW_BLOCK = 2**18  # bytes: rows are taken together up to this size, so that a few passes stay in cache
SHARED = 2**18  # values from which two threads are faster than one; each pass must outlast the change of threads


def by_rows(kernel: Callable[..., None], x: FloatArray, *shared: Any) -> FloatArray:
    """Evaluate a kernel of rows block by block: x [..., D], D > 0; shape and dtype of x.

    `kernel(rows, out, *shared)` is given some rows [n, D] of x and the place [n, D] for their results. Floating point
    warnings are off, as in `in_blocks`.

    >>> def running_sum(rows, out):
    ...     np.cumsum(rows, axis=1, out=out)
    >>> by_rows(running_sum, np.ones((2, 3)))
    array([[1., 2., 3.],
           [1., 2., 3.]])
    """
    shape = x.shape
    rows = x if len(shape) == 2 else x.reshape(math.prod(shape[:-1]), shape[-1])
    result = np.empty(rows.shape, x.dtype)
    if x.nbytes <= ROW_BLOCK:
        with np.errstate(all="ignore"):
            kernel(rows, result, *shared)
        return result if len(shape) == 2 else result.reshape(shape)
    step = max(1, ROW_BLOCK // (shape[-1] * x.itemsize))

    def job(_worker: int, first: int, last: int) -> None:
        with np.errstate(all="ignore"):
            for start in range(first * step, min(last * step, len(rows)), step):
                kernel(rows[start : start + step], result[start : start + step], *shared)

    run_in_threads(job, -(-len(rows) // step), num_threads() if x.size >= SHARED else 1)
    return result.reshape(shape)
