"""Arrays as text that a page can hold: 16-bit whole numbers in units of a power of ten, in base64.

So every number on the page is a rounded decimal of the array's, with as many digits as the page shows; nothing is
rounded twice.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from npblender.common.array_types import Array

MOST_DIGITS = 4
LARGEST = 32_000
NAN, INFINITE = -32_768, 32_767
"""What stands for NaN, and for infinity; the negative of it for minus infinity."""


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


def as_integers(array: Array, digits: int) -> Array:
    """Round to whole numbers of 16 bits in units of 10 to the power of -digits.

    >>> as_integers(np.array([0.12345, -1.0, np.nan, -np.inf]), 4).tolist()
    [1234, -10000, -32768, -32767]
    """
    exact = array.astype(np.float64)
    with np.errstate(invalid="ignore"):
        rounded = np.rint(exact * 10.0**digits)
    rounded = np.where(np.isnan(exact), NAN, rounded)
    return np.where(np.isinf(exact), np.copysign(INFINITE, exact), rounded).astype("<i2")


def pack(array: Array) -> dict[str, Any]:
    """Packs an array: shape, decimals, and its numbers, row by row, little-endian.

    >>> pack(np.array([[0.25, 1.0]]))
    {'shape': [1, 2], 'digits': 4, 'data': 'xAkQJw=='}
    """
    digits = digits_of(array)
    numbers = as_integers(array, digits)
    return {
        "shape": list(array.shape),
        "digits": digits,
        "data": base64.b64encode(numbers.tobytes()).decode("ascii"),
    }


def unpack(packed: Mapping[str, Any]) -> Array:
    """Read what `pack` wrote, as float64, rounded as the page shows it.

    >>> unpack(pack(np.array([[0.25, np.nan]])))
    array([[0.25,  nan]])
    """
    numbers = np.frombuffer(base64.b64decode(packed["data"]), "<i2").astype(np.float64).reshape(packed["shape"])
    values = np.where(numbers == NAN, np.nan, numbers / 10.0 ** packed["digits"])
    values = np.where(np.abs(numbers) == INFINITE, np.copysign(np.inf, numbers), values)
    return np.asarray(values)
