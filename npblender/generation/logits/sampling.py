"""Random choices: one token by its probability, or several without putting any back."""

from __future__ import annotations

import numpy as np

from npblender.common.array_types import Array, Ids
from npblender.generation.logits.chain import probabilities
from npblender.generation.logits.top_k import top_k


def draw(probabilities: Array, rng: np.random.Generator) -> Ids:
    """Draw one column a row of [R, N], by its share of the row: one uniform number a row. Probability 0 is never drawn.

    >>> draw(np.array([[0.0, 1.0, 0.0]]), np.random.default_rng(0))
    array([1])
    """
    sums = np.cumsum(probabilities, axis=1, dtype=np.float64)
    if not (sums[:, -1] > 0).all():
        raise ValueError("there is no token left to draw: every one of them is blocked")
    marks = rng.random(len(sums)) * sums[:, -1]
    return np.array([np.searchsorted(row, mark, side="right") for row, mark in zip(sums, marks, strict=True)])


def draw_several(probabilities: Array, count: int, rng: np.random.Generator) -> Ids:
    """Draw `count` different places of [N], in the order in which they would be drawn one after another.

    Dividing each probability by an exponential number and taking the largest is such a draw (Efraimidis and Spirakis
    2006, and torch). Where fewer places than `count` are possible, the lowest impossible ones follow.

    >>> draw_several(np.array([0.0, 1.0, 0.0]), 2, np.random.default_rng(0))
    array([1, 0])
    """
    possible = np.flatnonzero(probabilities > 0)
    keys = probabilities[possible] / rng.standard_exponential(len(possible))
    drawn = possible[top_k(keys, min(count, len(possible)))[1]]
    if len(drawn) < count:
        others = np.flatnonzero(~(probabilities > 0))
        drawn = np.concatenate([drawn, others[: count - len(drawn)]])
    return drawn


def draw_sums(values: Array, offsets: Array, count: int, rng: np.random.Generator) -> tuple[Array, Ids, Ids]:
    """Draw `count` different places of `values` [R, N] + `offsets` [R] by the softmax of all sums.

    Returns the sums, their rows and their columns, in the order in which they were drawn.

    >>> draw_sums(np.array([[-np.inf, 1.0], [-np.inf, -np.inf]]), np.array([2.0, 0.0]), 1, np.random.default_rng(0))
    (array([3.]), array([0]), array([1]))
    """
    sums = (values + offsets[:, None]).reshape(-1)  # [R * N]
    places = draw_several(probabilities(sums), count, rng)
    return sums[places], places // values.shape[1], places % values.shape[1]
