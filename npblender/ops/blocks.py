"""Evaluation in blocks that stay in cache. A kernel is a function of one contiguous block."""

from collections.abc import Callable
from typing import Any

import numpy as np

from npblender.common.array_types import FloatArray
from npblender.ops.threads import num_threads, run_in_threads

BLOCK = 8192  # values: a block of doubles is 64 KB, and a kernel's few temporaries stay in the second-level cache


def in_blocks(kernel: Callable[[FloatArray], FloatArray], x: FloatArray) -> FloatArray:
    """Evaluate an elementwise `kernel` block by block; shape and dtype of x.

    A kernel of many steps runs several times faster on blocks that stay in cache than on an array that does
    not. It is given one axis of at most `BLOCK` contiguous values, which it must not change: of longdouble
    for longdouble, else of float64, so that a float32 result is rounded once.

    >>> in_blocks(np.square, np.array([[1.0, 2.0]], np.float32))
    array([[1., 4.]], dtype=float32)
    """
    working = np.longdouble if x.dtype == np.longdouble else np.float64
    flat = x.reshape(-1)
    result = np.empty(flat.shape, x.dtype)
    for start in range(0, flat.size, BLOCK):
        block: FloatArray = np.ascontiguousarray(flat[start : start + BLOCK], dtype=working)
        result[start : start + BLOCK] = kernel(block)
    return result.reshape(x.shape)


ROW_BLOCK = 2**18  # bytes: rows are taken together up to this size, so that a few passes stay in cache
SHARED = 2**18  # values from which two threads are faster than one; each pass must outlast the change of threads


def by_rows(kernel: Callable[..., None], x: FloatArray, *shared: Any) -> FloatArray:
    """Evaluate a kernel of rows block by block: x [..., D], D > 0; shape and dtype of x.

    `kernel(rows, out, *shared)` is given some rows [rows, D] of x and the place [rows, D] for their results.

    >>> def running_sum(rows, out):
    ...     np.cumsum(rows, axis=1, out=out)
    >>> by_rows(running_sum, np.ones((2, 3)))
    array([[1., 2., 3.],
           [1., 2., 3.]])
    """
    rows = x.reshape(-1, x.shape[-1])  # [..., D] -> [rows, D]
    result = np.empty(rows.shape, x.dtype)
    if x.nbytes <= ROW_BLOCK:
        kernel(rows, result, *shared)
        return result.reshape(x.shape)
    step = max(1, ROW_BLOCK // (x.shape[-1] * x.itemsize))

    def job(_worker: int, first: int, last: int) -> None:
        for start in range(first * step, min(last * step, len(rows)), step):
            kernel(rows[start : start + step], result[start : start + step], *shared)

    run_in_threads(job, -(-len(rows) // step), num_threads() if x.size >= SHARED else 1)
    return result.reshape(x.shape)
