"""Arrays as text that a page can hold: 16-bit whole numbers in units of a power of ten, in base64.

So every number on the page is a rounded decimal of the array's, with as many digits as the page shows; nothing is
rounded twice.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from npblender.common.array_types import Array

MOST_DIGITS = 4
LARGEST = 32_000
NAN, INFINITE = -32_768, 32_767  # what stands for NaN, and for infinity; the negative of it for minus infinity


def digits_of(array: Array) -> int:
    """How many decimals fit into 16 bits, four at most; below 0 where the numbers are large.

    >>> digits_of(np.array([0.5, 1.0])), digits_of(np.array([-61.7, np.nan])), digits_of(np.array([4e5]))
    (4, 2, -2)
    """
    finite = np.abs(array[np.isfinite(array)]).astype(np.float64)
    largest = float(finite.max()) if finite.size else 0.0
    digits = MOST_DIGITS
    while largest * 10.0**digits > LARGEST:
        digits -= 1
    return digits


def pack(array: Array) -> dict[str, Any]:
    """Packs an array: shape, decimals, and its numbers, row by row, little-endian.

    >>> pack(np.array([[0.25, 1.0]]))
    {'shape': [1, 2], 'digits': 4, 'data': 'xAkQJw=='}
    """
    digits, exact = digits_of(array), array.astype(np.float64)
    with np.errstate(invalid="ignore"):
        rounded = np.rint(exact * 10.0**digits)
    rounded = np.where(np.isnan(exact), NAN, rounded)
    numbers = np.where(np.isinf(exact), np.copysign(INFINITE, exact), rounded).astype("<i2")
    data = base64.b64encode(numbers.tobytes()).decode("ascii")
    return {"shape": list(array.shape), "digits": digits, "data": data}
