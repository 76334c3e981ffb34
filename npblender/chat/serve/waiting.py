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
from npblender.chat.serve.tickets import Ticket


class Line:
    """Tickets in the order in which they came, of at most `most` requests."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.changed = threading.Condition()
        self.is_closed = False
        self._tickets: deque[Ticket] = deque()
        self._pace = 0.0  # seconds between two tickets that leave, as of late
        self._left_at: float | None = None

    def __len__(self) -> int:
        """How many requests wait, in whole or in part."""
        return len({ticket.request for ticket in list(self._tickets)})

    def add(self, tickets: Sequence[Ticket]) -> None:
        """Add all tickets of one request, or none of them.

        Raises:
            ApiError: the line is full (429, with Retry-After), or the server is stopping (503).
        """
        with self.changed:
            if self.is_closed:
                raise ApiError(503, "the server is stopping", headers={"Retry-After": "5"})
            self._tickets = deque(ticket for ticket in self._tickets if not ticket.is_given_up)
            if len(self) >= self.most:
                seconds = self.seconds_to_wait()
                raise ApiError(
                    429,
                    f"{len(self)} requests wait already, as many as may; try again in {seconds} s",
                    code="queue_full",
                    headers={"Retry-After": str(seconds)},
                )
            self._tickets.extend(tickets)
            self.changed.notify_all()

    def seconds_to_wait(self) -> int:
        """After how many seconds half of the line will have left, at its pace of late: from 1 to 60."""
        return min(60, max(1, math.ceil(self._pace * len(self._tickets) / 2)))

    def take(self, fits: Callable[[Ticket], bool], *, most: int, or_skip: Callable[[Ticket], bool]) -> list[Ticket]:
        """Take the first tickets that fit, in order, up to `most`. Call it with `changed` held.

        Those for which `or_skip` is true are passed over and keep their place; the first other one that does not fit
        ends the search, so that a wide search is not overtaken for ever.
        """
        taken: list[Ticket] = []
        kept: deque[Ticket] = deque()
        while self._tickets and len(taken) < most:
            ticket = self._tickets.popleft()
            if ticket.is_given_up:
                continue
            if or_skip(ticket):
                kept.append(ticket)
            elif fits(ticket):
                taken.append(ticket)
            else:
                kept.append(ticket)
                break
        self._tickets.extendleft(reversed(kept))
        self._note_pace(len(taken))
        return taken

    def holds(self, which: Callable[[Ticket], bool]) -> bool:
        """Whether a ticket of this kind waits. Call it with `changed` held."""
        return any(map(which, self._tickets))

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
