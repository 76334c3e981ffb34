"""The files of a command: checks where its output goes, opens its input, and writes its records."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from npblender.common.printable import json_out, shown


def check_output(option: str, name: str, inputs: Iterable[str | None]) -> Path:
    """Refuse, before anything is computed, a file that cannot be written or that would overwrite an input."""
    path = Path(name)
    if path.is_dir() or not path.name:
        raise ValueError(f"{option} {name} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise ValueError(f"{option} {name}: there is no folder {str(path.parent)!r}")
    for given in inputs:
        if given is not None and path.exists() and Path(given).exists() and path.samefile(given):
            raise ValueError(f"{option} {name} is {given} itself; name another file")
    return path


@contextmanager
def open_input(name: str, output: str | None) -> Iterator[BinaryIO]:
    """Open a file of bytes, or stdin for "-", unless the output would overwrite it."""
    if name == "-":
        if sys.stdin is None:
            raise ValueError("there is nothing to read from: stdin is closed; name a file")
        _refuse_output_as_input(sys.stdin.buffer, output)
        yield sys.stdin.buffer
        return
    path = Path(name)
    if path.is_dir():
        raise ValueError(f"{shown(name)} is a folder; name a file of lines")
    if not path.exists():
        raise FileNotFoundError(f"there is no file {shown(name)}")
    with path.open("rb") as file:
        _refuse_output_as_input(file, output)
        yield file


def _refuse_output_as_input(file: BinaryIO, output: str | None) -> None:
    """Refuse an output that is the input, or whose unfinished records would be kept in it."""
    if output is None:
        return
    kept = f"keeps its unfinished records in {output}.run, which is the input"
    for name, reason in ((output, "is the input itself"), (output + ".run", kept)):
        try:
            same = os.path.samestat(os.fstat(file.fileno()), os.stat(name))
        except (OSError, ValueError):  # no such file, or an input that is none
            continue
        if same and _is_file(file):
            raise ValueError(f"--out {output} {reason}; name another file")


def is_regular(name: str) -> bool:
    """Whether an output is, or will be, a file that a later run can continue; a pipe or a device cannot."""
    try:
        return stat.S_ISREG(os.stat(name).st_mode)
    except FileNotFoundError:
        return True


def count_lines(file: BinaryIO) -> int | None:
    r"""Count the lines that are left to be read; None if that cannot be known beforehand.

    >>> count_lines(io.BytesIO(b"one\ntwo"))
    2
    """
    try:
        if not file.seekable() or (isinstance(file, io.BufferedReader) and not _is_file(file)):
            return None
        start = file.tell()
        lines, last = 0, b"\n"
        while block := file.read(1 << 20):
            lines += block.count(b"\n")
            last = block[-1:]
        file.seek(start)
    except OSError:
        return None
    return lines + (last != b"\n")


def _is_file(file: BinaryIO) -> bool:
    return stat.S_ISREG(os.fstat(file.fileno()).st_mode)


def _open_text(name: str) -> TextIO:
    return open(name, "w", encoding="utf-8", newline="\n")


def plain_writer(stack: ExitStack, name: str | None) -> Callable[[dict[str, Any]], None]:
    """Return a function that writes records to stdout, or to a pipe or device, one line each, at once."""
    target = sys.stdout if name is None else stack.enter_context(_open_text(name))

    def write(record: dict[str, Any]) -> None:
        target.write(json_out(record) + "\n")
        target.flush()

    return write
