"""The engine: takes searches from the line and runs them, those of many callers together.

One thread leads the searches that can be led step by step (ParlAI's, greedy search, sampling): what waits joins before
the next step. The other runs the beam searches of transformers from begin to end: it waits a few milliseconds
for others like the first one, and searches for all of them at once where that gives what each would get alone.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from npblender.chat.replies import search_replies
from npblender.chat.serve.dialect_models import DialectModels, Job
from npblender.chat.serve.limits import MOST_ROWS, QUEUE, REQUEST_SECONDS, WINDOW_SECONDS
from npblender.chat.serve.request_queue import RequestQueue
from npblender.chat.serve.shared_steps import Group
from npblender.chat.serve.submissions import Event, Submission
from npblender.chat.serve.whole_replies import tell_whole
from npblender.common.array_types import Ids
from npblender.config.searches import BEAM
from npblender.generation.walks import CAN_WALK


class Engine:
    """Runs searches in two threads of its own, from `start` to `close`."""

    def __init__(
        self, models: DialectModels, *, queue: int = QUEUE, rows: int = MOST_ROWS, seconds: float = REQUEST_SECONDS
    ) -> None:
        self.line = RequestQueue(queue)
        self.steps = 0
        """How many steps have been made: each serves all rows at once."""
        self._models = models
        self._rows = rows
        self._seconds = seconds
        self._numbers = itertools.count(1)
        self._groups: dict[str, Group] = {}
        self._threads = [
            threading.Thread(target=self._lead, name="npblender steps", daemon=True),
            threading.Thread(target=self._search, name="npblender searches", daemon=True),
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, jobs: Sequence[Job], send: Callable[[Event], None]) -> list[Submission]:
        """Put the searches of one request into the line; `send` is called from the engine's threads.

        Raises:
            ApiError: the line is full.
        """
        request = next(self._numbers)
        submissions = [Submission(job, send, self._seconds, request) for job in jobs]
        self.line.add(submissions)
        return submissions

    @property
    def rows(self) -> int:
        """How many rows are decoded at the moment, step by step."""
        return sum(group.rows for group in self._groups.values())

    def close(self, seconds: float | None = None) -> None:
        """Take no more searches, and returns when those that it has are done, or after some seconds."""
        self.line.close()
        deadline = None if seconds is None else time.monotonic() + seconds
        for thread in self._threads:
            if thread.is_alive():
                thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))

    # --- Step by step.

    def _lead(self) -> None:
        while True:
            with self.line.changed:
                submissions = self._admitted()
                while not submissions and not self.rows:
                    if self.line.is_closed and not self.line.holds(_can_walk):
                        return
                    self.line.changed.wait()
                    submissions = self._admitted()
            for name in dict.fromkeys(submission.job.speaker.dialect.name for submission in submissions):
                mine = [submission for submission in submissions if submission.job.speaker.dialect.name == name]
                _guarded(self._groups.setdefault(name, Group(mine[0].job.speaker)), Group.admit, mine)
            for group in self._groups.values():
                if group.rows:
                    _guarded(group, Group.step)
                    self.steps += 1

    def _admitted(self) -> list[Submission]:
        """Take what there are rows for."""
        taken = self.rows

        def fits(submission: Submission) -> bool:
            nonlocal taken
            is_first, taken = taken == 0, taken + submission.job.width
            return is_first or taken <= self._rows

        return self.line.take(most=self._rows, fits=fits, or_skip=_cannot_walk)

    # --- From begin to end.

    def _search(self) -> None:
        while True:
            with self.line.changed:
                while not self.line.holds(_cannot_walk):
                    if self.line.is_closed:
                        return
                    self.line.changed.wait()
                first = self.line.take(most=1, or_skip=_can_walk)
            if not first:
                continue
            submissions = [*first, *self._like(first[0])]
            try:
                _reply(submissions)
            except AllGone:
                continue
            except BaseException as error:  # a thread that ends would leave everyone waiting
                for submission in submissions:
                    submission.fail(error)

    def _like(self, first: Submission) -> list[Submission]:
        """After a moment, those that wait and can be searched together with the first.

        Several sources are searched for at once where each gets what it would alone. That is so for beam search in a
        dialect in which a source that is done takes no more; one that draws takes its random numbers source by source.
        """
        job = first.job
        if job.settings.plan.search != BEAM or not job.speaker.dialect.sources_settle:
            return []

        def differs(other: Submission) -> bool:
            same = other.job.speaker is job.speaker and other.job.settings.plan == job.settings.plan
            return not same or dict(other.job.settings.options) != dict(job.settings.options)

        time.sleep(WINDOW_SECONDS)
        with self.line.changed:
            return self.line.take(most=max(0, self._rows // job.width - 1), or_skip=differs)


class AllGone(Exception):
    """Nobody waits for a search any more."""


def _can_walk(submission: Submission) -> bool:
    return submission.job.settings.plan.search in CAN_WALK


def _cannot_walk(submission: Submission) -> bool:
    return not _can_walk(submission)


def _guarded(group: Group, work: Callable[..., None], *arguments: Any) -> None:
    """Do the work of a group; an error of a whole pass, such as too little memory, ends its searches only."""
    try:
        work(group, *arguments)
    except BaseException as error:  # a thread that ends would leave everyone waiting
        group.fail(error)


def _reply(submissions: Sequence[Submission]) -> None:
    """Run one search for all submissions, and sends each its replies."""
    job = submissions[0].job

    def check(ids: Ids, scores: object) -> bool:
        if all(submission.is_given_up for submission in submissions):
            raise AllGone
        return False

    sources = [submission.job.source for submission in submissions]
    found = search_replies(job.speaker, sources, job.settings, rng=job.generator(), criteria=(check,))
    for submission, candidates in zip(submissions, found, strict=True):
        tell_whole(submission, candidates)
