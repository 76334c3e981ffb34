"""Matrices and their numbers in 16 bits, rounded by NumPy or by the tests' own bfloat16."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from npblender.ops.packed.half_bits import FORMATS
from reference_tests.support.stored import bfloat16_bits

IN_BOTH = pytest.mark.parametrize("stored", FORMATS)


def matrix(rows: int, inner: int, seed: int = 0) -> NDArray[np.float32]:
    """Standard normal numbers [rows, inner]."""
    return np.random.default_rng(seed).standard_normal((rows, inner)).astype(np.float32)


def values_of(bits: NDArray[np.uint16], stored: str) -> NDArray[np.float32]:
    """The oracle: NumPy's float16, and bfloat16 as what it is, float32 cut off."""
    if stored == "float16":
        return bits.view(np.float16).astype(np.float32)
    return (bits.astype(np.uint32) << 16).view(np.float32)


def rounded(array: NDArray[np.float32], stored: str) -> NDArray[np.float32]:
    """Rounded by NumPy, or by the tests' own bfloat16."""
    return (
        array.astype(np.float16).astype(np.float32) if stored == "float16" else values_of(bfloat16_bits(array), stored)
    )


def same_bits(one: NDArray[Any], two: NDArray[Any]) -> bool:
    """Whether two float32 arrays are equal bit for bit."""
    return one.dtype == two.dtype and np.array_equal(one.view(np.uint32), two.view(np.uint32))
