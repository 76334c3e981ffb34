"""Byte-pair encoding of one word: merge the pair of symbols that was learned first, until none is left.

Source: Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units" (2016), and the files
of subword-nmt 0.2, which ParlAI uses: the last character of a word carries `</w>`, and in the vocabulary every piece
but a word's last carries `@@`.

The algorithm goes in rounds: find the pair of lowest rank, merge all its occurrences from left to right, look again.
`_rounds` does just that, in O(n^2) for a word of n characters. For long words `_rounds_of_long` does the same rounds in
O(n log n), with pairs in a heap and symbols in a linked list: a word of a hundred thousand characters takes a fraction
of a second.

Learning merges, cutting text into words and looking up ids are not done here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush
from itertools import pairwise, repeat
from operator import add

import numpy as np

Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]

WORD_END = "</w>"  # closes the last symbol of a word, in merges
CONTINUED = "@@"  # marks a token that the next one continues, in the vocabulary
_PARTS_OF_WORD_END = frozenset([">", "w>", "/w>"])


class MergeTable:
    """The merges of one tokenizer, in the order of learning, numbered: a product's number is its merge's rank.

    vocabulary.py checks that the merges are such as can have been learned.

    Args:
        lefts, rights: the symbols that each merge joins.

    >>> table = MergeTable(["l", "lo"], ["o", "w</w>"])
    >>> table.products, table.left.tolist(), table.right.tolist(), table.unmade
    (('lo', 'low</w>'), [-1, 0], [-2, -3], ['l', 'o', 'w</w>'])
    """

    def __init__(self, lefts: Sequence[str], rights: Sequence[str]) -> None:
        count = len(lefts)
        # A tuple: the garbage collector would walk through a list of 30,000 again and again.
        self.products = tuple(map(add, lefts, rights))
        """What each merge makes."""
        self.made_by: dict[str, int] = dict(zip(self.products, range(count), strict=True))
        """The rank of the merge that makes a symbol; of the last one, if there are several."""
        if not _PARTS_OF_WORD_END.isdisjoint(rights):
            for product, right in zip(self.products, rights, strict=True):
                if right in _PARTS_OF_WORD_END:  # it only looks closed: the text itself spells the mark
                    self.made_by.pop(product, None)
        # Made before the dictionary: while it grew, the garbage collector would walk through it for every 700 pairs.
        pairs = list(zip(lefts, rights, strict=True))
        self.ranks: dict[tuple[str, str], int] = dict(zip(pairs, range(count), strict=True))
        """The rank of a pair of symbols."""
        symbols = [*lefts, *rights]
        numbers = np.fromiter(map(self.made_by.get, symbols, repeat(-1)), np.int64, 2 * count)
        places = np.flatnonzero(numbers < 0)
        unmade = list(map(symbols.__getitem__, places.tolist()))
        self.unmade = sorted(set(unmade))
        """The symbols that no merge makes: single characters, in sound files. Their numbers are -1, -2 and so on."""
        number_of = {symbol: ~at for at, symbol in enumerate(self.unmade)}
        numbers[places] = list(map(number_of.__getitem__, unmade))
        self.left: Numbers = numbers[:count]
        """The number of each merge's left symbol."""
        self.right: Numbers = numbers[count:]

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


_SHORT = 32  # characters up to which looking at all pairs in every round is faster; measured, and not critical


@dataclass(frozen=True)
class Merge:
    """One round of the algorithm: which pair was merged, and how the word stands after it."""

    rank: int
    """The merge's number, from 0, in the order of learning: the lowest present is merged first."""
    left: str
    right: str
    symbols: tuple[str, ...]
    """The whole word after the round."""


def symbols_of_word(word: str) -> list[str]:
    """Split a word into its characters and close the last one.

    >>> symbols_of_word("low")
    ['l', 'o', 'w</w>']
    """
    symbols = list(word)
    if symbols:
        symbols[-1] += WORD_END
    return symbols


def spell_symbol(symbol: str) -> str:
    """Write one symbol as the vocabulary does: a closed one as the last of a word, any other as one that goes on.

    >>> spell_symbol("er</w>"), spell_symbol("low")
    ('er', 'low@@')
    """
    return symbol.removesuffix(WORD_END) if symbol.endswith(WORD_END) else symbol + CONTINUED


def spell_symbols(symbols: Sequence[str]) -> tuple[str, ...]:
    """Write the symbols of a word as the vocabulary does.

    >>> spell_symbols(["low", "er</w>"])
    ('low@@', 'er')
    """
    if not symbols:
        return ()
    *inner, last = symbols
    return (*[symbol + CONTINUED for symbol in inner], last.removesuffix(WORD_END))


