"""Makes text of unknown origin safe to print at a terminal, and writes JSON on one line."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from typing import Any

_JOINERS = frozenset("\u200c\u200d")  # inside emoji and words of some scripts; they move nothing
_UNSAFE_CATEGORIES = frozenset(["Cc", "Cf", "Cs", "Zl", "Zp"])


def _is_unsafe(character: str) -> bool:
    if " " <= character <= "~":
        return False
    return unicodedata.category(character) in _UNSAFE_CATEGORIES and character not in _JOINERS


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def printable(text: str) -> str:
    r"""Escapes every character that could steer a terminal: controls, escape sequences, direction marks.

    A line break is such a character too; a no-break space becomes a space.

    >>> printable("bell\a \x1b[31mred\x1b[0m \u202etfel")
    'bell\\x07 \\x1b[31mred\\x1b[0m \\u202etfel'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(each) if _is_unsafe(each) else each for each in text).replace("\xa0", " ")


def one_line(text: str) -> str:
    r"""Makes exactly one printable line of a text: its line breaks become spaces.

    >>> one_line("first\nsecond")
    'first second'
    """
    return printable(" ".join(part.strip() for part in text.split("\n")).strip())


SHOWN = 200
"""How many letters of a value an error shows at most: enough to recognize it by."""


def shown(value: Any, most: int = SHOWN) -> str:
    r"""Writes a value into an error: as Python writes it, printable, and cut after `most` letters.

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
    """Makes a text printable and cuts it after `most` letters, with a count of all of them.

    >>> cut("abcdefgh", 3)
    'abc... (8 letters)'
    """
    whole = len(text) if length is None else length
    return printable(text) if whole <= most else f"{printable(text[:most])}... ({whole:,} letters)"


def first_of(lines: Sequence[str], most: int = 100) -> list[str]:
    """Returns the first of many lines, each cut, and how many more there are.

    >>> first_of(["a", "b", "c"], 1)
    ['a', 'and 2 more']
    """
    more = [f"and {len(lines) - most:,} more"] if len(lines) > most else []
    return [*map(cut, lines[:most]), *more]


def shown_json(value: Any, most: int = SHOWN) -> str:
    """Writes a value of JSON into an error, cut after `most` letters."""
    return cut(json.dumps(value, ensure_ascii=False), most)


def json_line(content: Any, encoding: str | None = None) -> str:
    r"""Writes one JSON value on one line; characters that could steer a terminal are escaped as JSON does it.

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
