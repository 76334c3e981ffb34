"""The members of a zip file as places in it; strict, because `torch.save` writes one kind of zip only.

Python's `zipfile` reads whatever is called a zip, and forgives much. Here every member must be stored as it is (so that
there is nothing to inflate), under a plain name that occurs once, where its own header and the directory agree, inside
the file, and beside the others.

Format: PKWARE's APPNOTE 6.3, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16, 4.5.3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from npblender.checkpoint.formats.errors import DamagedFileError, UnsafeFileError
from npblender.common.printable import shown

MOST_MEMBERS: Final = 20_000  # a member a tensor: torch writes 350 for the published sizes, 1,379 with Adam's state
LONGEST_DIRECTORY: Final = 8 << 20  # bytes of the directory: 400 for each of so many members
LONGEST_NAME: Final = 300

_END, _END_64, _LOCATOR = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_ENTRY, _LOCAL = b"PK\1\2", b"PK\3\4"
_ENCRYPTED = 0x2041  # encrypted, strongly encrypted, headers masked
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF


@dataclass(frozen=True)
class Member:
    """`size` bytes of a file from `start` on."""

    start: int
    size: int


def read_members(path: Path) -> dict[str, Member]:
    """Every member of a zip file by its name.

    Raises:
        UnsafeFileError: a member that is compressed, encrypted, twice there, over another, or of a name that leads
            elsewhere; too many of them.
        DamagedFileError: the file is cut short or contradicts itself.
    """
    with path.open("rb") as file:
        total = file.seek(0, 2)
        count, size, start = _read_end(path, file, total)
        if count > MOST_MEMBERS or size > LONGEST_DIRECTORY:
            raise UnsafeFileError(
                f"{path} has a directory of {count:,} members, {size:,} bytes, more than weights have"
            )
        directory = _at(path, file, start, size)
        members: dict[str, Member] = {}
        occupied: list[tuple[int, int, str]] = []
        at = 0
        for _ in range(count):
            at, name, header, length = _read_entry(path, directory, at)
            if name in members:
                raise UnsafeFileError(f"{path} has the member {shown(name)} twice")
            begin = _data_start(path, file, name, header)
            members[name] = Member(begin, length)
            occupied.append((header, begin + length, name))
        if at != len(directory):
            raise DamagedFileError(f"{path} has {len(directory) - at} bytes too many in its directory")
    end, before = 0, "the file's start"
    for header, behind, name in sorted(occupied):
        if header < end or behind > start:
            what = f"overlaps {shown(before)}" if header < end else "reaches into the directory"
            raise UnsafeFileError(f"{path} has a member {shown(name)} that {what}")
        end, before = behind, name
    return members


def _at(path: Path, file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    found = file.read(size)
    if len(found) != size:
        raise DamagedFileError(f"{path} was cut short: {size} bytes at {start} are not there")
    return found


def _read_end(path: Path, file: BinaryIO, total: int) -> tuple[int, int, int]:
    """How many members there are, and the directory's size and start; it must end where its record begins."""
    if total < 22:
        raise DamagedFileError(f"{path} was cut short: {total} bytes hold no zip")
    end = _at(path, file, total - 22, 22)
    if end[:4] != _END:
        raise DamagedFileError(f"{path} was cut short, or something follows it: it does not end as torch's zips do")
    disk, first, here, count, size, start, comment = struct.unpack("<4H2LH", end[4:])
    behind = total - 22
    if behind >= 20 and (locator := _at(path, file, behind - 20, 20))[:4] == _LOCATOR:
        _, where, _ = struct.unpack("<LQL", locator[4:])
        if where != behind - 20 - 56 or (record := _at(path, file, where, 56))[:4] != _END_64:
            raise DamagedFileError(f"{path} has no directory where it says")
        small = count, size, start
        _, _, _, disk, first, here, count, size, start = struct.unpack("<Q2H2L4Q", record[4:])
        full = (_FULL_16, _FULL_32, _FULL_32)
        if any(one not in (other, most) for one, other, most in zip(small, (count, size, start), full, strict=True)):
            raise UnsafeFileError(f"{path} describes its directory twice, and not alike")
        behind = where
    if disk or first or comment or here != count or start + size != behind:
        raise DamagedFileError(f"{path} has a directory that contradicts the file")
    return count, size, start


def _read_entry(path: Path, directory: bytes, at: int) -> tuple[int, str, int, int]:
    """The place behind one entry of the directory, and the member's name, header and size."""
    fixed = directory[at : at + 46]
    if len(fixed) < 46 or fixed[:4] != _ENTRY:
        raise DamagedFileError(f"{path} has a damaged directory")
    flags, method = struct.unpack("<2H", fixed[8:12])
    packed, size, n, m, k, disk = struct.unpack("<2L4H", fixed[20:36])
    (header,) = struct.unpack("<L", fixed[42:])
    raw, extra = directory[at + 46 : at + 46 + n], directory[at + 46 + n : at + 46 + n + m]
    if len(raw) != n or len(extra) != m or at + 46 + n + m + k > len(directory):
        raise DamagedFileError(f"{path} has a damaged directory")
    name = _name(path, raw)
    if flags & _ENCRYPTED:
        raise UnsafeFileError(f"{path} has an encrypted member {shown(name)}")
    if method:
        raise UnsafeFileError(f"{path} has a compressed member {shown(name)}; torch stores its members as they are")
    wide = iter(_wide_numbers(extra))
    try:
        size, packed, header = (
            next(wide) if number == _FULL_32 else number for number in (size, packed, header)
        )  # in this order, those that are full
    except (StopIteration, RuntimeError):
        raise DamagedFileError(f"{path} has a member {shown(name)} without its size or place") from None
    if size != packed or disk:
        raise DamagedFileError(f"{path} has a member {shown(name)} of two sizes")
    return at + 46 + n + m + k, name, header, size


def _wide_numbers(extra: bytes) -> list[int]:
    """The 8-byte numbers of an entry's zip64 field."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack("<2H", extra[at : at + 4])
        if kind == 1:
            content = extra[at + 4 : at + 4 + size]
            return [int.from_bytes(content[n : n + 8], "little") for n in range(0, len(content) - 7, 8)]
        at += 4 + size
    return []


def _name(path: Path, raw: bytes) -> str:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise UnsafeFileError(f"{path} has a member whose name is not UTF-8") from None
    parts = name.split("/")
    plain = len(raw) <= LONGEST_NAME and name.isprintable() and not set("\\:") & set(name)
    if not plain or any(part in ("", ".", "..") for part in parts):
        raise UnsafeFileError(f"{path} has a member of the name {shown(name, 100)}, which leads elsewhere")
    return name


def _data_start(path: Path, file: BinaryIO, name: str, header: int) -> int:
    """Where a member's bytes begin, after its own header was found to agree."""
    local = _at(path, file, header, 30)
    flags, method = struct.unpack("<2H", local[6:10])
    n, m = struct.unpack("<2H", local[26:])
    if local[:4] != _LOCAL or method or flags & _ENCRYPTED or _at(path, file, header + 30, n) != name.encode():
        raise UnsafeFileError(f"{path} describes its member {shown(name)} twice, and not alike")
    return header + 30 + int(n) + int(m)
