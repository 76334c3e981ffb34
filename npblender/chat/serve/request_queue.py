"""The line of searches that wait: bounded, first come first served, and shared by the engine's two threads.

A request may take several searches, one for each reply that it draws; in the bound it counts once.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from npblender.chat.serve.errors import ApiError
from npblender.chat.serve.submissions import Submission


class RequestQueue:
    """Submission in the order in which they came, of at most `most` requests."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.changed = threading.Condition()
        self.is_closed = False
        self._submissions: deque[Submission] = deque()
        self._pace = 0.0  # seconds between two submissions that leave, as of late
        self._left_at: float | None = None

    def __len__(self) -> int:
        """How many requests wait, in whole or in part."""
        return len({submission.request for submission in list(self._submissions)})

    def add(self, submissions: Sequence[Submission]) -> None:
        """Add all submissions of one request, or none of them.

        Raises:
            ApiError: the line is full (429, with Retry-After), or the server is stopping (503).
        """
        with self.changed:
            if self.is_closed:
                raise ApiError(503, "the server is stopping", headers={"Retry-After": "5"})
            self._submissions = deque(submission for submission in self._submissions if not submission.is_given_up)
            if len(self) >= self.most:
                # Until half of the line will have left, at its pace of late.
                seconds = min(60, max(1, math.ceil(self._pace * len(self._submissions) / 2)))
                raise ApiError(
                    429,
                    f"{len(self)} requests wait already, as many as may; try again in {seconds} s",
                    code="queue_full",
                    headers={"Retry-After": str(seconds)},
                )
            self._submissions.extend(submissions)
            self.changed.notify_all()

    def take(
        self,
        fits: Callable[[Submission], bool] = lambda submission: True,
        *,
        most: int,
        or_skip: Callable[[Submission], bool],
    ) -> list[Submission]:
        """Take the first submissions that fit, in order, up to `most`. Call it with `changed` held.

        Those for which `or_skip` is true are passed over and keep their place; the first other one that does not fit
        ends the search, so that a wide search is not overtaken for ever.
        """
        taken: list[Submission] = []
        kept: deque[Submission] = deque()
        while self._submissions and len(taken) < most:
            submission = self._submissions.popleft()
            if submission.is_given_up:
                continue
            if or_skip(submission):
                kept.append(submission)
            elif fits(submission):
                taken.append(submission)
            else:
                kept.append(submission)
                break
        self._submissions.extendleft(reversed(kept))
        self._note_pace(len(taken))
        return taken

    def holds(self, which: Callable[[Submission], bool]) -> bool:
        """Whether a submission of this kind waits. Call it with `changed` held."""
        return any(map(which, self._submissions))

    def close(self) -> None:
        """Take no more; what waits is still served."""
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()

    def _note_pace(self, left: int) -> None:
        if left:
            now = time.monotonic()
            if self._left_at is not None:
                self._pace += ((now - self._left_at) / left - self._pace) * min(1.0, left / 16)
            self._left_at = now
