"""The command: which works and engines, in which order; what is kept; where the results go."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from pathlib import Path
from typing import Any

from npblender import BlenderbotSmallTokenizer
from npblender.transformer.parameters import parameter_count
from tools import ROOT
from tools.bench import growth, machine
from tools.bench.folder import config_of, model_folder
from tools.bench.peers import PEERS, PRODUCTS
from tools.bench.plot import drawn
from tools.bench.report import limits_table, result_of, text_of
from tools.bench.rounds import Timings, Worker, agreement, in_turn, inputs_of, run
from tools.bench.starting import SCRIPTS, TEXT, start
from tools.bench.summary import spread
from tools.bench.texts import Texts
from tools.bench.works import CONFIGS, GROWTH, WORKS, Work, cost_of
from tools.docs.tables import write_between_markers

SHARED = "NPBLENDER_SHARED"
PAGE = ROOT / "docs" / "performance.md"
NPBLENDER = "npblender"


def several(known: tuple[str, ...]) -> Any:
    """An argument that takes some of `known`, separated by commas."""

    def read(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: there are {', '.join(known)}")
        return names

    return read


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="bench.py", description="Time npblender beside other engines, A B A B.")
    everything = (*WORKS, *GROWTH)
    made.add_argument("--works", type=several(everything), default=list(everything), help=", ".join(everything))
    made.add_argument("--peers", type=several(tuple(PEERS)), default=list(PEERS), help=", ".join(PEERS))
    made.add_argument("--rounds", type=int, default=7, help="counted rounds of each work (7)")
    made.add_argument("--threads", type=int, default=min(2, machine.cores()), help="for each engine (2)")
    made.add_argument("--config", choices=sorted(CONFIGS), default="90M", help="the model's sizes (90M)")
    made.add_argument("--seed", type=int, default=0, help="of the inputs")
    made.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    made.add_argument(
        "--add", action="store_true", help="keep what --json FILE holds of other works (same machine, same sizes)"
    )
    made.add_argument("--plot", type=Path, metavar="FILE", help="draw `steps` and `widths` against their bounds (SVG)")
    made.add_argument(
        "--write-docs",
        action="store_true",
        help=f"put the tables into {PAGE.relative_to(ROOT)}, where this kind of processor has its place",
    )
    return made


class Bench:
    """One run: its workers, started when first needed, and what it found."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        place = os.environ.get(SHARED)
        shared = Path(place) if place else None
        published = shared / "checkpoint" / "blenderbot_small-90M" if shared and options.config == "90M" else None
        self.folder = model_folder(options.config, published)
        self.config = config_of(options.config)
        self.corpora = shared / "dialogue" if shared else None
        self.texts: Texts | None = None
        self.workers: dict[str, Worker] = {}
        self.machine: machine.Machine | None = None
        self.result: dict[str, Any] = {
            "made": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "machine": machine.described(options.threads),
            "config": options.config,
            "parameters": parameter_count(self.config),
            "versions": {},
            "absent": {},
            "works": {},
            "growth": {},
        }

    def measurer(self) -> machine.Machine:
        if self.machine is None:
            self.machine = machine.Machine(self.options.threads, quick=self.options.config == "small")
        return self.machine

    def source_of_texts(self) -> Texts:
        if self.texts is None:
            self.texts = Texts(self.folder, self.corpora, self.options.seed)
            self.result["texts"] = self.texts.about
        return self.texts

    def able(self, kind: str, first: str) -> list[str]:
        """The wanted and installed engines for a kind of work, the one that all are compared with first."""
        wanted = [first, *(name for name in self.options.peers if name != first and kind in PEERS[name].kinds)]
        if kind == "tokenize":  # npblender cuts text in two ways, each with a peer that cuts as it does
            alike = {NPBLENDER: ("transformers",), "npblender-parlai": ("tokenizers", "tokenizers-fast")}
            wanted = [first, *(name for name in alike[first] if name in wanted)]
        there = []
        for name in wanted:
            try:
                PEERS[name].python()
            except FileNotFoundError as error:
                self.result["absent"][name] = str(error)
            else:
                there.append(name)
        return there

    def worker(self, name: str) -> Worker:
        if name not in self.workers:
            self.workers[name] = Worker(name, PEERS[name], self.folder, self.options.threads)
            self.result["versions"][name] = self.workers[name].versions
        return self.workers[name]

    def timed(self, work: Work) -> None:
        workers = [self.worker(name) for name in self.able(work.kind, work.first)]
        inputs = inputs_of(work, self.config.vocab_size, self.options.seed, self.source_of_texts)
        timings = run(work, workers, inputs, self.options.rounds, self.measurer())
        agreed = agreement(timings, workers, work.first)
        self.result["works"][work.name] = result_of(work, timings, cost_of(work, self.config), agreed)

    def started(self, work: Work) -> None:
        """Fresh processes in turn; the first of each, which fills the page cache, is not counted."""
        names = [name for name in self.able("start", work.first) if name in SCRIPTS]
        timings = Timings()
        peaks: dict[str, list[int]] = {name: [] for name in names if name != PRODUCTS}
        tokens = len(BlenderbotSmallTokenizer.from_pretrained(self.folder, dialect="transformers-5").encode(TEXT))
        for number in range(-1, self.options.rounds):
            for name in in_turn(names, number):
                found = start(name, PEERS[name], ROOT, self.folder, work.new, self.options.threads, tokens)
                if number >= 0:
                    timings.seconds.setdefault(name, []).append(found["seconds"])
                    timings.functions += [found["besides"]] if "besides" in found else []
                if number >= 0 and name in peaks:  # it replies
                    timings.answers.setdefault(name, []).append(found["ids"])
                    peaks[name].append(found["peak"])
            print(f"\r{work.name}: round {number + 1} of {self.options.rounds}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        ours = timings.answers[work.first]
        agreed = {
            name: f"{sum(a == b for a, b in zip(ours, theirs, strict=True))} of {len(ours)}"
            for name, theirs in timings.answers.items()
            if name != work.first
        }
        self.result["works"][work.name] = {
            **result_of(work, timings, None, agreed),
            "memory": {name: spread(values).as_json() for name, values in peaks.items()},
        }

    def grown(self, name: str) -> None:
        rounds = self.options.rounds
        if name == "steps":
            workers = [self.worker(engine) for engine in self.able("steps", NPBLENDER)]
            found = growth.steps(workers, self.config, self.measurer(), rounds)
        elif name == "widths":
            found = growth.widths(self.worker(NPBLENDER), self.config, self.measurer(), rounds)
        else:
            found = growth.texts(self.worker(NPBLENDER), self.source_of_texts(), rounds)
        self.result["growth"][name] = found

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()


def joined(result: dict[str, Any], earlier: dict[str, Any]) -> dict[str, Any]:
    """A result with what an earlier one holds of other works. ValueError if the two are not of one kind.

    >>> common = {"machine": {}, "config": "small", "versions": {}, "absent": {}, "growth": {}}
    >>> one, two = {**common, "works": {"greedy": 1}}, {**common, "works": {"greedy": 0, "beam": 2}}
    >>> joined(one, two)["works"]
    {'greedy': 1, 'beam': 2}
    """
    for key in ("machine", "config"):
        if result[key] != earlier[key]:
            raise ValueError(f"the earlier results are of another {key}: {earlier[key]}, not {result[key]}")
    parts = {key: {**earlier[key], **result[key]} for key in ("versions", "works", "growth", "absent")}
    parts["works"] = {name: parts["works"][name] for name in WORKS if name in parts["works"]}
    return {**earlier, **result, **parts}


def write_page(page: Path, result: dict[str, Any]) -> None:
    """Put the tables where this kind of processor has its places; those of the other kind stay as they are.

    What says whether the targets can be reached is left alone by a run without the products alone.
    """
    avx512 = machine.has_avx512(result["machine"])
    kind = "" if avx512 else "-avx2"
    write_between_markers(page, f"bench{kind}", text_of(result))
    limits = limits_table(result["works"], avx512)
    if limits:
        write_between_markers(page, f"limits{kind}", limits)


def main(arguments: list[str] | None = None) -> int:
    made = parser()
    options = made.parse_args(arguments)
    if options.rounds < 1 or options.threads < 1:
        made.error("--rounds and --threads take numbers from 1 on")
    if options.add and options.json is None:
        made.error("--add needs --json FILE, whose results are kept")
    bench = Bench(options)
    try:
        for name in options.works:
            if name in GROWTH:
                bench.grown(name)
            elif WORKS[name].kind == "start":
                bench.started(WORKS[name])
            else:
                bench.timed(WORKS[name])
    finally:
        bench.close()
    result = bench.result
    if options.add and options.json.exists():
        result = joined(result, json.loads(options.json.read_text()))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    print(text_of(result))
    if options.plot is not None:
        options.plot.write_text(drawn(result["growth"]), encoding="utf-8")
    if options.write_docs:
        write_page(PAGE, result)
    return 0
