"""A search on its way through the engine: the job, where its results go, and what becomes of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from npblender.chat.history import FittedSource
from npblender.chat.replies import Candidate
from npblender.chat.serve.dialect_models import Job
from npblender.chat.serve.errors import ApiError, unforeseen
from npblender.chat.serve.limits import REQUEST_SECONDS
from npblender.chat.serve.reply_text import Piece


@dataclass(frozen=True)
class Said:
    """A piece of a reply, with the reply's number in its request."""

    number: int
    piece: Piece


@dataclass(frozen=True)
class Ended:
    """The end of a reply."""

    number: int
    reason: str  # "stop": it ended by itself, or at a stop text; "length": at the limit
    tokens: int
    candidates: tuple[Candidate, ...]  # all that the search found, best first, whole, whatever a stop text cut off
    source: FittedSource
    rank: int = 0  # which of the candidates this reply is


@dataclass(frozen=True)
class Lacking:
    """A reply that there is none for: the search found fewer than were asked for."""

    number: int


@dataclass(frozen=True)
class Failed:
    """A search that gave no reply."""

    error: ApiError


Event: TypeAlias = Said | Ended | Lacking | Failed


class Submission:
    """A job in the engine. The caller may cancel it at any time, from any thread."""

    def __init__(
        self, job: Job, send: Callable[[Event], None], seconds: float = REQUEST_SECONDS, request: int = 0
    ) -> None:
        self.job = job
        self.request = request
        """The number of the request that it belongs to."""
        self.began = time.monotonic()
        self._send = send
        self._deadline = self.began + seconds
        self._gone = threading.Event()

    def cancel(self) -> None:
        """Give up the search: nothing more is sent, and its place becomes free."""
        self._gone.set()

    @property
    def is_given_up(self) -> bool:
        """Whether its caller is gone, or its time is over; then an error is sent."""
        if not self._gone.is_set() and time.monotonic() > self._deadline:
            self.send(Failed(ApiError(504, "the reply took too long and was given up; ask for a shorter one")))
            self._gone.set()
        return self._gone.is_set()

    def send(self, event: Event) -> None:
        """Hand an event to the caller, unless it is gone."""
        if not self._gone.is_set():
            self._send(event)

    def fail(self, error: BaseException) -> None:
        """Tell the caller what went wrong."""
        self.send(Failed(unforeseen(error)))
