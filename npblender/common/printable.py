"""Makes text of unknown origin safe to print at a terminal, and writes JSON on one line."""

from __future__ import annotations

import json
import unicodedata
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


def json_line(content: Any) -> str:
    r"""Writes one JSON value on one line; characters that could steer a terminal are escaped as JSON does it.

    Raises:
        TypeError, ValueError: a value has no form in JSON (NaN and infinity have none).

    >>> json_line({"reply": "caf\u00e9 \x9b"})
    '{"reply": "café \\u009b"}'
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    if text.isascii() and text.isprintable():
        return text
    return "".join(json.dumps(each)[1:-1] if _is_unsafe(each) else each for each in text)
