"""The tokenizer's shortcuts: all of its speed is here, and none of it changes an id.

    `PieceCache`     the ids of a stretch of text are worked out once and remembered, since words repeat
    `WholeWords`     four new words of chat in five become one symbol; known beforehand, they skip the rounds
    `remembered`     a call's options are resolved once, since calls repeat them

`TextCodec` uses the first two, encoding_options.py the third; no other module may import this one. Without them both
would do the same, several times slower.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from itertools import compress
from typing import Any, TypeVar

import numpy as np

from npblender.tokenizer.bpe import WORD_END, MergeTable, Numbers

Value = TypeVar("Value")

LONGEST_KEY = 128  # longer pieces are computed each time: they hardly ever come twice and would fill the memory


class PieceCache(dict[str, Value]):
    """A dictionary that computes what it does not hold and keeps at most `2 * limit` entries.

    At `limit` entries they become the old generation and the former one is dropped; an entry that is used again moves
    to the new one. So what is in use stays, at no cost to look-ups that hit.

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


class WholeWords:
    """Tells which words become one symbol, without a round of merging.

    >>> words = WholeWords(MergeTable(["l", "lo"], ["o", "w</w>"]))
    >>> "low" in words, "lo" in words
    (True, False)
    """

    def __init__(self, table: MergeTable) -> None:
        self._made_by = table.made_by
        self._unsure = frozenset(compress(table.products, ~mergeable_without_search(table)))

    def __contains__(self, word: str) -> bool:
        symbol = word + WORD_END
        return (symbol in self._made_by and symbol not in self._unsure) or len(word) == 1


Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]

_BUCKETS = 1 << 19
"""4 MiB while a tokenizer is made; with 30,000 merges one pair in eighteen shares its hash with another by chance."""


def mergeable_without_search(table: MergeTable) -> Flags:
    """For each merge, whether a word spelt like its product is sure to become one symbol, by this merge.

    It is if both parts were learned earlier and are sure to become one symbol each, and nothing merges across the
    border between the two before they do. Most products are; one array operation proves it for all 30,000 in the time
    that 1,000 take one by one. False where the word becomes several symbols, or where this does not prove it.

    >>> mergeable_without_search(MergeTable(["l", "o", "lo"], ["o", "w</w>", "w</w>"])).tolist()
    [True, True, True]
    >>> mergeable_without_search(MergeTable(["l", "o", "l"], ["o", "w</w>", "ow</w>"])).tolist()  # l + o goes before
    [True, True, False]
    """
    count = len(table.products)
    ranks = np.arange(count)
    sound = (table.left < ranks) & (table.right < ranks) & _undisturbed(table)
    # By number, so that the characters' stand at the end, backwards; a closed one has nothing to its right.
    opens = [len(symbol) == 1 for symbol in reversed(table.unmade)]
    closes = [symbol[1:] == WORD_END for symbol in reversed(table.unmade)]
    plain_left = np.concatenate([sound, np.array(opens, bool)])
    plain_right = np.concatenate([sound, np.array(opens, bool) | np.array(closes, bool)])
    while True:  # an unsure part makes what it is part of unsure, and so on up
        plain: Flags = sound & plain_left[table.left] & plain_right[table.right]
        if np.array_equal(plain, plain_left[:count]):
            return plain
        plain_left[:count] = plain_right[:count] = plain


def _undisturbed(table: MergeTable) -> Flags:
    """Whether nothing merges across the border inside a product before the parts on both sides of it are whole.

    Go back in time: of the two symbols at the border the one of higher rank was made last. Until then its inner part
    was there, and the merge of that part with its neighbour must not come first. (An equal rank is a merge that
    overlaps itself.) All products go back together, each until single characters are at its border.
    """
    earliest = _EarliestMerges(table)
    left, right, products = table.left, table.right, np.arange(len(table.products))
    undisturbed = np.ones(len(products), bool)
    while True:
        until = np.maximum(left, right)
        goes_on = until >= 0
        left, right, until, products = left[goes_on], right[goes_on], until[goes_on], products[goes_on]
        if not len(products):
            return undisturbed
        goes_left = left >= right
        inner = np.where(goes_left, table.right[until], table.left[until])
        left, right = np.where(goes_left, inner, left), np.where(goes_left, right, inner)
        # In merges that are out of order an inner part may be younger than what it is part of: stop there.
        good = (inner < until) & ~earliest.merge_until(left, right, until)
        undisturbed[products[~good]] = False
        left, right, products = left[good], right[good], products[good]


class _EarliestMerges:
    """Whether pairs of symbols merge up to a rank, for many pairs at once: a table of the lowest rank of each hash.

    Only if some merge of a pair's hash has such a rank is the pair itself looked up.
    """

    def __init__(self, table: MergeTable) -> None:
        self._table = table
        ranks = np.arange(len(table.products))
        self._lowest = np.full(_BUCKETS, len(ranks))
        self._lowest[self._bucket(table.left, table.right)[::-1]] = ranks[::-1]  # of several in one the lowest is last

    @staticmethod
    def _bucket(left: Numbers, right: Numbers) -> Numbers:
        return (left * 0x9E3779B1 + right * 0x85EBCA77 >> 13) & (_BUCKETS - 1)

    def merge_until(self, left: Numbers, right: Numbers, until: Numbers) -> Flags:
        """Whether each pair merges, at its rank `until` at the latest."""
        merges: Flags = self._lowest[self._bucket(left, right)] <= until
        for at in np.flatnonzero(merges).tolist():
            rank = self._table.rank(self._table.symbol(left[at]), self._table.symbol(right[at]))
            merges[at] = rank is not None and rank <= until[at]
        return merges


Function = TypeVar("Function", bound=Callable[..., Any])


def remembered(function: Function) -> Function:
    """Decorate a function of values so that it is worked out once for each set of arguments.

    >>> @remembered
    ... def half(number):
    ...     return [number / 2]
    >>> half(3) is half(3), half(3) is half(3.0)
    (True, False)
    """
    memory = lru_cache(maxsize=256, typed=True)(function)

    @wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            return memory(*arguments)
        except TypeError:  # of the function itself, or an argument that cannot be remembered: the function decides
            return function(*arguments)

    return call  # type: ignore[return-value]
