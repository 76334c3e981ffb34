"""Replaces a file, several files of a folder, or a whole folder: each is there whole, the old or the new, at any time.

Everything is written beside its place first, under a random name that nothing had (it is made exclusively, so no link
is followed and no file of the user's is touched), flushed to the disk, and renamed last. A kill before the renaming
leaves the old content as it was, and the unfinished one beside it, as `.NAME.XXXXXXXXXXXX.unfinished`.

    replacing          one file: the renaming is one step of the system
    replacing_files    several files of one folder: a journal in the folder lists the renamings, so that the next reader
                       or writer finishes what a kill interrupted, and no folder is read half old and half new
    replacing_folder   a folder: the two are exchanged in one step where the system can (Linux), else in two renamings

A link at the place is replaced, and never written through. A device, a pipe or a folder at a file's place is refused.
New files have the modes that the umask leaves, whatever program wrote them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

JOURNAL_LIMIT = 1 << 16  # the most bytes of a journal that are read: it lists a handful of names

_UNFINISHED = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}\.unfinished")
JOURNAL_NAME = re.compile(r"\.npblender-save\.[0-9a-f]{12}\.json")
"""What a save that renames several files leaves in their folder until it is done."""
_RENAMED = "npblender: rename these files, each to the name in the middle of its own"
_REMOVED = "and then remove these"
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)


def side_name(name: str) -> str:
    """Return a hidden name for something unfinished, random enough to be unused."""
    return f".{name}.{os.urandom(6).hex()}.unfinished"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the name of an empty file beside `path` to write to, which replaces `path` when the block ends well.

    Raises:
        ValueError: the system refuses to write there, or what is at `path` is no file. What is there is unchanged.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "notes") as unfinished:
    ...         size = unfinished.write_text("new")
    ...     os.listdir(folder)
    ['notes']
    """
    side = path.with_name(side_name(path.name))
    try:
        _refuse_what_is_no_file(path)
        mode = _make(side)
        try:
            yield side
            _flush(side, mode)
            os.replace(side, path)
        except BaseException:
            _remove(side)
            raise
        _flush_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


class FilesTogether:
    """The files of one folder that are to be replaced, or removed, in one go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.at = folder  # what an error is about
        self.modes: dict[str, int] = {}
        self.removed: list[str] = []

    def beside(self, name: str) -> Path:
        """Make an empty file to write to, which becomes the file of that name."""
        self.at = self.folder / name
        _refuse_what_is_no_file(self.at)
        side = side_name(name)
        self.modes[side] = _make(self.folder / side)
        return self.folder / side

    def remove(self, name: str) -> None:
        """Remove a file that is of an earlier save, if it is there, when the others are replaced."""
        if os.path.lexists(self.folder / name):
            self.removed.append(name)


@contextlib.contextmanager
def replacing_files(folder: Path) -> Iterator[FilesTogether]:
    """Give what makes a file to write to for each name; all of them are replaced when the block ends well.

    Raises:
        ValueError: as `replacing` does.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     with replacing_files(Path(place)) as files:
    ...         for name in ("a", "b"):
    ...             size = files.beside(name).write_text(name)
    ...     sorted(os.listdir(place))
    ['a', 'b']
    """
    files = FilesTogether(folder)
    try:
        finish_replacing(folder)
        try:
            yield files
            files.at = folder
            for side, mode in files.modes.items():
                _flush(folder / side, mode)
        except BaseException:
            for side in files.modes:
                _remove(folder / side)
            raise
        _rename_together(folder, list(files.modes), files.removed)
    except OSError as error:
        raise cannot_write(files.at, error) from error


def _rename_together(folder: Path, sides: list[str], removed: list[str]) -> None:
    """Rename finished files to their names; after a kill in between, the next reader or writer renames the rest."""
    if len(sides) == 1 and not removed:
        _finish(folder, sides, removed)
        return
    journal = folder / f".npblender-save.{os.urandom(6).hex()}.json"
    with replacing(journal) as unfinished:
        unfinished.write_text(json.dumps({_RENAMED: sides, _REMOVED: removed}), encoding="utf-8")
    _finish(folder, sides, removed)
    _remove(journal)


def _finish(folder: Path, sides: list[str], removed: list[str]) -> None:
    for side in sides:
        found = _UNFINISHED.fullmatch(side)
        assert found is not None
        with contextlib.suppress(FileNotFoundError):  # another process, which found the journal, has renamed it
            os.replace(folder / side, folder / found["name"])
    for name in removed:
        with contextlib.suppress(FileNotFoundError):
            (folder / name).unlink()
    _flush_folder(folder)


def finish_replacing(folder: Path) -> None:
    """Finish the renamings of a save that was interrupted between them; do nothing where there was none.

    Raises:
        ValueError: the folder cannot be written to, so it holds a part of one save and a part of another.
    """
    for name in os.listdir(folder):
        if not JOURNAL_NAME.fullmatch(name):
            continue
        listed = _journal(folder / name)
        if listed is None:  # no journal: it is left alone
            continue
        try:
            _finish(folder, *listed)
            _remove(folder / name)
        except OSError as error:
            raise ValueError(
                f"a save into {folder} was interrupted between its files and cannot be finished: {error}; "
                f"make the folder writable, or save into it again"
            ) from error


def _journal(path: Path) -> tuple[list[str], list[str]] | None:
    """What a journal says to rename and to remove, all of it within its folder; None for any other file."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | _NO_LINKS | _BINARY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            content = json.loads(file.read(JOURNAL_LIMIT))
    except (OSError, ValueError, RecursionError):  # gone: another process finished it
        return None
    if not isinstance(content, dict) or set(content) != {_RENAMED, _REMOVED}:
        return None
    sides, removed = content[_RENAMED], content[_REMOVED]
    if not all(isinstance(names, list) and all(map(is_plain_name, names)) for names in (sides, removed)):
        return None
    return (sides, removed) if all(map(_UNFINISHED.fullmatch, sides)) else None


