"""Makes text of unknown origin safe to print, and the standard streams fit to be printed to.

JSON gets `\\u` escapes where the encoding of stdout lacks a letter, so it stays JSON. Other text gets Python's, and
one remark at the end says so.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

_JOINERS = frozenset("\u200c\u200d")  # inside emoji and words of some scripts; they move nothing
_UNSAFE_CATEGORIES = frozenset(["Cc", "Cf", "Cs", "Zl", "Zp"])


def _is_unsafe(character: str) -> bool:
    if " " <= character <= "~":
        return False
    return unicodedata.category(character) in _UNSAFE_CATEGORIES and character not in _JOINERS


def printable(text: str) -> str:
    r"""Escape every character that could steer a terminal: controls, escape sequences, direction marks.

    A line break is such a character too; a no-break space becomes a space.

    >>> printable("bell\a \x1b[31mred\x1b[0m \u202etfel")
    'bell\\x07 \\x1b[31mred\\x1b[0m \\u202etfel'
    """
    if text.isascii() and text.isprintable():
        return text
    safe = (each.encode("unicode_escape").decode("ascii") if _is_unsafe(each) else each for each in text)
    return "".join(safe).replace("\xa0", " ")


def one_line(text: str) -> str:
    r"""Make exactly one printable line of a text: its line breaks become spaces.

    >>> one_line("first\nsecond")
    'first second'
    """
    return printable(" ".join(part.strip() for part in text.split("\n")).strip())


def print_lines(lines: Iterable[str]) -> None:
    """Print lines of unknown origin, each made safe."""
    for line in lines:
        print(printable(line))


SHOWN = 200  # how many letters of a value an error shows at most: enough to recognize it by


def shown(value: Any, most: int = SHOWN) -> str:
    r"""Write a value into an error: as Python writes it, printable, and cut after `most` letters.

    >>> shown("a" * 1000, 12), shown([1, "\x1b"])
    ("'aaaaaaaaaaa... (1,002 letters)", "[1, '\\x1b']")
    """
    if isinstance(value, str | bytes) and len(value) > 4 * most:
        text, length = repr(value[: 4 * most]), len(value) + 2
    else:
        try:
            text = repr(value)
        except Exception as error:  # whole numbers of more digits than Python writes, and objects of others
            return f"a {type(value).__name__} that cannot be shown ({type(error).__name__})"
        length = len(text)
    return cut(text, most, length)


def cut(text: str, most: int = SHOWN, length: int | None = None) -> str:
    """Make a text printable and cuts it after `most` letters, with a count of all of them.

    >>> cut("abcdefgh", 3)
    'abc... (8 letters)'
    """
    whole = len(text) if length is None else length
    return printable(text) if whole <= most else f"{printable(text[:most])}... ({whole:,} letters)"


def first_of(lines: Sequence[str], most: int = 100) -> list[str]:
    """Return the first of many lines, each cut, and how many more there are.

    >>> first_of(["a", "b", "c"], 1)
    ['a', 'and 2 more']
    """
    more = [f"and {len(lines) - most:,} more"] if len(lines) > most else []
    return [*map(cut, lines[:most]), *more]


def shown_json(value: Any, most: int = SHOWN) -> str:
    """Write a value of JSON into an error, cut after `most` letters."""
    return cut(json.dumps(value, ensure_ascii=False), most)


def json_line(content: Any, encoding: str | None = None) -> str:
    r"""Write one JSON value on one line; characters that could steer a terminal are escaped as JSON does it.

    So are all letters beyond ASCII if `encoding`, that of the stream to write to, lacks one of them.

    Raises:
        TypeError, ValueError: a value has no form in JSON (NaN and infinity have none).

    >>> json_line({"reply": "caf\u00e9 \x9b"})
    '{"reply": "café \\u009b"}'
    >>> json_line({"reply": "caf\u00e9"}, "ascii")
    '{"reply": "caf\\u00e9"}'
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    if text.isascii() and text.isprintable():
        return text
    if encoding is not None:
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            text = json.dumps(content, allow_nan=False)
    return "".join(json.dumps(each)[1:-1] if _is_unsafe(each) else each for each in text)


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
    """Make streams usable that are closed, and notices letters that the encoding of stdout lacks.

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
    codecs.register_error(ESCAPING, _note_and_escape)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors=ESCAPING)


def _note_and_escape(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeEncodeError):
        _escaped.update(dict.fromkeys(error.object[error.start : error.end]))
    return codecs.backslashreplace_errors(error)


def json_out(content: Any) -> str:
    """Write one JSON value on one line, in letters that stdout has."""
    return json_line(content, getattr(sys.stdout, "encoding", None))


def remark_on_escapes(program: str) -> None:
    """Say on stderr which letters stdout could not show."""
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
