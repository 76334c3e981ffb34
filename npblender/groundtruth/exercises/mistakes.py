"""Usual wrong solutions of the exercises: each computes what a wrong program would, under the words that name it.

`attended`, `replied` and `stepped` are right as they are called by default.

A wrong answer is compared with these; where one gives the same numbers, its words are what the grader says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np

from npblender import ops
from npblender.common.array_types import Array
from npblender.tokenizer.bpe import symbols_of_word

Ranks: TypeAlias = Mapping[tuple[str, str], int]
NextLogits: TypeAlias = Callable[[list[int]], Array]
Mistakes: TypeAlias = Mapping[str, Callable[..., Any]]
Pair: TypeAlias = tuple[str, str]


def merge_rounds(symbols: list[str], ranks: Ranks, choose: Callable[[list[Pair]], Pair]) -> list[str]:
    """Byte-pair encoding with a choice of the next pair.

    >>> merge_rounds(["l", "o", "w</w>"], {("o", "w</w>"): 1, ("l", "o"): 0}, max)
    ['l', 'ow</w>']
    """
    while pairs := [pair for pair in pairwise(symbols) if pair in ranks]:
        symbols = merge_from_left(symbols, choose(pairs))
    return symbols


def merge_from_left(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    """Every occurrence of a pair as one symbol, the leftmost first.

    >>> merge_from_left(["a", "a", "a"], ("a", "a"))
    ['aa', 'a']
    """
    merged, at = [], 0
    while at < len(symbols):
        both = tuple(symbols[at : at + 2]) == pair
        merged.append("".join(pair) if both else symbols[at])
        at += 2 if both else 1
    return merged


def lowest(ranks: Ranks) -> Callable[[list[Pair]], Pair]:
    """The right choice."""
    return lambda pairs: min(pairs, key=ranks.__getitem__)


def merge_from_right(word: str, ranks: Ranks) -> list[str]:
    """Overlapping pairs from the right: everything turned round, letter by letter, and turned back."""
    backwards = {(right[::-1], left[::-1]): rank for (left, right), rank in ranks.items()}
    turned = [symbol[::-1] for symbol in reversed(symbols_of_word(word))]
    return [symbol[::-1] for symbol in reversed(merge_rounds(turned, backwards, lowest(backwards)))]


MERGES: Mistakes = {
    "the leftmost pair that has a rank is merged first; the one with the lowest rank must be": (
        lambda word, ranks: merge_rounds(symbols_of_word(word), ranks, lambda pairs: pairs[0])
    ),
    "the pair with the highest rank is merged first; the lowest rank was learned first": (
        lambda word, ranks: merge_rounds(symbols_of_word(word), ranks, lambda pairs: max(pairs, key=ranks.__getitem__))
    ),
    "the last letter does not carry </w>": lambda word, ranks: merge_rounds(list(word), ranks, lowest(ranks)),
    "overlapping pairs are merged from the right; they are merged from the left": merge_from_right,
    "nothing is merged": lambda word, ranks: symbols_of_word(word),
}

SOFTMAX: Mistakes = {
    "exp of large numbers overflows: take the row's largest number off before exp": (
        lambda x: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
    ),
    "the sum goes over all numbers; it must go over the last axis": lambda x: np.exp(x) / np.exp(x).sum(),
    "the sum goes over the first axis; it must go over the last": (
        lambda x: np.exp(x) / np.exp(x).sum(axis=0, keepdims=True)
    ),
    "these are the logarithms: exp is missing at the end": ops.log_softmax,
    "exp(x) is not divided by its sum": np.exp,
}


def normed(
    x: Array,
    weight: Any = 1.0,
    bias: Any = 0.0,
    below: Any = None,
    epsilon: float = 1e-5,
    ddof: int = 0,
    axis: int = -1,
) -> Array:
    """LayerNorm, or with another epsilon, another variance or axis, or divided by something else."""
    if below is None:
        below = np.sqrt(x.var(axis=axis, ddof=ddof, keepdims=True) + epsilon)
    return np.asarray((x - x.mean(axis=axis, keepdims=True)) / below * weight + bias)


LAYER_NORM: Mistakes = {
    "the variance is divided by D - 1; here it is divided by D": partial(normed, ddof=1),
    "1e-5 is missing": partial(normed, epsilon=0.0),
    "1e-5 is added to the root; it belongs inside, to the variance": (
        lambda x, weight, bias: normed(x, weight, bias, below=x.std(axis=-1, keepdims=True) + 1e-5)
    ),
    "it is divided by the variance; the root is missing": (
        lambda x, weight, bias: normed(x, weight, bias, below=x.var(axis=-1, keepdims=True) + 1e-5)
    ),
    "mean and variance go over the tokens; they go over each token's own numbers": partial(normed, axis=0),
    "weight and bias are not used": lambda x, weight, bias: normed(x),
    "the bias is not added": lambda x, weight, bias: normed(x, weight),
    "the bias is added before the weight multiplies": lambda x, weight, bias: normed(x, bias=bias) * weight,
}

GELU: Mistakes = {
    "this is the approximation by tanh; the model uses the exact function": ops.ACTIVATIONS["gelu_new"],
    "this is the approximation by a sigmoid; the model uses the exact function": lambda x: x / (1 + np.exp(-1.702 * x)),
    "this is relu": lambda x: np.maximum(x, 0),
    "this is silu": ops.ACTIVATIONS["silu"],
    "this is the probability alone; it must be multiplied with x": ops.normal_cdf,
    "erf gets x; it must get x / sqrt(2)": lambda x: x * (1 + ops.erf(x)) / 2,
    "1 + erf must be divided by 2": lambda x: x * (1 + ops.erf(x / np.sqrt(2))),
}

SPLIT_HEADS: Mistakes = {
    "a reshape to [H, T, K] mixes the tokens: make it [T, H, K], then exchange the first two axes": (
        lambda x, heads: x.reshape(heads, len(x), -1)
    ),
    "head h takes columns h, h + H, ...; it takes the K columns from h * K on": (
        lambda x, heads: x.reshape(len(x), -1, heads).transpose(2, 0, 1)
    ),
    "this is [T, H, K]; the first two axes must change places": lambda x, heads: x.reshape(len(x), heads, -1),
}


def attended(
    q: Array,
    k: Array,
    v: Array,
    mask: Array,
    divisor: float | None = None,
    hidden: float = -np.inf,
    axis: int = -1,
) -> Array:
    """Attention, or with another divisor of the scores, another score of hidden keys, or softmax over another axis.

    >>> q, k, v = np.ones((1, 1, 4)), np.ones((1, 2, 4)), np.arange(8.0).reshape(1, 2, 4)
    >>> attended(q, k, v, np.array([[False, True]]))[0, 0]
    array([4., 5., 6., 7.])
    """
    scores = np.where(mask, q @ k.transpose(0, 2, 1) / (np.sqrt(q.shape[-1]) if divisor is None else divisor), hidden)
    return np.asarray(ops.softmax(scores, axis=axis) @ v)


def masked_late(q: Array, k: Array, v: Array, mask: Array) -> Array:
    """The mask after the softmax, and no row sums to 1."""
    return np.asarray((ops.softmax(q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])) * mask) @ v)


ATTENTION: Mistakes = {
    "the mask is not used": lambda q, k, v, mask: attended(q, k, v, np.ones_like(mask)),
    "the mask is turned round: True means that a query may look": lambda q, k, v, mask: attended(q, k, v, ~mask),
    "a hidden key's score becomes 0, which is a score like others; it must become hugely negative": (
        partial(attended, hidden=0.0)
    ),
    "the mask comes after the softmax, so that the weights no longer sum to 1": masked_late,
    "scores are not divided by sqrt(K)": partial(attended, divisor=1.0),
    "scores are divided by K; it is sqrt(K)": lambda q, k, v, mask: attended(q, k, v, mask, divisor=q.shape[-1]),
    "scores are multiplied by sqrt(K); they are divided": (
        lambda q, k, v, mask: attended(q, k, v, mask, divisor=q.shape[-1] ** -0.5)
    ),
    "softmax goes over the queries; it goes over the keys": partial(attended, axis=1),
    "the scores themselves mix the values; softmax is missing": (
        lambda q, k, v, mask: (q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])) @ v
    ),
}


def replied(
    next_logits: NextLogits,
    start: int,
    end: int,
    limit: int,
    given: Callable[[list[int]], list[int]] = list,
    choose: Callable[[Array], int] = lambda logits: int(logits.argmax()),
) -> list[int]:
    """Greedy search, or with other ids given to the model, or another choice.

    >>> replied(lambda ids: np.eye(4)[len(ids) + 1], 0, 3, 9)
    [0, 2, 3]
    """
    ids = [start]
    while ids[-1] != end and len(ids) < limit:
        ids.append(choose(next_logits(given(ids))))
    return ids


def without_end(ids: list[int], end: int) -> list[int]:
    """The ids before the end."""
    return ids[:-1] if ids[-1] == end else ids


GREEDY: Mistakes = {
    "the end is not among the ids; it is the last of them": lambda f, s, e, n: without_end(replied(f, s, e, n), e),
    "the start is not among the ids; it is the first of them": lambda f, s, e, n: replied(f, s, e, n)[1:],
    "next_logits gets the last id alone; it needs all ids": partial(replied, given=lambda ids: ids[-1:]),
    "among equal logits the highest id is taken; it is the lowest": (
        partial(replied, choose=lambda logits: int(np.flatnonzero(logits == logits.max())[-1]))
    ),
    "there is one id more than the limit: the start counts": lambda f, s, e, n: replied(f, s, e, n + 1),
    "there is one id too few at the limit": lambda f, s, e, n: replied(f, s, e, n - 1),
    "the least likely token is taken": partial(replied, choose=lambda logits: int(logits.argmin())),
}

Step: TypeAlias = tuple[Array, Array, Array]


def stepped(log_probs: Array, sums: Array, width: int, sign: int = -1) -> Step:
    """The best continuations of all beams (sign -1), or the worst.

    >>> stepped(np.log(np.array([[0.9, 0.1], [0.5, 0.5]])), np.array([0.0, -0.1]), 2)[:2]
    (array([0, 1]), array([0, 0]))
    """
    totals = sums[:, None] + log_probs  # [W, V]
    best = np.argsort(sign * totals, axis=None, kind="stable")[:width]
    rows, tokens = np.divmod(best, log_probs.shape[1])
    return rows, tokens, totals[rows, tokens]


def best_of_each(log_probs: Array, sums: Array, width: int) -> Step:
    """Every beam goes on with its own best token."""
    tokens = log_probs.argmax(axis=1)
    rows = np.arange(len(sums))
    return rows, tokens, sums + log_probs[rows, tokens]


BEAM_STEP: Mistakes = {
    "the sums of the beams are not added": lambda p, sums, width: stepped(p, np.zeros_like(sums), width),
    "the new sums lack those of the beams": lambda p, sums, width: (
        *stepped(p, sums, width)[:2],
        p[stepped(p, sums, width)[:2]],
    ),
    "every beam goes on with its own best token; the best of all beams together go on": best_of_each,
    "these are the worst continuations": partial(stepped, sign=1),
    "they are in the order of the worst first; the best comes first": lambda p, sums, width: tuple(
        part[::-1] for part in stepped(p, sums, width)
    ),
    "beam and token are exchanged": lambda p, sums, width: itemgetter(1, 0, 2)(stepped(p, sums, width)),
}
