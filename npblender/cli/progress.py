"""Reports on stderr how far a long run is: lines done, rate and time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from npblender.common.printable import one_line

CLEAR = "\r\x1b[K"


def spell_seconds(seconds: float) -> str:
    """Write a duration for people.

    >>> spell_seconds(42), spell_seconds(150), spell_seconds(7322)
    ('42 s', '2 min 30 s', '2 h 2 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Progress:
    """A progress line: redrawn in place at a terminal, repeated every ten seconds elsewhere.

    Args:
        stream: the stream to write to.
        total: lines in all, or None if unknown.
        done: lines from before this run.
        quiet: remarks only.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        stream: TextIO,
        total: int | None,
        done: int = 0,
        *,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._total = total
        self._before = self._done = done
        self._quiet = quiet
        self._clock = clock
        self._redraws = stream.isatty()
        self._every = 0.2 if self._redraws else 10.0
        self._started = self._shown = clock()
        if done and not quiet:
            self.note(f"going on behind line {done}")

    def advance(self) -> None:
        """Count one more line."""
        self._done += 1
        now = self._clock()
        if not self._quiet and now - self._shown >= self._every:
            self._shown = now
            self._put(self.text(), redraw=self._redraws)

    def note(self, message: str) -> None:
        """Write a remark on a line of its own."""
        self._put(f"npblender generate: {one_line(message)}")

    def finish(self) -> None:
        """Write the final line."""
        if not self._quiet:
            self._put(self.text())

    def text(self) -> str:
        """The progress so far.

        >>> import io
        >>> ticks = iter([0.0, 2.0, 2.0])
        >>> progress = Progress(io.StringIO(), 10, clock=lambda: next(ticks))
        >>> progress.advance()
        >>> progress.text()
        '1/10 lines, 0.5 a second, 18 s left'
        """
        seconds = self._clock() - self._started
        new = self._done - self._before
        rate = new / seconds if seconds > 0 else 0.0
        parts = [f"{self._done:,}" + (f"/{self._total:,}" if self._total is not None else "") + " lines"]
        if new:
            parts.append(f"{rate:.3g} a second" if rate else "")
        if self._total is not None and rate and self._total > self._done:
            parts.append(f"{spell_seconds((self._total - self._done) / rate)} left")
        elif new and self._total == self._done:
            parts.append(f"{spell_seconds(seconds)} in all")
        return ", ".join(part for part in parts if part)

    def _put(self, line: str, redraw: bool = False) -> None:
        before = CLEAR if self._redraws else ""
        self._stream.write(before + line + ("" if redraw else "\n"))
        self._stream.flush()
