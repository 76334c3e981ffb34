"""Finds the largest of many numbers without sorting them all.

The maxima of chunks bound the answer from below: the `count`-th largest of them is no larger than the `count`-th
largest number, so only chunks whose maximum reaches it can hold a part of the answer. The numbers are read once, for
the maxima; what is sorted is hardly more than what is returned. NaN counts as larger than any number, as in torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array

Indices = NDArray[np.int64]
CHUNK = 2048  # numbers a chunk: the fewer chunks, the cheaper their maxima; the smaller, the less is looked at again


def top_k(values: Array, count: int) -> tuple[Array, Indices]:
    """Find the `count` largest of `values` [N] and their indices: largest first, the lowest index first among equals.

    >>> top_k(np.array([0.5, 2.0, 1.0, 2.0]), 3)
    (array([2., 2., 1.]), array([1, 3, 2]))
    """
    candidates, indices = _reaching(values[None], None, count)
    return _largest(candidates, indices, count)


def top_k_of_sums(values: Array, offsets: Array, count: int) -> tuple[Array, Indices, Indices]:
    """Find the `count` largest of `values` [R, N] + `offsets` [R]: the sums, their rows and their columns.

    Largest first; among equals the lowest row first, and in a row the lowest column. The sums are not all computed:
    rounding keeps their order within a row, so the maxima of the values bound them.

    >>> top_k_of_sums(np.array([[0.5, 2.0], [1.0, 3.0]]), np.array([0.0, -1.0]), 3)
    (array([2. , 2. , 0.5]), array([0, 1, 0]), array([1, 1, 0]))
    """
    candidates, indices = _reaching(values, offsets, count)
    sums, indices = _largest(candidates, indices, count)
    return sums, indices // values.shape[1], indices % values.shape[1]


def _reaching(values: Array, offsets: Array | None, count: int) -> tuple[Array, Indices]:
    """Among others the `count` largest of values [R, N] + offsets [R]: the sums, and their flat indices, ascending."""
    rows, size = values.shape
    chunks = size // CHUNK
    if rows * chunks <= count:
        return _sums(values, offsets).reshape(-1), np.arange(rows * size)
    whole = values[:, : chunks * CHUNK].reshape(rows, chunks, CHUNK)
    maxima = np.maximum.reduce(whole, axis=2)  # [R, chunks]; NaN where there is one
    if size > chunks * CHUNK:
        rest = np.maximum.reduce(values[:, chunks * CHUNK :], axis=1, keepdims=True)
        maxima = np.concatenate([maxima, rest], axis=1)
    maxima = _sums(maxima, offsets)
    bound = _kth_largest(maxima.reshape(-1), count)
    found, indices, enough = [], [], 0
    for row, chunk in zip(*np.nonzero(~(maxima < bound)), strict=True):
        if enough >= count and maxima[row, chunk] == bound:
            continue  # of equals the first ones count
        begin = int(chunk) * CHUNK
        sums = values[row, begin : begin + CHUNK]
        if offsets is not None:
            sums = sums + offsets[row]
        reached = np.flatnonzero(~(sums < bound))
        enough += len(reached)
        found.append(sums[reached])
        indices.append(reached + (int(row) * size + begin))
    return np.concatenate(found), np.concatenate(indices)


def _sums(values: Array, offsets: Array | None) -> Array:
    return values if offsets is None else values + offsets[:, None]


def _kth_largest(values: Array, count: int) -> Any:
    return np.partition(values, len(values) - count)[len(values) - count]  # NaN sorts last, as the largest


def _largest(candidates: Array, indices: Indices, count: int) -> tuple[Array, Indices]:
    """The `count` largest candidates, whose indices ascend, and their indices."""
    if len(candidates) > count:
        cut = _kth_largest(candidates, count)
        if np.isnan(cut):
            chosen = np.flatnonzero(np.isnan(candidates))[:count]
        else:
            above = np.flatnonzero(~(candidates <= cut))  # NaN too
            equal = np.flatnonzero(candidates == cut)[: count - len(above)]
            chosen = np.sort(np.concatenate([above, equal]))
        candidates, indices = candidates[chosen], indices[chosen]
    order = np.argsort(-candidates, kind="stable")  # puts NaN last
    nan = np.isnan(candidates[order])
    if nan.any():
        order = np.concatenate([order[nan], order[~nan]])
    return candidates[order], indices[order]
