"""How npblender's cost grows: along a reply, with the width of a beam, with the length of a text.

Each is measured in several rounds with fresh inputs; what is judged is the median of the rounds at each place.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npblender.config import BlenderbotSmallConfig
from tools.bench.machine import Machine
from tools.bench.rounds import FIRST_WORD, PAUSE, Worker
from tools.bench.summary import by_column, flatness, line
from tools.bench.texts import Texts, words_in
from tools.bench.works import step_cost

SOURCE, NEW, TOKENS = 32, 32, 128
WIDTHS = tuple(range(1, 11))
WORDS = (500, 1_000, 2_000, 4_000, 8_000, 16_000)
LETTERS = (64, 128, 256, 512, 1024, 2048)


def _measured(rounds: int, once: Callable[[int], Sequence[float]]) -> list[float]:
    """The median of `rounds` measurements, after one that is not counted."""
    once(rounds)
    return by_column([once(number) for number in range(rounds)])


def _bounds(config: BlenderbotSmallConfig, rows: Sequence[int], speeds: Sequence[dict[str, Any]]) -> list[float]:
    """The least milliseconds of a decoder step for so many rows, at the median of the measured speeds."""
    bandwidth, peak = (statistics.median(speed[name] for speed in speeds) for name in ("bandwidth", "peak"))
    return [1e3 * step_cost(config, count).seconds(bandwidth, peak) for count in rows]


def steps(workers: Sequence[Worker], config: BlenderbotSmallConfig, machine: Machine, rounds: int) -> dict[str, Any]:
    """Time of each step of a greedy reply of 128 tokens, its first (which reads the source) left out."""
    result, speeds = {}, []
    for worker in workers:

        def once(seed: int, worker: Worker = worker) -> list[float]:
            speeds.append(machine.measure())
            time.sleep(PAUSE)
            ids = np.random.default_rng((101, seed)).integers(FIRST_WORD, config.vocab_size, (1, SOURCE)).tolist()
            seconds: list[float] = worker.ask("steps", ids=ids, new=TOKENS)["seconds"]
            return seconds[1:]

        medians = _measured(rounds, once)
        result[worker.name] = {"milliseconds": [1e3 * s for s in medians], "last_over_first": flatness(medians)}
    return {"engines": result, "bound_ms": _bounds(config, [1], speeds)[0]}


def widths(worker: Worker, config: BlenderbotSmallConfig, machine: Machine, rounds: int) -> dict[str, Any]:
    """Time of a step by the number of beams, and how far it is from a line from 2 beams on."""
    speeds = []

    def once(seed: int) -> list[float]:
        found = []
        speeds.append(machine.measure())
        for beams in WIDTHS:
            time.sleep(PAUSE)
            rng = np.random.default_rng((102, seed, beams))
            ids = rng.integers(FIRST_WORD, config.vocab_size, (1, 1, SOURCE)).tolist()
            answer = worker.ask("generate", batches=ids, new=NEW, beams=beams, blocks=beams > 1)
            found.append(answer["seconds"][0] / NEW)
        return found

    medians = _measured(rounds, once)
    offset, slope, distance = line(WIDTHS[1:], medians[1:])
    return {
        "beams": list(WIDTHS),
        "milliseconds": [1e3 * s for s in medians],
        "bound_ms": _bounds(config, WIDTHS, speeds),
        "offset_ms": 1e3 * offset,
        "slope_ms": 1e3 * slope,
        "farthest_from_line": distance,
    }


def texts(worker: Worker, source: Texts, rounds: int) -> dict[str, Any]:
    """Microseconds a word by the words of one text, and a letter by the letters of one word. Linear cost is flat."""

    def of_words(seed: int) -> list[float]:
        found = []
        for words in WORDS:
            text = " ".join(source.draw(words))
            found.append(worker.ask("tokenize", texts=[text])["seconds"][0] / words_in([text]))
        return found

    def of_letters(seed: int) -> list[float]:
        rng, found = np.random.default_rng((103, seed)), []
        for letters in LETTERS:
            words = ["".join(map(chr, rng.integers(97, 123, letters))) for _ in range(20)]
            found.append(worker.ask("tokenize", texts=words)["seconds"][0] / (20 * letters))
        return found

    return {
        "words": list(WORDS),
        "microseconds_a_word": [1e6 * s for s in _measured(rounds, of_words)],
        "letters": list(LETTERS),
        "microseconds_a_letter": [1e6 * s for s in _measured(rounds, of_letters)],
    }
