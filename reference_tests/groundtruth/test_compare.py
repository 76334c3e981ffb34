"""What a comparison says: every field of a report by hand-made arrays, and what is no comparison at all."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import npblender
from npblender import compare
from npblender.groundtruth import Noise, Trace
from npblender.groundtruth.comparison.reading import agree_hidden
from npblender.groundtruth.comparison.text_report import as_text
from reference_tests.support.asserts import assert_close
from reference_tests.support.compared import INPUTS, arrays, in_float32, reference
from reference_tests.support.tolerances import TOLERANCES

HAND = TOLERANCES["numbers worked out by hand"]

STATES = "encoder.states"


def hand_made(**noise: Noise) -> Trace:
    """Two points of small numbers whose unit is 0.25, in the order logits, x."""
    given = {"logits": np.array([[1.0, 2.0], [3.0, 4.0]]), "x": np.array([8.0, 16.0])}
    return Trace(given, {"logits": Noise(0.25, 0.5), "x": Noise(0.25, 0.5)} | noise, dtype="float64")


# Agreement.


@pytest.mark.slow
@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize("dialect", ["parlai", "transformers-4", "transformers-5"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "longdouble"])
def test_float32_is_within_noise_of_every_truth(steps: bool, dialect: str, dtype: str) -> None:
    """A dialect may hide by the smallest number of the dtype, which is another one in float32."""
    report = compare(reference(steps, dtype, dialect), in_float32(steps, dialect))
    assert report.first_divergence is None
    assert report.diverged == report.missing == report.surplus == report.notes == ()
    assert len(report.compared) == len(reference(steps).points)
    assert report.noise_measured
    assert report.last_good is not None
    assert report.last_good.name == report.points[-1].name
    assert all(point.layout is None and point.factor == 1.0 and point.hidden == 0 for point in report.points)


def test_the_public_name_is_the_function() -> None:
    assert npblender.compare is compare


def test_files_arrays_and_traces_are_the_same(tmp_path: Path) -> None:
    """A trace may be given as itself, as its file, as NPZ or as arrays; what differs is what they know besides."""
    reference().save(tmp_path / "ref.safetensors")
    mine = in_float32()
    mine.save(tmp_path / "mine.safetensors")
    np.savez(tmp_path / "mine.npz", **dict(mine.arrays))
    reports = [
        compare(first, second)
        for first in (reference(), tmp_path / "ref.safetensors", str(tmp_path / "ref.safetensors"))
        for second in (mine, tmp_path / "mine.safetensors", tmp_path / "mine.npz", dict(mine.arrays))
    ]
    assert {report.points for report in reports} == {reports[0].points}
    assert reports[0].reference.source == reports[0].mine.source == "arrays"
    assert reports[-1].reference.source == str(tmp_path / "ref.safetensors")
    assert (reports[0].mine.dtype, reports[0].mine.dialect) == ("float32", "parlai")
    assert (reports[3].mine.dtype, reports[3].mine.dialect) == (None, None)


# The first divergence, by hand.


def test_the_first_divergence_in_full() -> None:
    """Errors of 0, 0, 0 and 12 units of 0.25: an rms of 6 and a worst of 12, where 10 is the limit."""
    report = compare(hand_made(), {"logits": np.array([[1.0, 2.0], [3.0, 1.0]]), "x": np.array([8.0, 16.0])})
    point = report.first
    assert point is not None
    assert report.first_divergence == "logits"
    assert (point.name, point.status, point.mine_name) == ("logits", "diverged", "logits")
    assert (point.reference_shape, point.mine_shape) == ((2, 2), (2, 2))
    assert (point.reference_dtype, point.mine_dtype) == ("float64", "float64")
    score = point.score
    assert score is not None
    assert (score.units, score.worst, score.worst_limit) == (6.0, 12.0, 10.0)
    assert (score.worst_index, score.reference_value, score.mine_value) == ((1, 1), 4.0, 1.0)
    assert (score.max_error, score.rms_error) == (3.0, 1.5)
    assert dict(score.ulp_histogram)[0.0] == 3
    assert dict(score.ulp_histogram)[float("inf")] == 1
    assert (score.reference_nan, score.mine_nan, score.reference_infinite, score.mine_infinite) == (0, 0, 0, 0)
    assert report.last_good is None
    assert not point.is_bug
    assert [point.name for point in report.diverged] == ["logits"]
    assert point.remarks == (), "an error of 12 units says nothing about its cause"
    far = compare(hand_made(), {"logits": np.array([[1.0, 2.0], [3.0, 40.0]]), "x": np.array([8.0, 16.0])}).first
    assert far is not None
    assert "one value alone is wrong" in far.remarks


def test_it_is_the_first_in_the_order_of_the_reference() -> None:
    """A trace's own order counts, not the order of mine and not the larger error."""
    truth = Trace({"x": np.ones(3), "logits": np.ones(3)}, dtype="float64")
    report = compare(truth, {"logits": 9 * np.ones(3), "x": np.full(3, 1.001)})
    assert [point.name for point in report.points] == ["x", "logits"]
    assert report.first_divergence == "x"
    known = Trace({"logits": np.ones(3), "encoder.states": np.ones(3)}, dtype="float64")
    report = compare(known, {"logits": 9 * np.ones(3), "encoder.states": 9 * np.ones(3)})
    assert report.first_divergence == "logits", "a trace that says what it is has said its order, too"


