"""The activation functions that a BlenderbotSmall configuration may name, elementwise and vectorised.

Not here: gradients, and activations that no such configuration uses.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from npblender.elementwise import FloatArray, float_array
from npblender.gelu import gelu


def gelu_new(x: npt.ArrayLike) -> FloatArray:
    """The tanh approximation of GELU, x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).

    Hendrycks and Gimpel, section 2; `gelu_new` is transformers' name for it. Any shape; dtype of x.

    >>> gelu_new(np.array([-1.0, 0.0, 1.0])).round(6)
    array([-0.158808,  0.      ,  0.841192])
    """
    x = float_array("x", x)
    scalar = x.dtype.type
    with np.errstate(all="ignore"):
        twice = 2 * np.sqrt(2 / scalar(np.pi)) * (x + scalar(0.044715) * x * x * x)
        return np.asarray(np.where(np.isneginf(x), np.copysign(0, x), x / (1 + np.exp(-twice))), dtype=x.dtype)


def relu(x: npt.ArrayLike) -> FloatArray:
    """max(x, 0). Any shape; dtype of x; NaN stays NaN.

    >>> relu(np.array([-1.0, 0.0, 1.0]))
    array([0., 0., 1.])
    """
    x = float_array("x", x)
    return np.asarray(np.maximum(x, 0))


def silu(x: npt.ArrayLike) -> FloatArray:
    """x times the logistic function of x, x / (1 + exp(-x)). Any shape; dtype of x.

    >>> silu(np.array([-1.0, 0.0, 1.0])).round(6)
    array([-0.268941,  0.      ,  0.731059])
    """
    x = float_array("x", x)
    with np.errstate(all="ignore"):
        small = np.exp(-np.abs(x))
        value = x * np.where(x < 0, small, 1) / (1 + small)
        return np.asarray(np.where(np.isneginf(x), np.copysign(0, x), value), dtype=x.dtype)


ACTIVATIONS: Mapping[str, Callable[[npt.ArrayLike], FloatArray]] = MappingProxyType(
    {"gelu": gelu, "relu": relu, "silu": silu, "gelu_new": gelu_new}
)
"""Activation functions by the name that a configuration's `activation_function` gives them."""
