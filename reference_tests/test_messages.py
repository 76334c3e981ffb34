"""How values get into messages: through `shown`, which escapes what could steer a terminal and cuts after 200 letters.

A value of a file or of a caller may be of any length and hold anything, so no f-string of the package writes one by
`!r`, with or without a length. What is left are names of places, constants of the package's own, and text that is no
message: representations of objects, code for other languages, what a command prints.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from npblender.common.printable import SHOWN, cut, shown

PACKAGE = Path(__file__).resolve().parents[1] / "npblender"
NO_MESSAGES = {
    "common/printable.py": "makes them",
    "groundtruth/packs/convert/literals.py": "code in C",
    "groundtruth/folder_report.py": "replies, which `verify` prints",
    "cli/tokenize.py": "pieces of a text, which `tokenize` prints",
}


def raw_values(source: str) -> Iterator[str]:
    """Yield what is written by `!r` into an f-string, but for places, constants, and the methods __repr__."""
    tree = ast.parse(source)
    allowed = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "__repr__"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.FormattedValue) and node.conversion == ord("r") and node not in allowed:
            value = ast.unparse(node.value)
            if not (value.isupper() or value.startswith("str(")):
                yield value


def test_values_are_written_by_the_one_helper() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}: {value}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).as_posix() not in NO_MESSAGES
        for value in raw_values(path.read_text(encoding="utf-8"))
    ]
    assert not wrong, "write shown(value), of npblender.common.printable"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('raise ValueError(f"{value!r} is wrong")', ["value"]),
        ('raise ValueError(f"{a.b:.3} {self.names[0]!r:.200}")', ["self.names[0]"]),
        ('f"{_HEADER!r} {str(path)!r} {value}"', []),
        ('class A:\n    def __repr__(self):\n        return f"A({self.x!r})"', []),
    ],
)
def test_it_sees_what_it_looks_for(source: str, found: list[str]) -> None:
    assert list(raw_values(source)) == found


HOSTILE = ["\x1b[31m" * 1000, "é\u202e" * 5000, list(range(10**5)), 10**5000, b"\x9b" * 10**6]


@pytest.mark.parametrize("value", HOSTILE, ids=["escapes", "marks", "a list", "digits", "bytes"])
def test_what_the_helper_writes(value: object) -> None:
    text = shown(value)
    assert len(text) < 6 * SHOWN  # every letter may become an escape of up to six
    assert text.isprintable()
    assert cut("\x07" * 10**6).isprintable()
