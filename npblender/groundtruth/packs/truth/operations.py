"""Defines the operations number by number: the truth of packs.

Each is written over an `Arithmetic`, takes Python numbers and lists of them, and shares no code with `npblender.ops`.
Special values are defined as in torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from npblender.groundtruth.packs.truth.arithmetic import Arithmetic

Row: TypeAlias = Sequence[Any]


def _erf(a: Arithmetic, x: float) -> Any:
    return a.erf(a.number(x))


def _gelu(a: Arithmetic, x: float) -> Any:
    number = a.number(x)
    return number * a.erfc(-number / a.sqrt(a.number(2.0))) / 2


def _times_logistic(a: Arithmetic, x: float, argument: Any) -> Any:
    """Compute x / (1 + exp(-argument)) so that no exponential overflows."""
    number = a.number(x)
    if argument >= 0:
        return number / (1 + a.exp(-argument))
    small = a.exp(argument)
    return number * small / (1 + small)


def _gelu_new(a: Arithmetic, x: float) -> Any:
    """Compute x/2 (1 + tanh(u)) = x / (1 + exp(-2u))."""
    number = a.number(x)
    u = a.sqrt(2 / a.pi) * (number + a.number(44715.0) / 1_000_000 * number * number * number)
    return _times_logistic(a, x, 2 * u)


def _silu(a: Arithmetic, x: float) -> Any:
    return _times_logistic(a, x, a.number(x))


def _relu(a: Arithmetic, x: float) -> Any:
    return a.number(x) if x > 0 else a.number(0.0)


SCALARS: Mapping[str, Callable[[Arithmetic, float], Any]] = {
    "erf": _erf,
    "gelu": _gelu,
    "gelu_new": _gelu_new,
    "silu": _silu,
    "relu": _relu,
}
"""Functions of one number."""


def scalar(a: Arithmetic, name: str, x: float) -> float:
    """Compute one of `SCALARS` at any float, rounded to float64.

    NaN gives NaN, infinity the limit, and zero keeps its sign, except in relu, which gives 0.0.

    >>> from npblender.groundtruth.packs.truth.arithmetic import LIBM
    >>> scalar(LIBM, "relu", -2.0), scalar(LIBM, "erf", float("inf"))
    (0.0, 1.0)
    """
    if math.isnan(x):
        return x
    if math.isinf(x):
        top = 1.0 if name == "erf" else math.inf
        return top if x > 0 else {"erf": -1.0, "relu": 0.0}.get(name, -0.0)
    if x == 0:
        return 0.0 if name == "relu" else x
    value = float(SCALARS[name](a, x))
    return math.copysign(value, x) if value == 0 and name != "relu" else value


def softmax(a: Arithmetic, row: Row) -> list[Any]:
    """Compute exp(x) over the sum of exp(x); -inf gives 0."""
    largest = max(row)
    powers = [a.number(0.0) if x == -math.inf else a.exp(x - largest) for x in row]
    total = a.fsum(powers)
    return [power / total for power in powers]


def log_softmax(a: Arithmetic, row: Row) -> list[Any]:
    """Compute x minus the logarithm of the sum of exp(x); -inf stays -inf."""
    largest = max(row)
    total = a.fsum(a.exp(x - largest) for x in row if x != -math.inf)
    return [x if x == -math.inf else (x - largest) - a.log(total) for x in row]


def layer_norm(a: Arithmetic, row: Row, weight: Row, bias: Row, eps: Any) -> list[Any]:
    """Normalize a row, with the biased variance and eps inside the root."""
    mean = a.fsum(row) / len(row)
    variance = a.fsum((x - mean) * (x - mean) for x in row) / len(row)
    root = a.sqrt(variance + eps)
    return [(x - mean) / root * w + b for x, w, b in zip(row, weight, bias, strict=True)]


def linear(a: Arithmetic, row: Row, weight: Sequence[Row], bias: Row) -> list[Any]:
    """Multiply a row by every row of the weight and add the bias."""
    return [
        a.fsum([*(x * w for x, w in zip(row, outgoing, strict=True)), b])
        for outgoing, b in zip(weight, bias, strict=True)
    ]


def embed(ids: Sequence[int], table: Sequence[Row]) -> list[Row]:
    """Look up the rows that the ids name."""
    return [table[token] for token in ids]


def cross_entropy(a: Arithmetic, logits: Sequence[Row], labels: Sequence[int], ignored: int = -100) -> Any:
    """Compute the mean of -log_softmax at the labels that are not ignored."""
    kept = [(row, label) for row, label in zip(logits, labels, strict=True) if label != ignored]
    return -a.fsum(log_softmax(a, row)[label] for row, label in kept) / len(kept)
