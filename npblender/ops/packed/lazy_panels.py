"""A matrix that lies in rows, as files have it, until several rows are multiplied by it; in panels from then on.

A single row is multiplied fastest by a plain matrix, which all threads of the BLAS read together; several rows by
panels (see `panels`). A decoder that searches greedily for one source never needs the second, so nothing is turned
before it is asked for, and only once: never are both kept. Not here: which matrices are kept so (see `layout`).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from npblender.common.array_types import Array
from npblender.ops.packed.matrix_like import MatrixLike
from npblender.ops.packed.panels import WIDTH, Panels
from npblender.ops.threads import num_threads, run_in_threads

SHARED = 2**20  # numbers from which a second thread pays when they are turned


class _Packed:
    """The numbers of a matrix [F, D], in either form. Whoever has taken one form may go on reading it."""

    def __init__(self, form: Array | Panels) -> None:
        self.form = form
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[_Packed], tuple[Array | Panels]]:
        """A copy has a lock of its own, in this process or in another."""
        return _Packed, (self.form,)

    def panels(self) -> Panels:
        """The matrix in panels, which it stays in.

        >>> kept = _Packed(np.ones((3, 2)))
        >>> kept.panels() is kept.panels() is kept.form
        True
        """
        with self._lock:
            if not isinstance(self.form, Panels):
                self.form = turned(self.form)
            return self.form


def turned(rows: Array) -> Panels:
    """Rows [F, D] in panels, made by as many threads as there are.

    >>> turned(np.ones((3, 2))).shape
    (3, 2)
    """
    panels = Panels.empty((rows.shape[0], rows.shape[1]), rows.dtype)

    def job(_worker: int, first: int, last: int) -> None:
        panels.fill(first * WIDTH, rows[first * WIDTH : last * WIDTH])

    run_in_threads(job, -(-len(rows) // WIDTH), num_threads() if rows.size >= SHARED else 1)
    return panels


@dataclass(frozen=True, eq=False, repr=False)
class LazyPanels(MatrixLike):
    """A matrix [F, D], or one of `count` equal parts of one, as what it is multiplied by wants it.

    >>> one, two = LazyPanels.of(np.arange(12.0).reshape(6, 2)).split(2)
    >>> one.form(1)[0], LazyPanels.joined([one, two]).shape
    (array([0., 1.]), (6, 2))
    """

    kept: _Packed
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
        """Whether it has not been turned yet."""
        return not isinstance(self.kept.form, Panels)

    def form(self, given: int) -> Array | Panels:
        """What so many rows are to be multiplied by: an array or panels of this matrix.

        >>> matrix = LazyPanels.of(np.ones((3, 2)))
        >>> [type(matrix.form(given)).__name__ for given in (1, 2, 1)]
        ['ndarray', 'Panels', 'Panels']
        """
        form = self.kept.form if given <= 1 else self.kept.panels()
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
        return tuple(LazyPanels(self.kept, place, count) for place in range(count))

    @staticmethod
    def joined(parts: Sequence[Any]) -> LazyPanels | None:
        """The matrix of which these are all the parts, in order; None if there is none.

        >>> one, two = LazyPanels.of(np.ones((6, 2))).split(2)
        >>> LazyPanels.joined([two, one]) is None
        True
        """
        if not all(isinstance(part, LazyPanels) and part.kept is parts[0].kept for part in parts):
            return None
        whole = [part.place for part in parts] == list(range(parts[0].count))
        return LazyPanels(parts[0].kept) if whole and parts[0].count > 1 else None

    def fill(self, first: int, rows: Array) -> None:
        """Put rows [n, D] of the matrix, from number `first` on, into their places.

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
    def keeps_rows_apart(self) -> bool:
        """Whether the product of a row among several does not depend on how many there are."""
        return True

    @property
    def is_part(self) -> bool:
        """Whether it was made by `split`."""
        return self.count > 1

    @property
    def shape(self) -> tuple[int, int]:
        """(F, D)."""
        rows, inner = self.kept.form.shape
        return rows // self.count, inner

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of every number."""
        return self.kept.form.dtype

    @property
    def nbytes(self) -> int:
        """The bytes of this part."""
        return self.form(1).nbytes

    def whole_array(self) -> Array:
        """The matrix as a new array [F, D] in the usual order."""
        return np.array(self.form(1), order="C")


def as_multiplied(matrix: npt.ArrayLike | MatrixLike, given: int) -> npt.ArrayLike | Panels:
    """What so many rows are to be multiplied by; anything but a `LazyPanels` is that already.

    >>> as_multiplied(np.ones((3, 2)), 1).shape
    (3, 2)
    """
    return matrix.form(given) if isinstance(matrix, LazyPanels) else matrix


def joined(parts: Sequence[npt.ArrayLike | MatrixLike]) -> MatrixLike | None:
    """The matrix of which these are all the parts, in order; None if there is none.

    >>> joined([np.ones((3, 2))]) is None
    True
    """
    return LazyPanels.joined(parts) or Panels.joined(parts)
