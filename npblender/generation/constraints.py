"""Words that must come: how far a target has got with each of them (transformers' `force_words_ids`, 4.52.4).

A constraint is one phrase, or several of which one must come. Constraints are met one at a time and in any order; one
that is begun and not continued has to begin anew, and the token that broke it off begins nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

Phrase: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Constraint:
    """Several phrases of which one must come; `begun` is how much of one has. None of them begins another."""

    phrases: tuple[Phrase, ...]
    begun: Phrase = ()

    def next_tokens(self) -> list[int]:
        """The tokens that would continue what is begun, in the order of the phrases.

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
    """How far one target has got."""

    met: int  # how many constraints
    current: Constraint | None  # the one that is begun
    pending: tuple[Constraint, ...]  # those that are not

    @property
    def is_complete(self) -> bool:
        return self.current is None and not self.pending

    def add(self, token: int) -> Progress:
        """The progress after one more token.

        >>> progress = start([((5, 6),), ((7,),)])
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
        """The progress after several tokens."""
        progress = self
        for token in tokens:
            progress = progress.add(token)
        return progress

    def next_tokens(self) -> list[int]:
        """The tokens that would bring it further."""
        if self.current is not None:
            return self.current.next_tokens()
        return [token for constraint in self.pending for token in constraint.next_tokens()]

    def after_each(self, tokens: Sequence[int]) -> list[Progress]:
        """The progress after each of several tokens that might come next.

        4.52.4 lets the tokens of one constraint share what is begun: once one has been tried, the next is judged as
        if it had come after it. So does this, because the ranking of beams depends on it.
        """
        progresses, tried = [], self
        for token in tokens:
            progresses.append(tried.add(token))
            if tried.current is not None and token in tried.current.next_tokens() and len(tried.current.phrases) > 1:
                tried = replace(tried, current=replace(tried.current, begun=(*tried.current.begun, token)))
        return progresses

    def bank(self, longest: int) -> int:
        """transformers' measure of progress: a met constraint counts as much as the longest one has tokens."""
        begun = 0 if self.current is None else longest - self.current.remaining
        return self.met * longest + begun

    def _settled(self, constraint: Constraint, pending: tuple[Constraint, ...]) -> Progress:
        return Progress(self.met + 1, None, pending) if constraint.is_met else Progress(self.met, constraint, pending)


def start(words: Sequence[tuple[Phrase, ...]]) -> Progress:
    """The progress of a target that is not begun; each constraint is given as its phrases."""
    return Progress(0, None, tuple(Constraint(phrases) for phrases in words))


def words_of(force_words_ids: Sequence[Any]) -> list[tuple[Phrase, ...]]:
    """The constraints of the setting: an entry is a phrase, or a list of phrases of which one must come.

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
