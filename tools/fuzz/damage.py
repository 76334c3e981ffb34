"""Ways to damage the bytes of a file. All are drawn from one `random.Random`, so a seed gives the same files."""

from __future__ import annotations

import json
from random import Random
from typing import Any

SPLINTERS = (
    *(b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\n", b"\r", b"\0", b"\x1b[2J", b"\x07", b" ", b"\t"),
    *(b"1e999", b"-1", b"0", b"NaN", b"Infinity", b"null", b"true", b"9" * 400, b"9" * 5000, b"-0.0", b"1e-400"),
    *(b"[" * 2000, b'{"a":' * 2000, b"\\ud800", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xe2\x80\xae"),
    *(b"../../x", b"/etc/passwd", b"__class__", b"%s%n", b"</w>", b"@@", b"#version: 0.2\n", b"__metadata__"),
    *(b"PK\x03\x04", b"\xc2\x9b"),
)
"""Bytes that parsers trip over."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 10**5, 10**9, 2**31, 2**63, 2**64, 10**18, -(10**18), 10**400, 0.5, -0.0, 1e308),
    *(5e-324, float("inf"), float("nan"), "", " ", "a", "\0", "\x1b]0;x\x07", "\u202e", "\ud800", "é" * 300),
    *("../../x", "/etc/passwd", "C:\\x", "__init__", "__class__", "parlai", "gelu", "<a>", "nan", "1", "true", [], {}),
    *([[]], [None], [0, 0], [-1], [10**18, 10**18], ["a"], {"a": 1}, {"": ""}, [[1, 2], [3]], [[[[[[[[]]]]]]]]),
    *(list(range(3000)), "x" * 70_000),
)
"""Values of JSON that a reader may not expect."""


def mutated(draw: Random, content: bytes) -> bytes:
    """Return the content with one to three kinds of damage."""
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        content = _damage(draw, content)
    return content


def _damage(draw: Random, content: bytes) -> bytes:
    kind = draw.randrange(10)
    if kind < 4:
        changed = _in_json(draw, content) if kind < 3 else _in_safetensors(draw, content)
        if changed is not None:
            return changed
    size = len(content)
    start = draw.randrange(size + 1)
    end = min(size, start + draw.choice((1, 1, 2, 8, 64, 512)))
    if kind == 4:
        return content[:start]
    if kind == 5:
        return content[:start] + content[end:]
    if kind == 6:
        return content[:end] + content[start:end] * draw.choice((1, 1, 2, 50)) + content[end:]
    if kind == 7 and size:
        at = draw.randrange(size)
        return content[:at] + bytes([content[at] ^ (1 << draw.randrange(8))]) + content[at + 1 :]
    if kind == 8:
        other = draw.randrange(size + 1)
        return content[:start] + content[other : other + end - start] + content[end:]
    return content[:start] + draw.choice(SPLINTERS) + content[draw.choice((start, end)) :]


def _in_json(draw: Random, content: bytes) -> bytes | None:
    """Replace, remove or repeat one value of a JSON text; None if it is none."""
    lines = content.split(b"\n")
    at = draw.randrange(len(lines))
    for begin, text, rest in ((b"", content, b""), (b"\n".join([*lines[:at], b""]), lines[at], b"\n")):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        changed = json.dumps(_changed(draw, value), ensure_ascii=draw.random() < 0.5)
        behind = b"\n".join(lines[at + 1 :] if rest else [])
        return begin + changed.encode("utf-8", "surrogatepass") + rest + behind
    return None


def _in_safetensors(draw: Random, content: bytes) -> bytes | None:
    """Change a value of a safetensors header, with or without a length in front that fits."""
    length = int.from_bytes(content[:8], "little")
    if not 2 <= length <= len(content) - 8:
        return None
    try:
        header = json.loads(content[8 : 8 + length])
    except (ValueError, RecursionError):
        return None
    text = json.dumps(_changed(draw, header)).encode()
    text += b" " * (-len(text) % 8)
    size = len(text)
    stated = size if draw.random() < 0.8 else draw.choice((0, 1, size - 1, size + 1, 2**31, 2**63 - 1, 2**64 - 1))
    return stated.to_bytes(8, "little") + text + content[8 + length :]


def _changed(draw: Random, value: Any) -> Any:
    """Return a JSON value with another value somewhere in it."""
    if not isinstance(value, dict | list) or not value or draw.random() < 0.1:
        return draw.choice(VALUES)
    if isinstance(value, dict):
        name = draw.choice(list(value))
        kind = draw.random()
        if kind < 0.1:
            return {other: each for other, each in value.items() if other != name}
        if kind < 0.2:
            return {**value, draw.choice(("x", "", "__class__", "../x", "\ud800", "a" * 300)): draw.choice(VALUES)}
        return {**value, name: _changed(draw, value[name])}
    at = draw.randrange(len(value))
    kind = draw.random()
    if kind < 0.1:
        return [*value[:at], *value[at + 1 :]]
    if kind < 0.2:
        return [*value[: at + 1], *value[at:]]
    return [*value[:at], _changed(draw, value[at]), *value[at + 1 :]]
