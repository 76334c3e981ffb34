"""The largest of many numbers, without sorting them all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
CHUNK = 512  # numbers a chunk: small enough that few chunks hold a candidate, large enough that their maxima are few


def top(values: Array, count: int) -> tuple[Array, NDArray[np.int64]]:
    """The `count` largest of `values` [N], largest first and the lowest index first among equals, and their indices.

    The maxima of chunks bound the answer from below: the `count`-th largest of them is no larger than the `count`-th
    largest value, so only values that reach it are sorted. NaN counts as larger than any number, as in torch.

    >>> top(np.array([0.5, 2.0, 1.0, 2.0]), 3)
    (array([2., 2., 1.]), array([1, 3, 2]))
    """
    size = len(values)
    chunks = size // CHUNK
    if chunks > count:
        maxima = values[: chunks * CHUNK].reshape(chunks, CHUNK).max(axis=1)
        bound = np.partition(maxima, chunks - count)[chunks - count]  # NaN sorts last, as the largest
        indices = np.flatnonzero(~(values < bound))
    else:
        indices = np.arange(size)
    candidates = values[indices]
    if len(indices) > 4 * count:  # many equals, or few numbers to begin with
        cut = np.partition(candidates, len(indices) - count)[len(indices) - count]
        reached = ~(candidates < cut)
        indices, candidates = indices[reached], candidates[reached]
    order = np.lexsort((indices, -candidates))  # by value, then by index; lexsort puts NaN last
    nan = np.isnan(candidates[order])
    if nan.any():
        order = np.concatenate([order[nan], order[~nan]])
    order = order[:count]
    return candidates[order], indices[order]
