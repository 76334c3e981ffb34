"""Baselines without a network: unigram, bigram, and an interpolated modified Kneser-Ney trigram of reply tokens.

They predict every token of a reply, `__end__` included, from the reply's own earlier tokens; they do NOT see the
context. Chen and Goodman, "An empirical study of smoothing techniques for language modeling" (1998), section 3.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from tools.demo.pieces import START


def discounts(counts: Iterable[int]) -> tuple[float, float, float]:
    """What is taken from counts of one, two, and three or more (equation 26 of the paper).

    >>> discounts([1, 1, 1, 1, 2, 2, 3, 4])
    (0.5, 1.25, 1.0)
    """
    of = Counter(counts)
    y = of[1] / (of[1] + 2 * of[2]) if of[1] else 0.5
    found = [n - (n + 1) * y * of[n + 1] / of[n] if of[n] else n * y for n in (1, 2, 3)]
    return tuple(min(max(d, 0.1), n) for n, d in enumerate(found, start=1))  # type: ignore[return-value]


class KneserNey:
    """P(token | the `order - 1` tokens before it), smoothed down to the uniform distribution.

    Orders below the highest count in how many different ways a sequence is continued to the left.
    """

    def __init__(self, replies: Iterable[Sequence[int]], order: int, size: int) -> None:
        self.order, self.size = order, size
        grams: Counter[tuple[int, ...]] = Counter()
        for reply in replies:
            padded = [START] * (order - 1) + list(reply)
            grams.update(tuple(padded[i : i + order]) for i in range(len(reply)))
        self._tables = []
        for _ in range(order):
            self._tables.append(self._table(grams))
            grams = Counter(gram[1:] for gram in grams)  # each different left neighbour once
        self._tables.reverse()  # place n is order n + 1

    @staticmethod
    def _table(grams: Counter[tuple[int, ...]]) -> tuple[dict, dict]:
        """(discounted share of each gram after its history, mass left over for the order below)."""
        taken = (0.0, *discounts(grams.values()))
        total: Counter[tuple[int, ...]] = Counter()
        left: defaultdict[tuple[int, ...], float] = defaultdict(float)
        for gram, count in grams.items():
            total[gram[:-1]] += count
            left[gram[:-1]] += taken[min(count, 3)]
        share = {gram: (count - taken[min(count, 3)]) / total[gram[:-1]] for gram, count in grams.items()}
        return share, {history: mass / total[history] for history, mass in left.items()}

    def probability(self, history: Sequence[int], token: int) -> float:
        """The probability of `token` after `history` (its last tokens are used)."""
        p = 1.0 / self.size
        for order, (share, left) in enumerate(self._tables, start=1):
            tail = tuple(history[len(history) - order + 1 :])
            if len(tail) == order - 1 and tail in left:
                p = share.get((*tail, token), 0.0) + left[tail] * p
        return p

    def perplexity(self, replies: Iterable[Sequence[int]]) -> float:
        """exp of the mean negative log-probability per token."""
        total = count = 0.0
        for reply in replies:
            padded = [START] * (self.order - 1) + list(reply)
            for i, token in enumerate(reply):
                total -= math.log(self.probability(padded[i : i + self.order - 1], token))
                count += 1
        return math.exp(total / count)
