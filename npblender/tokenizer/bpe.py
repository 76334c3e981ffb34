"""Byte-pair encoding of one word: merge the pair of symbols that was learned first, until none is left.

Source: Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units" (2016), and the files
of subword-nmt 0.2, which ParlAI uses: the last character of a word carries `</w>`, and in the vocabulary every piece
but a word's last carries `@@`.

The definition takes rounds: find the pair of lowest rank, merge all its occurrences from left to right, look again.
`_rounds` does just that, and it is what runs on ordinary words. A word of n characters costs O(n^2) so; for long ones
`_rounds_of_long` keeps pairs in a heap and symbols in a linked list: the same rounds in O(n log n), and a word of a
hundred thousand characters takes a fraction of a second. Four new words of chat in five need no rounds at all: they
come out whole, as merge_shortcuts.py can tell from how the merges hang together.

This module does NOT learn merges, does not cut text into words, and knows no ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush
from itertools import compress, pairwise, repeat

from npblender.tokenizer.merge_shortcuts import mergeable_without_search
from npblender.tokenizer.merge_table import CONTINUED, WORD_END, MergeTable

_SHORT = 32
"""Up to this many characters looking at all pairs in every round is the quicker way; measured, and not critical."""


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
    """The characters of a word, the last one closed.

    >>> symbols_of_word("low")
    ['l', 'o', 'w</w>']
    """
    symbols = list(word)
    if symbols:
        symbols[-1] += WORD_END
    return symbols


def spell_symbols(symbols: Sequence[str]) -> tuple[str, ...]:
    """Symbols as the vocabulary writes them.

    >>> spell_symbols(["low", "er</w>"])
    ('low@@', 'er')
    """
    if not symbols:
        return ()
    *inner, last = symbols
    return (*[symbol + CONTINUED for symbol in inner], last.removesuffix(WORD_END))


class BytePairEncoding:
    """The merges of one tokenizer, ready to be applied.

    Args:
        merges: pairs of symbols in the order of learning, each pair once; or their table.

    >>> bpe = BytePairEncoding([("l", "o"), ("lo", "w"), ("e", "r</w>")])
    >>> bpe.segment("lower")
    ('low@@', 'er')
    """

    def __init__(self, merges: Sequence[tuple[str, str]] | MergeTable) -> None:
        self.table = merges if isinstance(merges, MergeTable) else MergeTable.of(merges)
        self.ranks, self._products = self.table.ranks, self.table.products
        self._not_plain = frozenset(compress(self._products, ~mergeable_without_search(self.table)))

    def segment(self, word: str) -> tuple[str, ...]:
        """The tokens of one word, as the vocabulary writes them. O(n log n) for n characters."""
        return (word,) if self.is_whole(word) else self.segment_by_rounds(word)

    def segment_by_rounds(self, word: str) -> tuple[str, ...]:
        """`segment` for a word that is not known to be whole."""
        is_short = len(word) <= _SHORT
        symbols = symbols_of_word(word)
        for _ in self._rounds(symbols) if is_short else self._rounds_of_long(symbols):
            pass
        return spell_symbols(symbols)

    def is_whole(self, word: str) -> bool:
        """Whether it is known without taking rounds that a word becomes one symbol.

        >>> bpe = BytePairEncoding([("l", "o"), ("lo", "w</w>")])
        >>> bpe.is_whole("low"), bpe.is_whole("lo")
        (True, False)
        """
        symbol = word + WORD_END
        return (symbol in self.table.made_by and symbol not in self._not_plain) or len(word) == 1

    def merges(self, word: str) -> Iterator[Merge]:
        """Every round that a word goes through, in order: the algorithm made visible, O(n) a round.

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
        """The largest parts of a token that `keep` agrees to, found by undoing merges.

        What no merge made can not be undone and is given back as it is.

        >>> bpe = BytePairEncoding([("l", "o"), ("lo", "w</w>")])
        >>> bpe.take_apart("low", lambda token: token != "low")
        ('lo@@', 'w')
        """
        ends_word = not token.endswith(CONTINUED)
        open_symbols = [token + WORD_END if ends_word else token.removesuffix(CONTINUED)]
        done: list[str] = []
        while open_symbols:
            symbol = open_symbols.pop()
            spelt = symbol.removesuffix(WORD_END) if symbol.endswith(WORD_END) else symbol + CONTINUED
            if keep(spelt) or symbol not in self._parts:
                done.append(spelt)
            else:
                open_symbols.extend(reversed(self._parts[symbol]))
        return tuple(done)

    @cached_property
    def _parts(self) -> dict[str, tuple[str, str]]:
        return dict(zip(self._products, self.table.pairs, strict=True))

    def _rounds(self, symbols: list[str]) -> Iterator[int]:
        """Merge the symbols of a word in place; yields the rank of each round when it is done."""
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
        """What `_rounds` does, for long words; while it runs, a place that was merged away holds an empty string."""
        count, rank_of = len(symbols), self.ranks.get
        heap = [(rank, at) for at, rank in enumerate(map(rank_of, pairwise(symbols))) if rank is not None]
        heapify(heap)
        # A symbol lives at the place of its first character, and knows the places of its neighbours.
        after, before = list(range(1, count + 1)), list(range(-1, count - 1))
        while heap:
            rank, at = heappop(heap)
            # A whole round is taken off the heap before anything is merged: a merge may give birth to a pair of
            # lower rank, which must wait until this round is over.
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
