"""The one table of tolerances. A row is a number, its unit, the reason for it, and what measured it.

A test names its row: `assert_close(actual, expected, TOLERANCES["gelu/float32"])`. A number that no
measurement stands behind does not belong here, and a tolerance written into a test does not belong there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

UNITS = ("ulp", "ulp of the max", "relative", "relative above 1", "of the max", "absolute")


@dataclass(frozen=True)
class Tolerance:
    """How far a value may lie from the expected one."""

    value: float
    unit: str  # one of UNITS: ulps of the dtype at the expected value, or at max |tensor|; of the value, or at least
    # of 1; of the tensor's max; none
    reason: str
    measured: str  # by what, and what it found

    def bound(self, expected: np.ndarray, dtype: Any) -> np.ndarray:
        """The largest allowed |actual - expected| for finite `expected` and an actual of `dtype`."""
        magnitude = np.abs(np.asarray(expected, dtype=np.longdouble))
        if self.unit in ("ulp", "ulp of the max"):
            info = np.finfo(dtype)
            if self.unit == "ulp of the max":
                magnitude = np.full(magnitude.shape, magnitude.max(initial=0))
            exponent = np.maximum(np.frexp(magnitude)[1] - 1, info.minexp)
            exponent = np.where(magnitude == 0, info.minexp, exponent)
            return np.ldexp(np.longdouble(self.value), exponent - info.nmant)
        if self.unit == "relative":
            return magnitude * np.longdouble(self.value)
        if self.unit == "relative above 1":
            return np.maximum(magnitude, 1) * np.longdouble(self.value)
        if self.unit == "of the max":
            return np.full(magnitude.shape, magnitude.max(initial=0) * np.longdouble(self.value))
        return np.full(magnitude.shape, np.longdouble(self.value))


def _by_dtype(name: str, unit: str, values: tuple[float, ...], reason: str, measured: str) -> dict[str, Tolerance]:
    """Rows `name/float32`, `name/float64` and, with a third value, `name/longdouble`: all but the number alike."""
    kinds = ("float32", "float64", "longdouble")[: len(values)]
    return {f"{name}/{k}": Tolerance(v, unit, reason, measured) for k, v in zip(kinds, values, strict=True)}


ROUNDED_ONCE = "float32 is rounded once, from float64"

TOLERANCES: Mapping[str, Tolerance] = MappingProxyType(
    {
        **_by_dtype(
            "erf",
            "ulp",
            (0.51, 1, 2),
            f"required; {ROUNDED_ONCE}",
            "tools/measure/ops.py: 0.50, 0.85, 0.87; float64 at 8 million points against longdouble: 0.88",
        ),
        **_by_dtype(
            "normal_cdf",
            "ulp",
            (0.51, 4, 4),
            f"promised; {ROUNDED_ONCE}",
            "tools/measure/ops.py: 0.50, 2.60, 2.21; float64 at 10 million points against longdouble: 3.22",
        ),
        **_by_dtype(
            "gelu",
            "ulp",
            (4, 4, 4),
            "required in the left tail, promised everywhere",
            "every float32 from 2^-12 to 16: 2.51; float64 at 20 million points: 3.15; longdouble: 1.87",
        ),
        **_by_dtype(
            "gelu_new",
            "ulp",
            (0.51, 4, 4),
            f"promised; {ROUNDED_ONCE}",
            "tools/measure/ops.py: 0.50, 2.34, 2.18; float64 at 3 million points against longdouble: 3.59",
        ),
        **_by_dtype(
            "silu",
            "ulp",
            (0.51, 4, 4),
            f"promised; {ROUNDED_ONCE}",
            "tools/measure/ops.py: 0.50, 2.05, 2.23",
        ),
        **_by_dtype("relu", "ulp", (0, 0, 0), "nothing is rounded", "0"),
        "activation of x less that of -x": Tolerance(
            4, "ulp", "the larger result's error, and that of a difference", "600 examples of its test: 1"
        ),
        **_by_dtype(
            "softmax",
            "ulp of the max",
            (8, 8, 8),
            "exp, amplified by the range of the row, a sum of the row, a quotient",
            "600 examples of its test: 3.3, 2.6, 3.7; rows of up to 69 values (tools/measure/ops.py): 3.8, 3.7, 7.6",
        ),
        **_by_dtype(
            "log_softmax",
            "ulp of the max",
            (2, 2, 2),
            "scores and the logarithm of a sum, rounded",
            "600 examples of its test: 0.9; rows of up to 69 values (tools/measure/ops.py): 1.3, 1.4, 1.5",
        ),
        **_by_dtype(
            "softmax of long rows",
            "ulp of the max",
            (4, 4),
            "sums in pairs grow with the logarithm of their length",
            "rows of 97 and 70,001: 0.6, 0.8",
        ),
        **_by_dtype(
            "log_softmax of long rows",
            "ulp of the max",
            (3, 3),
            "sums in pairs grow with the logarithm of their length",
            "rows of 97 and 70,001: 1.2, 0.7",
        ),
        "sum of softmax": Tolerance(
            4, "ulp", "the rounding of up to five quotients and of their sum", "600 examples of its test: 2"
        ),
        "exp of log_softmax": Tolerance(
            32, "ulp", "half an ulp of a logarithm of up to 25 is 16 of its exponential", "600 examples of its test: 15"
        ),
        **_by_dtype(
            "cross_entropy",
            "ulp of the max",
            (2, 2, 2),
            "scores less the logarithm of a sum, and a mean",
            "600 examples of its test: 0.8, 0.9, 1.2",
        ),
        **_by_dtype(
            "layer_norm",
            "ulp of the max",
            (4, 4, 4),
            "the error of the mean, as the root magnifies it, and four roundings",
            "600 examples of its test: 1.4, 1.8, 1.2",
        ),
        **_by_dtype(
            "moments of layer_norm",
            "absolute",
            (4e-7, 2e-15, 1e-18),
            "the mean of 512 values is off by some hundredths of an ulp of the largest",
            "its test: 1.7e-7, 4.3e-16, 2.2e-19",
        ),
        **_by_dtype(
            "linear",
            "ulp of the max",
            (3, 3, 3),
            "a sum of at most eight terms, judged by the sum of their magnitudes",
            "600 examples of its test: 1.0, 0.5, 0.6",
        ),
        "dropout": Tolerance(
            1.5, "ulp", "two roundings: of 1/(1 - p) and of the product", "600 examples of its test: 1.3"
        ),
        "float64 against transformers": Tolerance(
            1e-12,
            "of the max",
            "two float64 programs that sum in other orders, over a whole model",
            "required; the differential suites print what they find",
        ),
        "float32 against transformers": Tolerance(
            2e-5,
            "of the max",
            "two float32 programs, over a whole model and the steps of a search",
            "tools/differential/generation.py draws the searches; one pass alone: see float32 against ParlAI",
        ),
        "float32 against ParlAI": Tolerance(
            2e-6,
            "of the max",
            "two float32 programs, each with rounding errors of its own, over a whole model",
            "required; docs/differential.md: up to 8.0e-7, and ParlAI's own distance from its float64 6.1e-7",
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
        "float32 computed another way": Tolerance(
            1e-6,
            "of the max",
            "float32 products of other shapes, through a whole tiny model: with the cache, in company, guessed ahead",
            "tools/measure/tolerances.py: 3.5e-8",
        ),
        "float64 against longdouble at every point": Tolerance(
            1e-13,
            "of the max",
            "required; float64's rounding, at every point of runs of every kind; of scores, by the terms they sum",
            "1,500 seeds of its test: at most 2.7e-14, 1.9e-15 in 99 of 100",
        ),
        "float32 against float64": Tolerance(
            5e-5,
            "of the max",
            "float32's rounding, through a whole tiny model; a norm of a small sum magnifies it",
            "1,500 seeds: at most 1.8e-5, 1.6e-6 in 99 of 100",
        ),
        "numbers worked out by hand": Tolerance(
            1e-12,
            "relative above 1",
            "a few float64 roundings, or the digits written out in the test",
            "tools/measure/tolerances.py: 2.5e-14, of digits written out",
        ),
        "pass by hand": Tolerance(
            1e-12,
            "of the max",
            "required of the programs of the book; float64's rounding, in other orders of summation",
            "tools/measure/tolerances.py: 2.2e-15, of logits of whole replies",
        ),
        "uniform weights": Tolerance(
            4, "ulp", "one exponential and one quotient, every score the same", "tools/measure/tolerances.py: 0"
        ),
        "score of a search": Tolerance(
            2e-6,
            "relative above 1",
            "a sum of float32 log-probabilities, one a token, in two orders of summation",
            "tools/measure/tolerances.py: 2.4e-7",
        ),
        "filtered score": Tolerance(
            5e-7,
            "relative above 1",
            "one or two float32 operations on a score, or a sum of exponentials",
            "tools/measure/tolerances.py: 3.8e-8",
        ),
        "search against transformers": Tolerance(
            1e-6,
            "relative above 1",
            "both search in float32 whatever the model's dtype",
            "the goldens: 1.2e-7; docs/differential.md says what drawn searches show",
        ),
        "float32 search against transformers": Tolerance(
            2e-5,
            "relative above 1",
            "the same, and the rounding of two float32 models, which a sum over a reply adds up",
            "the goldens: 1.1e-7; docs/differential.md says what drawn searches show",
        ),
        "search against ParlAI": Tolerance(
            1e-4,
            "absolute",
            "two float32 models, and sums over whole replies",
            "the goldens: 7.6e-6; docs/differential.md says what drawn searches show",
        ),
        "published scores": Tolerance(
            1e-3,
            "absolute",
            "the published scores have four decimals, of another machine's float32 on the 90M's weights",
            "not measured here: the weights are not in the repository",
        ),
    }
)
