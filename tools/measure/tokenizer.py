"""Measures the tokenizer beside transformers' slow one and the Rust library: chat never seen, chat seen, loading.

    python -m tools measure tokenizer [--words 2000 20000 200000] [--rounds 5] [--json FILE]

The real tokenizer and the corpora lie in the folder that NPBLENDER_SHARED names (checkpoint/, dialogue/); the others
run in the environment transformers-5 of `python -m tools originals`. Each program is a process of its own, on one
core; they take turns, A B C D A B C D, and each turn has a fresh tokenizer, whose caches are empty; each round has
texts of its own, and one round before the first is not counted. What is printed are medians over the rounds: thousands
of words a second (a word is what stands between white space), and the median of the ratios within a round.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools import ROOT
from tools.differential.tokenizer_texts import corpus_turns
from tools.docs.tables import markdown
from tools.originals.environments import oracle_python

PROGRAMS = ("npblender parlai", "npblender transformers-5", "transformers", "tokenizers")
Times = dict[str, float]


class Worker:
    """One program in a process of its own, which waits for its turn."""

    def __init__(self, program: str, folder: Path) -> None:
        python = sys.executable if program.startswith("npblender") else str(oracle_python("transformers-5"))
        self.process = subprocess.Popen(
            [python, "-m", "tools.originals.time_tokenizer", program, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"TOKENIZERS_PARALLELISM": "false"},
        )
        self.answer()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args!r} ended with status {self.process.wait()}")
        return json.loads(line)

    def turn(self, texts: Path) -> Times:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{texts}\n")
        self.process.stdin.flush()
        return dict(self.answer())

    def close(self) -> None:
        self.process.communicate()


def draw_texts(turns: Sequence[str], words: int, draw: random.Random) -> list[str]:
    """Turn in random order until they have that many words."""
    texts, count = [], 0
    while count < words:
        texts.append(draw.choice(turns))
        count += len(texts[-1].split())
    return texts


def measure(words: int, rounds: int, shared: Path, turns: Sequence[str]) -> dict[str, list[Times]]:
    """The times of every program in every round."""
    found: dict[str, list[Times]] = {program: [] for program in PROGRAMS}
    workers = {program: Worker(program, shared / "checkpoint" / "blenderbot_small-90M") for program in PROGRAMS}
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "texts.json"
        for number in range(rounds + 1):
            texts = draw_texts(turns, words, random.Random(number))
            file.write_text(json.dumps(texts), encoding="utf-8")
            count = sum(len(text.split()) for text in texts)
            for program, worker in workers.items():
                times = worker.turn(file) | {"words": count}
                if number:
                    found[program].append(times)
    for worker in workers.values():
        worker.close()
    return found


def ratio(found: dict[str, list[Times]], program: str, other: str, what: str) -> float:
    """How many times as fast `program` is as `other`, the median of the rounds."""
    pairs = zip(found[program], found[other], strict=True)
    return statistics.median(theirs[what] / ours[what] for ours, theirs in pairs)


def table(words: int, found: dict[str, list[Times]]) -> str:
    rows = []
    for program in PROGRAMS:
        speeds = {
            what: statistics.median(times["words"] / times[what] for times in found[program]) / 1000
            for what in ("cold", "warm")
        }
        load = statistics.median(times["load"] for times in found[program])
        rows.append(
            [
                program,
                f"{speeds['cold']:,.0f}",
                f"{ratio(found, program, 'transformers', 'cold'):.1f}",
                f"{ratio(found, program, 'tokenizers', 'cold'):.2f}",
                f"{speeds['warm']:,.0f}",
                f"{load * 1000:.0f}",
            ]
        )
    header = ["program", "never seen, k words/s", "x transformers", "x Rust", "seen, k words/s", "loading, ms"]
    return f"{words:,} words of chat\n\n{markdown(header, rows)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--words", type=int, nargs="+", default=[2_000, 20_000, 200_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where to write every single time")
    args = parser.parse_args()
    place = os.environ.get("NPBLENDER_SHARED")
    if place is None:
        sys.exit("NPBLENDER_SHARED must name the folder with checkpoint/ and dialogue/")
    turns = [turn for corpus in corpus_turns(Path(place) / "dialogue").values() for turn in corpus]
    every = {}
    for words in args.words:
        every[words] = measure(words, args.rounds, Path(place), turns)
        print(table(words, every[words]), flush=True)
    if args.json:
        args.json.write_text(json.dumps(every, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
