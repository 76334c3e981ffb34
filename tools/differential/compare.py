"""Compares npblender's forward pass with the originals', by running them all on seeded random models.

    python -m tools compare forward --configs 60 --seed 0
    python -m tools compare forward --write-docs          # and put the tables into docs/differential.md

Each dialect meets its own original: `transformers-5` and `transformers-4` in float64, `parlai` in float32
and, with ParlAI's one cast to float32 lifted, in float64. Prints a table of the largest differences and
ends with status 1 if one is beyond its bound, a tensor is missing, or a caller's mistake was not refused.
The originals' environments are made by `python -m tools originals`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from reference_tests.support.tolerances import TOLERANCES
from tools import ROOT
from tools.differential import ours, precision
from tools.differential.cases import head_mask_case, parlai_case, transformers_case
from tools.differential.keras_flax import keras_flax_case
from tools.differential.measure import KINDS, Tally
from tools.differential.originals import Job, run_all, version_of, write_cases
from tools.docs.tables import markdown, write_between_markers
from tools.originals.environments import ORACLES, is_ready
from tools.originals.exchange import Case, read_answer, read_cases

PAGE = ROOT / "docs" / "differential.md"


EXACT = TOLERANCES["float64 against transformers"].value
HEAD_MASKS, BEYOND_FLOAT32, KERAS_FLAX = "head masks", "parlai float32, in float64", "keras-flax"
SLOW = 12  # Keras and Flax take seconds a call: they get one model in so many


@dataclass(frozen=True)
class Comparison:
    """One row of the table: a dialect against an original over one kind of cases."""

    dialect: str
    original: str
    cases: str  # the name of a folder of cases
    arithmetic: str
    bound: float
    every_tensor: bool = True  # both give the same tensors; ParlAI shows less
    left_out: frozenset[str] = frozenset()

    @property
    def answers(self) -> str:
        return f"{self.cases} by {self.original}"


COMPARISONS = (
    Comparison("transformers-5", "transformers-5", "transformers", "float64", EXACT),
    Comparison("transformers-4", "transformers-4", "transformers", "float64", EXACT),
    Comparison(
        "parlai", "parlai", "parlai float32", "float32", TOLERANCES["float32 against ParlAI"].value, every_tensor=False
    ),
    Comparison("parlai", "parlai", "parlai float64", "float64, its softmax too", EXACT, every_tensor=False),
    # transformers 4 is the only original with head masks; the others' dialects meet it where all agree.
    Comparison("transformers-5", "transformers-4", HEAD_MASKS, "float64, head masks", EXACT),
    Comparison("parlai", "transformers-4", HEAD_MASKS, "float64, head masks", EXACT, left_out=frozenset({"logits"})),
    Comparison("transformers-4", KERAS_FLAX, KERAS_FLAX, "float64, Keras and Flax", EXACT, every_tensor=False),
)


def draw_cases(name: str, configs: int, seed: int) -> list[Case]:
    """The cases of one folder; a case depends on the seed and its number only."""
    kinds = ("transformers", "parlai float32", "parlai float64", HEAD_MASKS, KERAS_FLAX)
    if name == KERAS_FLAX:
        configs = max(1, configs // SLOW)
    generators = [np.random.default_rng([seed, kinds.index(name), number]) for number in range(configs)]
    named = [(rng, f"{seed}-{number:04}") for number, rng in enumerate(generators)]
    if name == "transformers":
        return [transformers_case(rng, case) for rng, case in named]
    if name == HEAD_MASKS:
        return [head_mask_case(rng, case) for rng, case in named]
    if name == KERAS_FLAX:
        return [keras_flax_case(rng, case) for rng, case in named]
    return [parlai_case(rng, case, name.removeprefix("parlai ")) for rng, case in named]


def widened(case: Case) -> Case:
    """The same model and calls in float64."""
    return replace(case, dtype="float64", weights={name: w.astype(np.float64) for name, w in case.weights.items()})


def compare(comparison: Comparison, folder: Path) -> Tally:
    """npblender in one dialect against the answers that lie in the folder."""
    tally = Tally(comparison.bound, comparison.every_tensor, comparison.left_out)
    for case in read_cases(folder / comparison.cases):
        mine = ours.answer_case(case, comparison.dialect, comparison.original)
        tally.add(case, mine, read_answer(case.name, folder / comparison.answers))
    return tally


def rounding_of_parlai(folder: Path) -> Tally:
    """ParlAI's float32 against ParlAI's float64 over the same models: how far apart two correct answers may lie."""
    tally = Tally(np.inf, every_tensor=True)
    for case in read_cases(folder / BEYOND_FLOAT32):
        wide = read_answer(case.name, folder / f"{BEYOND_FLOAT32} by parlai")
        narrow = read_answer(case.name, folder / "parlai float32 by parlai")
        narrow.tensors = {name: value.astype(np.float64) for name, value in narrow.tensors.items()}
        tally.add(case, narrow, wide)
    return tally


HEADER = [
    *("dialect", "against", "arithmetic", "models", "calls", "tensors"),
    *KINDS,
    *("bound", "mistakes refused (there)"),
]


def row(dialect: str, original: str, arithmetic: str, tally: Tally) -> list[str]:
    differences = [f"{tally.worst[kind]:.1e}" if kind in tally.worst else "-" for kind in KINDS]
    counts = [f"{tally.models}", f"{tally.calls:,}", f"{tally.tensors:,}"]
    mistakes = f"{tally.refused} ({tally.refused_by_original})" if tally.refused else "-"
    bound = f"{tally.bound:g}" if np.isfinite(tally.bound) else "-"
    return [dialect, version_of(original).split(" (")[0], arithmetic, *counts, *differences, bound, mistakes]


def run(comparisons: Sequence[Comparison], configs: int, seed: int, folder: Path) -> tuple[list[list[str]], list[str]]:
    """The rows of the table, and what failed."""
    drawn = {}
    for name in dict.fromkeys(comparison.cases for comparison in comparisons):
        drawn[name] = draw_cases(name, configs, seed)
        write_cases(drawn[name], folder / name)
    write_cases(map(widened, read_cases(folder / "parlai float32")), folder / BEYOND_FLOAT32)
    jobs = [Job(c.original, folder / c.cases, folder / c.answers) for c in comparisons]
    jobs.append(Job("parlai", folder / BEYOND_FLOAT32, folder / f"{BEYOND_FLOAT32} by parlai"))
    run_all(dict.fromkeys(jobs))
    rows, failures = [], []
    for comparison in comparisons:
        tally = compare(comparison, folder)
        assert tally.models == len(drawn[comparison.cases]), "every case is compared"
        rows.append(row(f"`{comparison.dialect}`", comparison.original, comparison.arithmetic, tally))
        failures += [f"{comparison.dialect} ({comparison.arithmetic}): {failure}" for failure in tally.failures]
    own = rounding_of_parlai(folder)
    rows.insert(3, row("(ParlAI's own float32)", "parlai", "float64, its softmax too", own))
    return rows, failures + own.failures


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compare the forward pass with the originals'.")
    parser.add_argument("--configs", type=int, default=60, help="how many random models per comparison")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write-docs", action="store_true", help=f"put the tables into {PAGE.relative_to(ROOT)}")
    parser.add_argument("--keep", type=Path, help="keep cases and answers in this folder, which must not exist")
    parser.add_argument("--no-precision", action="store_true", help="leave the float32 part out")
    options = parser.parse_args(arguments)
    if options.configs < 1:
        parser.error("--configs takes a number from 1 on")
    comparisons: tuple[Comparison, ...] = COMPARISONS
    if not is_ready(KERAS_FLAX) and sys.version_info[:2] > ORACLES[KERAS_FLAX].newest_python:
        comparisons = tuple(c for c in COMPARISONS if c.original != KERAS_FLAX)
        print(f"Keras and Flax are left out: see `python -m tools originals {KERAS_FLAX}`", file=sys.stderr)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if options.keep:
            options.keep.mkdir(parents=True)
            folder = options.keep
        rows, failures = run(comparisons, options.configs, options.seed, folder)
    text = markdown(HEADER, rows)
    print(text)
    if not options.no_precision:
        report = precision.run(options.configs, options.seed)
        failures += report.failures
        text += "\n" + report.text
        print("\n" + report.text)
    for failure in failures[:40]:
        print(f"FAILED {failure}", file=sys.stderr)
    if len(failures) > 40:
        print(f"and {len(failures) - 40} more", file=sys.stderr)
    if options.write_docs and not failures:
        command = f"python -m tools compare forward --configs {options.configs} --seed {options.seed}"
        versions = ", ".join(version_of(original) for original in dict.fromkeys(c.original for c in comparisons))
        note = f"Printed by `{command}` with NumPy {np.__version__}, {versions}.\n"
        write_between_markers(PAGE, "differential", f"{note}\n{text}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
