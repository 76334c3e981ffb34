r"""Parses lines of input, one request each: plain text, or JSON objects with fields.

    {"text": "hi there", "id": 7}
    {"turns": ["hi", "hello!", "how are you?"], "persona": ["i have two cats."]}

A line that cannot be parsed becomes a value too, `BadLine`, so that it is reported in its place and the others go on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from npblender.chat.history import PERSONA_PREFIX, Turn

READ_FIELDS = ("text", "turns", "persona")
ADDED_FIELDS = ("line", "reply", "score", "n_best", "dropped_turns", "cut_tokens", "error")
"""The fields of an output record besides those of its input."""


@dataclass(frozen=True)
class Request:
    """One line that can be replied to."""

    number: int
    """From 1, as editors count lines."""
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


def parse_lines(lines: Iterable[bytes], jsonl: bool) -> Iterator[Request | BadLine]:
    r"""Yields the requests of a file's lines, in order, numbered from 1.

    >>> for each in parse_lines([b"hi\n", b"\n"], jsonl=False):
    ...     print(each)
    Request(number=1, turns=(Turn(speaker='user', text='hi', raw=None),), persona=(), carried={'input': 'hi'})
    BadLine(number=2, reason='the line is empty', carried={'input': ''})
    """
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            shown = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
            yield BadLine(number, f"the line is not UTF-8 text ({error.reason})", {"input": shown})
            continue
        yield parse_text(number, text, jsonl)


def parse_text(number: int, text: str, jsonl: bool) -> Request | BadLine:
    """Parses one line."""
    carried = {"input": text}
    if not text.strip():
        return BadLine(number, "the line is empty", carried)
    if not jsonl:
        return as_request(number, text)
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        return BadLine(number, f"the line is not JSON: {error}", carried)
    return as_request(number, content)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def as_request(number: int, content: Any) -> Request | BadLine:
    r"""Makes a request of a string, or of an object with `text` or `turns` and perhaps `persona`.

    Line breaks of a text separate turns, as in the model's training data, and lines that begin with "your persona:" are
    persona lines. Other fields are copied to the output.

    >>> as_request(1, {"text": "your persona: i sing.\nhi\nhello!", "id": 7}).persona
    ('your persona: i sing.',)
    """
    if isinstance(content, str):
        content = {"input": content}
        lines: Any = [content["input"]]
    elif not isinstance(content, Mapping):
        return BadLine(number, f"a line must be an object, not {json.dumps(content)[:40]}", {"input": content})
    else:
        taken = sorted(set(content) & {*ADDED_FIELDS, "input"})
        if taken:
            return BadLine(number, f"the field {taken[0]!r} is one that the output adds; rename it", {})
        if ("text" in content) == ("turns" in content):
            return BadLine(number, 'an object needs "text" or "turns", one of the two', content)
        if "text" in content and not isinstance(content["text"], str):
            return BadLine(number, '"text" must be a string', content)
        lines = content["text"].split("\n") if "text" in content else content["turns"]
    persona = content.get("persona", [])
    if not _is_list_of_text(persona):
        return BadLine(number, '"persona" must be a list of strings', content)
    if not _is_list_of_text(lines):
        return BadLine(number, '"turns" must be a list of strings, the last one to be replied to', content)
    spoken = [line for line in lines if line.strip()]
    said = [line for line in spoken if "text" not in content or not _is_persona(line)]
    persona = [*persona, *(line for line in spoken if line not in said)]
    if not said:
        return BadLine(number, "there is nothing to reply to", content)
    if not all(line.strip() for line in persona):
        return BadLine(number, "a persona line is empty", content)
    return Request(number, tuple(Turn("user", line) for line in said), tuple(persona), content)


def _is_persona(line: str) -> bool:
    return line.strip().lower().startswith(PERSONA_PREFIX.strip())


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(each, str) for each in value)
