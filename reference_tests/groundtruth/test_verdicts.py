"""Three verdicts and a fourth: within noise, borderline, diverged, incomplete; and the commands that decide more."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npblender import compare
from npblender.groundtruth import Noise, Trace, TraceInputs, compare_refed, record, refed, score
from npblender.groundtruth.comparison.commands import trace_command
from npblender.groundtruth.comparison.runs import compare_runs
from npblender.groundtruth.comparison.text_report import as_text
from npblender.groundtruth.noise.units import judge, unit
from npblender.models.example import example_model
from reference_tests.support.cli_runs import one_error, run_cli
from reference_tests.support.compared import arrays, in_float32, reference

NAME = "encoder.layers.0.ffn.output"


def off_by(units: float, **changes: Any) -> dict[str, np.ndarray]:
    mine = arrays(reference())
    mine[NAME] = mine[NAME] + units * reference().noise[NAME].rms
    return {**mine, **changes}


@pytest.mark.parametrize(
    ("units", "verdict", "code"), [(4.0, "within noise", 0), (6.0, "borderline", 3), (11.0, "diverged", 1)]
)
def test_the_verdict_follows_from_the_units(units: float, verdict: str, code: int) -> None:
    report = compare(reference(), off_by(units))
    assert (report.verdict, report.exit_code) == (verdict, code)
    assert as_text(report).startswith(verdict.upper())
    total = len(reference().points)
    assert f"{total} of {total} points compared" in as_text(report).splitlines()[0]


def test_one_value_is_borderline_before_it_diverges() -> None:
    noise = Noise(1.0, 2.0)  # a limit of 10 units
    for error, expected in ((6.0, "within noise"), (7.0, "borderline"), (10.5, "diverged")):
        values = np.zeros(100)
        values[3] = error
        assert judge(score(np.zeros(100), values, noise)) == expected


def test_a_borderline_point_names_what_decides() -> None:
    text = as_text(compare(reference(), off_by(6.0)))
    assert "as far as a plain float32 loop may be; look here only if a later point diverges" in text
    assert "--refed --out CASES.safetensors; npblender compare --refed CASES.safetensors ANSWERS" in text


def test_a_borderline_point_before_a_divergence_is_said() -> None:
    mine = off_by(6.0)
    mine["decoder.states"] = mine["decoder.states"] + 1
    report = compare(reference(), mine)
    assert report.first_divergence == "decoder.states"
    assert [point.name for point in report.borderline] == [NAME]
    assert "or here, since a later point diverges" in as_text(report)


def test_alone_an_operation_is_never_borderline() -> None:
    cases = refed(example_model(), TraceInputs([[5, 6, 7]]))
    for units, expected in ((4.0, "within noise"), (6.0, "diverged")):
        answers = dict(cases.outputs)
        answers[NAME] = answers[NAME] + units * unit(answers[NAME], cases.noise[NAME])
        assert compare_refed(cases, answers).verdict == expected


# How much was compared.


def test_few_points_are_not_enough() -> None:
    one = {"encoder.states": in_float32().arrays["encoder.states"]}
    report = compare(reference(), one)
    assert (report.verdict, report.exit_code) == ("incomplete", 2)
    total = len(reference().points)
    assert as_text(report).startswith(f"INCOMPLETE: 1 of {total} points compared")
    assert compare(reference(), one, require="encoder.states").verdict == "within noise"
    assert compare(reference(), one, require=["encoder.states", "logits"]).lacking == ("logits",)
    with pytest.raises(ValueError, match=r"no point is named 'encoder\.state'"):
        compare(reference(), one, require="encoder.state")


def test_misspelt_names_are_not_within_noise() -> None:
    mine = {f"{name}x" if n > 4 else name: array for n, (name, array) in enumerate(in_float32().arrays.items())}
    assert compare(reference(), mine).verdict == "incomplete"


def test_all_may_be_required() -> None:
    mine = arrays(in_float32())
    del mine["logits"]
    assert compare(reference(), mine).verdict == "within noise"
    assert compare(reference(), mine, require="all").lacking == ("logits",)
    mine["encoder.states"] = mine["encoder.states"] + 1
    assert compare(reference(), mine, require="all").verdict == "diverged", "a divergence is one, whatever lacks"


def test_the_command_line_says_the_same(tmp_path: Path) -> None:
    reference().save(tmp_path / "ref")
    in_float32().save(tmp_path / "mine")
    one = {"encoder.states": in_float32().arrays["encoder.states"]}
    Trace(one).save(tmp_path / "one")
    assert run_cli("compare", tmp_path / "ref", tmp_path / "mine", "--require", "all").code == 0
    assert run_cli("compare", tmp_path / "ref", tmp_path / "one").code == 2
    assert run_cli("compare", tmp_path / "ref", tmp_path / "one", "--require", "encoder.states").code == 0
    Trace(off_by(6.0)).save(tmp_path / "edge")
    assert run_cli("compare", tmp_path / "ref", tmp_path / "edge").code == 3


# What neither has.


def test_what_a_thin_reference_hides_is_said_with_the_command_that_shows_it(tmp_path: Path) -> None:
    inputs = TraceInputs([[5, 6, 7]], decoder_input_ids=[[1, 9]])
    thin = record(example_model(), inputs, points=["encoder.embed.output", "encoder.states", "logits"], dtype="float64")
    mine = {name: array + (1 if name != "encoder.embed.output" else 0) for name, array in thin.arrays.items()}
    report = compare(thin, mine)
    assert report.first_divergence == "encoder.states"
    assert report.thin[0] == "encoder.layers.0.self_attn.q"
    assert report.thin[-1].startswith("encoder.layers.")
    line = next(line for line in as_text(report).splitlines() if "shown by" in line)
    command = shlex.split(line.partition("shown by: ")[2])
    assert command[:6] == ["npblender", "trace", "--input-ids", "5,6,7", "--decoder-input-ids", "1,9"]
    example_model().save_pretrained(tmp_path / "model")
    words = [tmp_path / "more" if word == "MORE.safetensors" else word for word in command[1:]]
    assert run_cli(*words, "--model", tmp_path / "model").code == 0
    assert set(report.thin) <= set(Trace.load(tmp_path / "more").points)


def test_a_whole_reference_hides_nothing() -> None:
    mine = arrays(in_float32())
    mine["logits"] = mine["logits"] + 1
    assert compare(reference(), mine).thin == ()


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"input_ids": [[5]], "steps": True, "prefill": 2}, "npblender trace --input-ids 5 --steps --prefill 2"),
        ({"input_ids": [[5, 0]], "attention_mask": [[1, 0]]}, "npblender trace --inputs INPUTS.json"),
        ({"input_ids": [[5]], "head_mask": [[1.0]]}, "npblender trace --inputs INPUTS.json"),
        (None, "npblender trace --inputs INPUTS.json"),
    ],
)
def test_the_command_runs_the_same_inputs(inputs: dict[str, Any] | None, words: str) -> None:
    assert trace_command(inputs) == words


# Two runs of one port.


def test_two_runs_that_differ_are_a_race(tmp_path: Path) -> None:
    first, second = arrays(in_float32()), arrays(in_float32())
    assert compare_runs(Trace(first), Trace(second)).exit_code == 0
    second["encoder.layers.0.ffn.hidden"][0, 0, 0] = np.nextafter(second["encoder.layers.0.ffn.hidden"][0, 0, 0], 9)
    second["logits"][0, 0] += 1
    found = compare_runs(Trace(first), Trace(second))
    assert [name for name, *_ in found.differing] == ["encoder.layers.0.ffn.hidden", "logits"]
    assert found.differing[0][1] == 1
    for name, given in (("a", first), ("b", second)):
        Trace(given).save(tmp_path / name)
    result = run_cli("compare", "--runs", tmp_path / "a", tmp_path / "b")
    assert result.code == 1
    assert result.lines[0].startswith("NOT THE SAME from encoder.layers.0.ffn.hidden on: 2 of ")
    assert run_cli("compare", "--runs", tmp_path / "a", tmp_path / "a").code == 0
    assert "leave out --refed" in one_error(run_cli("compare", "--runs", tmp_path / "a", tmp_path / "b", "--refed"))


def test_zero_and_nan_of_two_runs() -> None:
    one = Trace({"x": np.array([np.nan, 0.0, 1.0])})
    assert compare_runs(one, Trace({"x": np.array([np.nan, 0.0, 1.0])})).exit_code == 0
    assert compare_runs(one, Trace({"x": np.array([np.nan, -0.0, 1.0])})).differing == (("x", 1, 3),)
    assert compare_runs(one, Trace({"x": np.ones((3, 1))})).differing == (("x", 3, 3),)
    assert compare_runs(one, Trace({"y": np.ones(3)})).exit_code == 1
    assert compare_runs(Trace({}), Trace({})).exit_code == 2
