"""The standard streams of a command: those that are closed, and those whose encoding lacks letters.

JSON gets `\\u` escapes where the encoding of stdout lacks a letter, so it stays JSON. Other text gets Python's, and
one remark at the end says so.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import Any

from npblender.common.printable import json_line

ESCAPING = "npblender.escaping"
_escaped: dict[str, None] = {}  # the letters that were written as escapes, in their order


class ClosedOutput(io.TextIOBase):
    """Stands for a stdout that was closed before the command began: refuses what is written to it."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        if text:
            raise ValueError("stdout is closed, and there is something to write: open it, or name a file with --out")
        return 0


def prepare_streams() -> None:
    """Makes streams usable that are closed, and notices letters that the encoding of stdout lacks.

    A file that is opened while a standard stream is closed would get its number, and be written to in its place.
    """
    if None in (sys.stdin, sys.stdout, sys.stderr):
        for number in range(3):
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    if sys.stdout is None:
        sys.stdout = ClosedOutput()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  open until the process ends
    _escaped.clear()
    codecs.register_error(ESCAPING, _escape)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors=ESCAPING)


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeEncodeError):
        _escaped.update(dict.fromkeys(error.object[error.start : error.end]))
    return codecs.backslashreplace_errors(error)


def json_out(content: Any) -> str:
    """Writes one JSON value on one line, in letters that stdout has."""
    return json_line(content, getattr(sys.stdout, "encoding", None))


def remark_on_escapes(program: str) -> None:
    """Says on stderr which letters stdout could not show."""
    if not _escaped:
        return
    shown = " ".join(ascii(letter)[1:-1] for letter in list(_escaped)[:5])
    more = f" and {len(_escaped) - 5} more" if len(_escaped) > 5 else ""
    encoding = getattr(sys.stdout, "encoding", "")
    print(
        f"{program}: note: the encoding of stdout, {encoding}, lacks letters, which are escaped: {shown}{more}; "
        f"PYTHONIOENCODING=utf-8 writes them as they are",
        file=sys.stderr,
    )
    _escaped.clear()