def test_plain_arrays_are_taken_in_causal_order() -> None:
    """Arrays that bring no order, as in a file written by another program, but whose names are all points."""
    ordered = list(reference().points)
    shuffled = dict(sorted(arrays(reference()).items()))
    assert list(shuffled) != ordered
    report = compare(shuffled, in_float32())
    assert [point.name for point in report.points] == ordered
    assert not report.noise_measured
    assert report.notes == ()
    steps = compare(dict(sorted(arrays(reference(True)).items())), in_float32(True))
    assert [point.name for point in steps.points] == list(reference(True).points)


def test_an_unknown_order_is_said() -> None:
    report = compare({"z": np.ones(2), "a": np.ones(2)}, {"a": np.ones(2), "z": np.ones(2)})
    assert [point.name for point in report.points] == ["z", "a"]
    assert report.notes == ("the reference does not say the order of its points: they are taken as they stand",)


def test_missing_and_surplus_names() -> None:
    mine = arrays(in_float32())
    del mine["encoder.embed.sum"], mine["encoder.embed.norm"]
    mine["encoder.embed.output"] += 1
    mine["mystery"] = np.zeros(3)
    mine["model.encoder.layers.7.fc1"] = np.zeros(3)
    report = compare(reference(), mine)
    assert report.missing == ("encoder.embed.sum", "encoder.embed.norm")
    assert report.surplus == ("mystery", "model.encoder.layers.7.fc1 (encoder.layers.7.ffn.hidden)")
    assert report.first_divergence == "encoder.embed.output"
    assert report.last_good is not None
    assert report.last_good.name == "encoder.embed.positions"
    assert report.unseen == ("encoder.embed.sum", "encoder.embed.norm")
    assert [point.status for point in report.points[:6]] == [*["within noise"] * 3, *["missing"] * 2, "diverged"]
    missing = report.points[3]
    assert (missing.score, missing.mine_name, missing.mine_shape, missing.mine_dtype) == (None, None, None, None)


def test_another_shape_is_a_divergence() -> None:
    mine = arrays(in_float32())
    mine[STATES] = mine[STATES][:, :4]
    report = compare(reference(), mine)
    point = report.first
    assert point is not None
    assert (point.name, point.status, point.score) == (STATES, "diverged", None)
    assert (point.reference_shape, point.mine_shape) == ((2, 5, 6), (2, 4, 6))
    assert point.is_bug
    assert "no known layout fits" in as_text(report)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_counted(value: float) -> None:
    mine = arrays(in_float32())
    mine[STATES][1, 2, 3] = value
    mine[STATES][1, 2, 4] = value
    report = compare(reference(), mine)
    point = report.first
    assert point is not None
    assert point.name == STATES
    assert point.score is not None
    counts = (point.score.mine_nan, point.score.mine_infinite)
    assert counts == ((2, 0) if np.isnan(value) else (0, 2))
    assert point.score.max_error == np.inf
    assert point.score.worst_index == (1, 2, 3)
    assert ("NaN in 2 places, first at [1, 2, 3]" in point.remarks) == bool(np.isnan(value))
    assert "wrong only at B = 1 of 0..1; S = 2 of 0..4; D = 3..4 of 0..5" in point.remarks


def test_the_same_nan_agrees() -> None:
    truth = Trace({"loss": np.array(np.nan), "logits": np.array([np.inf, 1.0])}, dtype="float64")
    assert compare(truth, {"loss": np.float32(np.nan), "logits": [np.inf, 1.0]}).first_divergence is None


