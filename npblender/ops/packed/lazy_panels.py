"""A matrix that stays in rows, as files have it, until several rows are multiplied by it; then it is packed in panels.

A single row is multiplied fastest by a plain matrix, several rows by panels. A decoder that searches greedily for one
source never needs panels, so a matrix is packed at first use, once, and never held in both forms.

To multiply a single row is to read the matrix once. OpenBLAS's own kernel for it takes several rows of the matrix side
by side; where they are short, 512 numbers, one thread then gets a third of what memory gives on some processors, and it
uses a second one only from half a million numbers on. `np.vecdot` reads from the first number to the last, and one
thread gets all that there is, or most of it (measurements: docs/performance.md). A dot product does not depend on who
makes it, so the number of threads does not change a bit.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from npblender.common.array_types import Array
from npblender.common.printable import shown
from npblender.ops.packed.blas import Cut, openblas, preferred_cut
from npblender.ops.packed.matrix_like import Matrix, MatrixLike
from npblender.ops.packed.panels import FILLED, Panels
from npblender.ops.threads import num_threads, run_in_threads

SHARED = 2**20  # numbers from which a second thread pays when they are packed


class _Packed:
    """The numbers of a matrix [F, D], in either form. A form that was taken out stays valid."""

    def __init__(self, form: Array | Panels) -> None:
        self.form = form
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[_Packed], tuple[Array | Panels]]:
        """A copy has a lock of its own, in this process or in another."""
        return _Packed, (self.form,)

    def panels(self) -> Panels:
        """The matrix in panels; it is packed by the first call.

        >>> packed = _Packed(np.ones((3, 2)))
        >>> packed.panels() is packed.panels() is packed.form
        True
        """
        with self._lock:
            if not isinstance(self.form, Panels):
                self.form = packed(self.form)
            return self.form


def packed(rows: Array) -> Panels:
    """A matrix [F, D] in panels, packed by as many threads as there are.

    >>> packed(np.ones((3, 2)))
    Panels of a matrix [3, 2], float64
    """
    panels = Panels.empty((rows.shape[0], rows.shape[1]), rows.dtype)

    def job(_worker: int, first: int, last: int) -> None:
        panels.fill(first * FILLED, rows[first * FILLED : last * FILLED])

    run_in_threads(job, -(-len(rows) // FILLED), num_threads() if rows.size >= SHARED else 1)
    return panels


@dataclass(frozen=True, eq=False, repr=False)
class LazyPanels(MatrixLike):
    """A matrix [F, D], or one of `count` equal parts of one, in rows or in panels as its products need it.

    >>> one, two = LazyPanels.of(np.arange(12.0).reshape(6, 2)).split(2)
    >>> one.form(1)[0], LazyPanels.joined([one, two]).form(1)[5]
    (array([0., 1.]), array([10., 11.]))
    """

    shared: _Packed
    place: int = 0
    count: int = 1

    @classmethod
    def of(cls, rows: Array) -> LazyPanels:
        """A matrix [F, D], which is not copied.

        >>> LazyPanels.of(np.ones((3, 2))).in_rows
        True
        """
        return cls(_Packed(rows))

    @property
    def in_rows(self) -> bool:
        """Whether it has not been packed yet."""
        return not isinstance(self.shared.form, Panels)

    def form(self, given: int) -> Array | Panels:
        """The form that so many rows are multiplied by: an array, or panels for more than one.

        >>> matrix = LazyPanels.of(np.ones((3, 2)))
        >>> [type(matrix.form(given)).__name__ for given in (1, 2, 1)]
        ['ndarray', 'Panels', 'Panels']
        """
        form = self.shared.form if given <= 1 else self.shared.panels()
        if self.count == 1:
            return form
        if isinstance(form, Panels):
            return form.split(self.count)[self.place]
        size = len(form) // self.count
        return form[self.place * size : (self.place + 1) * size]

    def split(self, count: int) -> tuple[LazyPanels, ...]:
        """The matrix as `count` matrices of as many rows each, which `joined` puts together again.

        >>> [part.shape for part in LazyPanels.of(np.ones((6, 2))).split(3)]
        [(2, 2), (2, 2), (2, 2)]
        """
        assert not self.is_part, "what is a part is not split again"
        assert len(self) % count == 0, "parts are equal"
        return tuple(LazyPanels(self.shared, place, count) for place in range(count))

    @staticmethod
    def joined(parts: Sequence[Any]) -> LazyPanels | None:
        """The matrix of which these are all the parts, in order; None if there is none.

        >>> one, two = LazyPanels.of(np.ones((6, 2))).split(2)
        >>> LazyPanels.joined([two, one]) is None
        True
        """
        if not all(isinstance(part, LazyPanels) and part.shared is parts[0].shared for part in parts):
            return None
        whole = [part.place for part in parts] == list(range(parts[0].count))
        return LazyPanels(parts[0].shared) if whole and parts[0].count > 1 else None

    def fill(self, first: int, rows: Array) -> None:
        """Write some rows [rows, D] of the matrix, from number `first` on.

        >>> matrix = LazyPanels.of(np.zeros((3, 1)))
        >>> matrix.fill(1, np.ones((2, 1)))
        >>> np.asarray(matrix).ravel()
        array([0., 1., 1.])
        """
        form = self.form(1)
        if isinstance(form, Panels):
            form.fill(first, rows)
        else:
            form[first : first + len(rows)] = rows

    def take(self, ids: Array, axis: int = 0) -> Array:
        """The rows of the matrix that `ids` name, ids [...] -> [..., D].

        >>> LazyPanels.of(np.arange(3.0).reshape(3, 1)).take(np.array([2, 0])).ravel()
        array([2., 0.])
        """
        return self.form(1).take(ids, axis=axis)

    @property
    def cut(self) -> Cut:
        """How its panels are cut, or will be."""
        form = self.shared.form
        return form.cut if isinstance(form, Panels) else preferred_cut()

    @property
    def keeps_rows_apart(self) -> bool:
        """Whether the product of a row among several does not depend on how many there are."""
        return True

    @property
    def is_part(self) -> bool:
        """Whether it was made by `split`."""
        return self.count > 1

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the matrix, (F, D)."""
        rows, inner = self.shared.form.shape
        return rows // self.count, inner

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of every number."""
        return self.shared.form.dtype

    @property
    def nbytes(self) -> int:
        """The bytes of this part."""
        return self.form(1).nbytes

    def whole_array(self) -> Array:
        """The matrix as a new array [F, D] in the usual order."""
        return np.array(self.form(1), order="C")


def as_multiplied(matrix: Matrix, given: int) -> Matrix:
    """The form of a matrix that so many rows are multiplied by: an array or panels.

    >>> as_multiplied(LazyPanels.of(np.eye(2)), 1)
    array([[1., 0.],
           [0., 1.]])
    """
    return matrix.form(given) if isinstance(matrix, LazyPanels) else matrix


def multiply(matrix: MatrixLike, x: Array, bias: Array | None) -> Array:
    """x @ matrix.T + bias: [rows, D] -> [rows, F], by panels or, for a single row of a `LazyPanels`, as it lies.

    >>> multiply(LazyPanels.of(np.eye(2)), np.array([[1.0, 2.0]]), np.array([0.5, 0.0]))
    array([[1.5, 2. ]])
    """
    form = as_multiplied(matrix, len(x))
    if isinstance(form, Panels):
        return form.multiply(x, bias)
    y = multiply_row(np.asarray(form), x)
    if bias is not None:
        y += bias
    return y


def joined(parts: Sequence[Matrix]) -> MatrixLike | None:
    """The matrix of which these are all the parts, in order; None if there is none.

    >>> joined(LazyPanels.of(np.ones((6, 2))).split(2))
    LazyPanels of a matrix [6, 2], float64
    >>> joined([np.ones((3, 2))]) is None
    True
    """
    if isinstance(parts[0], np.ndarray):
        return None
    return LazyPanels.joined(parts) or Panels.joined(parts)


# A single row by dot products, and who reads the matrix.

VARIABLE = "NPBLENDER_SHARED_FROM"

READ_TOGETHER = 2**22  # numbers from which threads share a matrix: handing work over is little beside reading it
SOON = 2**20  # the same where one thread gets much less than memory gives
GAIN = 0.9  # of one thread's time: where two take no longer for `SOON` numbers, they share from there on


def multiply_row(matrix: Array, x: Array) -> Array:
    """x @ matrix.T for a single row, or none: x [1, D], matrix [F, D] -> [1, F].

    >>> multiply_row(np.array([[3.0, 4.0], [5.0, 6.0]]), np.array([[1.0, 2.0]]))
    array([[11., 17.]])
    """
    if openblas() is None or not len(x):  # another library's dot products may depend on where a row lies
        y: Array = np.matmul(x, matrix.T)
        return y
    y = np.empty((1, len(matrix)), x.dtype)
    dot_products(matrix, x[0], y[0], num_threads() if matrix.size >= Sharing.begins else 1)
    return y


def dot_products(matrix: Array, row: Array, out: Array, threads: int) -> None:
    """Each row of a matrix times one row, by so many threads: [F, D] times [D] -> `out` [F].

    >>> out = np.empty(2)
    >>> dot_products(np.array([[3.0, 4.0], [5.0, 6.0]]), np.array([1.0, 2.0]), out, 1)
    >>> out
    array([11., 17.])
    """

    def job(_worker: int, first: int, last: int) -> None:
        np.vecdot(matrix[first:last], row, out=out[first:last])

    run_in_threads(job, len(matrix), threads)


class Sharing:
    """From how many numbers on threads share a matrix that a single row is multiplied by.

    How much one thread reads of what memory gives differs between processors: it is measured once a process, before
    the first pass of one row through a large model, in about two milliseconds. NPBLENDER_SHARED_FROM in the environment
    says it instead.
    """

    begins = READ_TOGETHER
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
        elif matrix.size >= 4 * READ_TOGETHER and num_threads() > 1:
            cls.begins, cls.is_known = measured(matrix), True


def measured(matrix: Array) -> int:
    """`SOON` if two threads read so many numbers of a large matrix faster than one does, else `READ_TOGETHER`."""
    rows = SOON // matrix.shape[1]  # at a time
    out = np.empty(rows, matrix.dtype)
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(10):  # every time other numbers, which no cache holds
        piece = matrix[turn * rows : (turn + 1) * rows]
        begin = time.perf_counter()
        dot_products(piece, matrix[0], out, 1 + turn % 2)
        seconds[turn % 2].append(time.perf_counter() - begin)
    alone, together = (statistics.median(times[1:]) for times in seconds)  # the first one starts the thread
    return SOON if together <= GAIN * alone else READ_TOGETHER
