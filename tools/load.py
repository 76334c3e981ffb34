"""Many clients at once: `npblender serve` under load, with what a single client gets beside it.

    python -m tools load                        # 64 clients for 60 s
    python -m tools load --clients 8 --seconds 5

Starts the server with the demo, has one client ask for a while and then all of them, each as soon as its last reply is
there, with searches of several kinds: the own beams of the model, greedy, sampling, streams. Prints replies, tokens a
second, waiting times and memory. Then it kills the server while all clients wait, starts it again on the
same port, and asks once more. Exits with 1 if a request failed, the memory grew, or a client of the killed server hung.

Needs `npblender[serve]`; the clients are threads of this process, which speak plain HTTP.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reference_tests.support.servers import Server, running_server

TEXTS = (
    "Hi! How are you?",
    "Do you like music?",
    "What did you do today?",
    "I am a teacher.",
    "My dog is ill.",
    "What is your favorite food?",
    "Good morning!",
    "Tell me about your job.",
)
WAYS: tuple[dict[str, Any], ...] = (
    {},
    {"temperature": 0},
    {"temperature": 0.9, "seed": 7},
    {"temperature": 0, "stream": True},
    {"stream": True},
)
"""What the requests ask for, in turn."""
GROWTH = 1.15
"""How much more memory the server may have at the end than after its first third: fragments, but no leak."""
HANG_SECONDS = 30.0


@dataclass
class Counts:
    """What clients have seen; shared by their threads."""

    tokens: int = 0
    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, tokens: int, seconds: float) -> None:
        """Count one reply."""
        with self.lock:
            self.tokens += tokens
            self.seconds.append(seconds)

    def fail(self, error: str) -> None:
        """Count one error."""
        with self.lock:
            self.errors.append(error)


def ask(server: Server, number: int) -> int:
    """One request; its reply's tokens.

    Raises:
        ValueError: the server refused it.
    """
    fields = WAYS[number % len(WAYS)]
    options = {"stream_options": {"include_usage": True}} if "stream" in fields else {}
    answer = server.chat(TEXTS[number % len(TEXTS)], **fields, **options)
    if answer.status != 200:
        raise ValueError(f"status {answer.status}: {answer.message}")
    usage = answer.events[-1]["usage"] if "stream" in fields else answer.json["usage"]
    return int(usage["completion_tokens"])


def clients(server: Server, count: int, seconds: float, watch: Callable[[], None]) -> Counts:
    """Have `count` clients ask for some seconds, each again and again; `watch` is called once a second."""
    counts, end = Counts(), time.monotonic() + seconds

    def run(first: int) -> None:
        number = first
        while time.monotonic() < end:
            began = time.monotonic()
            try:
                counts.add(ask(server, number), time.monotonic() - began)
            except Exception as error:  # counted, whatever it is
                counts.fail(f"{type(error).__name__}: {error}")
            number += 1

    threads = [threading.Thread(target=run, args=(7 * n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    while time.monotonic() < end:
        time.sleep(min(1.0, max(0.0, end - time.monotonic())))
        watch()
    for thread in threads:
        thread.join()
    return counts


def megabytes(process: int) -> float | None:
    """The memory of a process, None where the system does not say (it is Linux that does)."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def kill_and_start_again(count: int) -> list[str]:
    """Kill a server while clients wait, and start another on its port; what was wrong."""
    wrong: list[str] = []
    counts = Counts()
    with running_server() as server:

        def run(number: int) -> None:
            try:
                while True:
                    ask(server, number)
            except Exception as error:  # the server is dead, as it should be
                counts.fail(type(error).__name__)

        threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(count)]
        for thread in threads:
            thread.start()
        time.sleep(2.0)
        server.process.kill()
        server.process.wait()
        end = time.monotonic() + HANG_SECONDS
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        hanging = sum(thread.is_alive() for thread in threads)
        if hanging:
            wrong.append(f"{hanging} clients of the killed server hung")
        port = server.port
    with running_server(port=port) as again:
        for number in range(len(WAYS)):
            ask(again, number)
    print(
        f"killed with {count} clients waiting: {len(counts.errors)} got an error at once, {hanging} hung; started again"
    )
    return wrong


def report(name: str, counts: Counts, seconds: float) -> float:
    """Print what clients saw; return the tokens a second."""
    pace = counts.tokens / seconds
    ordered = sorted(counts.seconds) or [float("nan")]
    late = ordered[int(0.95 * (len(ordered) - 1))]
    print(
        f"{name}: {len(counts.seconds)} replies, {len(counts.errors)} errors, {pace:.0f} tokens/s, "
        f"half within {statistics.median(ordered):.2f} s, 95 % within {late:.2f} s"
    )
    for error in sorted(set(counts.errors))[:5]:
        print(f"    {error}")
    return pace


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64, help="how many at once (default: 64)")
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long (default: 60)")
    arguments = parser.parse_args()
    wrong: list[str] = []
    memory: list[float] = []
    with running_server("--workers-queue", max(128, arguments.clients)) as server:

        def watch() -> None:
            size = megabytes(server.process.pid)
            if size is not None:
                memory.append(size)

        for number in range(len(WAYS)):
            ask(server, number)  # what is made at the first use is made
        alone = clients(server, 1, max(2.0, arguments.seconds / 6), lambda: None)
        single = report("1 client", alone, max(2.0, arguments.seconds / 6))
        steps = server.metric("npblender_steps")
        many = clients(server, arguments.clients, arguments.seconds, watch)
        together = report(f"{arguments.clients} clients", many, arguments.seconds)
        steps = server.metric("npblender_steps") - steps
        print(f"together {together / single:.1f} times the tokens of one; {many.tokens / steps:.1f} tokens a step")
        wrong += alone.errors + many.errors
        if len(memory) >= 6:
            early, late = (max(part) for part in (memory[: len(memory) // 3], memory[-(len(memory) // 3) :]))
            print(f"memory: {early:.0f} MB in the first third, {late:.0f} MB in the last")
            if late > GROWTH * early:
                wrong.append(f"the memory grew from {early:.0f} to {late:.0f} MB")
        if server.metric("npblender_rows") or server.metric("npblender_queue_length"):
            wrong.append("something was left in the engine")
    wrong += kill_and_start_again(arguments.clients)
    for each in wrong[:10]:
        print(f"wrong: {each}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
