"""A worker's part: replies to one batch of sources, with a model that it loads once.

A worker may be this process, a thread, another process or another machine. It gets names, settings and ids, which are
small, and reads the model from the folder of that name; so every machine needs the folder under the same name.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock, Thread
from typing import Any

import numpy as np

from npblender.chat.batch.jobs import BatchJob
from npblender.chat.blocklist import BlockList
from npblender.chat.history import FittedSource, resolve_profile
from npblender.chat.replies import Candidate, DialectModel, make_settings, scored, search_replies
from npblender.config.dialect import Dialect
from npblender.models import BlenderbotSmallForConditionalGeneration
from npblender.tokenizer import BlenderbotSmallTokenizer

Answer = dict[str, Any]  # {"reply": text, "score": number or None} and perhaps "n_best"; or {"error": why}

_LOADING = Lock()


@lru_cache(maxsize=1)
def _load(
    folder: str | None, dialect: str | Dialect | None, dtype: str, block: tuple[str, ...], allow_pickle: bool
) -> DialectModel:
    """Load the one model of a worker process, once."""
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(
        folder, dialect=dialect, dtype=dtype, allow_pickle=allow_pickle
    )
    tokenizer = BlenderbotSmallTokenizer.from_pretrained(folder, dialect=model.dialect)
    return DialectModel(model, tokenizer, BlockList(block, tokenizer) if block else None)


def reply_to_batch(job: BatchJob, sources: Sequence[FittedSource], first: int) -> list[Answer]:
    """Reply to a batch of sources, one answer each. `first` numbers the batch and seeds its random numbers.

    If the batch fails as a whole, its sources are tried one by one, so that one of them cannot spoil the others.
    """
    with _LOADING:  # two threads of a worker must not load the model twice
        speaker = _load(job.folder, job.dialect, job.dtype, job.block, job.allow_pickle)
    try:
        settings = make_settings(resolve_profile(job.profile), speaker.model, job.settings)
        rng = np.random.default_rng(None if job.seed is None else [job.seed, first])
        found = search_replies(speaker, sources, settings, rng=rng)
        return [_answer(candidates, job.n_best) for candidates in found]
    except Exception as error:
        if len(sources) == 1:
            return [{"error": f"{type(error).__name__}: {error}"}]
        return [answer for source in sources for answer in reply_to_batch(job, [source], first)]


def _answer(candidates: Sequence[Candidate], n_best: int) -> Answer:
    """The report of one source's candidates."""
    (best,) = scored(candidates[:1])
    return {**best, "n_best": scored(candidates[:n_best])} if n_best else best


@contextmanager
def local_processes(count: int) -> Iterator[Executor]:
    """An executor of `count` processes on this machine, which share its cores.

    When something fails, waiting work is cancelled and running work is finished.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // count)))  # read by the BLAS of each new process
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=_begin_worker)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
