"""Reads and writes files of named arrays: writes safetensors, the same content as the same bytes; reads NPZ, too.

The safetensors library writes metadata in an order that changes from run to run, so the bytes are arranged here:
sorted metadata, then the tensors in the order they are given.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from npblender.checkpoint.dtypes import decode
from npblender.checkpoint.folder import StoredTensor, read_header, read_metadata
from npblender.common.array_types import Array
from npblender.common.printable import cut, shown
from npblender.common.replacing import replacing

_DTYPES = {
    code: np.dtype(kind)
    for code, kind in (
        *(("F64", "<f8"), ("F32", "<f4"), ("F16", "<f2"), ("I64", "<i8"), ("I32", "<i4"), ("I16", "<i2"), ("I8", "i1")),
        *(("U64", "<u8"), ("U32", "<u4"), ("U16", "<u2"), ("U8", "u1"), ("BOOL", "?")),
    )
}
_CODES = {dtype.name: code for code, dtype in _DTYPES.items()}
T = TypeVar("T")
_ALIGNMENT = 8
UNPACKED_LIMIT = 1 << 32
"""The most bytes that an NPZ file may unpack to: 4 GiB. One of four megabytes can."""


def compact_json(value: Any) -> str:
    """Encode a value in one line, as the metadata of files have it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _pieces(arrays: Mapping[str, Array], metadata: Mapping[str, str] | None) -> Iterator[bytes]:
    """Yield the file's header, its length in front, and the bytes of each array."""
    header: dict[str, Any] = {}
    if metadata:
        wrong = [key for key, value in metadata.items() if not (isinstance(key, str) and isinstance(value, str))]
        if wrong:
            raise TypeError(f"metadata of a safetensors file are texts; {shown(wrong[0])} is not")
        header["__metadata__"] = dict(sorted(metadata.items()))
    for name, array in arrays.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise TypeError(f"{shown(name)} cannot name a tensor of a safetensors file")
        if array.dtype.name not in _CODES:
            hint = "; choose float64" if array.dtype.kind == "f" else ""
            raise TypeError(f"{name} is {array.dtype}, which safetensors cannot store{hint}")
    ordered, offset = [], 0
    for name, array in sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize):
        code = _CODES[array.dtype.name]
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
        ordered.append(np.asarray(array, _DTYPES[code]))
    text = compact_json(header).encode("utf-8")
    text += b" " * (-len(text) % _ALIGNMENT)
    yield len(text).to_bytes(8, "little") + text
    yield from (array.tobytes() for array in ordered)


def tensor_bytes(arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> bytes:
    """Encode arrays as a safetensors file: wider dtypes first, so that every tensor is aligned, else in order.

    Raises TypeError for a dtype that the format lacks (such as longdouble), and for names or metadata that are not
    texts.

    >>> blob = tensor_bytes({"b": np.zeros(2, np.float32), "a": np.ones(1)}, {"made by": "hand"})
    >>> len(blob) % 8, blob[8:43]
    (0, b'{"__metadata__":{"made by":"hand"},')
    """
    return b"".join(_pieces(arrays, metadata))


def write_tensors(
    path: str | os.PathLike[str], arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None
) -> None:
    """Write `tensor_bytes` to a file, which appears under its name only when it is complete.

    Raises TypeError as `tensor_bytes` does, ValueError where the system refuses to write.
    """
    with replacing(Path(path)) as unfinished, unfinished.open("wb") as file:
        file.writelines(_pieces(arrays, metadata))


def existing_file(path: str | os.PathLike[str]) -> Path:
    """Return the path after making sure that a file is there.

    >>> existing_file("no such file")
    Traceback (most recent call last):
    FileNotFoundError: there is no file 'no such file'
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"a file is named by a string or a path, not by a {type(path).__name__}")
    place = Path(path)
    try:
        if place.is_dir():
            raise ValueError(f"{str(path)!r} is a folder; name a file of tensors in it")
        there = place.exists()
    except OSError as error:
        raise ValueError(f"{str(path)!r} is no name of a file: {error}") from error
    if not there:
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    if not place.is_file():
        raise ValueError(f"{str(path)!r} is a pipe or a device, and a file is read more than once; name a file")
    return place


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """Read the arrays of a safetensors or NPZ file by name, in the order of the file, and its metadata (NPZ has none).

    bfloat16 becomes float32; every other dtype stays as stored. Raises FileNotFoundError, and ValueError for a file
    that is damaged, is of neither kind, or holds dtypes that NumPy lacks.
    """
    place = existing_file(path)
    if _is_zip(place):
        return _read_npz(place), {}
    tensors = read_header(place)
    content = np.fromfile(place, np.uint8)
    return {name: _stored(tensor, content) for name, tensor in tensors.items()}, read_metadata(place)


def below(prefix: str, named: Mapping[str, T]) -> dict[str, T]:
    """Select what has a name that begins with a prefix, by what follows it.

    >>> below("in/", {"in/x": 1, "out/y": 2})
    {'x': 1}
    """
    return {name.removeprefix(prefix): each for name, each in named.items() if name.startswith(prefix)}


def _is_zip(path: Path) -> bool:
    """Decide by the first bytes: the last ones may be anything. A safetensors file begins with a length below 2^32."""
    with path.open("rb") as file:
        start = file.read(8)
    return start[:4] == b"PK\5\6" or (start[:4] == b"PK\3\4" and any(start[4:]))


def _stored(tensor: StoredTensor, content: NDArray[np.uint8]) -> Array:
    raw = content[tensor.start : tensor.start + tensor.size]
    if tensor.dtype == "BF16":
        return decode(raw.copy(), "BF16", np.dtype(np.float32)).reshape(tensor.shape)
    if tensor.dtype not in _DTYPES:
        known = ", ".join([*_DTYPES, "BF16"])
        raise ValueError(f"{tensor.file}: tensor {shown(tensor.name)} is {tensor.dtype}; {known} are read")
    dtype = _DTYPES[tensor.dtype]
    return raw.copy().view(dtype).reshape(tensor.shape).astype(dtype.newbyteorder("="), copy=False)


def _read_npz(path: Path) -> dict[str, Array]:
    arrays = {}
    try:
        with zipfile.ZipFile(path) as listed:
            unpacked = sum(member.file_size for member in listed.infolist())
        if unpacked > UNPACKED_LIMIT:
            raise ValueError(
                f"unpacked it has {unpacked:,} bytes; {UNPACKED_LIMIT:,} are read, safetensors has no limit"
            )
        with np.load(path, allow_pickle=False) as stored:
            for name in stored.files:
                arrays[name] = np.asarray(stored[name])
    except Exception as error:  # zipfile and zlib have errors of many kinds
        raise ValueError(f"{path} is no NPZ file of plain arrays: {cut(str(error) or type(error).__name__)}") from error
    strange = [name for name, array in arrays.items() if array.dtype.kind not in "fiub"]
    if strange:
        raise ValueError(f"{path}: {shown(strange[0])} is {arrays[strange[0]].dtype}, and real numbers are read")
    return arrays
