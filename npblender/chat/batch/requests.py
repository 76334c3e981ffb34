r"""Parses lines of input, one request each: plain text, or JSON objects with fields.

    {"text": "hi there", "id": 7}
    {"turns": ["hi", "hello!", "how are you?"], "persona": ["i have two cats."]}

A line that cannot be parsed becomes a value too, `BadLine`, so that it is reported in its place and the others go on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from npblender.chat.history import PERSONA_PREFIX, Turn
from npblender.common.checks import lines_of
from npblender.common.printable import cut, json_line, shown

ADDED_FIELDS = ("line", "reply", "score", "n_best", "dropped_turns", "cut_tokens", "error")
"""The fields of an output record besides those of its input."""
LINE_LIMIT = 1 << 24
"""The most bytes of one line: 16 MiB, a thousand times what any model here can read; more is a file of another kind."""


@dataclass(frozen=True)
class Request:
    """One line that can be replied to."""

    number: int  # from 1, as editors count lines
    turns: tuple[Turn, ...]
    persona: tuple[str, ...] = ()
    carried: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """The fields that the output repeats: the object of a JSON line, {"input": text} for a line of text."""


@dataclass(frozen=True)
class BadLine:
    """A line that cannot be replied to, and why."""

    number: int
    reason: str
    carried: Mapping[str, Any] = field(default_factory=dict, hash=False)


def whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file; of one above `LINE_LIMIT` only its beginning, which cannot fill the memory."""
    while line := file.readline(LINE_LIMIT + 1):
        yield line
        while len(line) > LINE_LIMIT and not line.endswith(b"\n"):
            line = file.readline(LINE_LIMIT + 1) or b"\n"


def parse_lines(lines: Iterable[bytes], jsonl: bool) -> Iterator[Request | BadLine]:
    r"""Yield the requests of a file's lines, in order, numbered from 1.

    >>> for each in parse_lines([b"hi\n", b"\n"], jsonl=False):
    ...     print(each)
    Request(number=1, turns=(Turn(speaker='user', text='hi', raw=None),), persona=(), carried={'input': 'hi'})
    BadLine(number=2, reason='the line is empty', carried={'input': ''})
    """
    for number, line in enumerate(lines, start=1):
        if len(line) > LINE_LIMIT:
            begins = cut(line[:1000].decode("utf-8", "backslashreplace"))
            yield BadLine(number, f"the line has more than {LINE_LIMIT:,} bytes", {"input": begins})
            continue
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            shown = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
            yield BadLine(number, f"the line is not UTF-8 text ({error.reason})", {"input": shown})
            continue
        yield parse_text(number, text, jsonl)


def parse_text(number: int, text: str, jsonl: bool) -> Request | BadLine:
    """Parse one line."""
    carried = {"input": text}
    if not text.strip():
        return BadLine(number, "the line is empty", carried)
    if not jsonl:
        return as_request(number, text)
    try:
        content = json.loads(text, parse_constant=no_number, parse_float=_finite, object_pairs_hook=_without_repetition)
        json_line(content)  # what cannot be written again cannot be carried over either
    except (ValueError, RecursionError) as error:
        return BadLine(number, f"the line is not JSON: {cut(str(error))}", carried)
    return as_request(number, content)


def no_number(name: str) -> Any:
    """Refuse what Python's `json` takes for a number and JSON does not have; always a ValueError."""
    raise ValueError(f"{name} is no number of JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{cut(digits, 40)} is too large a number to be carried over")
    return number


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise ValueError(f"the name {shown(twice, 40)} stands there twice")
    return found


def as_request(number: int, content: Any) -> Request | BadLine:
    r"""Make a request of a string, or of an object with `text` or `turns` and perhaps `persona`.

    Line breaks of a text separate turns, as in the model's training data, and lines that begin with "your persona:" are
    persona lines. Other fields are copied to the output.

    >>> as_request(1, {"text": "your persona: i sing.\nhi\nhello!", "id": 7}).persona
    ('your persona: i sing.',)
    """
    if isinstance(content, str):
        content = {"input": content}
        lines: Any = [content["input"]]
    elif not isinstance(content, Mapping):
        return BadLine(number, f"a line must be a string or an object, not {shown(content, 40)}", {"input": content})
    else:
        taken = sorted(set(content) & {*ADDED_FIELDS, "input"})
        if taken:
            return BadLine(number, f"the field {shown(taken[0])} is one that the output adds; rename it", {})
        if ("text" in content) == ("turns" in content):
            return BadLine(number, 'an object needs "text" or "turns", one of the two', content)
        if "text" in content and not isinstance(content["text"], str):
            return BadLine(number, '"text" must be a string', content)
        lines = content["text"].split("\n") if "text" in content else content["turns"]
    try:
        persona: Any = lines_of('"persona"', content.get("persona", ()))
    except TypeError as error:
        return BadLine(number, str(error), content)
    if not isinstance(lines, list | tuple) or not all(isinstance(line, str) for line in lines):
        return BadLine(number, '"turns" must be a list of strings, the last one to be replied to', content)
    if "turns" in content and not all(line.strip() for line in lines):
        empty = next(at for at, line in enumerate(lines, start=1) if not line.strip())
        return BadLine(number, f"turn {empty} is empty", content)
    spoken = [line for line in lines if line.strip()]
    prefix = PERSONA_PREFIX.strip()
    said = [line for line in spoken if "text" not in content or not line.strip().lower().startswith(prefix)]
    persona = [*persona, *(line for line in spoken if line not in said)]
    if not said:
        return BadLine(number, "there is nothing to reply to", content)
    if not all(line.strip() for line in persona):
        return BadLine(number, "a persona line is empty", content)
    return Request(number, tuple(Turn("user", line) for line in said), tuple(persona), content)
