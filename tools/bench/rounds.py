"""Times every engine in turn, A B A B: each is a process of its own, kept loaded, and only one computes at a time.

Every round has inputs of its own, the same for all, so nothing that was remembered can win and nothing that drifts is
compared with what came long before it.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tools import ROOT
from tools.bench.machine import Machine
from tools.bench.peers import Peer
from tools.bench.texts import Texts, words_in
from tools.bench.works import WORKS, Work

T = TypeVar("T")
PAUSE = 0.1  # seconds; threads of the engine before may spin that long for more work
FIRST_WORD = 5  # the ids below are special


class WorkerError(RuntimeError):
    """An engine's process stopped, or could not do what it was asked."""


def environment(threads: int) -> dict[str, str]:
    """The variables under which every engine runs.

    Python may keep what it compiled, whatever the shell says: the others' modules were compiled when pip installed
    them, and a checkout's are compiled in the round that is not counted.
    """
    counts = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    shell = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**shell, **dict.fromkeys(counts, str(threads)), **quiet}


class Worker:
    """One engine's process."""

    def __init__(self, name: str, peer: Peer, folder: Path, threads: int) -> None:
        self.name, self.peer = name, peer
        command = [
            peer.python(),
            "-W",
            "ignore",
            "-m",
            "tools.bench.worker",
            peer.adapter,
            peer.variant,
            folder,
            threads,
        ]
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(threads),
        )
        self.versions: dict[str, str] = self._answer()["versions"]

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """What a method of the engine's adapter gives back."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, "arguments": arguments}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "its process ended without a word"}
        if "error" in answer:
            self.close()
            raise WorkerError(f"{self.name}: {answer['error']}")
        return answer

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.process.wait()


@dataclass
class Timings:
    """What the rounds of one work gave: seconds by engine, and the machine's speeds beside them, round by round."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    answers: dict[str, list[Any]] = field(default_factory=dict)
    bandwidth: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    interpreter: list[float] = field(default_factory=list)  # seconds of the same work with a tiny model
    functions: list[float] = field(default_factory=list)  # of its functions alone, or what stands for them

    def as_json(self) -> dict[str, Any]:
        speeds = {"bandwidth": self.bandwidth, "peak": self.peak}
        more = {"words": self.words, "interpreter": self.interpreter, "functions": self.functions}
        return {"seconds": self.seconds, **speeds, **{name: values for name, values in more.items() if values}}


def inputs_of(work: Work, vocabulary: int, seed: int, texts: Callable[[], Texts]) -> Iterator[dict[str, Any]]:
    """What each round of a work is given, other inputs in every round; the same for the same seed.

    `texts` is asked for its source of texts only by a work on texts.
    """
    for number in itertools.count():
        if work.kind == "load":
            yield {}
            continue
        if work.kind == "tokenize":
            yield {"texts": texts().draw(work.words)}
            continue
        rng = np.random.default_rng((seed, list(WORKS).index(work.name), number))
        batches = rng.integers(FIRST_WORD, vocabulary, (work.calls, work.batch, work.source)).tolist()
        given = {"batches": batches}
        yield given if work.kind == "encode" else {**given, "new": work.new, "beams": work.beams, "blocks": work.blocks}


def run(
    work: Work, workers: Sequence[Worker], rounds: Iterator[dict[str, Any]], count: int, machine: Machine
) -> Timings:
    """Time a work for so many rounds, after one that is not counted. `rounds` gives each round's inputs."""
    timings = Timings()
    for number in range(-1, count):
        arguments = next(rounds)
        speeds = machine.measure()
        for worker in in_turn(workers, number):
            time.sleep(PAUSE)
            answer = worker.ask(work.kind, **arguments)
            if number >= 0:
                timings.seconds.setdefault(worker.name, []).append(float(np.median(answer["seconds"])))
                timings.answers.setdefault(worker.name, []).append(answer.get("ids", answer.get("sample")))
                for name in ("interpreter", "functions"):
                    if name in answer:
                        getattr(timings, name).append(float(np.median(answer[name])))
        time.sleep(PAUSE)
        if number >= 0:
            if "texts" in arguments:
                timings.words.append(words_in(arguments["texts"]))
            timings.bandwidth.append(speeds["bandwidth"])
            timings.peak.append(speeds["peak"])
        print(f"\r{work.name}: round {number + 1} of {count}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return timings


def in_turn(workers: Sequence[T], number: int) -> list[T]:
    """The engines in the order of round `number`: each begins as often as any other, since what came before matters.

    >>> in_turn("ABC", 0), in_turn("ABC", 4)
    (['A', 'B', 'C'], ['B', 'C', 'A'])
    """
    first = number % len(workers) if workers else 0
    return [*workers[first:], *workers[:first]]


def agreement(timings: Timings, workers: Sequence[Worker], first: str) -> dict[str, str]:
    """How often each engine of the same model gave what `first` gave: the same ids, or states within 1e-3."""
    said = {}
    for worker in workers:
        mine, theirs = timings.answers[first], timings.answers[worker.name]
        if worker.name == first or not worker.peer.same_model or mine[0] is None:
            continue
        if isinstance(mine[0], list) and isinstance(mine[0][0], float):
            same = [np.allclose(a, b, atol=1e-3) for a, b in zip(mine, theirs, strict=True)]
        else:
            same = [a == b for a, b in zip(mine, theirs, strict=True)]
        said[worker.name] = f"{sum(map(bool, same))} of {len(same)}"
    return said
