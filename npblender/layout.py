"""How a model's matrices are laid out in memory, so that products with them are fast.

Large float32 matrices go into panels where this machine's BLAS gains by them (`ops.layout`); everything else stays as
it is in files. Both layouts stand for the same numbers, and no other module asks which it has. Nothing here computes.
"""

from __future__ import annotations

import math

from npblender import ops
from npblender.config import BlenderbotSmallConfig
from npblender.weights import Matrix, Parts, Weights, build, parameters

LARGE = 2**16  # numbers in a matrix; a smaller one is in cache anyway


def wants_panels(name: str, shape: tuple[int, ...], dtype: object) -> bool:
    """Whether the parameter of this name is a matrix that is better in panels here.

    Positions are only looked up, never multiplied by.

    >>> wants_panels("encoder.embed_positions.weight", (512, 512), "float32")
    False
    """
    multiplied = len(shape) == 2 and name.endswith("weight") and not name.endswith("embed_positions.weight")
    return multiplied and math.prod(shape) >= LARGE and str(dtype) == "float32" and ops.layout() == "panels"


def lay_out(config: BlenderbotSmallConfig, weights: Weights, parts: Parts) -> Weights:
    """The same weights, each matrix as it is multiplied fastest; what is laid out already is kept.

    >>> from npblender.example import EXAMPLE_CONFIG
    >>> from npblender.weights import FULL_MODEL, random_weights
    >>> lay_out(EXAMPLE_CONFIG, random_weights(EXAMPLE_CONFIG, seed=0), FULL_MODEL).shared.weight.shape
    (11, 6)
    """
    found = parameters(weights)

    def laid_out(name: str, shape: tuple[int, ...]) -> Matrix:
        matrix = found[name]
        if isinstance(matrix, ops.Panels) or not wants_panels(name, shape, matrix.dtype):
            return matrix
        return ops.Panels.of(matrix)

    return build(config, laid_out, parts)
