"""Beam search in which given phrases must come (Post and Vilar 2018; `force_words_ids`), as 4.52.4 does it.

Each step adds to the best continuations those that make progress with a constraint, however improbable, and fills the
beams from all of them by turns: the best of those with the most progress, of those with one token less, and so on.

A constraint is one phrase, or several of which one must come. Constraints are met one at a time and in any order. One
that is begun and not continued has to begin anew, and the token that broke it off begins nothing.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array, Ids
from npblender.generation.decoder_state import DecoderState
from npblender.generation.logits.chain import Processor
from npblender.generation.outputs import GenerateBeamEncoderDecoderOutput
from npblender.generation.plan import Plan
from npblender.generation.search.beam_hypotheses import GroupedBeams, NextBeams
from npblender.generation.stopping import Stopping

Phrase: TypeAlias = tuple[int, ...]


# --- Constraints, and how far a target has got with them.


@dataclass(frozen=True)
class Constraint:
    """Several phrases of which one must come; `begun` is the part of one that has. None of them begins another."""

    phrases: tuple[Phrase, ...]
    begun: Phrase = ()

    def next_tokens(self) -> list[int]:
        """Return the tokens that would continue what is begun, in the order of the phrases.

        >>> Constraint(((5, 6), (5, 7, 8)), (5,)).next_tokens()
        [6, 7]
        """
        n = len(self.begun)
        return list(dict.fromkeys(p[n] for p in self.phrases if len(p) > n and p[:n] == self.begun))

    @property
    def is_met(self) -> bool:
        return self.begun in self.phrases

    @property
    def size(self) -> int:
        """The length of the longest phrase."""
        return max(map(len, self.phrases))

    @property
    def remaining(self) -> int:
        """How many tokens of the longest phrase are missing; nothing is if one phrase is there."""
        return 0 if self.is_met else self.size - len(self.begun)


@dataclass(frozen=True)
class Progress:
    """How many of the constraints one target has met, and what it has begun."""

    met: int  # how many constraints
    current: Constraint | None  # the one that is begun
    pending: tuple[Constraint, ...]  # those that are not

    @property
    def is_complete(self) -> bool:
        return self.current is None and not self.pending

    def add(self, token: int) -> Progress:
        """Return the progress after one more token.

        >>> progress = no_progress([((5, 6),), ((7,),)])
        >>> progress.add(5).current.begun, progress.add(7).met, progress.add(5).add(9).pending[1].phrases
        ((5,), 1, ((5, 6),))
        """
        if self.current is not None:
            if token not in self.current.next_tokens():
                return Progress(self.met, None, (*self.pending, replace(self.current, begun=())))
            return self._settled(replace(self.current, begun=(*self.current.begun, token)), self.pending)
        for n, constraint in enumerate(self.pending):
            if token in constraint.next_tokens():
                others = self.pending[:n] + self.pending[n + 1 :]
                return self._settled(replace(constraint, begun=(token,)), others)
        return self

    def after(self, tokens: Iterable[int]) -> Progress:
        """Return the progress after several tokens."""
        progress = self
        for token in tokens:
            progress = progress.add(token)
        return progress

    def next_tokens(self) -> list[int]:
        """Return the tokens that would make progress."""
        if self.current is not None:
            return self.current.next_tokens()
        return [token for constraint in self.pending for token in constraint.next_tokens()]

    def after_each(self, tokens: Sequence[int]) -> list[Progress]:
        """Return the progress after each of several tokens that might come next.

        4.52.4 lets the tokens of one constraint share what is begun: once one has been tried, the next is ranked as
        if it had come after it. The ranking of beams depends on it, so it is done here too.
        """
        progresses, tried = [], self
        for token in tokens:
            progresses.append(tried.add(token))
            if tried.current is not None and token in tried.current.next_tokens() and len(tried.current.phrases) > 1:
                tried = replace(tried, current=replace(tried.current, begun=(*tried.current.begun, token)))
        return progresses

    def bank(self, longest: int) -> int:
        """Return transformers' measure of progress: a met constraint counts as much as the longest one has tokens."""
        begun = 0 if self.current is None else longest - self.current.remaining
        return self.met * longest + begun

    def _settled(self, constraint: Constraint, pending: tuple[Constraint, ...]) -> Progress:
        return Progress(self.met + 1, None, pending) if constraint.is_met else Progress(self.met, constraint, pending)


