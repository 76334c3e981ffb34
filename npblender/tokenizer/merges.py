"""The merges of one tokenizer, and what is looked up of them: ranks, products, and which merge makes which symbol.

Whether they are such as can have been learned is checked in vocabulary.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

import numpy as np

__all__ = ["CONTINUED", "WORD_END", "MergeTable", "Numbers"]

Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]

WORD_END = "</w>"
"""Closes the last symbol of a word, in merges."""
CONTINUED = "@@"
"""Marks a token that the next one continues, in the vocabulary."""
_PARTS_OF_WORD_END = frozenset([">", "w>", "/w>"])


class MergeTable:
    """Pairs of symbols in the order of learning. Every symbol has a number; that of a product is its merge's rank.

    >>> table = MergeTable([("l", "o"), ("lo", "w</w>")])
    >>> table.products, table.left.tolist(), table.right.tolist(), table.unmade
    (['lo', 'low</w>'], [-1, 0], [-2, -3], ['l', 'o', 'w</w>'])
    """

    def __init__(self, merges: Sequence[tuple[str, str]]) -> None:
        self.pairs: tuple[tuple[str, str], ...] = tuple(merges)
        lefts, rights = list(map(itemgetter(0), self.pairs)), list(map(itemgetter(1), self.pairs))
        count = len(self.pairs)
        self.ranks: dict[tuple[str, str], int] = dict(zip(self.pairs, range(count), strict=True))
        self.products = list(map("".join, self.pairs))
        """What each merge makes."""
        self.made_by: dict[str, int] = dict(zip(self.products, range(count), strict=True))
        """The rank of the merge that makes a symbol; of the last one, if there are several."""
        if not _PARTS_OF_WORD_END.isdisjoint(rights):
            for left, right in self.pairs:  # a product that only looks closed: a text has spelt out the mark itself
                if right in _PARTS_OF_WORD_END:
                    self.made_by.pop(left + right, None)
        self.unmade = sorted({*lefts, *rights}.difference(self.made_by))
        """The symbols that no merge makes, characters if all is well. Their numbers are -1, -2 and so on."""
        numbers = self.made_by | {symbol: ~at for at, symbol in enumerate(self.unmade)}
        self.left: Numbers = np.fromiter(map(numbers.__getitem__, lefts), np.int64, count)
        """The number of each merge's left symbol."""
        self.right: Numbers = np.fromiter(map(numbers.__getitem__, rights), np.int64, count)

    def symbol(self, number: int) -> str:
        """The symbol of a number.

        >>> MergeTable([("l", "o"), ("lo", "w</w>")]).symbol(-3)
        'w</w>'
        """
        return self.products[number] if number >= 0 else self.unmade[~number]
