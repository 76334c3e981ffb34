"""From a request to the engine and back: submits its searches, and hands on their results while the client is there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from npblender.chat.serve.answers import Choice, usage
from npblender.chat.serve.dialect_models import Job
from npblender.chat.serve.engine import Engine
from npblender.chat.serve.limits import PING_SECONDS
from npblender.chat.serve.metrics import Metrics
from npblender.chat.serve.submissions import Ended, Event, Failed, Lacking, Said, Submission

Receive = Callable[[], Awaitable[Any]]


class ClientGone(Exception):
    """The client has closed its connection."""


class Exchange:
    """One request in work. Use it as a context: whatever ends it, its searches are given up."""

    def __init__(self, engine: Engine, metrics: Metrics, jobs: Sequence[Job], receive: Receive) -> None:
        self.choices = {number: Choice(number) for job in jobs for number in job.numbers}
        self._began = time.monotonic()
        self._metrics = metrics
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._open = set(self.choices)
        self._spoke = False
        self._submissions: list[Submission] = engine.submit(jobs, self._send)

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        for submission in self._submissions:
            submission.cancel()

    async def events(self) -> AsyncIterator[Event | None]:
        """Yield the events of all replies as they come, and None where nothing has come for a while.

        Raises:
            ClientGone: the client is no longer there.
            ApiError: a search has failed.
        """
        gone = asyncio.create_task(self._until_gone())
        try:
            while self._open:
                event = await self._next(gone)
                if isinstance(event, Failed):
                    raise event.error
                if event is not None:
                    self._note(event)
                yield event
        finally:
            gone.cancel()
        used = usage(self.found())
        self._metrics.tokens(used["prompt_tokens"], used["completion_tokens"])

    async def finish(self) -> list[Choice]:
        """Wait for all replies; those that were found, in order."""
        async for _ in self.events():
            pass
        return self.found()

    def found(self) -> list[Choice]:
        """The replies that have ended, in order."""
        return [choice for choice in self.choices.values() if choice.end is not None]

    def _send(self, event: Event) -> None:
        """Called from the engine's threads."""
        with suppress(RuntimeError):  # the loop is closed, and the client gone with it
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    async def _next(self, gone: asyncio.Task[None]) -> Event | None:
        following = asyncio.create_task(self._events.get())
        done, _ = await asyncio.wait({following, gone}, timeout=PING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if following in done:
            return following.result()
        following.cancel()
        if gone in done:
            raise ClientGone
        return None

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _note(self, event: Event) -> None:
        if isinstance(event, Said):
            if not self._spoke:
                self._spoke = True
                self._metrics.first_text(time.monotonic() - self._began)
            self.choices[event.number].pieces.append(event.piece)
        elif isinstance(event, Ended):
            self.choices[event.number].end = event
            self._open.discard(event.number)
        elif isinstance(event, Lacking):
            self._open.discard(event.number)
