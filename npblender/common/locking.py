"""A lock on an open file, which ends with the process that holds it: fcntl's on Unix, msvcrt's on Windows."""

from __future__ import annotations

import contextlib
import errno
from typing import BinaryIO

_BEYOND = (1 << 31) - 2
"""The byte that is locked on Windows, where a locked byte cannot be read: the last that msvcrt can lock."""


def lock(file: BinaryIO) -> bool:
    """Lock an open file against every other open file of the same place; return whether it is ours now.

    Raises:
        OSError: the file system has no locks.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as one, open(one.name, "rb+") as other:
    ...     lock(one), lock(other)
    (True, False)
    """
    try:
        import fcntl
    except ImportError:
        return _lock_on_windows(file)
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_on_windows(file: BinaryIO) -> bool:
    import msvcrt

    at = file.tell()
    try:
        file.seek(_BEYOND)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EDEADLK):
            return False
        raise
    finally:
        with contextlib.suppress(OSError):
            file.seek(at)
    return True
