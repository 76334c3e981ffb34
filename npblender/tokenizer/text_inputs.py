"""What a caller may hand over as text: one or many, alone or in pairs, as strings, words or ids.

The rules are those of transformers' `__call__`: a list is a batch unless its first item is an int (then it is one
sequence of ids), or unless `is_split_into_words` says that its strings are the words of one text. In a batch two
strings or two lists together are a pair. Nothing is tokenized here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Source = str | Sequence[str] | Sequence[int]
"""One text: a string, its words, or its ids."""


def rows_of(
    text: Any, text_pair: Any = None, is_split_into_words: bool = False
) -> tuple[list[tuple[Source, Source | None]], bool]:
    """The texts with their seconds, and whether they are a batch (if not, there is one).

    Raises:
        TypeError: something that is no text, named by its place.
        ValueError: two batches of different sizes, or a row of three texts.

    >>> rows_of("hi")
    ([('hi', None)], False)
    >>> rows_of(["hi", ("one", "two")])
    ([('hi', None), ('one', 'two')], True)
    >>> rows_of(["hi", "there"], is_split_into_words=True)
    ([(['hi', 'there'], None)], False)
    """
    if not _is_batch(text, is_split_into_words):
        if text_pair is not None and _is_batch(text_pair, is_split_into_words):
            raise TypeError("text is one text, but text_pair is a batch; give both as lists, or both as one text")
        first = source_of("text", text, is_split_into_words)
        return [(first, _optional("text_pair", text_pair, is_split_into_words))], False
    if text_pair is None:
        return [_row(f"text[{at}]", row, is_split_into_words) for at, row in enumerate(text)], True
    if not _is_batch(text_pair, is_split_into_words):
        raise TypeError("text is a batch, but text_pair is one text; give both as lists of the same length")
    if len(text) != len(text_pair):
        raise ValueError(f"text has {len(text)} texts and text_pair {len(text_pair)}; a pair needs one of each")
    rows: list[tuple[Source, Source | None]] = []
    for at, (first, second) in enumerate(zip(text, text_pair, strict=True)):
        rows.append(
            (
                source_of(f"text[{at}]", first, is_split_into_words),
                source_of(f"text_pair[{at}]", second, is_split_into_words),
            )
        )
    return rows, True


def source_of(name: str, text: Any, is_split_into_words: bool) -> Source:
    """One text as it is, if it is one.

    >>> source_of("text", {"a": 1}, is_split_into_words=False)
    Traceback (most recent call last):
    TypeError: text must be a string or a list of ids, not dict {'a': 1}
    """
    if isinstance(text, str):
        return text
    if isinstance(text, list | tuple):
        if all(type(part) is int for part in text):
            return text
        if is_split_into_words and all(isinstance(part, str) for part in text):
            return text
    wanted = "a string, a list of words or a list of ids" if is_split_into_words else "a string or a list of ids"
    found = f"{type(text).__name__} {text!r}"
    raise TypeError(f"{name} must be {wanted}, not {found if len(found) <= 100 else found[:97] + '...'}")


def _is_batch(text: Any, is_split_into_words: bool) -> bool:
    if not isinstance(text, list | tuple):
        return False
    if not text:
        return not is_split_into_words
    return isinstance(text[0], list | tuple) if is_split_into_words else isinstance(text[0], str | list | tuple)


def _row(name: str, row: Any, is_split_into_words: bool) -> tuple[Source, Source | None]:
    """One row of a batch, which may hold a pair."""
    if isinstance(row, list | tuple) and row:
        nested = all(isinstance(part, list | tuple) for part in row)
        if nested or (not is_split_into_words and all(isinstance(part, str) for part in row)):
            if len(row) > 2:
                raise ValueError(
                    f"{name} holds {len(row)} texts; a row is one text or a pair (words of one text need "
                    f"is_split_into_words=True)"
                )
            first = source_of(f"{name}[0]", row[0], is_split_into_words)
            return first, source_of(f"{name}[1]", row[1], is_split_into_words) if len(row) == 2 else None
    return source_of(name, row, is_split_into_words), None


def _optional(name: str, text: Any, is_split_into_words: bool) -> Source | None:
    return None if text is None else source_of(name, text, is_split_into_words)
