"""Panels whose numbers are stored in 16 bits: half the memory, and products in float32 all the same.

A few panels at a time are converted to float32 in memory that stays in a core's cache, and multiplied by there exactly
as float32 panels of these numbers are: the results are bit-identical. docs/performance.md has the cost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from npblender.common.array_types import Array
from npblender.ops.packed.blas import NARROW, layout, preferred_cut
from npblender.ops.packed.half_bits import fits, narrow, widen
from npblender.ops.packed.panels import Panels, in_rows

BLOCK = 2**19  # numbers made float32 at a time: 2 MB. Fewer keep the interpreter busy, and threads wait for it


@dataclass(frozen=True, eq=False, repr=False)
class HalfPanels(Panels):
    """A matrix [F, D] of float32, each number rounded to float16 or bfloat16, laid out as `Panels`.

    >>> halves = HalfPanels.allocate((2, 3), "bfloat16")
    >>> halves.fill(0, np.array([[1.0, 2.0, 3.14159], [0, 0, 0]], np.float32))
    >>> halves.dtype, halves.nbytes, halves[0]
    (dtype('float32'), 12, array([1.      , 2.      , 3.140625], dtype=float32))
    """

    stored: str = "float16"  # or "bfloat16": what the bits mean
    reading: ClassVar[int] = 8

    @property
    def keeps_rows_apart(self) -> bool:
        """True only where this machine has float32 matrices in narrow panels as well; these are so everywhere.

        >>> HalfPanels.allocate((3, 2), "float16").keeps_rows_apart and layout() == "rows"
        False
        """
        return layout() != "rows" and preferred_cut() is NARROW

    @classmethod
    def allocate(cls, shape: tuple[int, int], stored: str) -> HalfPanels:
        """Memory for a matrix [F, D], to be filled by `fill`.

        >>> HalfPanels.allocate((128, 512), "float16").store.dtype
        dtype('uint16')
        """
        return cls(Panels.empty(shape, np.uint16, NARROW).store, shape[0], stored=stored)

    def fill(self, first: int, rows: Array) -> None:
        """Write some rows [rows, D], from number `first` on, rounded to the nearest.

        Raises OverflowError where one is not finite, or too large for the format; the rows are then of no use.

        >>> halves = HalfPanels.allocate((2, 1), "float16")
        >>> halves.fill(0, np.array([[0.1], [1e9]], np.float32))
        Traceback (most recent call last):
        OverflowError: not finite as float16
        """
        bits = narrow(rows, self.stored)
        super().fill(first, bits)
        if not (np.isfinite(rows).all() and fits(bits, self.stored)):
            raise OverflowError(f"not finite as {self.stored}")

    def rounded(self, rows: Array) -> Array:
        """Rows as this matrix would store them, as float32.

        >>> HalfPanels.allocate((2, 1), "float16").rounded(np.array([[0.1]], np.float32))
        array([[0.09997559]], dtype=float32)
        """
        return self._wide(narrow(rows, self.stored))

    def take(self, ids: Array, axis: int = 0) -> Array:
        """The rows of the matrix that `ids` name, ids [...] -> [..., D].

        >>> halves = HalfPanels.allocate((2, 1), "float16")
        >>> halves.fill(0, np.array([[1.0], [2.0]], np.float32))
        >>> halves.take(np.array([1, 1]))
        array([[2.],
               [2.]], dtype=float32)
        """
        return self._wide(super().take(ids, axis))

    def at_once(self) -> int:
        """How many panels `numbers` is to give at a time, at most."""
        return max(1, BLOCK // math.prod(self.store.shape[1:]))

    def scratch(self, workers: int, panels: int) -> Array:
        """Memory for each worker to convert so many panels to float32 in.

        >>> memory = HalfPanels.allocate((64, 512), "float16").scratch(2, 1)
        >>> memory.shape, memory.dtype  # [workers, panels, parts, D/parts, width]
        ((2, 1, 2, 256, 64), dtype('float32'))
        """
        return np.empty((workers, panels, *self.store.shape[1:]), np.float32)

    def numbers(self, store: Array, scratch: Any = None) -> Array:
        """A piece of the store in float32, [panels, parts, D/parts, width].

        It is written into `scratch`, where it lasts until the next call; without one it is a new array.

        >>> halves = HalfPanels.allocate((2, 2), "float16")
        >>> halves.fill(0, np.array([[1.0, 0.5], [3.0, 0.1]], np.float32))
        >>> halves.numbers(halves.store)[0, 0]
        array([[1.        , 3.        ],
               [0.5       , 0.09997559]], dtype=float32)
        """
        return widen(
            store, self.stored, np.empty(store.shape, np.float32) if scratch is None else scratch[: len(store)]
        )

    def bits(self) -> Array:
        """The matrix as it is stored: [F, D], uint16.

        >>> halves = HalfPanels.allocate((1, 2), "float16")
        >>> halves.fill(0, np.array([[1.0, 0.5]], np.float32))
        >>> [hex(number) for number in halves.bits()[0]]
        ['0x3c00', '0x3800']
        """
        return np.ascontiguousarray(in_rows(self.store, self.rows))

    def whole_array(self) -> Array:
        """The matrix as an array [F, D] of float32."""
        return self._wide(self.bits())

    def _wide(self, bits: Array) -> Array:
        return widen(bits, self.stored, np.empty(bits.shape, np.float32))

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32, in which the matrix is computed with."""
        return np.dtype(np.float32)

    def __repr__(self) -> str:
        return f"HalfPanels of a matrix {list(self.shape)}, float32 kept as {self.stored}"
