"""A bounded memory of pieces: how a tokenizer is fast on text, whose words repeat.

It does NOT know what it remembers: ids or tokens, in either mode.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

LONGEST_KEY = 128
"""Pieces longer than this are computed each time: they hardly come twice and would fill the memory."""


class PieceCache(dict[str, Value]):
    """A dictionary that computes what it does not hold and keeps at most `2 * limit` entries.

    When `limit` entries are there they become the old generation, the former one is forgotten, and what is asked for
    again moves to the new one: what is in use stays, at no cost to the lookups that hit.

    >>> lengths = PieceCache(len, limit=2)
    >>> [lengths[word] for word in ("a", "bb", "ccc", "bb")]
    [1, 2, 3, 2]
    >>> sorted(lengths), lengths.stored()
    (['bb', 'ccc'], 4)
    """

    __slots__ = ("_compute", "_limit", "_old")

    def __init__(self, compute: Callable[[str], Value], limit: int) -> None:
        super().__init__()
        self._compute = compute
        self._limit = limit
        self._old: dict[str, Value] = {}

    def __missing__(self, piece: str) -> Value:
        old = self._old  # one reference: another thread may put a new generation in its place
        value = old[piece] if piece in old else self._compute(piece)
        if len(piece) <= LONGEST_KEY:
            if len(self) >= self._limit:
                self._old = dict(self)
                self.clear()
            self[piece] = value
        return value

    def stored(self) -> int:
        """How many entries both generations hold, those counted twice that are in both."""
        return len(self) + len(self._old)
