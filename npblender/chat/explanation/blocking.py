"""What a search could not choose at a step, and why: ends that came too early, n-grams said before, listed phrases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from npblender.chat.explanation.searching import Watched
from npblender.common.array_types import Array
from npblender.generation.logits.processors import completions
from npblender.generation.search.parlai import HOPELESS
from npblender.ops import log_softmax

MOST = 12


@dataclass(frozen=True)
class Blocked:
    """One token that was blocked."""

    token: int
    probability: float  # before the block
    reason: str
    ngram: tuple[int, ...] = ()  # what it would have completed


@dataclass(frozen=True)
class BlockedHere:
    """What was blocked in one row of one step: the most probable ones, and how many in all."""

    tokens: tuple[Blocked, ...]
    count: int


def blocked_at(watched: Watched, step: int, row: int) -> BlockedHere:
    """Compare a row's scores before and after the blocks."""
    before = log_softmax(watched.logits[step][row].astype(np.float64))
    after = watched.scores[step][row]
    blocked = np.flatnonzero(((after <= HOPELESS) | np.isneginf(after)) & (before > HOPELESS))
    wanted = blocked[np.argsort(-before[blocked], kind="stable")][:MOST]
    reasons = dict(reversed(list(_reasons(watched, step, row))))
    plan, length = watched.plan, watched.ids[step].shape[1]
    forced = plan.settings.forced_eos_token_id is not None and length == plan.max_length - 1
    otherwise = ("the last token must be an end" if forced else "another rule", ())
    return BlockedHere(
        tuple(
            Blocked(int(token), float(np.exp(before[token])), *reasons.get(int(token), otherwise)) for token in wanted
        ),
        len(blocked),
    )


def _reasons(watched: Watched, step: int, row: int) -> Iterator[tuple[int, tuple[str, tuple[int, ...]]]]:
    """Yield the tokens that each rule of the plan blocks, the rule, and the n-gram; the first reason counts."""
    plan, settings, ids = watched.plan, watched.plan.settings, watched.ids[step][row : row + 1]
    length = ids.shape[1]
    if length < plan.min_length:
        for token in plan.eos:
            yield token, (f"the reply is shorter than {plan.min_length} tokens", ())
    sources: Array = np.array([watched.source], np.int64)
    for size, read, reason in (
        (settings.no_repeat_ngram_size, ids, "the reply has this {}-gram already"),
        (settings.encoder_no_repeat_ngram_size, sources, "the source has this {}-gram"),
    ):
        if size:
            before = tuple(ids[0, length - size + 1 :].tolist())
            for token in completions(ids, read, size)[1].tolist():
                yield token, (reason.format(size), (*before, token))
    for phrase in settings.bad_words_ids or ():
        *begin, token = phrase
        if len(begin) <= length and list(ids[0, length - len(begin) :]) == begin:
            yield token, ("a listed phrase", tuple(phrase))