class BytePairEncoding:
    """Applies the merges of one tokenizer.

    Args:
        merges: pairs of symbols in the order of learning, each pair once; or their table.

    >>> bpe = BytePairEncoding([("l", "o"), ("lo", "w"), ("e", "r</w>")])
    >>> bpe.segment("lower")
    ('low@@', 'er')
    """

    def __init__(self, merges: Sequence[tuple[str, str]] | MergeTable) -> None:
        self.table = merges if isinstance(merges, MergeTable) else MergeTable.of(merges)
        self.ranks, self._products = self.table.ranks, self.table.products

    def segment(self, word: str) -> tuple[str, ...]:
        """Split one word into tokens, as the vocabulary writes them. O(n log n) for n characters."""
        symbols = symbols_of_word(word)
        for _ in self._rounds(symbols) if len(word) <= _SHORT else self._rounds_of_long(symbols):
            pass
        return spell_symbols(symbols)

    def merges(self, word: str) -> Iterator[Merge]:
        """Yield every round that a word goes through: the algorithm made visible, O(n) a round.

        >>> bpe = BytePairEncoding([("l", "o"), ("lo", "w"), ("e", "r</w>")])
        >>> for merge in bpe.merges("lower"):
        ...     print(merge.rank, merge.left, "+", merge.right, "->", *merge.symbols)
        0 l + o -> lo w e r</w>
        1 lo + w -> low e r</w>
        2 e + r</w> -> low er</w>
        """
        symbols = symbols_of_word(word)
        for rank in self._rounds(symbols):
            yield Merge(rank, *self.table.parts(rank), tuple(symbols))

    def take_apart(self, token: str, keep: Callable[[str], bool]) -> tuple[str, ...]:
        """Split a token into the largest parts that `keep` accepts, by undoing merges.

        A symbol that no merge made cannot be split and is returned as it is.

        >>> bpe = BytePairEncoding([("l", "o"), ("lo", "w</w>")])
        >>> bpe.take_apart("low", lambda token: token != "low")
        ('lo@@', 'w')
        """
        ends_word = not token.endswith(CONTINUED)
        open_symbols = [token + WORD_END if ends_word else token.removesuffix(CONTINUED)]
        done: list[str] = []
        while open_symbols:
            symbol = open_symbols.pop()
            spelt = spell_symbol(symbol)
            if keep(spelt) or symbol not in self._parts:
                done.append(spelt)
            else:
                open_symbols.extend(reversed(self._parts[symbol]))
        return tuple(done)

    @cached_property
    def _parts(self) -> dict[str, tuple[str, str]]:
        return dict(zip(self._products, self.table.pairs, strict=True))

    def _rounds(self, symbols: list[str]) -> Iterator[int]:
        """Merge the symbols of a word in place; yield the rank of each round when it is done."""
        rank_of, none = self.ranks.get, len(self._products)
        # ranks[i] is that of symbols[i] and its right neighbour, `none` where they do not merge.
        ranks = [*map(rank_of, pairwise(symbols), repeat(none)), none]
        while (best := min(ranks)) != none:
            product = self._products[best]
            while best in ranks:
                at = ranks.index(best)
                symbols[at] = product
                del symbols[at + 1], ranks[at]
                if at:
                    ranks[at - 1] = rank_of((symbols[at - 1], product), none)
                if at + 1 < len(symbols):
                    ranks[at] = rank_of((product, symbols[at + 1]), none)
            yield best

    def _rounds_of_long(self, symbols: list[str]) -> Iterator[int]:
        """Do the same for long words; while it runs, a place that was merged away holds an empty string."""
        count, rank_of = len(symbols), self.ranks.get
        heap = [(rank, at) for at, rank in enumerate(map(rank_of, pairwise(symbols))) if rank is not None]
        heapify(heap)
        # A symbol is stored at the place of its first character, with the places of its neighbours.
        after, before = list(range(1, count + 1)), list(range(-1, count - 1))
        while heap:
            rank, at = heappop(heap)
            # A whole round is taken off the heap before anything is merged: a merge may create a pair of lower
            # rank, which must wait until this round is over.
            places = [at]
            while heap and heap[0][0] == rank:
                places.append(heappop(heap)[1])
            product, merged = self._products[rank], False
            for at in places:  # ascending, so overlapping occurrences go to the leftmost
                other = after[at]
                if other == count or rank_of((symbols[at], symbols[other])) != rank:
                    continue  # one of the two was merged away since the pair was noted
                merged = True
                symbols[at], symbols[other] = product, ""
                following = after[at] = after[other]
                if following < count:
                    before[following] = at
                    new_rank = rank_of((product, symbols[following]))
                    if new_rank is not None:
                        heappush(heap, (new_rank, at))
                previous = before[at]
                if previous >= 0:
                    new_rank = rank_of((symbols[previous], product))
                    if new_rank is not None:
                        heappush(heap, (new_rank, previous))
            if merged:
                yield rank
        symbols[:] = filter(None, symbols)
