"""Files of `torch.save` written here from their description, right or wrong, so that what reads them meets anything.

A pickle is put together from its opcodes (Python's module pickletools), a zip from its records (APPNOTE 6.3).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

START, STOP = b"\x80\x02", b"."
MAGIC = 0x1950A86A20F9469CFC6C
FORMATS = {"HalfStorage": 2, "BFloat16Storage": 2, "FloatStorage": 4, "DoubleStorage": 8, "LongStorage": 8}


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def whole(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def tuple_of(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def wholes(values: Sequence[int]) -> bytes:
    return tuple_of(*map(whole, values))


ORDERED = name("collections", "OrderedDict") + b")R"


def storage(kind: str, key: str, count: int, *more: bytes) -> bytes:
    return tuple_of(text("storage"), name("torch", kind), text(key), text("cpu"), whole(count), *more) + b"Q"


def rebuilt(storage: bytes, offset: int, shape: Sequence[int], strides: Sequence[int], hooks: bytes = ORDERED) -> bytes:
    arguments = tuple_of(storage, whole(offset), wholes(shape), wholes(strides), b"\x89", hooks)
    return name("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def steps(shape: Sequence[int]) -> list[int]:
    out: list[int] = []
    step = 1
    for size in reversed(shape):
        out.insert(0, step)
        step *= size
    return out


def tensor(kind: str, key: str, shape: Sequence[int]) -> bytes:
    count = 1
    for size in shape:
        count *= size
    return rebuilt(storage(kind, key, count), 0, shape, steps(shape))


def dictionary(items: dict[str, bytes]) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def pickled(*body: bytes) -> bytes:
    return START + b"".join(body) + STOP


@dataclass(frozen=True)
class Entry:
    """A member of a zip, and the lies that its records may tell."""

    name: str
    content: bytes
    flags: int = 0
    method: int = 0
    size: int | None = None  # in the directory
    offset: int | None = None  # in the directory
    local_name: str | None = None
    local_method: int = 0
    local_flags: int = 0
    wide: bool = False  # sizes and place in a zip64 field


def zipped(entries: Sequence[Entry], *, count: int | None = None, behind: bytes = b"", wide: bool = False) -> bytes:
    out, directory = b"", b""
    for entry in entries:
        start = len(out)
        local = (entry.name if entry.local_name is None else entry.local_name).encode()
        size, crc = len(entry.content), zlib.crc32(entry.content)
        out += b"PK\3\4" + struct.pack(
            "<5H3L2H", 20, entry.local_flags, entry.local_method, 0, 0, crc, size, size, len(local), 0
        )
        out += local + entry.content
        told = size if entry.size is None else entry.size
        place = start if entry.offset is None else entry.offset
        extra = b""
        if entry.wide:
            extra = struct.pack("<2H3Q", 1, 24, told, told, place)
            told = place = 0xFFFFFFFF
        raw = entry.name.encode()
        directory += b"PK\1\2" + struct.pack(
            "<6H3L5H2L",
            20,
            20,
            entry.flags,
            entry.method,
            0,
            0,
            crc,
            told,
            told,
            len(raw),
            len(extra),
            0,
            0,
            0,
            0,
            place,
        )
        directory += raw + extra
    number = len(entries) if count is None else count
    at, length = len(out), len(directory)
    out += directory
    if wide:
        record = len(out)
        out += b"PK\6\6" + struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, number, number, length, at)
        out += b"PK\6\7" + struct.pack("<LQL", 0, record, 1)
        number, length, at = 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF
    return out + b"PK\5\6" + struct.pack("<4H2LH", 0, 0, number, number, length, at, 0) + behind


def torch_zip(program: bytes, storages: dict[str, bytes], **more: bytes) -> bytes:
    """A file of today's form; `more` are other members of the archive."""
    entries = [Entry("archive/data.pkl", program)]
    entries += [Entry(f"archive/data/{key}", content) for key, content in storages.items()]
    entries += [Entry(f"archive/{key}", content) for key, content in more.items()]
    return zipped(entries)


def torch_legacy(
    program: bytes, storages: dict[str, tuple[int, bytes]], keys: bytes | None = None, little: bool = True
) -> bytes:
    """A file of the form before torch 1.6."""
    system = dictionary({"protocol_version": whole(1001), "little_endian": b"\x88" if little else b"\x89"})
    listed = b"](" + b"".join(map(text, storages)) + b"e" if keys is None else keys
    out = pickled(whole(MAGIC)) + pickled(whole(1001)) + pickled(system) + program + pickled(listed)
    for count, content in storages.values():
        out += struct.pack("<q", count) + content
    return out
