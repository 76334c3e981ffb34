"""Locks: one holder at a time, on Unix by fcntl and on Windows by msvcrt (stood in for here)."""

from __future__ import annotations

import errno
import sys
import types
from pathlib import Path

import pytest

from npblender.common.locking import lock


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="this system has no such locks")
    place = tmp_path / "file"
    place.write_bytes(b"")
    with place.open("rb+") as one, place.open("rb+") as other:
        assert lock(one)
        assert not lock(other)
    with place.open("rb+") as later:
        assert lock(later)


def test_windows_locks_a_byte_that_no_reader_wants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: set[int] = set()

    def locking(handle: int, mode: int, count: int) -> None:
        import os

        at = os.lseek(handle, 0, os.SEEK_CUR)
        assert (mode, count) == (2, 1)
        if at in held:
            raise OSError(errno.EACCES, "locked")
        held.add(at)

    monkeypatch.setitem(sys.modules, "fcntl", None)
    fake = types.SimpleNamespace(LK_NBLCK=2, locking=locking)
    monkeypatch.setitem(sys.modules, "msvcrt", fake)
    place = tmp_path / "file"
    place.write_bytes(b"abc")
    with place.open("rb+", buffering=0) as one, place.open("rb+", buffering=0) as other:
        one.seek(2)
        assert lock(one)
        assert one.tell() == 2
        assert not lock(other)
    assert held == {(1 << 31) - 2}
    fake.locking = lambda *_: (_ for _ in ()).throw(OSError(errno.EINVAL, "no locks here"))
    with place.open("rb+") as file, pytest.raises(OSError, match="no locks here"):
        lock(file)
