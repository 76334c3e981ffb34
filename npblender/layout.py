"""How a model's matrices are laid out in memory, so that products with them are fast.

Large float32 matrices go into panels where this machine's BLAS gains by them (`ops.layout`); everything else stays as
it is in files. Both layouts stand for the same numbers, and no other module asks which it has. Nothing here computes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from npblender import ops
from npblender.config import BlenderbotSmallConfig
from npblender.ops.panels import WIDTH
from npblender.weights import Matrix, Parts, Weights, build, parameters

LARGE = 2**16  # numbers in a matrix; a smaller one is in cache anyway
NOTHING = nullcontext()
TOGETHER = ("k", "v")  # projections of an attention that are always wanted of the same rows


def wants_panels(name: str, shape: tuple[int, ...], dtype: object) -> bool:
    """Whether the parameter of this name is a matrix that is better in panels here.

    Positions are only looked up, never multiplied by.

    >>> wants_panels("encoder.embed_positions.weight", (512, 512), "float32")
    False
    """
    multiplied = len(shape) == 2 and name.endswith("weight") and not name.endswith("embed_positions.weight")
    return multiplied and math.prod(shape) >= LARGE and str(dtype) == "float32" and ops.layout() == "panels"


def own_threads(weights: Weights) -> AbstractContextManager[None]:
    """While products are shared out here (see `ops.threads`), the BLAS is asked to keep to one thread.

    >>> from npblender.example import example_model
    >>> with own_threads(example_model().weights):
    ...     pass
    """
    return ops.ONE_THREAD if isinstance(weights.shared.weight, ops.Panels) else NOTHING


class Rooms:
    """Where a model's parameters go, in any order. What is multiplied by the same rows lies side by side.

    >>> Rooms({"decoder.layers.0.fc1.weight": (5, 6)}, np.float32).room("decoder.layers.0.fc1.weight").shape
    (5, 6)
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], dtype: DTypeLike) -> None:
        self._shapes, self._dtype = shapes, np.dtype(dtype)
        self._parts: dict[str, ops.Panels] = {}

    def room(self, name: str) -> Matrix:
        """Room for the parameter of this name: panels, or a new array.

        >>> Rooms({"shared.weight": (11, 6)}, np.float64).room("shared.weight").dtype
        dtype('float64')
        """
        shape = self._shapes[name]
        if not wants_panels(name, shape, self._dtype):
            return np.empty(shape, self._dtype)
        rows, inner = shape
        together = _side_by_side(name, self._shapes)
        if not together:
            return ops.Panels.empty((rows, inner), self._dtype)
        if name not in self._parts:
            whole = ops.Panels.empty((len(together) * rows, inner), self._dtype)
            self._parts.update(zip(together, whole.split(len(together)), strict=True))
        return self._parts[name]


def _side_by_side(name: str, shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """The names of TOGETHER that this one is among, if all are here and each fills whole panels."""
    place, dot, kind = name.rpartition("_proj.weight")
    if not dot or kind or place[-1:] not in TOGETHER or shapes[name][0] % WIDTH:
        return ()
    names = tuple(f"{place[:-1]}{projection}_proj.weight" for projection in TOGETHER)
    return names if all(shapes.get(other) == shapes[name] for other in names) else ()


def put_rows(matrix: Matrix, first: int, rows: NDArray[Any]) -> None:
    """Put some rows into their room, from number `first` on.

    >>> matrix = np.zeros((3, 2))
    >>> put_rows(matrix, 2, np.ones((1, 2)))
    >>> matrix.sum()
    np.float64(2.0)
    """
    if isinstance(matrix, ops.Panels):
        matrix.fill(first, rows)
    else:
        matrix[first : first + len(rows)] = rows


def lay_out(config: BlenderbotSmallConfig, weights: Weights, parts: Parts) -> Weights:
    """The same weights, each matrix as it is multiplied fastest; what is laid out already is kept.

    >>> from npblender.example import EXAMPLE_CONFIG
    >>> from npblender.weights import FULL_MODEL, random_weights
    >>> lay_out(EXAMPLE_CONFIG, random_weights(EXAMPLE_CONFIG, seed=0), FULL_MODEL).shared.weight.shape
    (11, 6)
    """
    found = parameters(weights)
    plain = {name: matrix.shape for name, matrix in found.items() if not isinstance(matrix, ops.Panels)}
    rooms = Rooms(
        {name: shape for name, shape in plain.items() if wants_panels(name, shape, weights.dtype)}, weights.dtype
    )

    def laid_out(name: str, shape: tuple[int, ...]) -> Matrix:
        matrix = found[name]
        if isinstance(matrix, ops.Panels) or not wants_panels(name, shape, matrix.dtype):
            return matrix
        room = rooms.room(name)
        put_rows(room, 0, matrix)
        return room

    return build(config, laid_out, parts)
