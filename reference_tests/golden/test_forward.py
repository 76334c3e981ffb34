"""The forward pass against numbers that the originals made: see golden/PROVENANCE.md.

Every golden is answered in the dialect of each original that is in it. A golden that cannot fail proves nothing, so
`FAULTS` plants the mistakes that ports of this model make, one at a time, and asks that every golden sees those that
its model and its calls can show.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from pathlib import Path
from typing import Any

import pytest

import npblender
from npblender import models
from npblender.config.dialect import resolve_dialect
from npblender.ops import unchecked as ops
from reference_tests.golden.forward_faults import FAULTS, SWAPPED, Fault, everywhere
from reference_tests.support.tolerances import TOLERANCES
from tools.differential.measure import relative_difference
from tools.differential.ours import Runner
from tools.goldens.files import Golden, columns, read_golden, stored
from tools.originals.exchange import wanted

FOLDER = Path(__file__).parent / "forward"
RUNS = {
    (path.stem, run): read_golden(path.stem, FOLDER)
    for path in sorted(FOLDER.glob("*.json"))
    for run in read_golden(path.stem, FOLDER).answers
}
TINY = [key for key in RUNS if key[0] != "demo"]
DEMO = [key for key in RUNS if key[0] == "demo"]
DEMO_SLOW = [pytest.param(key, id="-".join(key), marks=() if key[1] == "parlai" else pytest.mark.slow) for key in DEMO]
DEMO_CALLS = RUNS[DEMO[0]].case.calls


def differences(golden: Golden, run: str, dialect: Any = None, runner: Runner | None = None) -> list[str]:
    """Every stored tensor from which npblender's answer lies further than the golden's bound."""
    answers = golden.answers[run]
    weights = {name: value.astype(answers.dtype) for name, value in golden.case.weights.items()}
    case = dataclasses.replace(golden.case, dtype=answers.dtype, weights=weights)
    runner = runner or Runner(case, dialect or answers.dialect)
    seen, wrong = set(), []
    for number, call in enumerate(case.calls):
        if not wanted(call, answers.original):
            continue
        for name, array in runner.call(number, call).items():
            expected = answers.tensors.get(f"{number}/{name}")
            if not stored(call, name) or expected is None:
                continue
            seen.add(f"{number}/{name}")
            difference, where = relative_difference(columns(call, name, array), expected)
            if not difference <= answers.bound:
                wrong.append(f"{number}/{name}: {difference:.3g} > {answers.bound:g}; {where}")
    return wrong + [f"{name}: not there" for name in sorted(set(answers.tensors) - seen)]


@pytest.mark.parametrize("key", TINY, ids="-".join)
def test_answers_as_the_original_did(key: tuple[str, str]) -> None:
    golden, run = RUNS[key], key[1]
    assert len(golden.answers[run].tensors) >= 6
    assert differences(golden, run) == []


def test_the_bounds_are_those_of_the_table() -> None:
    rows = {"float64": "float64 against transformers", "float32": "float32 against ParlAI"}
    for (_, run), golden in RUNS.items():
        answers = golden.answers[run]
        row = TOLERANCES[rows[answers.dtype]]
        assert (answers.bound, row.unit) == (row.value, "of the max")
        assert all(array.dtype == answers.dtype for array in answers.tensors.values())


def test_the_goldens_are_all_there() -> None:
    originals = {golden.answers[run].original for (_, run), golden in RUNS.items()}
    assert originals == {"transformers-5", "transformers-4", "parlai"}
    activations_seen = {golden.case.config["activation_function"] for golden in RUNS.values()}
    assert activations_seen == set(ops.ACTIVATIONS)
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_every_golden_sees_the_faults_it_can(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    if fault.plant is not None:
        fault.plant(monkeypatch)
    able = [key for key in TINY if fault.shows(RUNS[key], key[1])]
    assert able
    for key in able:
        golden, run = RUNS[key], key[1]
        dialect = resolve_dialect(golden.answers[run].dialect)
        changed = dialect if fault.dialect is None else fault.dialect(dialect)
        assert differences(golden, run, changed), f"{key} does not see the fault"


def test_every_golden_is_failed_by_most_faults() -> None:
    for key in TINY:
        assert sum(fault.shows(RUNS[key], key[1]) for fault in FAULTS.values()) >= 16, key


@functools.cache
def demo(dtype: str) -> Any:
    """The demo, loaded as a user loads it."""
    return models.BlenderbotSmallForConditionalGeneration.from_pretrained(dtype=dtype)


def demo_runner(golden: Golden, run: str) -> Runner:
    """A runner that has the demo where a golden would have weights of its own."""
    answers = golden.answers[run]
    loaded = demo(answers.dtype)
    runner = Runner(golden.case, answers.dialect)
    same = type(loaded)(loaded.config, loaded.weights, dialect=answers.dialect)
    runner.models[golden.case.calls[0]["class"], golden.case.dtype] = same
    return runner


def test_the_demo_golden_is_of_these_weights() -> None:
    made_of = hashlib.sha256((Path(npblender.__file__).parent / "demo" / "model.safetensors").read_bytes())
    again = "the demo's weights have changed; `python -m tools goldens demo` makes its golden anew"
    assert {RUNS[key].model_sha256 for key in DEMO} == {made_of.hexdigest()}, again


@pytest.mark.parametrize("key", DEMO_SLOW)
def test_the_demo_answers_as_the_originals_did(key: tuple[str, str]) -> None:
    golden, run = RUNS[key], key[1]
    assert len(golden.answers[run].tensors) == len(golden.case.calls)
    assert differences(golden, run, runner=demo_runner(golden, run)) == []


@pytest.mark.parametrize("key", DEMO_SLOW)
def test_the_demo_golden_sees_a_fault(key: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    everywhere(ops.ACTIVATIONS, lambda _: SWAPPED)(monkeypatch)
    assert len(differences(RUNS[key], key[1], runner=demo_runner(RUNS[key], key[1]))) == len(DEMO_CALLS)
