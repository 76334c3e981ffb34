"""Traces to compare: one reference with its noise, and the same run in float32. Asserts nothing."""

from functools import cache
from typing import Any

import numpy as np

from npblender.groundtruth import Trace, trace
from npblender.models.example import example_model

Array = np.ndarray[Any, Any]

INPUTS: dict[str, Any] = {
    "input_ids": [[5, 6, 7, 8, 0], [9, 3, 4, 10, 6]],  # S = 5; the first row ends in a pad
    "decoder_input_ids": [[1, 9, 4, 5], [1, 7, 8, 2]],  # T = 4, neither a number of heads nor a size of them
}


@cache
def reference(steps: bool = False, dtype: str = "float64", dialect: str = "parlai") -> Trace:
    """The truth, with measured noise."""
    return trace(example_model(), **INPUTS, steps=steps, dtype=dtype, dialect=dialect)


@cache
def in_float32(steps: bool = False, dialect: str = "parlai") -> Trace:
    """What a correct port gives."""
    return trace(example_model(), **INPUTS, steps=steps, dtype="float32", dialect=dialect, noise=False)


def arrays(of: Trace) -> dict[str, Array]:
    """Copies that may be changed."""
    return {name: array.copy() for name, array in of.arrays.items()}
