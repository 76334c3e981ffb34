"""A matrix cut into panels of columns, each of a size that the BLAS multiplies by with the least packing.

To multiply a few rows by a large matrix is to read the matrix once. A BLAS made for large products copies it into its
own order before, every time, and takes two to four times as long. Where it also has kernels for small matrices it
reads those as they lie; so the matrix is stored as many small ones, contiguous, and the rows of x are taken a few at a
time. Where it has none, panels are wide (see `blas.Cut`). All panels are independent, so threads share them
(measurements: docs/performance.md). Long sums may be made in parts, which are added up at the end.

A matrix [F, D] in panels is an array [panels, parts, D/parts, width]: F = panels * width columns to the right of x, the
last panel filled up with zeros, and `parts` parts of each sum over D. First here is such a matrix, then how rows are
multiplied by it. Which matrices are laid out so: `transformer.packing`; on which machines: `blas`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from npblender.common.array_types import Array
from npblender.common.printable import shown
from npblender.ops.packed.blas import NARROW, Cut, preferred_cut
from npblender.ops.packed.matrix_like import MatrixLike
from npblender.ops.threads import num_threads, run_in_threads

FILLED = 64  # columns that are filled at a time, so that what is read and written stays in cache
CACHE = 2**19  # numbers of sums that are made at a time: more do not fit a cache, fewer keep the interpreter busy


@dataclass(frozen=True, eq=False, repr=False)
class Panels(MatrixLike):
    """A matrix [F, D] as panels [panels, parts, D/parts, width]: the last panel is filled up with columns of zeros.

    It stands for the array wherever NumPy takes one, by a copy in the usual order.

    >>> matrix = np.arange(6.0).reshape(3, 2)
    >>> panels = Panels.of(matrix)
    >>> panels.shape, np.array_equal(panels, matrix), panels.T.shape
    ((3, 2), True, (2, 3))
    """

    store: Array  # [panels, parts, D/parts, width]
    rows: int  # F
    reading: ClassVar[int] = 0  # multiplications that take as long as making a number what it is multiplied by
    whole: Panels | None = None  # the larger matrix of which this is a part, if it was made by `split`
    cut: Cut = NARROW

    @classmethod
    def empty(cls, shape: tuple[int, int], dtype: npt.DTypeLike, cut: Cut | None = None) -> Panels:
        """Memory for a matrix [F, D], to be filled by `fill`.

        >>> Panels.empty((128, 512), np.float32, NARROW).store.shape  # [panels, parts, D/parts, width]
        (2, 2, 256, 64)
        """
        rows, inner = shape
        cut = cut or preferred_cut()
        width, parts = min(cut.width, max(1, rows)), parts_of_sum(inner, cut.depth)
        store = np.empty((-(-rows // width), parts, inner // parts, width), dtype)
        store[rows // width :] = 0
        return Panels(store, rows, cut=cut)

    @classmethod
    def of(cls, matrix: Array, cut: Cut | None = None) -> Panels:
        """A matrix [F, D] laid out in panels.

        >>> Panels.of(np.ones((3, 2))).rows
        3
        """
        panels = cls.empty((matrix.shape[0], matrix.shape[1]), matrix.dtype, cut)
        panels.fill(0, matrix)
        return panels

    def split(self, count: int) -> tuple[Panels, ...]:
        """The matrix as `count` matrices of as many rows each: views, which `joined` puts together again.

        Raises ValueError where a part would be neither whole panels nor columns of a single one.

        >>> one, two = Panels.of(np.ones((128, 5), np.float32)).split(2)
        >>> one.shape, Panels.joined([one, two]).shape, Panels.joined([two, one])
        ((64, 5), (128, 5), None)
        """
        if not self.cut.can_split(self.rows, count):
            raise ValueError(f"{shown(self)} is not {count} times as many whole panels")
        parts = np.split(self.store, count, axis=3 if len(self.store) == 1 else 0)
        return tuple(replace(self, store=part, rows=self.rows // count, whole=self) for part in parts)

    @staticmethod
    def joined(parts: Sequence[Any]) -> Panels | None:
        """The matrix of which these are all the parts, in order; None if there is none.

        >>> Panels.joined([np.ones((3, 2))]) is None
        True
        """
        if not all(isinstance(part, Panels) and part.whole is parts[0].whole for part in parts):
            return None
        whole: Panels | None = parts[0].whole
        if whole is None or sum(part.rows for part in parts) != whole.rows:
            return None
        places = [part.store.__array_interface__["data"][0] for part in parts]
        return whole if places == sorted(set(places)) else None

    def fill(self, first: int, rows: Array) -> None:
        """Write some rows [rows, D] of the matrix, from number `first` on.

        >>> panels = Panels.empty((3, 2), np.float64)
        >>> panels.fill(1, np.ones((2, 2)))
        >>> np.asarray(panels)[1:]
        array([[1., 1.],
               [1., 1.]])
        """
        _, parts, depth, width = self.store.shape
        # Lines of a power of two bytes fall on the same places of a cache; a copy with longer ones is turned 4x faster.
        longer = np.empty((min(width, FILLED), self.shape[1] + 16), self.store.dtype)
        done = 0
        while done < len(rows):
            panel, column = divmod(first + done, width)
            count = min(width - column, len(rows) - done, FILLED)
            block = longer[:count, :-16]
            block[:] = rows[done : done + count]
            self.store[panel, :, :, column : column + count] = block.T.reshape(parts, depth, count)
            done += count

    def take(self, ids: Array, axis: int = 0) -> Array:
        """The rows of the matrix that `ids` name, ids [...] -> [..., D].

        >>> Panels.of(np.arange(6.0).reshape(3, 2)).take(np.array([2, 0]))
        array([[4., 5.],
               [0., 1.]])
        """
        assert axis == 0, "only rows can be taken"
        panel, column = np.divmod(ids, self.store.shape[3])
        return np.ascontiguousarray(self.store[panel, :, :, column]).reshape(*ids.shape, self.shape[1])

    def multiply(self, x: Array, bias: Array | None = None) -> Array:
        """x @ matrix.T + bias: [rows, D] -> [rows, F].

        >>> Panels.of(np.array([[3.0, 4.0], [5.0, 6.0]])).multiply(np.array([[1.0, 2.0]]), np.array([0.5, 0.0]))
        array([[11.5, 17. ]])
        """
        given = len(x)
        count, parts, depth, width = self.store.shape
        few = given * depth * width <= self.cut.product
        small = self.store.size * max(given, 4) < self.cut.shared and few
        if (
            given == 1 and small and not self.cut.blas_shares
        ):  # the kernel for one row of a small matrix is slower than for two
            x = np.concatenate([x, x])
        pieces = x.reshape(len(x), parts, depth).transpose(1, 0, 2)  # [parts, rows, D/parts]
        y = np.empty((given, count * width), x.dtype)
        bias = None if bias is None else self.padded(bias)
        shared = not small or self.store.size * (max(given, 4) + self.reading) >= self.cut.shared
        if shared or self.reading:
            threads = num_threads() if shared else 1
            run_in_threads(share_of_products(pieces, self, y, bias, threads), count, threads)
        else:
            multiply(pieces, self.store, y, bias, np.empty(parts * len(x) * count * width, x.dtype))
        return y[:, : self.rows]

    @property
    def keeps_rows_apart(self) -> bool:
        """True when the product of a row does not depend on how many rows there are, so that rows may be cut anywhere.

        >>> Panels.of(np.ones((3, 2))).keeps_rows_apart
        True
        """
        return True

    def at_once(self) -> int:
        """How many panels `numbers` converts at a time, at most.

        >>> Panels.of(np.ones((128, 2)), NARROW).at_once()
        2
        """
        return len(self.store)

    def scratch(self, workers: int, panels: int) -> Sequence[Any] | Array:
        """Memory for each worker that `numbers` needs for so many panels; float32 panels need none.

        >>> Panels.of(np.ones((3, 2))).scratch(2, 1)
        [None, None]
        """
        return [None] * workers

    def numbers(self, store: Array, scratch: Any = None) -> Array:
        """A piece of the store in the dtype of the product, [panels, parts, D/parts, width]; here it is that already.

        >>> panels = Panels.of(np.arange(6.0).reshape(3, 2))
        >>> panels.numbers(panels.store)[0, 0]
        array([[0., 2., 4.],
               [1., 3., 5.]])
        """
        return store

    def padded(self, bias: Array) -> Array:
        """A bias [F] with zeros for the columns that only fill the last panel up.

        >>> padded = Panels.of(np.ones((65, 2)), NARROW).padded(np.ones(65))
        >>> len(padded), padded[63:67]
        (128, array([1., 1., 0., 0.]))
        """
        columns = len(self.store) * self.store.shape[3]
        return bias if columns == self.rows else np.concatenate([bias, np.zeros(columns - self.rows, bias.dtype)])

    @property
    def shape(self) -> tuple[int, int]:
        """(F, D), as of the matrix."""
        return self.rows, self.store.shape[1] * self.store.shape[2]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of every number."""
        return self.store.dtype

    @property
    def nbytes(self) -> int:
        """The bytes of the panels."""
        return self.store.nbytes

    def whole_array(self) -> Array:
        """The matrix as an array [F, D], a copy in the usual order."""
        return np.array(in_rows(self.store, self.rows), order="C")  # of a single panel it would be a view


