"""How an operation is evaluated: in blocks that stay in cache, shared out over a few Python threads.

NumPy releases the interpreter while it computes. How the work is cut never depends on the number of threads, only which
thread does which pieces, so results are the same for any number. Each operation decides from which size on sharing
pays.
"""

import functools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from queue import SimpleQueue
from typing import Any

import numpy as np

from npblender.common.array_types import FloatArray
from npblender.common.checks import check_whole
from npblender.ops.packed.blas import function, openblas, wake_threads

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


ROW_BLOCK = 2**19  # bytes: rows are taken together up to this size, so that a few passes stay in a core's own cache
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
        for start in range(first, last, step):
            end = min(start + step, last)
            kernel(rows[start:end], result[start:end], *shared)

    run_in_threads(job, len(rows), num_threads() if x.size >= SHARED else 1)  # equal shares: whole blocks are not
    return result.reshape(x.shape)


VARIABLES = ("NPBLENDER_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Where a number is looked for, in this order; without one it is the processors that this process may run on."""

_ASKED: ContextVar[int | None] = ContextVar("threads", default=None)


def num_threads() -> int:
    """How many threads a large operation uses here.

    >>> with use_threads(3):
    ...     num_threads()
    3
    """
    return _ASKED.get() or _default()


@contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Let the operations inside use `count` threads; other threads of the program are not affected.

    Raises ValueError for a count below 1, TypeError for what is no whole number.
    """
    count = check_whole("count", count, at_least=1)
    token = _ASKED.set(count)
    try:
        yield
    finally:
        _ASKED.reset(token)


def run_in_threads(job: Callable[[int, int, int], None], parts: int, threads: int) -> None:
    """Call `job(worker, first, last)` on ranges that cover 0 to `parts`, in up to `threads` threads at once.

    Workers count from 0, so that each may have its own piece of memory that the caller took: what another thread
    takes for itself it gives back to the system, page by page, each time.

    >>> run_in_threads(lambda worker, first, last: print(worker, first, last), 5, 1)
    0 0 5
    """
    threads = min(threads, parts)
    if threads <= 1:
        job(0, 0, parts)
        return
    edges = [parts * n // threads for n in range(threads + 1)]
    ended: SimpleQueue[BaseException | None] = SimpleQueue()
    for n in range(1, threads):
        _helper().put((job, n, *edges[n : n + 2], ended))
    try:
        job(0, edges[0], edges[1])
    finally:
        errors = [ended.get() for _ in range(1, threads)]
    for error in errors:
        if error is not None:
            raise error


@functools.cache
def _default() -> int:
    for name in VARIABLES:
        value = os.environ.get(name, "")
        if value.isdecimal() and int(value) > 0:
            return int(value)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_idle: list[SimpleQueue[Any]] = []  # of each thread that waits for work, where to put it


def _helper() -> SimpleQueue[Any]:
    """Where to put work for a thread that has none; a new one if all are busy. (An executor takes 4 ms to import.)"""
    try:
        return _idle.pop()
    except IndexError:
        work: SimpleQueue[Any] = SimpleQueue()
        threading.Thread(target=_help, args=(work,), name="npblender", daemon=True).start()
        return work


def _help(work: SimpleQueue[Any]) -> None:
    """What a thread does: work off jobs, one after the other, with NumPy's warnings off, as in any operation."""
    np.seterr(all="ignore")
    while True:
        job, worker, first, last, ended = work.get()
        error = None
        try:
            job(worker, first, last)
        except BaseException as raised:
            error = raised
        del job
        _idle.append(work)
        ended.put(error)
        del ended, error


def blas_threads() -> int | None:
    """How many threads NumPy's own OpenBLAS uses; None where NumPy has another BLAS, which cannot be asked."""
    library = openblas()
    return None if library is None else int(function(library, "get_num_threads")())


def set_blas_threads(count: int) -> None:
    """Let NumPy's own OpenBLAS use so many threads, in the whole process; nothing where NumPy has another BLAS."""
    library = openblas()
    if library is not None:
        function(library, "set_num_threads")(count)


def wake_blas_threads() -> None:
    """Let NumPy's own OpenBLAS use as many threads as are wanted here, where it has fewer."""
    wake_threads(num_threads())


if hasattr(os, "register_at_fork"):  # a forked process has the list, but none of the threads
    os.register_at_fork(after_in_child=_idle.clear)