@pytest.mark.parametrize("dtype", [np.float16, np.int32, np.bool_, np.longdouble])
def test_dtypes_are_said_and_values_compared(dtype: type) -> None:
    truth = Trace({"logits": np.array([1.0, 0.0, 1.0])}, {"logits": Noise(0.25, 0.5)}, dtype="float64")
    report = compare(truth, {"logits": np.array([1, 0, 1], dtype)})
    assert report.first_divergence is None
    assert report.points[0].mine_dtype == str(np.dtype(dtype))
    wrong = compare(truth, {"logits": np.array([1, 0, 0], dtype)}).points[0]
    assert wrong.score is not None
    assert wrong.score.worst == 4.0


def test_the_worse_of_two_arrays_for_one_point_counts() -> None:
    """A port that gives a point under two names is right only if both are."""
    mine = arrays(in_float32())
    mine["encoder.layers.0.fc1"] = mine["encoder.layers.0.ffn.hidden"]
    assert compare(reference(), mine).first_divergence is None
    mine["encoder.layers.0.fc1"] = mine["encoder.layers.0.ffn.hidden"] + 1
    report = compare(reference(), mine)
    assert report.first is not None
    assert (report.first.name, report.first.mine_name) == ("encoder.layers.0.ffn.hidden", "encoder.layers.0.fc1")


# Hidden scores.


@pytest.mark.parametrize("value", [-np.inf, -1e9, float(np.finfo(np.float32).min), -1e12])
def test_other_numbers_that_hide_as_well(value: float) -> None:
    mine = arrays(in_float32())
    name = "decoder.layers.0.self_attn.masked_scores"
    hidden = mine[name] <= -1e18
    assert hidden.any()
    mine[name][hidden] = value
    report = compare(reference(), mine)
    assert report.first_divergence is None
    assert {point.name: point.hidden for point in report.points if point.hidden} == {name: int(hidden.sum())}


@pytest.mark.parametrize("value", [-1e4, -65504.0, 0.0, np.nan, np.inf])
def test_numbers_that_do_not_hide(value: float) -> None:
    mine = arrays(in_float32())
    name = "decoder.layers.0.self_attn.masked_scores"
    mine[name][mine[name] <= -1e18] = value
    assert compare(reference(), mine).first_divergence == name


def test_rounding_of_a_hidden_score_is_no_convention() -> None:
    """float32's -1e20 is 2e12 off, and that is no error to speak of; what is further off stays as it is."""
    hides = np.float32(-1e20)
    mine, count = agree_hidden(np.array([-1e20]), np.array([hides]))
    assert (mine.tolist(), count) == ([-1e20], 0)
    off = np.array([np.nextafter(hides, np.float32(0))])
    assert agree_hidden(np.array([-1e20]), off) == (off, 0)
    logits = compare(reference(), in_float32()).points[-2]
    assert logits.name == "logits"
    assert logits.score is not None
    assert 0 < logits.score.max_error < 100 * logits.score.noise.rms
    seen = np.array([1.0, -np.inf])
    left, hidden = agree_hidden(np.array([1.0, 2.0]), seen)
    assert_close(left, seen, HAND)
    assert hidden == 0, "what is seen must not be hidden"


# What cannot be compared.


@pytest.mark.parametrize(
    ("mine", "error", "message"),
    [
        ({}, ValueError, "no point in common"),
        ({"encoder.layers.9.output": np.ones(2)}, ValueError, "no point in common"),
        ({"logits": np.array(["a"])}, TypeError, "'logits' is <U1"),
        ({"logits": np.array([1j])}, TypeError, "'logits' is complex128"),
        ({"logits": np.array([None])}, TypeError, "'logits' is object"),
        (7, TypeError, "what is compared is a int"),
        ("no such file", FileNotFoundError, "no such file"),
    ],
)
def test_what_is_not_comparable(mine: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        compare(reference(), mine)  # type: ignore[arg-type]


def test_traces_of_other_inputs_are_not_comparable() -> None:
    other = dict(INPUTS) | {"decoder_input_ids": [[1, 9, 4, 6], [1, 7, 8, 2]]}
    mine = Trace(arrays(in_float32()), inputs=other)
    with pytest.raises(ValueError, match=re.escape("other inputs: decoder_input_ids is [[1, 9, 4, 5], [1, 7, 8, 2]]")):
        compare(reference(), mine)


def test_dialects_that_differ_are_noted() -> None:
    report = compare(reference(), in_float32(dialect="transformers-4"))
    assert report.notes == ("the dialects differ: the reference is parlai, the other transformers-4",)
    assert report.first_divergence == "encoder.embed.positions", "parlai does not count pads"


def test_noise_that_was_not_measured_is_said() -> None:
    truth = Trace(arrays(reference()), dtype="float64")
    report = compare(truth, in_float32())
    assert not report.noise_measured
    assert all(point.score is not None and not point.score.measured for point in report.points)
    assert "was not measured" in as_text(report)