def is_plain_name(name: object) -> bool:
    """Whether it names a file in a folder itself, on any system."""
    if not isinstance(name, str) or name in ("", ".", "..") or set("/\\:\0") & set(name):
        return False
    try:
        return len(os.fsencode(name)) < 256
    except UnicodeEncodeError:  # half a letter, which no name of a file has
        return False


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside `path` to fill, which takes its place when the block ends well.

    Whatever was at `path` is removed then; the caller makes sure that it may be.

    Raises:
        ValueError: the system refuses to write there, or `path` is a link or no folder. What is there is unchanged.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     with replacing_folder(Path(place) / "pack") as unfinished:
    ...         size = (unfinished / "a").write_text("a")
    ...     os.listdir(Path(place) / "pack")
    ['a']
    """
    side = path.with_name(side_name(path.name))
    try:
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise ValueError(f"{path} is {'a link' if path.is_symlink() else 'no folder'}; name a folder itself")
        side.mkdir()
        try:
            yield side
            for file in sorted(side.rglob("*")):
                if file.is_file():
                    _flush(file, None)
            if not path.exists():
                os.rename(side, path)
            elif not _exchange(side, path):
                old = path.with_name(side_name(path.name))
                os.rename(path, old)
                os.rename(side, path)
                shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(side, ignore_errors=True)  # after an exchange, the old folder
        _flush_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system has no such step."""
    import ctypes  # only to replace a folder

    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux's headers
    return bool(renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)


def cannot_write(path: Path, error: OSError) -> ValueError:
    """Make the error for a place that the system refuses to write to."""
    return ValueError(f"{path} cannot be written: {error}")


def _refuse_what_is_no_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:  # nothing there, or a link to nothing
        return
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
        raise ValueError(f"{path} cannot be written: it is {kind}; name a file")


def _make(path: Path) -> int:
    """Make an empty file of a name that nothing has, links included; return its mode, as the umask leaves it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS | _BINARY, 0o666)
    try:
        return stat.S_IMODE(os.fstat(handle).st_mode)
    finally:
        os.close(handle)


def _flush(path: Path, mode: int | None) -> None:
    """Write a file through to the disk, and give it a mode: a library may have put a file of its own there."""
    handle = os.open(path, os.O_RDWR | _NO_LINKS | _BINARY)
    try:
        if mode is not None and hasattr(os, "fchmod") and stat.S_IMODE(os.fstat(handle).st_mode) != mode:
            os.fchmod(handle, mode)
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_folder(folder: Path) -> None:
    """Write the names in a folder through to the disk, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
