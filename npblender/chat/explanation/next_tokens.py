"""The most probable tokens of every step, and the token that was chosen there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from npblender.common.array_types import Array
from npblender.generation.logits.top_k import top_k
from npblender.ops import softmax

SHOWN = 10


@dataclass(frozen=True)
class NextToken:
    """One step: what the model expected, and what was chosen."""

    best: tuple[tuple[int, float], ...]
    """The most probable ids with their probabilities, best first, the lowest id first among equals."""
    chosen: int | None  # None after the last token of a trace, which says no further one
    probability: float | None  # of the chosen one
    rank: int | None  # of the chosen one, from 1


def next_tokens(logits: Array, chosen: Sequence[int | None], shown: int = SHOWN) -> tuple[NextToken, ...]:
    """Rank the tokens of every row of logits [T, V]; `chosen` [T] are the ids that followed.

    >>> next_tokens(np.log(np.array([[0.5, 0.125, 0.375]])), [0], shown=1)
    (NextToken(best=((0, 0.5),), chosen=0, probability=0.5, rank=1),)
    """
    steps = []
    for row, logit, token in zip(softmax(logits.astype(np.float64)), logits, chosen, strict=True):
        _, ids = top_k(logit, min(shown, len(logit)))  # by the logits: tiny probabilities may be equal
        best = tuple((int(index), float(row[index])) for index in ids)
        if token is None:
            steps.append(NextToken(best, None, None, None))
        else:
            before = int((logit > logit[token]).sum()) + int((logit[:token] == logit[token]).sum())
            steps.append(NextToken(best, int(token), float(row[token]), before + 1))
    return tuple(steps)
