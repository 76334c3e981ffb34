"""Writes JSON content as C99 constants: searches, tokenizer cases, conversations and parts of a pack.

Every value gets a name made of the keys and places that lead to it: element 2 of `steps` of the search `greedy` is
`greedy_found_steps_2_...`. Lists of numbers are arrays with their length beside them, lists of texts arrays of
`const char *`, and every list of objects says how many it has in NAME_count. Texts are UTF-8 in octal escapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any


def c_name(*words: Any) -> str:
    """Join words to a name of C.

    >>> c_name("top-k", "asked", 0)
    'top_k_asked_0'
    """
    return re.sub(r"\W+", "_", "_".join(str(word) for word in words if word != ""), flags=re.ASCII)


def c_text(text: str) -> str:
    """Write a text as a C string literal.

    >>> c_text('a "b" é')
    '"a \\\\"b\\\\" \\\\303\\\\251"'
    """
    escaped = ""
    for byte in text.encode("utf-8"):
        letter = chr(byte)
        escaped += f"\\{letter}" if letter in '"\\?' else letter if 32 <= byte < 127 else f"\\{byte:03o}"
    return f'"{escaped}"'


def c_constants(name: str, value: Any) -> Iterator[str]:
    """Yield the declarations of a value; null has none.

    >>> print(*c_constants("found", {"ids": [1, 2], "score": -0.5}), sep="\\n")
    static const int64_t found_ids[2] = {1, 2};
    static const size_t found_ids_count = 2;
    static const double found_score = -0.5;
    """
    if value is None:
        return
    if isinstance(value, dict):
        for key, each in value.items():
            yield from c_constants(c_name(name, key), each)
    elif isinstance(value, str):
        yield f"static const char *const {name} = {c_text(value)};"
    elif not isinstance(value, list):
        kind = "double" if isinstance(value, float) else "int64_t"
        yield f"static const {kind} {name} = {value if not isinstance(value, bool) else int(value)};"
    else:
        yield from _list(name, value)


def _list(name: str, value: list[Any]) -> Iterator[str]:
    numbers = [isinstance(each, int | float) for each in value]
    if value and all(numbers):
        kind = "double" if any(isinstance(each, float) for each in value) else "int64_t"
        listed = ", ".join(str(int(each)) if isinstance(each, bool) else repr(each) for each in value)
        yield f"static const {kind} {name}[{len(value)}] = {{{listed}}};"
    elif value and all(isinstance(each, str) for each in value):
        yield f"static const char *const {name}[{len(value)}] = {{{', '.join(map(c_text, value))}}};"
    else:
        for place, each in enumerate(value):
            own = each.get("name") if isinstance(each, dict) else None
            yield from c_constants(c_name(name, own if isinstance(own, str) else place), each)
    yield f"static const size_t {name}_count = {len(value)};"
