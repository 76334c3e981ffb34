"""One row times a matrix that lies in rows: dot products, one row of the matrix after the other.

To multiply a single row is to read the matrix once. OpenBLAS's own kernel for it takes several rows of the matrix side
by side; where they are short, 512 numbers, one thread then gets a third of what memory gives on some processors, and it
uses a second one only from half a million numbers on. `np.vecdot` reads from the first number to the last, and one
thread gets all that there is, or most of it (measurements: docs/performance.md). A dot product does not depend on who
makes it, so the number of threads does not change a bit.
"""

from __future__ import annotations

import os
import statistics
import time

import numpy as np

from npblender.common.array_types import Array
from npblender.common.printable import shown
from npblender.ops.packed.blas import openblas
from npblender.ops.threads import num_threads, run_in_threads

VARIABLE = "NPBLENDER_SHARED_FROM"

SHARED = 2**22  # numbers from which threads share a matrix: what it takes to hand work over is lost in the reading
SOON = 2**20  # the same where one thread gets much less than memory gives
GAIN = 0.9  # of one thread's time: where two take no longer for `SOON` numbers, they share from there on


def multiply_row(matrix: Array, x: Array) -> Array:
    """x @ matrix.T for a single row: x [1, D], matrix [F, D] -> [1, F].

    >>> multiply_row(np.array([[3.0, 4.0], [5.0, 6.0]]), np.array([[1.0, 2.0]]))
    array([[11., 17.]])
    """
    if openblas() is None:  # another library's dot products may depend on where a row lies
        y: Array = np.matmul(x, matrix.T)
        return y
    y = np.empty((1, len(matrix)), x.dtype)
    row, out = x[0], y[0]

    def job(_worker: int, first: int, last: int) -> None:
        np.vecdot(matrix[first:last], row, out=out[first:last])

    run_in_threads(job, len(matrix), num_threads() if matrix.size >= Sharing.begins else 1)
    return y


class Sharing:
    """From how many numbers on threads share a matrix that a single row is multiplied by.

    How much one thread reads of what memory gives differs between processors: it is measured once a process, before
    the first pass of one row through a large model, in about two milliseconds. NPBLENDER_SHARED_FROM in the environment
    says it instead.
    """

    begins = SHARED
    is_known = False

    @classmethod
    def learn(cls, matrix: Array) -> None:
        """Find it out by a matrix [F, D] that is larger than a cache; a smaller one leaves the question open.

        Raises:
            ValueError: NPBLENDER_SHARED_FROM is no positive whole number.

        >>> Sharing.learn(np.ones((2, 2)))  # nothing
        """
        if cls.is_known or openblas() is None:
            return
        asked = os.environ.get(VARIABLE)
        if asked is not None:
            if not asked.isdecimal() or int(asked) < 1:
                raise ValueError(
                    f"{VARIABLE} is {shown(asked)}, but must be a whole number from 1 on: of how many numbers a matrix "
                    "must have so that threads share it"
                )
            cls.begins, cls.is_known = int(asked), True
        elif matrix.size >= 4 * SHARED and num_threads() > 1:
            cls.begins, cls.is_known = measured(matrix), True


def measured(matrix: Array) -> int:
    """`SOON` if two threads read so many numbers of a large matrix faster than one does, and else `SHARED`."""
    rows = SOON // matrix.shape[1]  # at a time
    row, out = matrix[:1], np.empty(rows, matrix.dtype)
    seconds: tuple[list[float], list[float]] = ([], [])

    def job(_worker: int, first: int, last: int) -> None:
        np.vecdot(piece[first:last], row, out=out[first:last])

    for turn in range(10):  # every time other numbers, which no cache holds
        piece = matrix[turn * rows : (turn + 1) * rows]
        begin = time.perf_counter()
        run_in_threads(job, rows, 1 + turn % 2)
        seconds[turn % 2].append(time.perf_counter() - begin)
    alone, together = (statistics.median(times[1:]) for times in seconds)  # the first one starts the thread
    return SOON if together <= GAIN * alone else SHARED
