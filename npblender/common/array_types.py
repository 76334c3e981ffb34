"""The array types that signatures name: arrays of floats, token ids, masks; and the label that a loss ignores."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

IntArray: TypeAlias = npt.NDArray[np.integer[Any]]

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]

Mask = NDArray[np.bool_]

Array = NDArray[Any]
Ids = NDArray[np.int64]

IGNORED_LABEL = -100
"""Labels of this value do not count in a loss (torch's and transformers' convention)."""
