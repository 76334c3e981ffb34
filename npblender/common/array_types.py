"""The array types that signatures name, and the label that a loss ignores."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
FloatArray: TypeAlias = NDArray[np.floating[Any]]
IntArray: TypeAlias = NDArray[np.integer[Any]]
Ids: TypeAlias = NDArray[np.int64]  # token ids, mostly [B, S]
Mask: TypeAlias = NDArray[np.bool_]  # True where attention may look

IGNORED_LABEL = -100  # labels of this value do not count in a loss (torch's and transformers' convention)
