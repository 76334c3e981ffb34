"""Logits warpers: each cuts short or reshapes the distribution that a token is drawn from, scores [R, V] -> [R, V].

They leave their arguments as they are; `apply`, which runs them, turns NumPy's warnings off. A token that is cut off
scores -inf; `keep` is how many of the best survive in any case. Arithmetic follows torch's: float32 with sums in
float64, so that the same tokens survive as in transformers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array
from npblender.ops.unchecked import log_softmax, softmax


def temperature(scores: Array, value: float) -> Array:
    """Divide the scores by `value`: below 1 sharper, above 1 flatter.

    >>> temperature(np.array([[1.0, 2.0]]), 0.5)
    array([[2., 4.]])
    """
    return np.asarray(scores / scores.dtype.type(value))


def top_k(scores: Array, k: int, keep: int = 1) -> Array:
    """Keep the k best tokens of every row, and those that equal the k-th (Fan et al. 2018).

    >>> top_k(np.array([[1.0, 3.0, 2.0]]), 2)
    array([[-inf,   3.,   2.]])
    """
    return _cut(scores, scores < _kth_best(scores, max(k, keep)))


def top_p(scores: Array, p: float, keep: int = 1) -> Array:
    """Keep the fewest best tokens that together have probability p or more (Holtzman et al. 2020).

    >>> top_p(np.log(np.array([[0.5, 0.2, 0.3]])), 0.7)
    array([[-0.69314718,        -inf, -1.2039728 ]])
    """
    order = np.argsort(scores, axis=1, kind="stable")  # worst first
    below = _sums(softmax(np.take_along_axis(scores, order, axis=1)))
    removed = below <= scores.dtype.type(1 - p)
    removed[:, -keep:] = False
    return _cut(scores, _unsorted(removed, order))


def min_p(scores: Array, share: float, keep: int = 1) -> Array:
    """Keep tokens with at least `share` of the best one's probability (Nguyen et al. 2024).

    >>> min_p(np.log(np.array([[0.6, 0.3, 0.1]])), 0.4)
    array([[-0.51082562, -1.2039728 ,        -inf]])
    """
    probabilities = softmax(scores)
    best = probabilities.max(axis=1, keepdims=True)
    removed = probabilities < scores.dtype.type(share) * best
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :keep]
    np.put_along_axis(removed, order, False, axis=1)
    return _cut(scores, removed)


def typical(scores: Array, mass: float, keep: int = 1) -> Array:
    """Keep the tokens whose information lies nearest to the entropy, until they have probability `mass` (Meister 2023).

    >>> typical(np.log(np.array([[0.6, 0.3, 0.1]])), 0.2)
    array([[      -inf, -1.2039728,       -inf]])
    """
    normalised = log_softmax(scores)
    entropy = -np.nansum(normalised * np.exp(normalised), axis=1, keepdims=True)
    distance = np.abs(-normalised - entropy)
    order = np.argsort(distance, axis=1, kind="stable")
    ordered = np.take_along_axis(distance, order, axis=1)
    sums = _sums(softmax(np.take_along_axis(scores, order, axis=1)))
    last = np.minimum((sums < scores.dtype.type(mass)).sum(axis=1, keepdims=True), scores.shape[1] - 1)
    removed = ordered > np.take_along_axis(ordered, last, axis=1)
    removed[:, :keep] = False
    return _cut(scores, _unsorted(removed, order))


def epsilon(scores: Array, cutoff: float, keep: int = 1) -> Array:
    """Keep tokens of probability `cutoff` or more (Hewitt et al. 2022).

    >>> epsilon(np.log(np.array([[0.6, 0.3, 0.1]])), 0.2)
    array([[-0.51082562, -1.2039728 ,        -inf]])
    """
    removed = softmax(scores) < scores.dtype.type(cutoff)
    return _cut(scores, removed & (scores < _kth_best(scores, keep)))


def eta(scores: Array, cutoff: float, keep: int = 1) -> Array:
    """Cut as `epsilon` does, with a threshold that falls with the entropy H: min(cutoff, sqrt(cutoff) * exp(-H)).

    >>> eta(np.log(np.array([[0.6, 0.3, 0.1]])), 0.2)
    array([[-0.51082562, -1.2039728 ,        -inf]])
    """
    probabilities = softmax(scores)
    logarithms = np.maximum(log_softmax(scores), np.finfo(scores.dtype).min)
    entropy = -(probabilities * logarithms).sum(axis=1, keepdims=True)
    threshold = scores.dtype.type(cutoff)
    removed = probabilities < np.minimum(threshold, np.sqrt(threshold) * np.exp(-entropy))
    return _cut(scores, removed & (scores < _kth_best(scores, keep)))


def _cut(scores: Array, removed: NDArray[np.bool_]) -> Array:
    return np.where(removed, scores.dtype.type(-np.inf), scores)


def _kth_best(scores: Array, k: int) -> Array:
    """The k-th largest score of every row, [R, 1]; the smallest if there are fewer."""
    size = scores.shape[1]
    place = max(size - k, 0)
    return np.partition(scores, place, axis=1)[:, place : place + 1]


def _sums(probabilities: Array) -> Array:
    """Running sums along the rows, accumulated in float64 and rounded once, as torch's are."""
    return np.cumsum(probabilities, axis=1, dtype=np.float64).astype(probabilities.dtype)


def _unsorted(flags: NDArray[np.bool_], order: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Flags of sorted columns, put back where the columns came from."""
    back = np.empty_like(flags)
    np.put_along_axis(back, order, flags, axis=1)
    return back
