"""The one table of tolerances. A row is a number, its unit, the reason for it, and what measured it.

A test names its row: `assert_close(actual, expected, TOLERANCES["gelu/float32"])`. A number that no
measurement stands behind does not belong here, and a tolerance written into a test does not belong there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

UNITS = ("ulp", "relative", "of the max", "absolute")


@dataclass(frozen=True)
class Tolerance:
    """How far a value may lie from the expected one."""

    value: float
    unit: str  # one of UNITS: ulps of the dtype at the expected value; of the value; of max |tensor|; plain
    reason: str
    measured: str  # by what, and what it found

    def bound(self, expected: np.ndarray, dtype: Any) -> np.ndarray:
        """The largest allowed |actual - expected| for finite `expected` and an actual of `dtype`."""
        magnitude = np.abs(np.asarray(expected, dtype=np.longdouble))
        if self.unit == "ulp":
            info = np.finfo(dtype)
            exponent = np.maximum(np.frexp(magnitude)[1] - 1, info.minexp)
            exponent = np.where(magnitude == 0, info.minexp, exponent)
            return np.ldexp(np.longdouble(self.value), exponent - info.nmant)
        if self.unit == "relative":
            return magnitude * np.longdouble(self.value)
        if self.unit == "of the max":
            return np.full(magnitude.shape, magnitude.max(initial=0) * np.longdouble(self.value))
        return np.full(magnitude.shape, np.longdouble(self.value))


EXACT_ONCE = "one rounding of the exact value"

TOLERANCES: Mapping[str, Tolerance] = MappingProxyType(
    {
        "float64 against transformers": Tolerance(
            1e-12,
            "of the max",
            "two float64 programs that sum in other orders, over a whole model",
            "required; the differential suites print what they find",
        ),
        "float64 against the oracle": Tolerance(
            2e-12,
            "of the max",
            "NumPy's sums against exactly rounded ones, over a whole tiny model",
            "1,500 seeds of its test: at most 5.3e-13, in scores that cancel; the example solved by hand: 4.9e-15",
        ),
        "float64 computed another way": Tolerance(
            2e-13,
            "of the max",
            "the same sums by products of another shape: in pieces, padded, with other rows",
            "500 seeds of each law: at most 3.8e-14 (padded), 7.8e-15 (in pieces), 0 (permuted)",
        ),
        "float64 against longdouble": Tolerance(
            1e-13,
            "of the max",
            "float64's rounding, through a whole tiny model",
            "1,500 seeds: at most 1.5e-14, 3.0e-15 in 99 of 100",
        ),
        "float32 against float64": Tolerance(
            5e-5,
            "of the max",
            "float32's rounding, through a whole tiny model; a norm of a small sum magnifies it",
            "1,500 seeds: at most 1.8e-5, 1.6e-6 in 99 of 100",
        ),
    }
)
