"""The unit of error is honest: recorded float32 ports of the originals stay below 4 units at every point.

The ports are recorded (golden/PROVENANCE.md): transformers 4 and 5 and ONNX Runtime, in float32. The reference and its
noise are computed here. `tools/measure/noise.py` does the same on more models, with the ports run anew.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from npblender import compare
from npblender.groundtruth import Score, Trace, TraceInputs, diverged, record
from reference_tests.support.golden_model import model_of
from tools.goldens.files import read_golden
from tools.goldens.traces import FORWARD, MODEL, ORIGINALS, RUNTIME, file_of, inputs_of
from tools.measure import draw_budget, noise
from tools.measure.noise import CORRECT, Tally
from tools.measure.noise_budget.budget import load, stage_points
from tools.measure.noise_budget.ports import scores
from tools.measure.noise_budget.svg import draw

GOLDEN = read_golden(MODEL, FORWARD)
PORTS = (*ORIGINALS, RUNTIME)


@cache
def reference(dialect: str) -> Trace:
    """npblender's float64 trace of the recorded call, with the noise that it ships."""
    return record(model_of(GOLDEN.case, dialect, "float32"), TraceInputs.from_json(inputs_of(GOLDEN)), dtype="float64")


def recorded(port: str) -> Trace:
    return Trace.load(file_of(port, "whole", "float32"))


def scored(port: str) -> dict[str, Score]:
    trace = recorded(port)
    assert isinstance(trace.dialect, str)
    return scores(reference(trace.dialect), trace)


@pytest.mark.parametrize("port", PORTS)
def test_a_correct_port_stays_below_four_units(port: str) -> None:
    found = scored(port)
    assert len(found) >= 78
    assert max(each.units for each in found.values()) < CORRECT
    assert not [name for name, each in found.items() if diverged(each)]
    # The unit is no excuse either: with one ten times too large these would be about 0.1.
    assert 0.5 < np.median([each.units for each in found.values() if each.noise.rms > 0]) < 1.5


@pytest.mark.parametrize("port", PORTS)
def test_compare_finds_nothing_in_a_correct_port(port: str) -> None:
    trace = recorded(port)
    report = compare(reference(str(trace.dialect)), file_of(port, "whole", "float32"))
    assert report.first_divergence is None
    assert not report.surplus


def test_the_lost_scale_is_far_beyond_noise() -> None:
    """The one place where the two transformers differ here: 5 lost the decoder's factor."""
    report = compare(reference("transformers-4"), recorded("transformers-5"))
    assert report.first_divergence == "decoder.embed.scaled"
    assert report.first is not None
    assert report.first.score is not None
    assert report.first.score.units > 1000


def test_a_port_that_is_off_fails_the_measurement() -> None:
    truth = reference("transformers-5")
    wrong = {name: np.asarray(array) + 5 * truth.noise[name].rms for name, array in truth.arrays.items()}
    tally = Tally()
    tally.add("tiny", scores(truth, Trace(wrong)))
    assert any("logits of tiny: 5.00 units" in line for line in tally.failures)
    assert tally.row("off")[:3] == ["off", "1", f"{len(wrong)}"]
    other = Trace(dict(truth.arrays), inputs={"input_ids": [[1]]})
    with pytest.raises(ValueError, match="other inputs: input_ids"):
        scores(truth, other)


def test_the_plot_is_drawn_from_the_stored_numbers() -> None:
    budgets = load(draw_budget.NUMBERS)
    assert draw(budgets) == draw_budget.PLOT.read_text(encoding="utf-8"), "python -m tools measure budget --redraw"
    page = noise.PAGE.read_text(encoding="utf-8")
    assert draw_budget.table(budgets) in page, "python -m tools measure budget --redraw"
    for budget in budgets:
        layers = [stage for stage in budget.stages if stage.alone is not None]
        assert len(layers) >= 10
        for stage in budget.stages:
            assert 0 < stage.carried <= stage.largest
            assert all(error < CORRECT * stage.carried for error in stage.ports.values()), stage.point
            assert stage.alone is None or 0 < stage.alone < CORRECT * stage.carried, stage.point


def test_the_plot_has_a_stage_for_every_block(tmp_path: Path) -> None:
    model = model_of(GOLDEN.case, "transformers-5", "float32")
    points = [point for point, _ in stage_points(model.config)]
    assert points == [name for name in reference("transformers-5").points if name in points], "in causal order"
    config = model.config
    assert len(points) == 3 + 2 * config.encoder_layers + 3 * config.decoder_layers
