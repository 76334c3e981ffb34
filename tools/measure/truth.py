"""Measures the error of the float64 pass, the truth of every golden: by wider arithmetic and by the originals.

    python -m tools measure truth                 # 300 random models; the demo in both transformers, if they are there
    python -m tools measure truth --write-docs    # and the table into docs/numbers-you-can-trust.md

Every named point of every model is compared; a difference is relative to the largest entry of its tensor. Values that
stand for "hidden" and "never" must be the same and do not count. Status 1 where a difference is beyond its bound.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from npblender import BlenderbotSmallForConditionalGeneration
from npblender.config.dialect import DIALECTS
from npblender.groundtruth import Trace, TraceInputs, record
from reference_tests.oracles import model as naive_model
from reference_tests.support.forward_checks import HIDDEN, traced
from reference_tests.support.model_cases import draw_case, rows_of
from reference_tests.support.tolerances import TOLERANCES
from tools import ROOT
from tools.docs.tables import markdown, write_between_markers
from tools.goldens.files import read_golden
from tools.goldens.traces import FOLDER, FORWARD, MODEL, ORIGINALS, write_model
from tools.measure.noise_budget.models import demo
from tools.measure.noise_budget.ports import Port
from tools.originals.environments import installed_versions, is_ready

PAGE = ROOT / "docs" / "numbers-you-can-trust.md"
ORACLE_EVERY = 10  # the slow oracle takes every tenth model


@dataclass
class Held:
    """One row: what float64 was held against, and how far apart they were, model by model."""

    against: str
    over: str
    row: str  # of the table of tolerances
    values: int = 0
    points: int = 0
    differences: list[float] = field(default_factory=list)

    def add(self, mine: Mapping[str, np.ndarray], theirs: Mapping[str, Any]) -> None:
        """One model: every point that they have."""
        largest = 0.0
        for name, expected in theirs.items():
            expected = np.asarray(expected)
            found = np.asarray(mine[name])
            if found.shape != expected.shape:
                raise ValueError(f"{name} is {found.shape} here and {expected.shape} there")
            computed = (expected > HIDDEN) & (found > HIDDEN)
            if not np.array_equal(computed, expected > HIDDEN) or not np.isfinite(found[computed]).all():
                raise ValueError(f"{name}: other values are hidden, or not finite")
            size = float(np.abs(expected[computed]).max(initial=0))
            error = float(np.abs(found[computed] - expected[computed]).max(initial=0))
            largest = max(largest, error / size if size else error)
            self.values += int(computed.sum())
            self.points += 1
        self.differences.append(largest)

    def cells(self) -> list[str]:
        worst = [f"{max(self.differences):.1e}", f"{np.quantile(self.differences, 0.5):.1e}"]
        counts = [f"{len(self.differences)}", f"{self.points:,}", f"{self.values:,}"]
        return [self.against, self.over, *counts, *worst, f"{TOLERANCES[self.row].value:g}"]


HEADER = ["float64 against", "over", "models", "points", "values", "largest difference", "median of models", "bound"]


def held_to_arithmetic(count: int) -> Iterator[Held]:
    """Random tiny models with random calls in every dialect, against longdouble and against exactly rounded sums."""
    digits = np.finfo(np.longdouble).nmant + 1
    wide = Held(f"longdouble, {digits} bits", "random tiny models", "float64 against longdouble")
    slow = Held("plain Python with exactly rounded sums", "some of them", "float64 against the oracle")
    for seed in range(count):
        case = draw_case(np.random.default_rng([seed, 13]), DIALECTS[seed % len(DIALECTS)])
        mine, _ = traced(case.model(), **case.arguments)
        mine.pop("loss", None)
        if digits > 53:
            theirs, _ = traced(case.model(np.longdouble), **case.arguments)
            wide.add(mine, {name: value for name, value in theirs.items() if name != "loss"})
        if seed % ORACLE_EVERY == 0:
            parameters = case.plain_parameters()
            head = case.kind != "base"
            rows = [naive_model.forward(case.config, case.dialect, parameters, r, head=head) for r in rows_of(case)]
            slow.add(mine, {name: np.array([row[name] for row in rows]) for name in rows[0]})
    if digits > 53:
        yield wide
    yield slow


def held_to_recorded() -> Iterator[Held]:
    """The recorded float64 traces of both transformers, in one pass and step by step."""
    golden = read_golden(MODEL, FORWARD)
    with tempfile.TemporaryDirectory() as place:
        write_model(golden, Path(place) / "model")
        model = BlenderbotSmallForConditionalGeneration.from_pretrained(Path(place) / "model", dtype="float64")
    for original in ORIGINALS:
        traces = [Trace.load(file) for file in sorted(FOLDER.glob(f"*-{original}-float64.safetensors"))]
        held = Held(_version(traces[0]), "a tiny model, at once and in steps", "float64 against transformers")
        for trace in traces:
            mine = record(model, TraceInputs.from_json(trace.inputs or {}), dialect=original, noise=False)
            held.add(mine.arrays, trace.arrays)
        yield held


def _version(trace: Trace) -> str:
    return f"transformers {(trace.producer or {})['transformers']}"


def held_to_transformers() -> Iterator[Held]:
    """The demo in both transformers, run now."""
    with tempfile.TemporaryDirectory() as place:
        model = demo(Path(place))
        inputs = TraceInputs.from_json(json.loads(model.inputs.read_text()))
        loaded = BlenderbotSmallForConditionalGeneration.from_pretrained(model.folder, dtype="float64")
        for original in ORIGINALS:
            port = Port(original, original, "tools.torch_trace", original, ("--dtype", "float64"))
            trace, _ = port.run(model, Path(place) / "trace")
            held = Held(_version(trace), "the demo", "float64 against transformers")
            held.add(record(loaded, inputs, dialect=original, noise=False).arrays, trace.arrays)
            yield held


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=300, help="how many random models (300)")
    parser.add_argument("--write-docs", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    held = [*held_to_arithmetic(options.models), *held_to_recorded()]
    if all(map(is_ready, ORIGINALS)):
        held += held_to_transformers()
    elif options.write_docs:
        parser.error(
            "the page's table has rows of both transformers: `python -m tools originals` makes their environments"
        )
    table = markdown(HEADER, [each.cells() for each in held])
    print(table)
    beyond = [each for each in held if not max(each.differences) <= TOLERANCES[each.row].value]
    for each in beyond:
        print(f"FAILED {each.against}, {each.over}: {max(each.differences):.2g}", file=sys.stderr)
    if options.write_docs and not beyond:
        torch = installed_versions(ORIGINALS[0])["torch"]
        write_between_markers(PAGE, "truth", f"NumPy {np.__version__}, torch {torch}.\n\n{table}")
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
