"""Searches of many callers, a step at a time in one batch: requests join between two steps, and leave when they end.

    submissions -> Group.admit -> Group.step, again and again -> pieces and ends of replies
There is a group for each dialect, since a pass follows one dialect. Each search has its own state and random numbers;
they share nothing but the matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from npblender.chat.replies import DialectModel, candidate
from npblender.chat.serve.submissions import Submission
from npblender.chat.serve.whole_replies import Telling, tell_whole
from npblender.common.array_types import Array, Ids
from npblender.generation.logits.chain import log_probabilities, to_float32
from npblender.generation.shared_decoder import SharedDecoder
from npblender.generation.walks import begin_walk
from npblender.transformer.checks import make_context


class Member:
    """One search of a group."""

    def __init__(self, submission: Submission) -> None:
        job = submission.job
        self.submission = submission
        self.walk = begin_walk(
            job.settings.plan,
            job.speaker.dialect,
            job.source.ids,
            rng=job.generator(),
            processors=job.speaker.processors,
        )
        self._telling = Telling(submission)
        self._told = 0  # tokens of the walk that the telling has
        self._log_probs: list[Array] = []  # of the walk's tokens that the telling lacks

    @property
    def is_done(self) -> bool:
        """Whether the search, or a stop text, has ended the reply."""
        return self.walk.is_done or self._telling.is_over

    def step(self, logits: Array) -> Ids:
        """One step of the search by its logits [W, V]; returns the rows that its rows go on from, [W]."""
        streams = self.walk.width == 1
        if streams and self.submission.job.top_logprobs is not None:
            self._log_probs.append(log_probabilities(to_float32(logits))[0])  # before anything is blocked
        rows = self.walk.step(logits)
        if streams:
            self._tell(self.walk.certain[self._told :])
        return rows

    def finish(self) -> None:
        """Send what is left of the reply, and its end."""
        job = self.submission.job
        found = self.walk.found()
        candidates = tuple(candidate(job.speaker.tokenizer, ids, score) for ids, score in found.replies)
        if self.walk.width > 1:
            tell_whole(self.submission, candidates, ended=found.ended)
            return
        self._tell(candidates[0].ids[1 + self._told :])
        self._telling.end(candidates, found.ended)

    def _tell(self, tokens: Sequence[int]) -> None:
        for token in tokens:
            self._told += 1
            self._telling.push(token, self._log_probs.pop(0) if self._log_probs else None)


class Group:
    """The searches of one dialect that are in work."""

    def __init__(self, speaker: DialectModel) -> None:
        model = speaker.model
        self._decoder = SharedDecoder(model.weights, make_context(model.config, model.dialect))
        self._members: list[Member] = []

    @property
    def rows(self) -> int:
        """How many rows are decoded."""
        return self._decoder.rows

    def admit(self, submissions: Sequence[Submission]) -> None:
        """Add searches; one that cannot begin fails by itself."""
        members = []
        for submission in submissions:
            try:
                members.append(Member(submission))
            except Exception as error:  # of this one alone
                submission.fail(error)
        if members:
            sources = [member.submission.job.source.ids for member in members]
            self._members += members  # first, so that a failure of the pass reaches them
            self._decoder.join(sources, [member.walk.width for member in members])

    def step(self) -> None:
        """One token more for every search."""
        decoder = self._decoder
        logits = decoder.logits(np.concatenate([member.walk.newest for member in self._members]))
        order, staying = np.arange(decoder.rows), np.ones(decoder.rows, np.bool_)
        kept, begin = [], 0
        for member in self._members:
            rows = slice(begin, begin + member.walk.width)
            begin = rows.stop
            if self._goes_on(member, logits[rows], order, rows):
                kept.append(member)
            else:
                staying[rows] = False
        self._members = kept
        decoder.keep(order)
        decoder.leave(staying)

    def fail(self, error: BaseException) -> None:
        """End all searches with an error, and begins anew without any."""
        members, self._members = self._members, []
        for member in members:
            member.submission.fail(error)
        self._decoder = SharedDecoder(self._decoder.weights, self._decoder.context)

    def _goes_on(self, member: Member, logits: Array, order: Ids, rows: slice) -> bool:
        """Advance one search; returns whether it needs another step."""
        if member.submission.is_given_up:
            return False
        try:
            order[rows] = rows.start + member.step(logits)
            if member.is_done:
                member.finish()
            return not member.is_done
        except Exception as error:  # of this one alone
            member.submission.fail(error)
            return False
