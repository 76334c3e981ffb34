"""The number formats of files, and the dtypes that the model computes in.

A file may store float16, bfloat16, float32 or float64; whatever it stores is converted to the one dtype asked
for. NumPy has no bfloat16, but it is float32's upper half, so a shift by 16 bits is the whole conversion.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from npblender.common.array_types import Array
from npblender.common.printable import shown
from npblender.transformer.packing import HALF_FORMATS

# Bits of one value, for every format the safetensors library knows: a header is checked even where a tensor
# is not read.
STORED_BITS: Mapping[str, int] = {
    **{"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6},
    **{"BOOL": 8, "U8": 8, "I8": 8},
    **{"F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8},
    **{"I16": 16, "U16": 16, "F16": 16, "BF16": 16},
    **{"I32": 32, "U32": 32, "F32": 32},
    **{"I64": 64, "U64": 64, "F64": 64, "C64": 64},
}

# The formats a parameter may have, as NumPy reads their bytes; files are little-endian on every machine.
STORED_FLOATS: Mapping[str, str] = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}

FORMAT_OF: Mapping[str, str] = {"float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64"}
"""The formats that `save` can write: their names in files, by NumPy's."""


def resolve_dtype(dtype: str | npt.DTypeLike) -> np.dtype[Any]:
    """Resolve the dtype that a model computes in: "float32", "float64" or "longdouble", by name or as NumPy has them.

    Raises:
        ValueError: another dtype, or longdouble on a machine where it is no wider than float64.
        TypeError: something that is no dtype at all.

    >>> resolve_dtype("float64"), resolve_dtype(np.float32)
    (dtype('float64'), dtype('float32'))
    >>> resolve_dtype("float16")
    Traceback (most recent call last):
    ValueError: dtype 'float16' is not computed in; choose 'float32', 'float64' or 'longdouble'
    """
    choose = "choose 'float32', 'float64' or 'longdouble'"
    dtype = _plain(dtype)
    if _name(dtype) in HALF_FORMATS:
        raise ValueError(f"dtype {shown(_name(dtype))} is not computed in; {choose}")
    try:
        found = np.dtype(dtype) if dtype is not None else None  # NumPy takes None for float64
    except (TypeError, ValueError):
        found = None
    if found is None:
        raise (ValueError if isinstance(dtype, str) else TypeError)(f"{shown(dtype)} is no dtype; {choose}")
    if found.char not in "fdg":  # float, double, long double of C
        raise ValueError(f"dtype {str(found)!r} is not computed in; {choose}")
    if found.char == "g" and not _longdouble_is_wider():
        raise ValueError("dtype 'longdouble' is no wider than float64 on this machine; choose 'float64'")
    return found.newbyteorder("=")


def resolve_storage(dtype: str | npt.DTypeLike) -> tuple[np.dtype[Any], str]:
    """Resolve the dtype that a model computes in, and the format in which it keeps its large matrices.

    For "float16" and "bfloat16" it computes in float32. Raises as `resolve_dtype` does.

    >>> resolve_storage("bfloat16"), resolve_storage("float64")
    ((dtype('float32'), 'bfloat16'), (dtype('float64'), 'float64'))
    """
    dtype = _plain(dtype)
    if _name(dtype) in HALF_FORMATS:
        return np.dtype(np.float32), _name(dtype)
    try:
        found = resolve_dtype(dtype)
    except (TypeError, ValueError) as error:
        other = "'float16' or 'bfloat16' keep large matrices in half the memory and compute in float32"
        raise type(error)(f"{error}; {other}") from None
    return found, str(found)


def _plain(dtype: Any) -> Any:
    """The name of torch's object for a dtype, which is found without torch; anything else as it is."""
    return str(dtype).removeprefix("torch.") if str(dtype).startswith("torch.") else dtype


def _name(dtype: Any) -> str:
    """The dtype's name in NumPy, or its own where NumPy has none (bfloat16 without another library)."""
    try:
        return dtype if isinstance(dtype, str) and dtype in HALF_FORMATS else np.dtype(dtype).name
    except (TypeError, ValueError):
        return ""


def _longdouble_is_wider() -> bool:
    return bool(np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant)


def decode(raw: Array, stored: str, dtype: np.dtype[Any]) -> Array:
    """Convert bytes of a file to values of `dtype`, rounded once if it is narrower than what is stored.

    A value too large for `dtype` becomes infinity, which the caller checks.

    >>> decode(np.array([0x80, 0x3F], np.uint8), "BF16", np.dtype("float64"))
    array([1.])
    """
    values: Array = raw.view(STORED_FLOATS[stored])
    if stored == "BF16":
        values = (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    with np.errstate(all="ignore"):
        return values.astype(dtype, copy=False)
