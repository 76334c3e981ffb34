"""The filters of one search in transformers' order: each a function of the target so far and the scores.

What each filter does stands in `filters`; here is only which of them the settings ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from npblender.generation import filters
from npblender.generation.plan import Plan
from npblender.inputs import Ids

Array = NDArray[Any]
Filter: TypeAlias = Callable[[Ids, Array], Array]
"""Called as filter(ids [R, L], scores [R, V]); returns scores [R, V]. transformers' logits processors are such."""


def make_chain(plan: Plan, users: Iterable[Filter] = ()) -> list[Filter]:
    """The filters that `plan` asks for, the user's own after those of the settings."""
    return [*_of_settings(plan), *users]


def apply(chain: Iterable[Filter], ids: Ids, scores: Array) -> Array:
    """The scores after every filter of the chain."""
    for each in chain:
        scores = each(ids, scores)
    return scores


def _of_settings(plan: Plan) -> Iterator[Filter]:
    s = plan.settings
    if plan.min_length and plan.eos:
        yield lambda ids, scores: filters.min_length(scores, ids, plan.min_length, plan.eos)
    if s.forced_bos_token_id is not None:
        token = s.forced_bos_token_id
        yield lambda ids, scores: filters.forced_bos(scores, ids, token)
    if s.forced_eos_token_id is not None:
        tokens = s.forced_eos_token_id
        tokens = tokens if isinstance(tokens, tuple) else (tokens,)
        yield partial(_forced_eos, longest=plan.max_length, tokens=tokens)


def _forced_eos(ids: Ids, scores: Array, longest: int, tokens: tuple[int, ...]) -> Array:
    return filters.forced_eos(scores, ids, longest, tokens)


def to_float32(logits: Array) -> Array:
    """Scores are filtered, chosen from and returned in float32 whatever the model computes in, as in the originals."""
    return logits.astype(np.float32)
