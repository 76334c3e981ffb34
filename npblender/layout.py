"""How a model's matrices are laid out in memory, so that products with them are fast.

Large float32 matrices go into panels where this machine's BLAS gains by them (`ops.layout`); everything else stays as
it is in files. Both layouts stand for the same numbers, and no other module asks which it has. Nothing here computes.
"""

from __future__ import annotations

import math
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
    """Where a model's parameters go, one by one, in any order. What is multiplied by the same rows lies side by side.

    >>> Rooms(np.float32).room("decoder.layers.0.fc1.weight", (5, 6)).shape
    (5, 6)
    """

    def __init__(self, dtype: DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._parts: dict[str, ops.Panels] = {}

    def room(self, name: str, shape: tuple[int, ...]) -> Matrix:
        """Room for the parameter of this name."""
        if not wants_panels(name, shape, self._dtype):
            return np.empty(shape, self._dtype)
        rows, inner = shape
        place, projection = name[: -len("k_proj.weight")], name[-len("k_proj.weight") : -len("_proj.weight")]
        if projection not in TOGETHER or rows % WIDTH:
            return ops.Panels.empty((rows, inner), self._dtype)
        if name not in self._parts:
            whole = ops.Panels.empty((len(TOGETHER) * rows, inner), self._dtype)
            names = [f"{place}{projection}_proj.weight" for projection in TOGETHER]
            self._parts.update(zip(names, whole.split(len(TOGETHER)), strict=True))
        return self._parts[name]


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
    found, rooms = parameters(weights), Rooms(weights.dtype)

    def laid_out(name: str, shape: tuple[int, ...]) -> Matrix:
        matrix = found[name]
        if isinstance(matrix, ops.Panels) or not wants_panels(name, shape, matrix.dtype):
            return matrix
        room = rooms.room(name, shape)
        put_rows(room, 0, matrix)
        return room

    return build(config, laid_out, parts)
