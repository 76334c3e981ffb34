"""Replies to many inputs: in batches by length, in the order of the input, on as many machines as there are.

    requests -> windows of consecutive lines -> batches of like length -> an executor -> records in input order
Any `concurrent.futures.Executor` will do: threads, processes, or that of a Dask or Ray cluster.

Windows and batches depend on line numbers alone, and a batch's random numbers on the seed and its first line. So a run
that continues another makes the same batches, and with them the same replies. resumable.py keeps the files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from npblender.chat.batch.jobs import BatchJob, PreparedJob, prepare
from npblender.chat.batch.requests import BadLine, Request, as_request
from npblender.chat.batch.workers import Answer, reply_to_batch
from npblender.chat.history import FittedSource
from npblender.common.checks import as_plain, lines_of
from npblender.common.printable import cut, shown
from npblender.config.dialect import Dialect

if TYPE_CHECKING:
    from typing_extensions import Unpack  # type checkers have it, whatever is installed

    from npblender.config.call_options import CallOptions

Record = dict[str, Any]
"""{"line": number, the input's fields, "reply": text, "score": number or None}; or with "error" in place of a reply."""


def reply_to_all(
    inputs: Iterable[str | Mapping[str, Any]],
    folder: str | os.PathLike[str] | None = None,
    *,
    executor: Executor | None = None,
    dialect: str | Dialect | None = None,
    dtype: str = "float32",
    profile: str = "parlai",
    block: str | Iterable[str] = (),
    seed: int | None = None,
    n_best: int = 0,
    batch_size: int = 16,
    **settings: Unpack[CallOptions],
) -> Iterator[Record]:
    """Yield replies to many inputs, as records in the order of the inputs, while the work goes on.

    Args:
        inputs: strings, or objects with `text` or `turns`, and perhaps `persona`; other fields are copied.
        folder: the model's, under the same name on every worker; without it the demo.
        executor: runs the work; without one it runs in this thread.
        block, seed, n_best, settings: phrases never generated, random numbers, how many of the best replies to report,
            and settings of the search as for `generate`.
        batch_size: how many inputs are searched together.

    An input that cannot be replied to gives a record with `error`, and the others go on.

    Raises:
        FileNotFoundError, ValueError, TypeError: a folder, option or setting that does not fit, at once.
    """
    if isinstance(inputs, str | bytes | Mapping) or not isinstance(inputs, Iterable):
        raise TypeError(
            f"inputs must be a list of texts or objects, not one {type(inputs).__name__}; "
            f"for one reply pass [{shown(inputs, 40)}]"
        )
    place = None if folder is None else os.fspath(folder)
    phrases = lines_of("block", block)
    job = BatchJob(place, dialect, dtype, profile, settings, phrases, as_plain(seed), as_plain(n_best))
    requests = (as_request(number, each) for number, each in enumerate(inputs, start=1))
    return replies_in_order(requests, job, prepare(job), executor, batch_size=as_plain(batch_size))


def replies_in_order(
    requests: Iterable[Request | BadLine],
    job: BatchJob,
    prepared: PreparedJob,
    executor: Executor | None = None,
    *,
    batch_size: int = 16,
    window: int | None = None,
    skip: int = 0,
    known: Mapping[int, Record] | None = None,
    on_batch: Callable[[Sequence[Record]], None] | None = None,
) -> Iterator[Record]:
    """Yield records in the order of the requests, which are numbered from 1 without gaps.

    Args:
        window: how many consecutive requests are sorted by length together, by default 32 batches.
        skip: how many of the first requests are done: nothing is yielded for them.
        known: records that exist already, by number; they are yielded in their place.
        on_batch: called with the records of each finished batch, in any order.
    """
    if batch_size < 1 or (window is not None and window < 1):
        raise ValueError("a batch and a window hold at least one line")
    window = 32 * batch_size if window is None else window
    ready: dict[int, Record] = dict(known or {})
    batches = _batches(requests, prepared, batch_size, window, skip, frozenset(ready), ready)
    running: dict[Future[list[Answer]], _Batch] = {}
    workers: Executor = _ThisThread() if executor is None else executor
    most = 1 if executor is None else max(1, window // batch_size)
    following = skip + 1  # the number of the next record to be yielded
    upcoming = next(batches, None)
    try:
        while upcoming is not None or running or following in ready:
            while following in ready:
                yield ready.pop(following)
                following += 1
            # At most two windows are in work, so a slow batch cannot fill the memory with later ones.
            while upcoming is not None and len(running) < most and upcoming.window < following + window:
                if upcoming.requests:
                    future = workers.submit(reply_to_batch, job, upcoming.sources, upcoming.requests[0].number)
                    running[future] = upcoming
                upcoming = next(batches, None)
            if running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    records = [r for r in running.pop(future).records(future.result()) if r["line"] >= following]
                    if on_batch is not None:
                        on_batch(records)
                    ready.update((record["line"], record) for record in records)
    finally:
        for future in running:
            future.cancel()


@dataclass(frozen=True)
class _Batch:
    """Requests that are searched together; none, if a window held nothing to search for."""

    window: int  # the number of the window's first line
    requests: tuple[Request, ...] = ()
    sources: tuple[FittedSource, ...] = ()

    def records(self, answers: Sequence[Answer]) -> list[Record]:
        """The requests' records."""
        records = []
        for request, answer, source in zip(self.requests, answers, self.sources, strict=True):
            lost = {"dropped_turns": source.dropped_turns, "cut_tokens": source.cut_tokens}
            counts = {name: count for name, count in lost.items() if count}
            records.append({"line": request.number, **request.carried, **answer, **counts})
        return records


def _batches(
    requests: Iterable[Request | BadLine],
    prepared: PreparedJob,
    batch_size: int,
    window: int,
    skip: int,
    known: Container[int],
    ready: dict[int, Record],
) -> Iterator[_Batch]:
    """Yield batches of similar length, window by window; bad lines go to `ready` as they are."""
    remaining = iter(requests)
    while lines := list(islice(remaining, window)):
        start, end = lines[0].number, lines[-1].number
        if all(number <= skip or number in known for number in range(start, end + 1)):
            continue
        sources: list[tuple[Request, FittedSource]] = []
        for line in lines:
            if isinstance(line, Request):
                try:
                    sources.append((line, prepared.source(line)))
                    continue
                except Exception as error:  # one line cannot end the others
                    line = BadLine(line.number, cut(str(error)), line.carried)
            if line.number > skip and line.number not in known:
                ready[line.number] = {"line": line.number, **line.carried, "error": line.reason}
        sources.sort(key=lambda each: len(each[1].ids))  # stable, so equal lengths keep their order
        yield _Batch(start)
        for at in range(0, len(sources), batch_size):
            of_batch = sources[at : at + batch_size]
            if any(request.number > skip and request.number not in known for request, _ in of_batch):
                yield _Batch(start, tuple(r for r, _ in of_batch), tuple(s for _, s in of_batch))


class _ThisThread(Executor):
    """Does the work at once, in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future
