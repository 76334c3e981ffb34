"""What every elementwise operation needs: a check of its input, and evaluation in blocks that stay in cache.

Not here: any mathematics. A kernel is a function of one contiguous block; this module only feeds it.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]

FLOAT_TYPES: tuple[type[np.floating[Any]], ...] = (np.float32, np.float64, np.longdouble)


def float_array(name: str, x: npt.ArrayLike) -> FloatArray:
    """Return `x` as an array if its dtype is float32, float64 or longdouble; never convert a dtype.

    Raises TypeError, naming the argument and its dtype, for anything else (integers, float16, complex,
    a byte-swapped float, a masked array).

    >>> float_array("x", [0.5, 1.0])
    array([0.5, 1. ])
    >>> float_array("x", np.arange(3))
    Traceback (most recent call last):
        ...
    TypeError: x has dtype int64, but float32, float64 or longdouble is needed: convert it first, \
for example x.astype(np.float32)
    """
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be lost: pass {name}.filled(value)")
    array = np.asarray(x)
    if array.dtype not in FLOAT_TYPES:
        raise TypeError(
            f"{name} has dtype {array.dtype}, but float32, float64 or longdouble is needed: "
            f"convert it first, for example {name}.astype(np.float32)"
        )
    return array


def same_dtype(name: str, x: npt.ArrayLike, other_name: str, other: FloatArray) -> FloatArray:
    """Return `x` as a float array of the dtype of `other`; raise TypeError with both dtypes if it differs.

    >>> same_dtype("bias", np.zeros(2), "x", np.zeros(2, np.float32))
    Traceback (most recent call last):
        ...
    TypeError: bias has dtype float64, but x has float32: convert one of them, so that nothing is promoted
    """
    array = float_array(name, x)
    if array.dtype != other.dtype:
        raise TypeError(
            f"{name} has dtype {array.dtype}, but {other_name} has {other.dtype}: "
            "convert one of them, so that nothing is promoted"
        )
    return array
