"""Compares npblender's searches with the originals', by running them all on seeded random models.

    python -m tools compare generation --configs 130 --seed 0
    python -m tools compare generation --write-docs          # and put the tables into docs/generation.md

Both transformers answer the same calls (six a model, all their kinds of search, options drawn at random), and ParlAI's
own agents search for replies (two agents a model, three calls each; and one more whose context was cut). Ids must be
equal and scores equal but for the rounding of float32. Ends with status 1 if anything differs. The originals'
environments are made by `python -m tools originals`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from tools import ROOT
from tools.differential.originals import version_of
from tools.differential.search_measure import ParlaiTally, Tally, answer, compare_call, compare_parlai_call, model_of
from tools.differential.searches_parlai import full_context_case, parlai_search_case
from tools.differential.searches_transformers import WAYS, transformers_search_case
from tools.docs.tables import markdown, write_between_markers
from tools.originals import asking
from tools.originals.exchange import read_answer, read_cases, wanted, write_case

PAGE = ROOT / "docs" / "generation.md"
TRANSFORMERS = ("transformers-5", "transformers-4")
RUNNERS = dict.fromkeys(TRANSFORMERS, "run_transformers_search") | {"parlai": "run_parlai_search"}
CALLS, AGENTS, AGENT_CALLS = 6, 2, 3


def start(original: str, cases: Path, answers: Path) -> subprocess.Popen[str]:
    """Start one original's searches over one folder of cases."""
    return asking.start(original, RUNNERS[original], cases, answers, "--original", original)


def run_originals(folder: Path, configs: int, seed: int) -> None:
    """Draw the cases and have all three originals answer them."""
    for number in range(configs):
        rng = np.random.default_rng([seed, 0, number])
        write_case(transformers_search_case(f"{seed}-{number:04}", rng, CALLS), folder / "transformers")
    for number in range(configs * AGENTS):
        rng = np.random.default_rng([seed, 1, number])
        write_case(parlai_search_case(f"{seed}-{number:04}", rng, AGENT_CALLS), folder / "parlai")
    for number in range(configs):
        rng = np.random.default_rng([seed, 2, number])
        write_case(full_context_case(f"{seed}-full-{number:04}", rng, AGENT_CALLS), folder / "parlai")
    cases = dict.fromkeys(TRANSFORMERS, folder / "transformers") | {"parlai": folder / "parlai"}
    running = {name: start(name, place, folder / f"by {name}") for name, place in cases.items()}
    for name, process in running.items():
        asking.finish(name, process)


def compare_transformers(folder: Path, original: str) -> dict[str, Tally]:
    """npblender in the dialect of `original` against its answers, by kind of search."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    for case in read_cases(folder / "transformers"):
        theirs = read_answer(case.name, folder / f"by {original}")
        for number, call in enumerate(case.calls):
            if not wanted(call, original):
                continue
            tally, place = tallies[call["way"]], f"{original} {case.name} call {number} ({call['way']})"
            if theirs.endings[number] is not None:
                tally.failures.append(f"{place}: the original raises {theirs.endings[number]}")
                continue
            try:
                found, tied = answer(case, call, original)
            except Exception as error:
                tally.failures.append(f"{place}: {type(error).__name__}: {error}; options {call['options']}")
                continue
            compare_call(tally, place, call, found, theirs.of_call(number), tied)
    return tallies


def compare_parlai(folder: Path) -> dict[str, ParlaiTally]:
    """npblender against ParlAI's agents, by kind of search."""
    tallies: dict[str, ParlaiTally] = defaultdict(ParlaiTally)
    for case in read_cases(folder / "parlai"):
        theirs, model = read_answer(case.name, folder / "by parlai"), model_of(case, "parlai", "float32")
        for number, call in enumerate(case.calls):
            way = (
                "the full context blocked"
                if call.get("full")
                else "sampling"
                if "do_sample" in call["options"]
                else "delayed"
                if "beam_delay" in call["options"]
                else "beam"
            )
            place = f"parlai {case.name} call {number}"
            compare_parlai_call(tallies[way], place, model, case.inputs, call, theirs.of_call(number))
    return tallies


def tables(folder: Path) -> tuple[str, list[str]]:
    """Both tables, and what failed."""
    rows, failures = [], []
    for original in TRANSFORMERS:
        tallies = compare_transformers(folder, original)
        for way in (way for way in WAYS if way in tallies):
            tally = tallies[way]
            failures += tally.failures
            numbers = [f"{tally.calls:,}", f"{tally.rows:,}", f"{tally.score:.1e}", f"{tally.state:.1e}"]
            version = version_of(original).split(" (")[0]
            rows.append([version, way, *numbers, f"{tally.among_equals}", f"{len(tally.failures)}"])
    header = ["against", "search", "calls", "sequences", "scores", "states", "decided among equals", "different"]
    text = markdown(header, rows)
    rows = []
    for way, found in sorted(compare_parlai(folder).items()):
        failures += found.failures
        numbers = [f"{found.calls:,}", f"{found.contexts:,}", f"{found.hypotheses:,}", f"{found.closed:,}"]
        numbers.append(f"{found.hopeless:,}")
        rows.append([way, *numbers, f"{found.score:.1e}", f"{len(found.failures)}"])
    header = [
        "search",
        "calls",
        "contexts",
        "finished hypotheses",
        "closed at the limit",
        "all blocked",
        "scores",
        "different",
    ]
    return text + "\n" + markdown(header, rows), failures


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compare the searches with the originals'.")
    parser.add_argument("--configs", type=int, default=130, help="how many random models")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write-docs", action="store_true", help=f"put the tables into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    if options.configs < 1:
        parser.error("--configs takes a number from 1 on")
    with tempfile.TemporaryDirectory() as folder:
        run_originals(Path(folder), options.configs, options.seed)
        text, failures = tables(Path(folder))
    print(text)
    for failure in failures[:40]:
        print(f"FAILED {failure}", file=sys.stderr)
    if failures:
        print(f"{len(failures)} of the comparisons failed", file=sys.stderr)
        return 1
    if options.write_docs:
        command = f"python -m tools compare generation --configs {options.configs} --seed {options.seed}"
        versions = ", ".join(version_of(name) for name in RUNNERS)
        write_between_markers(PAGE, "generation", f"Printed by `{command}` with {versions}.\n\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
