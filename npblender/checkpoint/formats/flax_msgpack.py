"""Tensors of a flax_model.msgpack, as Flax 0.8's `to_bytes` writes it: nested maps, an extension type for arrays.

    {"model": {"encoder": {"layers": {"0": {"fc1": {"kernel": ARRAY, ...
    ARRAY = ext type 1 of (shape, dtype's name, bytes)

The msgpack library returns values, not places: it holds a file's bytes, an array's and its parts at the same time. What
Flax writes needs so little of the format (https://github.com/msgpack/msgpack/blob/master/spec.md) that it is read here,
and the tensors stay in the file until they are wanted.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import BinaryIO, Final

from npblender.checkpoint.dtypes import FORMAT_OF, STORED_BITS
from npblender.checkpoint.folder import StoredTensor
from npblender.checkpoint.formats.errors import DamagedFileError, UnsafeFileError
from npblender.common.printable import shown

DEEPEST: Final = 12  # maps within maps; Flax nests 7
MOST_ENTRIES: Final = 100_000  # of all maps together; Flax makes some 600 for the published sizes
LONGEST_KEY: Final = 256
MOST_AXES: Final = 8

_ARRAY = 1  # Flax's extension types: an array, a complex number, a NumPy scalar
_DTYPES: Final = {**FORMAT_OF, "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64", "uint8": "U8"}


def read_flax(path: Path) -> dict[str, StoredTensor]:
    """Every array in the file by its keys joined by dots, as Flax keeps it.

    Raises:
        UnsafeFileError: anything but maps and arrays, or more of them than weights have.
        DamagedFileError: the file is cut short or contradicts itself.
    """
    with path.open("rb") as file:
        reader = _Reader(path, file)
        found = reader.tree()
        if reader.at != reader.total:
            raise DamagedFileError(f"{path} has {reader.total - reader.at} bytes after its last array")
    return found


class _Reader:
    """One file being read, from front to back."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file
        self.total = file.seek(0, 2)
        self.at = file.seek(0)
        self.entries = 0
        self.found: dict[str, StoredTensor] = {}

    def tree(self) -> dict[str, StoredTensor]:
        count = self.map_size(self.take(1)[0])
        if count is None:
            raise DamagedFileError(f"{self.path} is no flax_model.msgpack: it does not begin with a map")
        self.map(count, ())
        return self.found

    def map(self, count: int, above: tuple[str, ...]) -> None:
        if len(above) > DEEPEST:
            raise UnsafeFileError(f"{self.path} is nested more than {DEEPEST} maps deep")
        self.entries += count
        if self.entries > MOST_ENTRIES:
            raise UnsafeFileError(f"{self.path} has more than {MOST_ENTRIES:,} entries")
        seen = set()
        for _ in range(count):
            key = self.key()
            if key in seen:
                raise UnsafeFileError(f"{self.path} has the key {shown(key)} twice in one map")
            seen.add(key)
            names = (*above, key)
            code = self.take(1)[0]
            inner = self.map_size(code)
            if inner is not None:
                self.map(inner, names)
            else:
                self.array(code, ".".join(names))

    def array(self, code: int, name: str) -> None:
        """One array: `found` gets its place."""
        size = self.ext_size(code)
        if size is None:
            raise UnsafeFileError(f"{self.path} holds something other than an array under {shown(name)}")
        kind = self.take(1)[0]
        if kind != _ARRAY:
            raise UnsafeFileError(f"{self.path} has the extension type {kind} under {shown(name)}, not 1 for an array")
        end = self.at + size
        if end > self.total:
            raise DamagedFileError(f"{self.path} was cut short inside {shown(name)}")
        if self.take(1) != b"\x93" or (axes := self.list_size()) > MOST_AXES:
            raise DamagedFileError(f"{self.path} has a damaged array {shown(name)}")
        shape = tuple(self.whole() for _ in range(axes))
        dtype = self.key()
        if dtype not in _DTYPES:
            raise UnsafeFileError(f"{self.path} has an array {shown(name)} of the dtype {shown(dtype, 50)}")
        stored, length = _DTYPES[dtype], self.bin_size()
        if self.at + length != end or length * 8 != math.prod(shape) * STORED_BITS[stored]:
            raise DamagedFileError(f"{self.path}: the array {shown(name)} of shape {shape} has {length} bytes")
        if name in self.found:
            raise UnsafeFileError(f"{self.path} has {shown(name)} twice")
        self.found[name] = StoredTensor(self.path, name, stored, shape, self.at, length)
        self.at = self.file.seek(end)

    # the format's forms, as far as Flax uses them

    def take(self, count: int) -> bytes:
        found = self.file.read(count)
        if len(found) != count:
            raise DamagedFileError(f"{self.path} was cut short")
        self.at += count
        return found

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def map_size(self, code: int) -> int | None:
        if 0x80 <= code <= 0x8F:
            return code & 15
        return self.number(2 if code == 0xDE else 4) if code in (0xDE, 0xDF) else None

    def ext_size(self, code: int) -> int | None:
        if 0xD4 <= code <= 0xD8:
            return int(1 << (code - 0xD4))
        return self.number(1 << (code - 0xC7)) if 0xC7 <= code <= 0xC9 else None

    def bin_size(self) -> int:
        code = self.take(1)[0]
        if not 0xC4 <= code <= 0xC6:
            raise DamagedFileError(f"{self.path} has an array without its bytes")
        return self.number(1 << (code - 0xC4))

    def list_size(self) -> int:
        code = self.take(1)[0]
        if not 0x90 <= code <= 0x9F:
            raise DamagedFileError(f"{self.path} has an array without its shape")
        return code & 15

    def whole(self) -> int:
        code = self.take(1)[0]
        if code < 0x80:
            return code
        if not 0xCC <= code <= 0xCE:
            raise DamagedFileError(f"{self.path} has a shape that is no list of sizes")
        return self.number(1 << (code - 0xCC))

    def key(self) -> str:
        code = self.take(1)[0]
        if 0xA0 <= code <= 0xBF:
            size = code & 31
        elif code == 0xD9:
            size = self.number(1)
        else:
            raise DamagedFileError(f"{self.path} has a key that is no short text")
        raw = self.take(size)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise DamagedFileError(f"{self.path} has a key that is not UTF-8") from None
