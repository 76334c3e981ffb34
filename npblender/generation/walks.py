"""Searches of one source that are led from outside, one step at a time, so that many can share a decoder's passes.

    logits of a step [W, V] --walk.step--> the row that each row goes on from, [W]; then newest, the tokens to read [W]
A walk of W rows does what the search of its plan does for a single source, with the same random numbers; only the loop
around it is the caller's (see `SharedDecoder`), until `is_done`. ParlAI's searches, greedy search and sampling can be
walked. Beam searches of transformers cannot: `CAN_WALK` says which.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from npblender.common.array_types import Array, Ids
from npblender.config.dialect import Dialect
from npblender.config.searches import GREEDY, PARLAI, SAMPLE
from npblender.generation.logits.chain import ChainRequest, Processor, apply, make_chain, make_parlai_chain, to_float32
from npblender.generation.plan import Plan
from npblender.generation.search.greedy_and_sampling import most_probable, sample
from npblender.generation.search.parlai import Tree, log_probabilities, rules_of
from npblender.generation.stopping import make_stopping

CAN_WALK = PARLAI | {GREEDY, SAMPLE}  # the searches that can be led step by step


@dataclass(frozen=True)
class Found:
    """What a walk ends with: its replies, best first, and whether the first of them ended by itself."""

    replies: tuple[tuple[tuple[int, ...], float | None], ...]
    """Ids, start included, and the score, None in a search that has none."""
    ended: bool


def begin_walk(
    plan: Plan,
    dialect: Dialect,
    source: Sequence[int],
    *,
    rng: np.random.Generator | None = None,
    processors: Sequence[Processor] = (),
    tokenizer: Any = None,
) -> ParlaiWalk | RowWalk:
    """Begin the search of a plan for one source (its ids, without pads).

    Args:
        rng: what is drawn from; needed by plans that draw.
        processors: logits processors of the caller's.
        tokenizer: needed by `stop_strings`.

    >>> from npblender.generation.planning import make_plan
    >>> from npblender.config.dialect import TRANSFORMERS_5
    >>> walk = begin_walk(make_plan(TRANSFORMERS_5, config, {}, {"max_new_tokens": 2}), TRANSFORMERS_5, [5, 6])
    >>> [walk.step(np.eye(11, dtype=np.float32)[[token]]) for token in (8, 7)]
    [array([0]), array([0])]
    >>> walk.is_done, walk.found()
    (True, Found(replies=(((1, 8, 7), None),), ended=False))
    """
    assert plan.search in CAN_WALK, plan.search
    assert rng is not None or not plan.is_random
    ids = np.asarray(source, np.int64)
    request = ChainRequest(plan, dialect, ids[None], callers=processors)
    if plan.search in PARLAI:
        return ParlaiWalk(plan, ids, make_parlai_chain(request), rng)
    return RowWalk(plan, make_chain(request), rng, tokenizer)


class ParlaiWalk:
    """One of ParlAI's searches: see `search.parlai`."""

    def __init__(self, plan: Plan, source: Ids, chain: list[Processor], rng: np.random.Generator | None) -> None:
        nothing = np.empty(0, np.int64)
        self.tree = Tree(rules_of(plan, rng), source, np.full((plan.width, 1), plan.start), nothing)
        self.is_done = False
        self._plan, self._chain = plan, chain
        self._deadline = plan.deadline()

    @property
    def width(self) -> int:
        """The number of paths."""
        return self._plan.width

    @property
    def newest(self) -> Ids:
        """The tokens to be read next, [W]."""
        newest: Ids = self.tree.paths[:, -1]
        return newest

    @property
    def certain(self) -> Sequence[int]:
        """The tokens, start left out, that no later step can change; of several rows none before the end.

        One token late, since the last one before the limit may be replaced by the eos.
        """
        if self.width > 1:
            return ()
        path: list[int] = self.tree.paths[0, 1:-1].tolist()
        return path

    def step(self, logits: Array) -> Ids:
        """Choose the next tokens by their logits [W, V]; returns the row that each row goes on from, [W]."""
        tree, plan = self.tree, self._plan
        scaled = log_probabilities(logits, plan.settings.temperature or 1.0)
        tree.advance(apply(self._chain, tree.paths, scaled, owned=True))
        late = self._deadline is not None and time.monotonic() > self._deadline
        self.is_done = late or tree.is_done or tree.paths.shape[1] == plan.max_length
        return tree.histories[-1][0]

    def found(self) -> Found:
        """Every finished hypothesis, best first; or the best unfinished one, closed by an eos."""
        hypotheses, _ = self.tree.n_best()
        return Found(tuple((each.ids, each.score) for each in hypotheses), ended=bool(self.tree.finished))


class RowWalk:
    """Greedy search or sampling: see `search.greedy_and_sampling`."""

    width = 1

    def __init__(self, plan: Plan, chain: list[Processor], rng: np.random.Generator | None, tokenizer: Any) -> None:
        self.is_done = False
        self._ids = np.array([[plan.start]])
        self._chain = chain
        self._plan = plan
        self._stopping = make_stopping(plan, tokenizer)
        self._choose = most_probable if rng is None else sample(rng)

    @property
    def newest(self) -> Ids:
        """The token to be read next, [1]."""
        newest: Ids = self._ids[:, -1]
        return newest

    @property
    def certain(self) -> Sequence[int]:
        """The tokens, start left out: none of them can change."""
        tokens: list[int] = self._ids[0, 1:].tolist()
        return tokens

    def step(self, logits: Array) -> Ids:
        """Choose the next token by its logits [1, V]; returns the row that it goes on from."""
        tokens = self._choose(apply(self._chain, self._ids, to_float32(logits)))
        self._ids = np.concatenate([self._ids, tokens[:, None]], axis=1)  # [1, L] -> [1, L + 1]
        self.is_done = bool(self._stopping(self._ids).all())
        return np.zeros(1, np.int64)

    def found(self) -> Found:
        """The one reply, which has no score. It ended by itself if its last token is an eos, or completes a text."""
        ids: list[int] = self._ids[0].tolist()
        stopped = any(bool(criterion(self._ids, None)[0]) for criterion in self._stopping.criteria)
        return Found(((tuple(ids), None),), ids[-1] in self._plan.eos or stopped)
