"""A matrix cut into panels of columns, each small enough that the BLAS multiplies by it without packing it first.

To multiply a few rows by a large matrix is to read the matrix once. A BLAS made for large products copies it into its
own order before, every time, and takes two to four times as long. Where it also has kernels for small matrices it
reads those as they lie; so the matrix is kept as many small ones, [D, P] each, contiguous, and the rows of x are taken
a few at a time. All panels are independent, so threads share them (measurements: docs/performance.md).

Not here: which matrices are laid out so (see `weights`), or on which machines (see `blas`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.mixins import NDArrayOperatorsMixin

from npblender.ops.threads import num_threads, share_out

Array = npt.NDArray[Any]

WIDE, NARROW = 64, 32  # columns of a panel: one cache line of rows more than pays, and what a deep matrix takes
DEEP = 1024  # from here on panels are narrow
SMALL_PRODUCT = 1_000_000  # multiplications up to which OpenBLAS uses its kernels for small matrices
SHARED = 2**23  # multiplications from which a second thread pays; a few rows count as four, for the reading
PANELS_AT_ONCE = 4  # while more rows than fit one product go by, so many panels stay in the second-level cache


@dataclass(frozen=True, eq=False, repr=False)
class Panels(NDArrayOperatorsMixin):
    """A matrix [F, D] as panels [N, D, P]; N * P is F or a little more, the rest zeros.

    It stands for the array wherever NumPy takes one, by a copy in the usual order.

    >>> matrix = np.arange(6.0).reshape(3, 2)
    >>> panels = Panels.of(matrix)
    >>> panels.shape, np.array_equal(panels, matrix), panels.T.shape
    ((3, 2), True, (2, 3))
    """

    store: Array  # [N, D, P]
    rows: int  # F

    @classmethod
    def empty(cls, shape: tuple[int, int], dtype: npt.DTypeLike) -> Panels:
        """Room for a matrix [F, D], to be filled by `fill`.

        >>> Panels.empty((128, 5), np.float32).store.shape
        (2, 5, 64)
        """
        rows, depth = shape
        width = WIDE if rows % WIDE == 0 and depth < DEEP else NARROW
        width = min(width, max(1, rows))
        store = np.empty((-(-rows // width), depth, width), dtype)
        store[rows // width :] = 0
        return cls(store, rows)

    @classmethod
    def of(cls, matrix: Array) -> Panels:
        """A matrix [F, D] laid out in panels.

        >>> Panels.of(np.ones((3, 2))).rows
        3
        """
        panels = cls.empty((matrix.shape[0], matrix.shape[1]), matrix.dtype)
        panels.fill(0, matrix)
        return panels

    def fill(self, first: int, rows: Array) -> None:
        """Put rows [n, D] of the matrix, from number `first` on, into their places.

        >>> panels = Panels.empty((3, 2), np.float64)
        >>> panels.fill(1, np.ones((2, 2)))
        >>> np.asarray(panels)[1:]
        array([[1., 1.],
               [1., 1.]])
        """
        width = self.store.shape[2]
        done = 0
        while done < len(rows):  # panel by panel: what is read and written at a time stays in cache
            panel, column = divmod(first + done, width)
            count = min(width - column, len(rows) - done)
            self.store[panel, :, column : column + count] = rows[done : done + count].T
            done += count

    def take(self, ids: Array, axis: int = 0) -> Array:
        """The rows of the matrix that `ids` name, ids [...] -> [..., D].

        >>> Panels.of(np.arange(6.0).reshape(3, 2)).take(np.array([2, 0]))
        array([[4., 5.],
               [0., 1.]])
        """
        assert axis == 0, "only rows can be taken"
        panel, column = np.divmod(ids, self.store.shape[2])
        return np.ascontiguousarray(self.store[panel, :, column])

    def multiply(self, x: Array) -> Array:
        """x @ matrix.T: [R, D] -> [R, F].

        >>> Panels.of(np.array([[3.0, 4.0], [5.0, 6.0]])).multiply(np.array([[1.0, 2.0]]))
        array([[11., 17.]])
        """
        if len(x) == 1:  # a single row would be another kernel of the BLAS, which is slower on small matrices
            return self.multiply(np.concatenate([x, x]))[:1]
        count, depth, width = self.store.shape
        y = np.empty((len(x), count * width), x.dtype)
        columns = y.reshape(len(x), count, width).transpose(1, 0, 2)  # [N, R, P], where each product goes
        job = _products(x, self.store, columns)
        work = self.store.size * max(len(x), 4)
        share_out(job, count, num_threads() if work >= SHARED else 1)
        return y if y.shape[1] == self.rows else np.ascontiguousarray(y[:, : self.rows])

    @property
    def shape(self) -> tuple[int, int]:
        """(F, D), as of the matrix."""
        return self.rows, self.store.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of every number."""
        return self.store.dtype

    @property
    def ndim(self) -> int:
        """Two, as of every matrix."""
        return 2

    @property
    def size(self) -> int:
        """F * D."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of the panels."""
        return self.store.nbytes

    @property
    def T(self) -> Array:
        """The transposed matrix [D, F], a copy."""
        return np.asarray(self).T

    def astype(self, dtype: npt.DTypeLike) -> Array:
        """The matrix as an array of another dtype."""
        return np.asarray(self).astype(dtype)

    def mean(self, *args: Any, **kwargs: Any) -> Any:
        """As of the array."""
        return np.asarray(self).mean(*args, **kwargs)

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, key: Any) -> Any:
        return np.asarray(self)[key]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("panels become an array only by a copy")
        count, depth, width = self.store.shape
        return self.store.transpose(0, 2, 1).reshape(count * width, depth)[: self.rows].astype(dtype or self.dtype)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        plain = (np.asarray(part) if isinstance(part, Panels) else part for part in inputs)
        return getattr(ufunc, method)(*plain, **kwargs)

    def __repr__(self) -> str:
        return f"Panels of a matrix {list(self.shape)}, {self.dtype}"


def _products(x: Array, store: Array, columns: Array) -> Callable[[int, int], None]:
    """What one thread does: the products of all rows with the panels from `first` to `last`."""
    _, depth, width = store.shape
    blocks = -(-len(x) // max(1, SMALL_PRODUCT // (depth * width)))
    rows = -(-len(x) // blocks) if blocks else 0

    def job(first: int, last: int) -> None:
        at_once = last - first if blocks == 1 else PANELS_AT_ONCE
        with np.errstate(all="ignore"):
            for panel in range(first, last, at_once):
                panels = slice(panel, min(panel + at_once, last))
                for row in range(0, len(x), rows):
                    np.matmul(x[row : row + rows], store[panels], out=columns[panels, row : row + rows])

    return job