def in_rows(store: Array, rows: int) -> Array:
    """The first `rows` rows of a matrix in panels: [panels, parts, D/parts, width] -> [F, D].

    >>> in_rows(np.arange(6).reshape(1, 1, 2, 3), 3).tolist()
    [[0, 3], [1, 4], [2, 5]]
    """
    count, parts, depth, width = store.shape
    return store.transpose(0, 3, 1, 2).reshape(count * width, parts * depth)[:rows]


def parts_of_sum(inner: int, depth: int) -> int:
    """How many equal parts a sum over `inner` numbers is made in: as few as the depth allows, one where it is prime.

    >>> [parts_of_sum(inner, 256) for inner in (6, 256, 512, 960, 2048, 521)]
    [1, 1, 2, 4, 8, 1]
    """
    fewest = -(-inner // depth) or 1
    return next((count for count in range(fewest, 4 * fewest) if inner % count == 0), 1)


class InPanels(Protocol):
    """A matrix in panels, in any number format, as `share_of_products` needs it."""

    @property
    def cut(self) -> Cut:
        """How it is cut."""

    @property
    def store(self) -> Array:
        """[panels, parts, D/parts, width]."""

    def at_once(self) -> int:
        """How many panels `numbers` converts at a time, at most."""

    def scratch(self, workers: int, panels: int) -> Any:
        """Memory for each worker that `numbers` needs for so many panels."""

    def numbers(self, store: Array, scratch: Any = None) -> Array:
        """A piece of the store in the dtype of the product."""


def multiply_parts(pieces: Array, store: Array, sums: Array) -> None:
    """The parts of every sum: pieces of rows times panels.

    [parts, rows, D/parts] @ [panels, parts, D/parts, width] -> `sums` [parts, rows, panels, width].

    >>> sums = np.empty((1, 2, 1, 3))
    >>> multiply_parts(np.ones((1, 2, 4)), np.ones((1, 1, 4, 3)), sums)
    >>> sums[0, 0, 0]
    array([4., 4., 4.])
    """
    np.matmul(pieces, store, out=sums.transpose(2, 0, 1, 3))


def add_up(sums: Array, out: Array, bias: Array | None) -> None:
    """Add up the parts of every sum, and a bias [panels * width].

    [parts, rows, panels, width] -> `out` [rows, panels * width], which may have fewer rows.

    >>> out = np.empty((1, 3))
    >>> add_up(np.ones((2, 2, 1, 3)), out, np.array([0.0, 1.0, 2.0]))
    >>> out
    array([[2., 3., 4.]])
    """
    flat = sums.reshape(*sums.shape[:2], -1)[:, : len(out)]
    if len(flat) == 2:  # in one pass, where reducing takes two
        np.add(flat[0], flat[1], out=out)
    else:
        np.add.reduce(flat, axis=0, out=out)
    if bias is not None:  # while the result is in cache
        np.add(out, bias, out=out)


def multiply(pieces: Array, store: Array, out: Array, bias: Array | None, scratch: Array) -> None:
    """`multiply_parts`, then `add_up`: -> `out` [rows, panels * width], which may have fewer rows."""
    if len(pieces) == 1 and pieces.shape[1] == len(out):  # whole sums go to their places at once
        multiply_parts(pieces, store, out.reshape(1, len(out), len(store), store.shape[3]))
        if bias is not None:
            np.add(out, bias, out=out)
        return
    shape = (*pieces.shape[:2], len(store), store.shape[3])
    sums = scratch[: math.prod(shape)].reshape(shape)
    multiply_parts(pieces, store, sums)
    add_up(sums, out, bias)


def share_of_products(
    pieces: Array, panels: InPanels, y: Array, bias: Array | None, threads: int
) -> Callable[[int, int, int], None]:
    """The job of one thread: all rows [parts, rows, D/parts] times the panels from `first` to `last`."""
    parts, given, depth = pieces.shape
    count, _, _, width = panels.store.shape
    if given >= panels.cut.many and depth <= panels.cut.depth:
        return _share_of_large_products(pieces, panels, y, bias, threads)
    blocks = -(-given // max(1, panels.cut.product // (depth * width)))
    rows = -(-given // blocks)  # at a time
    at_once = min(max(1, CACHE // (parts * rows * width)), -(-count // threads), panels.at_once())  # panels
    scratch = np.empty((threads, at_once * parts * rows * width), y.dtype)
    wide = panels.scratch(threads, at_once)

    def job(worker: int, first: int, last: int) -> None:
        for panel in range(first, last, at_once):
            end = min(panel + at_once, last)
            columns = slice(panel * width, end * width)
            shift = None if bias is None else bias[columns]
            store = panels.numbers(panels.store[panel:end], wide[worker])
            for row in range(0, given, rows):
                some = slice(row, row + rows)
                multiply(pieces[:, some], store, y[some, columns], shift, scratch[worker])

    return job


JOINED = 2048  # columns of the matrices that panels are joined to, at most
ROWS = 512  # rows of a large product at most, so that the scratch memory for a part of its sums stays small


def _share_of_large_products(
    pieces: Array, panels: InPanels, y: Array, bias: Array | None, threads: int
) -> Callable[[int, int, int], None]:
    """The same for many rows, by large products: a few panels at a time are joined to a matrix as the BLAS wants it.

    The parts of the sums, and the order in which they are added, are the same, and so is every bit.
    """
    parts, given, depth = pieces.shape
    count, _, _, width = panels.store.shape
    at_once = min(max(1, JOINED // width), -(-count // threads), panels.at_once())  # panels
    rows = -(-given // -(-given // ROWS))  # at a time: equal blocks, since a single row would be another kernel's
    wide, matrices = panels.scratch(threads, at_once), np.empty((threads, depth * at_once * width), y.dtype)
    scratch = np.empty((threads, rows * at_once * width if parts > 1 else 0), y.dtype)

    def job(worker: int, first: int, last: int) -> None:
        for panel in range(first, last, at_once):
            end = min(panel + at_once, last)
            columns = slice(panel * width, end * width)
            store = panels.numbers(panels.store[panel:end], wide[worker])
            matrix = matrices[worker, : depth * (end - panel) * width].reshape(depth, end - panel, width)
            for part in range(parts):
                np.copyto(matrix, store[:, part].transpose(1, 0, 2))
                for row in range(0, given, rows):
                    x, out = pieces[part, row : row + rows], y[row : row + rows, columns]
                    if part == 0:
                        np.matmul(x, matrix.reshape(depth, -1), out=out)
                        continue
                    product = scratch[worker, : out.size].reshape(out.shape)
                    np.matmul(x, matrix.reshape(depth, -1), out=product)
                    np.add(out, product, out=out)
            if bias is not None:
                np.add(y[:, columns], bias[columns], out=y[:, columns])

    return job
