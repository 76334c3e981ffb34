"""Filters of scores that know the target so far: pure functions, scores [R, V] in and scores [R, V] out.

Scores are logits in a search that follows one path a row, and log-probabilities in a beam search, as in transformers.
A blocked token gets -inf. No filter changes its argument. `chain` decides which of them run, and in which order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.inputs import Ids

Array = NDArray[Any]


def block(scores: Array, tokens: Sequence[int] | NDArray[np.int64]) -> Array:
    """The tokens become impossible in every row.

    >>> block(np.array([[1.0, 2.0, 3.0]]), [2])
    array([[  1.,   2., -inf]])
    """
    blocked = scores.copy()
    blocked[:, np.asarray(tokens, np.int64)] = -np.inf
    return blocked


def min_length(scores: Array, ids: Ids, shortest: int, eos: Sequence[int]) -> Array:
    """No eos while the target [R, L], its start included, is shorter than `shortest`.

    >>> min_length(np.array([[1.0, 2.0, 3.0]]), np.array([[1, 0]]), 3, [2])
    array([[  1.,   2., -inf]])
    """
    return block(scores, eos) if ids.shape[1] < shortest else scores


def force(scores: Array, tokens: Sequence[int] | NDArray[np.int64]) -> Array:
    """Only these tokens remain, each with score 0.

    >>> force(np.array([[1.0, 2.0, 3.0]]), [2])
    array([[-inf, -inf,   0.]])
    """
    forced = np.full_like(scores, -np.inf)
    forced[:, np.asarray(tokens, np.int64)] = 0
    return forced


def forced_bos(scores: Array, ids: Ids, token: int) -> Array:
    """The first token after a lone start token is this one.

    >>> forced_bos(np.array([[1.0, 2.0, 3.0]]), np.array([[1]]), 0)
    array([[  0., -inf, -inf]])
    """
    return force(scores, [token]) if ids.shape[1] == 1 else scores


def forced_eos(scores: Array, ids: Ids, longest: int, tokens: Sequence[int]) -> Array:
    """The last token before the limit is one of these.

    >>> forced_eos(np.array([[1.0, 2.0, 3.0]]), np.array([[1, 0]]), 3, [2])
    array([[-inf, -inf,   0.]])
    """
    return force(scores, tokens) if ids.shape[1] == longest - 1 else scores
