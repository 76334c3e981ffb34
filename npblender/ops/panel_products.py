"""Products of rows with the panels of a matrix: parts of sums, their addition, and what one thread does of them.

Not here: what a panel is, and when a product is worth sharing (see `panels`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SMALL_PRODUCT = 1_000_000  # multiplications up to which OpenBLAS uses its kernels for small matrices
CACHE = 2**19  # numbers of sums that are made at a time: more do not fit a cache, fewer keep the interpreter busy


class InPanels(Protocol):
    """A matrix in panels, whatever their numbers are kept as: what `share_of_products` asks of it (see `panels`)."""

    @property
    def store(self) -> Array:
        """[N, C, D/C, P]."""

    def at_once(self) -> int:
        """How many panels are to be made numbers at a time, at most."""

    def scratch(self, workers: int, panels: int) -> Any:
        """For each worker what `numbers` needs for so many panels."""

    def numbers(self, store: Array, scratch: Any = None) -> Array:
        """A piece of the store as what it is multiplied by."""


def multiply_parts(pieces: Array, store: Array, sums: Array) -> None:
    """Rows in parts, [C, R, D/C], times panels, [N, C, D/C, P]: the parts of every sum, into [C, R, N, P].

    >>> sums = np.empty((1, 2, 1, 3))
    >>> multiply_parts(np.ones((1, 2, 4)), np.ones((1, 1, 4, 3)), sums)
    >>> sums[0, 0, 0]
    array([4., 4., 4.])
    """
    np.matmul(pieces, store, out=sums.transpose(2, 0, 1, 3))


def add_up(sums: Array, out: Array, bias: Array | None) -> None:
    """The parts of every sum, [C, R, N, P], and a bias [N * P], into [R, N * P], which may have fewer rows.

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
    """Rows in parts, [C, R, D/C], times panels, [N, C, D/C, P], into [R, N * P], which may have fewer rows."""
    shape = (*pieces.shape[:2], len(store), store.shape[3])
    sums = scratch[: math.prod(shape)].reshape(shape)
    multiply_parts(pieces, store, sums)
    add_up(sums, out, bias)


def share_of_products(
    pieces: Array, panels: InPanels, y: Array, bias: Array | None, threads: int
) -> Callable[[int, int, int], None]:
    """What one thread does: the products of all rows, [C, R, D/C], with the panels from `first` to `last`."""
    parts, given, depth = pieces.shape
    count, _, _, width = panels.store.shape
    blocks = -(-given // max(1, SMALL_PRODUCT // (depth * width)))
    rows = -(-given // blocks)  # at a time
    at_once = min(max(1, CACHE // (parts * rows * width)), -(-count // threads), panels.at_once())  # panels
    scratch = np.empty((threads, at_once * parts * rows * width), y.dtype)
    wide = panels.scratch(threads, at_once)

    def job(worker: int, first: int, last: int) -> None:
        with np.errstate(all="ignore"):
            for panel in range(first, last, at_once):
                end = min(panel + at_once, last)
                columns = slice(panel * width, end * width)
                shift = None if bias is None else bias[columns]
                store = panels.numbers(panels.store[panel:end], wide[worker])
                for row in range(0, given, rows):
                    some = slice(row, row + rows)
                    multiply(pieces[:, some], store, y[some, columns], shift, scratch[worker])

    return job