def no_progress(words: Sequence[tuple[Phrase, ...]]) -> Progress:
    """Return the progress of an empty target; each constraint is given as its phrases."""
    return Progress(0, None, tuple(Constraint(phrases) for phrases in words))


def words_of(force_words_ids: Sequence[Any]) -> list[tuple[Phrase, ...]]:
    """Return the constraints of the setting: an entry is a phrase, or a list of phrases of which one must come.

    >>> words_of([(5, 6), ((7,), (8, 9))])
    [((5, 6),), ((7,), (8, 9))]
    """
    words = [tuple(entry) if isinstance(entry[0], tuple) else (tuple(entry),) for entry in force_words_ids]
    for phrases in words:
        for phrase in phrases:
            if any(other != phrase and other[: len(phrase)] == phrase for other in phrases):
                raise ValueError(
                    f"force_words_ids: {list(phrase)} begins another of the phrases of which one must come, "
                    f"{[list(p) for p in phrases]}; leave the longer one out, it could never be asked for"
                )
        if len(set(phrases)) < len(phrases):
            raise ValueError(f"force_words_ids holds a phrase twice in {[list(p) for p in phrases]}")
    return words


# --- The search.


@dataclass
class ConstrainedBeams(GroupedBeams):
    """One group of beams, whose targets end only with every constraint met. `scores` are sums, as in 4.52.4."""

    unstarted: Progress = field(default_factory=lambda: no_progress([]))
    records_sums = True

    def may_end(self, ids: Ids) -> bool:
        """Whether a target [L] has met every constraint; one that ends before is lost."""
        return self.unstarted.after(ids.tolist()).is_complete

    def choose(self, step: NextBeams, ids: Ids, sums: Array) -> NextBeams:
        """Choose by turns from the best continuations and those that make progress."""
        return with_progress(step, ids, sums, self.unstarted)


def search_constrained(
    plan: Plan, decoder: DecoderState, chain: list[Processor], stopping: Stopping
) -> Generator[Ids, None, GenerateBeamEncoderDecoderOutput]:
    """Search with constraints. Yields nothing."""
    assert plan.settings.force_words_ids is not None
    unstarted = no_progress(words_of(plan.settings.force_words_ids))
    return ConstrainedBeams(plan, decoder, stopping, unstarted=unstarted).run(chain)


def descending(ranking: Array) -> NDArray[np.int64]:
    """Sort the places of a ranking from its highest value down, the earlier one first among equals.

    >>> descending(np.array([1.0, 3.0, 1.0]))
    array([1, 0, 2])
    """
    return np.argsort(-ranking, kind="stable")


def with_progress(step: NextBeams, ids: Ids, sums: Array, unstarted: Progress) -> NextBeams:
    """Choose among the beams of `step` and those that make progress: by turns the best of each measure of progress."""
    targets = [(*ids[row].tolist(), int(token)) for row, token in zip(step.rows, step.tokens, strict=True)]
    progresses = [unstarted.after(target) for target in targets]
    seen = set(targets)
    rows, tokens, scores = step.rows.tolist(), step.tokens.tolist(), step.scores.tolist()
    for row, target in enumerate(ids.tolist()):
        so_far = unstarted.after(target)
        if so_far.is_complete:
            continue
        choices = so_far.next_tokens()
        for token, progress in zip(choices, so_far.after_each(choices), strict=True):
            if (*target, token) not in seen:
                seen.add((*target, token))
                rows.append(row)
                tokens.append(token)
                scores.append(sums[row, token])
                progresses.append(progress)
    if len(rows) == len(step.rows):
        return step
    longest = max(constraint.size for constraint in unstarted.pending)
    banks = np.array([progress.bank(longest) for progress in progresses])
    ranking = banks.astype(np.float32) * np.float32(100) + np.array(scores, np.float32)
    order = descending(ranking)
    sorted_banks = banks[order]
    starts = np.r_[True, sorted_banks[1:] != sorted_banks[:-1]]
    firsts = np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))
    turns = np.arange(len(order)) - firsts  # its place among those of equal progress
    chosen = order[np.argsort(turns, kind="stable")][: len(step.rows)]
    return NextBeams(
        np.array(scores, np.float32)[chosen], np.array(tokens, np.int64)[chosen], np.array(rows, np.int64)[chosen]
    )
