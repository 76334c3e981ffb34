"""The merges of one tokenizer, and what is looked up of them: ranks, products, and which merge makes which symbol.

Whether they are such as can have been learned is checked in vocabulary.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import add

import numpy as np

Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]

WORD_END = "</w>"
"""Closes the last symbol of a word, in merges."""
CONTINUED = "@@"
"""Marks a token that the next one continues, in the vocabulary."""
_PARTS_OF_WORD_END = frozenset([">", "w>", "/w>"])


class MergeTable:
    """Pairs of symbols in the order of learning. Every symbol has a number; that of a product is its merge's rank.

    Args:
        lefts, rights: the symbols that each merge joins.

    >>> table = MergeTable(["l", "lo"], ["o", "w</w>"])
    >>> table.products, table.left.tolist(), table.right.tolist(), table.unmade
    (('lo', 'low</w>'), [-1, 0], [-2, -3], ['l', 'o', 'w</w>'])
    """

    def __init__(self, lefts: Sequence[str], rights: Sequence[str]) -> None:
        count = len(lefts)
        # A tuple and not a list: of those the garbage collector looks through every entry again and again.
        self.products = tuple(map(add, lefts, rights))
        """What each merge makes."""
        self.made_by: dict[str, int] = dict(zip(self.products, range(count), strict=True))
        """The rank of the merge that makes a symbol; of the last one, if there are several."""
        if not _PARTS_OF_WORD_END.isdisjoint(rights):
            for product, right in zip(self.products, rights, strict=True):
                if right in _PARTS_OF_WORD_END:  # it only looks closed: a text has spelt out the mark itself
                    self.made_by.pop(product, None)
        pairs = zip(lefts, rights, strict=True)
        self.ranks: dict[tuple[str, str], int] = dict(zip(pairs, range(count), strict=True))
        """The rank of a pair of symbols."""
        self.unmade = sorted({*lefts, *rights}.difference(self.made_by))
        """The symbols that no merge makes, characters if all is well. Their numbers are -1, -2 and so on."""
        numbers = self.made_by | {symbol: ~at for at, symbol in enumerate(self.unmade)}
        self.left: Numbers = np.fromiter(map(numbers.__getitem__, lefts), np.int64, count)
        """The number of each merge's left symbol."""
        self.right: Numbers = np.fromiter(map(numbers.__getitem__, rights), np.int64, count)

    @classmethod
    def of(cls, merges: Iterable[tuple[str, str]]) -> MergeTable:
        """The table of pairs."""
        pairs = list(merges)
        return cls([left for left, _ in pairs], [right for _, right in pairs])

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The pairs of symbols.

        >>> MergeTable(["l", "lo"], ["o", "w</w>"]).pairs
        (('l', 'o'), ('lo', 'w</w>'))
        """
        return tuple(map(self.parts, range(len(self.products))))

    def parts(self, rank: int) -> tuple[str, str]:
        """The symbols that a merge joins."""
        return self.symbol(int(self.left[rank])), self.symbol(int(self.right[rank]))

    def rank(self, left: str, right: str) -> int | None:
        """The rank of the merge of two symbols, or None where they do not merge."""
        return self.ranks.get((left, right))

    def symbol(self, number: int) -> str:
        """The symbol of a number.

        >>> MergeTable(["l", "lo"], ["o", "w</w>"]).symbol(-3)
        'w</w>'
        """
        return self.products[number] if number >= 0 else self.unmade[~number]
