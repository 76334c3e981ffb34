"""Work shared out over a few Python threads: NumPy lets go of the interpreter while it computes.

How the work is cut never depends on the number of threads, only who does which pieces, so results are the same for
any number. Not here: what is worth sharing; each operation knows its own cost.
"""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from npblender.fieldchecks import check_size

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

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
    check_size("count", count)
    token = _ASKED.set(count)
    try:
        yield
    finally:
        _ASKED.reset(token)


def share_out(job: Callable[[int, int, int], None], parts: int, threads: int) -> None:
    """Call `job(worker, first, last)` on ranges that cover 0 to `parts`, in up to `threads` threads at once.

    Workers count from 0, so that each may have its own piece of memory that the caller took: what another thread
    takes for itself it gives back to the system, page by page, each time.

    >>> share_out(lambda worker, first, last: print(worker, first, last), 5, 1)
    0 0 5
    """
    threads = min(threads, parts)
    if threads <= 1:
        job(0, 0, parts)
        return
    edges = [parts * n // threads for n in range(threads + 1)]
    others = [_pool().submit(job, n, *edges[n : n + 2]) for n in range(1, threads)]
    try:
        job(0, edges[0], edges[1])
    finally:
        for other in others:
            other.result()


@functools.cache
def _default() -> int:
    for name in VARIABLES:
        value = os.environ.get(name, "")
        if value.isdecimal() and int(value) > 0:
            return int(value)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def _pool() -> "ThreadPoolExecutor":
    from concurrent.futures import ThreadPoolExecutor  # only where something is large enough to be shared

    return ThreadPoolExecutor(thread_name_prefix="npblender")


if hasattr(os, "register_at_fork"):  # a forked process has the pool, but none of its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
