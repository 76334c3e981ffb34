"""Numbers of 16 bits, float16 and bfloat16: rounded from float32, and converted back in few passes.

bfloat16 is the upper half of float32. NumPy's own conversion of float16 goes number by number; integers moved into
place and one multiplication give the same values in an eighth of the time. Bits are uint16 in either format, since
NumPy has no bfloat16. Numbers must be finite; `fits` finds those that are not.
"""

from __future__ import annotations

import numpy as np

from npblender.common.array_types import Array

FORMATS = ("float16", "bfloat16")

_FLOAT16 = np.uint32(0x8FFFE000).view(np.int32)  # where its sign, exponent and digits lie in a float32
_UNBIASED = np.float32(2.0**112)  # float16's exponents count from -15, float32's from -127


def narrow(values: Array, stored: str) -> Array:
    """The bits of values of float32, rounded to the nearest number of the format, of two the even one.

    >>> [f"{int(bits):x}" for bits in narrow(np.array([1.0, -2.0], np.float32), "bfloat16")]
    ['3f80', 'c000']
    """
    if stored == "float16":
        with np.errstate(over="ignore"):
            return values.astype(np.float16).view(np.uint16)
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    half = (bits >> np.uint32(16)) & np.uint32(1)
    half += np.uint32(0x7FFF)  # just below half a step, and half of one where the digit before is odd
    half += bits
    half >>= np.uint32(16)
    return half.astype(np.uint16)


def fits(bits: Array, stored: str) -> bool:
    """Whether all are finite numbers of the format.

    >>> fits(narrow(np.array([65504.0], np.float32), "float16"), "float16")
    True
    >>> fits(narrow(np.array([65520.0], np.float32), "float16"), "float16")
    False
    """
    exponent = np.uint16(0x7C00 if stored == "float16" else 0x7F80)
    return not bool(((bits & exponent) == exponent).any())


def widen(bits: Array, stored: str, out: Array) -> Array:
    """Bits of finite numbers as float32, exactly, into `out`, which is contiguous and of the same shape.

    >>> widen(np.array([0x3C00, 0x8001], np.uint16), "float16", np.empty(2, np.float32)).tolist()
    [1.0, -5.960464477539063e-08]
    """
    whole = out.view(np.int32)
    if stored == "bfloat16":
        np.copyto(whole, bits)
        np.left_shift(whole, 16, out=whole)
    else:
        np.copyto(whole, bits.view(np.int16))  # the sign goes into all upper bits,
        np.left_shift(whole, 13, out=whole)
        np.bitwise_and(whole, _FLOAT16, out=whole)  # and stays in one
        np.multiply(out, _UNBIASED, out=out)
    return out
