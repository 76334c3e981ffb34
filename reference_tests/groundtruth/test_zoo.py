"""The zoo of faults: the comparison names the right point of every one, and lets an unharmed port pass."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from npblender import BlenderbotSmallForConditionalGeneration
from npblender.config.dialect import DIALECTS, PARLAI, Dialect
from npblender.groundtruth import Trace, compare, diverged, score
from npblender.transformer.parameters import to_arrays
from reference_tests.faults.zoo import INPUTS, PREFILL, Fault, harmed, harmed_run, reference, zoo_arrays
from reference_tests.faults.zoo_all import ZOO
from reference_tests.faults.zoo_arithmetic import ARITHMETIC
from reference_tests.faults.zoo_border import BORDER
from reference_tests.faults.zoo_wiring import WIRING

ROOT = Path(__file__).resolve().parents[2]
PACK = ROOT / "reference_tests" / "golden" / "packs" / "tiny"
CASES = [
    pytest.param(
        fault,
        dialect,
        id=f"{name}, {dialect.name}",
        marks=() if dialect is PARLAI and name in ARITHMETIC else pytest.mark.slow,
    )
    for name, fault in ZOO.items()
    for dialect in fault.dialects
]


@cache
def truth(dialect: Dialect) -> Trace:
    return reference(dialect)


def test_no_fault_is_lost() -> None:
    """No name stands in two of the three modules, and there are enough in every dialect."""
    assert len(ZOO) == len(ARITHMETIC) + len(WIRING) + len(BORDER)
    for dialect in DIALECTS:
        assert sum(dialect in fault.dialects for fault in ZOO.values()) > 60


def test_the_input_shows_what_it_should() -> None:
    """Two rows, pads on both sides, a row of attention that may attend to nothing, a prompt and steps."""
    assert len(INPUTS["input_ids"]) == 2
    assert INPUTS["attention_mask"][1][0] == INPUTS["attention_mask"][1][-1] == 0
    for dialect in DIALECTS:
        arrays = truth(dialect).arrays
        masked = arrays["prefill.decoder.layers.0.self_attn.masked_scores"]  # [B, H, T, L]
        assert (masked[1, :, 0] < -1e18).all()
        assert np.array_equal(arrays["prefill.decoder.layers.0.self_attn.weights"][1, :, 0], np.full((3, 3), 1 / 3))
        assert masked.shape[2] == PREFILL
        assert [name for name in arrays if name.endswith("decoder.states")] == [
            *(f"{step}.decoder.states" for step in ("prefill", "step1", "step2", "step3"))
        ]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_an_unharmed_float32_model_stays_below_three_units(dialect: Dialect) -> None:
    report = compare(truth(dialect), harmed(None, dialect))
    assert report.first_divergence is None
    assert not report.missing
    assert not report.surplus
    scores = [point.score for point in report.points]
    assert len(scores) > 200
    assert max(score.units for score in scores if score is not None) < 3
    assert all(score is not None and score.measured for score in scores)


@pytest.mark.parametrize(("fault", "dialect"), CASES)
def test_the_comparison_names_the_point(fault: Fault, dialect: Dialect) -> None:
    expected, found = truth(dialect), harmed(fault, dialect)
    if dialect is not PARLAI:  # one dialect is compared to the end, the others as far as decides it
        kept = expected.points[: expected.points.index(fault.point) + 1]
        found = {name: found[name] for name in kept}
        arrays, noise = ({name: each[name] for name in kept} for each in (expected.arrays, expected.noise))
        expected = replace(expected, arrays=arrays, noise=noise)
    report = compare(expected, found)
    assert report.first is not None, "nothing was seen"
    assert report.first.name == fault.point
    if fault is ZOO["cache lost"]:
        assert report.first.score is None, "scores of other shapes"
    else:
        assert report.first.score is not None
        assert report.first.score.units > 30


@cache
def pack() -> tuple[BlenderbotSmallForConditionalGeneration, dict[str, Trace]]:
    names = ("batch", "steps", "target_mask")
    traces = {name: Trace.load(PACK / "forward" / f"{name}.safetensors") for name in names}
    return BlenderbotSmallForConditionalGeneration.from_pretrained(PACK / "model"), traces


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, fault in ZOO.items() if PARLAI in fault.dialects])
def test_the_tiny_pack_shows_the_fault(name: str) -> None:
    """A port that agrees with the published pack has none of them, but for the bias that ParlAI does not have."""
    model, traces = pack()
    fault = ZOO[name]
    step = fault.point.startswith("step")
    expected = traces["target_mask" if name == "target pads attended" else "steps" if step else "batch"]
    assert expected.inputs is not None
    found = harmed_run(fault, model.config, to_arrays(model.weights), PARLAI, expected.inputs, "float32")
    scores = (
        score(array, found[point], expected.noise[point])
        for point, array in expected.arrays.items()
        if found[point].shape == array.shape
    )
    first = next((each for each in scores if diverged(each)), None)
    if name == "final bias dropped":
        assert first is None, "the pack shows it now: say so in the pages"
    else:
        assert first is not None
        assert first.units > 30


def test_the_page_lists_every_fault() -> None:
    """Each with its point and its cause. The figures are held by `python -m tools zoo --check`."""
    page = " ".join((ROOT / "docs" / "porting.md").read_text(encoding="utf-8").split())
    for name, fault in ZOO.items():
        assert f"| {name} | `{fault.point}` |" in page
        assert f"- *{name}*: {fault.cause}" in page


@pytest.mark.slow
def test_planting_leaves_nothing_behind() -> None:
    """A fault is there for one run: afterwards the package computes what it did."""
    before = {name: array.copy() for name, array in zoo_arrays().items()}
    for fault in ZOO.values():
        harmed(fault, fault.dialects[0])
    after = harmed(None, DIALECTS[0])
    assert all(np.array_equal(before[name], array) for name, array in zoo_arrays().items())
    assert compare(truth(DIALECTS[0]), after).first_divergence is None
