"""Which words come out of the merges in one piece: told of all products at once, so that no round need be taken.

Four new words of chat in five are the product of a merge. Most products, but not all, are what a word spelt like them
ends as; this module proves it for those. A few array operations prove 30,000 in as much time as 1,000 one by one.
"""

from __future__ import annotations

import numpy as np

from npblender.tokenizer.merge_table import WORD_END, MergeTable, Numbers

Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]

_BUCKETS = 1 << 19
"""For 30,000 merges 4 MiB while they are looked at, and one pair in eighteen falls to one that is there by chance."""


def mergeable_without_search(table: MergeTable) -> Flags:
    """For each merge, whether a word spelt like its product plainly becomes whole, and by this merge.

    It does if both parts were learned earlier and become whole themselves, and nothing merges over the border between
    the two before they are whole. False where the word does not become whole, or it is not plain to see.

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
    while True:  # what is not plain makes what it is part of not plain, and so on up
        plain: Flags = sound & plain_left[table.left] & plain_right[table.right]
        if np.array_equal(plain, plain_left[:count]):
            return plain
        plain_left[:count] = plain_right[:count] = plain


def _undisturbed(table: MergeTable) -> Flags:
    """Whether nothing merges over the border inside a product before the parts to both sides of it are whole.

    It is seen by going back in time: of the two symbols at the border the one of higher rank was made last; until then
    its inner part stood there, and that part's merge with its neighbour must not come first. (An equal rank is a merge
    that overlaps itself.) All products go back together, each until characters stand at its border.
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
        # Where merges are out of order an inner part may be younger than what it is part of: there is no end to that.
        good = (inner < until) & ~earliest.merge_until(left, right, until)
        undisturbed[products[~good]] = False
        left, right, products = left[good], right[good], products[good]


class _EarliestMerges:
    """Whether pairs of symbols merge up to a rank, for many pairs at once: the lowest rank by a hash of the pair.

    Where it says that some merge of that hash does, the pair itself is looked up.
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
