"""The activation functions that a BlenderbotSmall configuration may name, elementwise.

GELU, the model's own, has a module to itself (`gelu`); here are the others and the table by name: who adds one writes
its formula and a line of `ACTIVATIONS`. Arguments are not checked here (see `checked`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from npblender.common.array_types import FloatArray
from npblender.ops.erf_tables import GELU_NEW_CUBIC, GELU_NEW_LINEAR
from npblender.ops.error_function import short_head
from npblender.ops.gelu import gelu
from npblender.ops.threads import in_blocks


def relu(x: FloatArray) -> FloatArray:
    """max(x, 0). Any shape; dtype of x; NaN stays NaN.

    >>> relu(np.array([-1.0, 0.0, 1.0]))
    array([0., 0., 1.])
    """
    return np.asarray(np.maximum(x, x.dtype.type(0)))


def silu(x: FloatArray) -> FloatArray:
    """x / (1 + exp(-x)), x times the logistic function of x. Any shape; dtype of x.

    >>> x = np.array([-1.0, 0.0, 1.0])
    >>> (x / (1 + np.exp(-x))).round(6)
    array([-0.268941,  0.      ,  0.731059])
    >>> silu(x).round(6)
    array([-0.268941,  0.      ,  0.731059])

    Source: Elfwing, Uchibe and Doya, "Sigmoid-Weighted Linear Units", equation 1. silu(inf) is inf, silu(-inf) is
    -0.0, NaN stays NaN.
    """
    return in_blocks(lambda block: _times_logistic(block, block), x)


def gelu_new(x: FloatArray) -> FloatArray:
    """x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), the tanh approximation of GELU. Any shape; dtype of x.

    >>> x = np.array([-1.0, 0.0, 1.0])
    >>> (x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))).round(6)
    array([-0.158808,  0.      ,  0.841192])
    >>> gelu_new(x).round(6)
    array([-0.158808,  0.      ,  0.841192])

    Source: Hendrycks and Gimpel, "Gaussian Error Linear Units", section 2; the name is transformers'. It differs
    from `gelu` by up to 4.7e-4. gelu_new(inf) is inf, gelu_new(-inf) is -0.0, NaN stays NaN.
    """
    return in_blocks(_gelu_new_kernel, x)


ACTIVATIONS: Mapping[str, Callable[[FloatArray], FloatArray]] = MappingProxyType(
    {"gelu": gelu, "relu": relu, "silu": silu, "gelu_new": gelu_new}
)
"""Activation functions by the name that a configuration's `activation_function` gives them."""


def _times_logistic(x: FloatArray, argument: FloatArray, rest: FloatArray | None = None) -> FloatArray:
    """x / (1 + exp(-argument - rest)) for an argument of x's sign, without overflow and accurate where it is small.

    For a negative argument it is x e/(1 + e), with e = exp(argument + rest). Where e would be subnormal, it is taken
    in two factors, so that a subnormal result is rounded once.
    """
    wide_exponent = np.finfo(x.dtype).minexp < -2000
    knee, zero = (11300.0, 11500.0) if wide_exponent else (700.0, 800.0)
    size = np.clip(np.abs(argument), 0, zero)
    head = np.minimum(size, knee)
    negative = argument < 0
    e = np.exp(-head)
    if rest is not None:
        e += e * np.expm1(np.where(negative, rest, -rest))
    value: FloatArray = np.where(negative, np.maximum(x, -zero) * e, x) / (1 + e)
    if not (size <= knee).all():
        value *= np.where(negative, np.exp(head - size), 1)
    return value


def _gelu_new_kernel(x: FloatArray) -> FloatArray:
    """x/2 (1 + tanh(z)) as x/(1 + exp(-2z)): the left tail, where tanh(z) is near -1, keeps its digits.

    2z = a x + b x^3 reaches 745 before the result underflows, so it is needed to ten bits more than the dtype has:
    as a sum of two, from products of a short head of x with the short heads of a and b, which are exact.
    """
    scalar = x.dtype.type
    a, b = scalar(GELU_NEW_LINEAR[0]), scalar(GELU_NEW_CUBIC[0])
    a_rest, b_rest = (scalar(c[1]) + scalar(c[2]) for c in (GELU_NEW_LINEAR, GELU_NEW_CUBIC))
    y = np.clip(x, -60, 60)  # far beyond where the result is x, or 0
    head = short_head(y, 16 if np.finfo(x.dtype).nmant > 60 else 12)
    tail = y - head
    linear, cubic = head * a, head * head * head * b
    argument = linear + cubic
    moved = argument - linear
    rest = (linear - (argument - moved)) + (cubic - moved)  # what the sum has lost: Knuth's two-sum
    rest += tail * (a + b * (head * head + head * y + y * y))
    rest += y * (a_rest + b_rest * (y * y))
    return _times_logistic(x, argument, rest)
