"""Reads the arrays of an explanation's page back."""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from npblender.chat.explanation.packed import INFINITE, NAN
from npblender.common.array_types import Array


def unpack(packed: Mapping[str, Any]) -> Array:
    """Read what `pack` wrote, as float64, rounded as the page shows it."""
    numbers = np.frombuffer(base64.b64decode(packed["data"]), "<i2").astype(np.float64).reshape(packed["shape"])
    values = np.where(numbers == NAN, np.nan, numbers / 10.0 ** packed["digits"])
    values = np.where(np.abs(numbers) == INFINITE, np.copysign(np.inf, numbers), values)
    return np.asarray(values)
