"""Re-fed cases: what is listed is what the model does, a port can answer from the file alone, and errors stay apart."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npblender.groundtruth import Refed, TraceInputs, compare, compare_refed, record, refed
from npblender.groundtruth.noise.plain_loops import Loops
from npblender.groundtruth.noise.units import Noise, unit
from npblender.groundtruth.single_ops.compute import compute
from npblender.groundtruth.tracing.tensor_file import read_tensors, write_tensors
from npblender.groundtruth.tracing.trace_file import Trace
from npblender.models.example import example_model
from npblender.transformer.parameters import from_arrays, to_arrays
from reference_tests.support.cli_runs import one_error, run_cli
from reference_tests.support.compared import INPUTS
from reference_tests.support.trace_cases import draw_trace_case

Array = np.ndarray[Any, Any]
SEEDS = range(16)
SLOW_DIALECTS = [pytest.param(name, marks=pytest.mark.slow) for name in ("transformers-4", "transformers-5")]


@cache
def drawn(seed: int) -> tuple[Refed, Trace, dict[str, Array]]:
    """Cases of a random run, its trace, and the model's parameters."""
    case = draw_trace_case(np.random.default_rng(seed))
    model = case.model(np.float32)
    return refed(model, case.inputs), record(model, case.inputs, dtype="float64"), to_arrays(model.weights)


@cache
def example(steps: bool = True) -> Refed:
    return refed(example_model(), TraceInputs(**INPUTS, steps=steps, prefill=2 if steps else 1))


# What is listed is what the model does.


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_every_output_is_the_recorded_point(seed: int) -> None:
    """Computed anew from its listed inputs, rounded to float32, each output is the point that the run recorded."""
    cases, truth, _ = drawn(seed)
    names = [case.name for case in cases.cases]
    assert len(set(names)) == len(names)
    assert [name for name in truth.points if name in cases.outputs] == names, "in causal order, and points all of them"
    kept = {name: truth.arrays[name] for name in names}
    report = compare(Trace(kept, {name: truth.noise[name] for name in names}, dtype="float64"), cases.outputs)
    assert report.diverged == ()


@pytest.mark.parametrize("dialect", ["parlai", *SLOW_DIALECTS])
@pytest.mark.parametrize("steps", [False, True])
def test_every_output_is_the_recorded_point_in_every_dialect(dialect: str, steps: bool) -> None:
    """The example model scales its embeddings, which one dialect does not do in the decoder, and has pads."""
    inputs = TraceInputs(**INPUTS, attention_mask=[[1, 1, 1, 1, 0], [1] * 5], steps=steps)
    cases = refed(example_model(), inputs, dialect=dialect)
    truth = record(example_model(), inputs, dtype="float64", dialect=dialect)
    kept = {name: truth.arrays[name] for name in cases.outputs}
    noise = {name: truth.noise[name] for name in cases.outputs}
    assert compare(Trace(kept, noise, dtype="float64"), cases.outputs).diverged == ()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_point_without_a_case_hands_on_another(seed: int) -> None:
    """Nothing that is computed is left out: what no case gives is the same array as a point before it."""
    cases, truth, _ = drawn(seed)
    for place, name in enumerate(truth.points):
        before = truth.points[:place]
        if name in cases.outputs or name in ("encoder.embed.scaled", "decoder.embed.scaled"):
            continue  # given embeddings are not scaled
        if name.endswith("decoder.embed.scaled"):
            continue
        same = [each for each in before if np.array_equal(truth.arrays[each], truth.arrays[name], equal_nan=True)]
        assert same, f"{name} is computed, and no case"


@pytest.mark.parametrize("seed", SEEDS)
def test_inputs_are_what_was_recorded(seed: int) -> None:
    cases, truth, parameters = drawn(seed)
    needed = {name for case in cases.cases for names in case.inputs.values() for name in names}
    assert needed == set(cases.given), "no more and no less than the cases need"
    for name, array in cases.given.items():
        if name in truth.arrays:
            largest = np.finfo(np.float32).max
            rounded = truth.arrays[name].clip(-largest, largest).astype(np.float32)
            np.testing.assert_array_equal(array, rounded)
        else:
            assert name.endswith(("_ids", "mask", "labels"))
    for case in cases.cases:
        assert set(case.parameters.values()) <= set(parameters)


# A port that knows the file and the checkpoint, and nothing of npblender.


def erf_gelu(x: float) -> float:
    return 0.5 * x * (1 + math.erf(x / math.sqrt(2)))


ELEMENTWISE = {
    "gelu": erf_gelu,
    "relu": lambda x: max(x, 0.0),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "swish": lambda x: x / (1 + math.exp(-x)),
    "gelu_new": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
}


def answer(entry: dict[str, Any], file: dict[str, Array], parameters: dict[str, Array]) -> Array:
    """One case by textbook formulas in float32, from the file's tensors and what its metadata say."""
    op, settings_ = entry["op"], entry["settings"]
    x: dict[str, Array] = {}
    for role, names in entry["inputs"].items():
        x[role] = (
            np.concatenate([file[f"given.{name}"] for name in names], axis=2)
            if len(names) > 1
            else file[f"given.{names[0]}"]
        )
    w = {role: parameters[name].astype(np.float32) for role, name in entry["parameters"].items()}
    if op in ELEMENTWISE:
        return np.vectorize(ELEMENTWISE[op], otypes=[np.float32])(x["x"])
    if op in ("linear", "logits"):
        y = np.einsum("bti,oi->bto", x["x"], w["weight"]) + (w["bias"].reshape(-1) if "bias" in w else 0)
        if "start_token" in settings_:
            y[..., settings_["start_token"]] = settings_["start_logit"]
        if "heads" in settings_:
            y = np.stack(np.split(y, settings_["heads"], axis=-1), axis=1)
        return (y / np.float32(settings_.get("divide_by", 1))).astype(np.float32)
    if op == "layer_norm":
        centred = x["x"] - x["x"].mean(-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(settings_["eps"]))
        return centred / deviation * w["weight"] + w["bias"]
    if op in ("softmax", "log_softmax"):
        shifted = x["x"] - x["x"].max(-1, keepdims=True)
        if op == "log_softmax":
            return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
        weights = np.exp(shifted) / np.exp(shifted).sum(-1, keepdims=True)
        return weights * x["head_mask"].reshape(1, -1, 1, 1) if "head_mask" in x else weights
    if op == "cross_entropy":
        rows, labels = x["x"].reshape(-1, x["x"].shape[-1]).astype(np.float64), x["labels"].ravel()
        kept = [(row, label) for row, label in zip(rows, labels, strict=True) if label != -100]
        losses = [row.max() + math.log(sum(np.exp(row - row.max()))) - row[label] for row, label in kept]
        return np.float32(sum(losses) / len(losses) if losses else np.nan)
    by_op = {
        "embed": lambda: w["table"][x["ids"]],
        "scale": lambda: x["x"] * np.float32(settings_["factor"]),
        "add": lambda: x["a"] + x["b"],
        "zero_pads": lambda: np.where(x["mask"][..., None], x["x"], 0),
        "scores": lambda: np.einsum("bhtk,bhlk->bhtl", x["q"], x["k"]),
        "mask": lambda: np.where(x["mask"], x["x"], np.float32(settings_["value"])),
        "context": lambda: np.concatenate([x["weights"][:, h] @ x["v"][:, h] for h in range(x["v"].shape[1])], axis=-1),
    }
    return by_op[op]()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_port_answers_from_the_file_alone(seed: int, tmp_path: Path) -> None:
    cases, _, parameters = drawn(seed)
    cases.save(tmp_path / "cases")
    file, metadata = read_tensors(tmp_path / "cases")
    entries = json.loads(metadata["cases"])
    answers = {entry["name"]: answer(entry, file, parameters) for entry in entries}
    assert {array.dtype for array in answers.values()} <= {np.dtype("float32"), np.dtype("float64")}
    report = compare_refed(tmp_path / "cases", answers)
    assert report.diverged == report.missing == report.surplus == ()
    units = [point.score.units for point in report.points if point.score is not None]
    assert max(units) < 4, "an answer in float32 is as good as float32 gets"
    assert report.reference.source == str(tmp_path / "cases")


def test_all_operations_occur() -> None:
    found = {case.op for seed in SEEDS for case in drawn(seed)[0].cases}
    assert found >= {
        *("linear", "layer_norm", "softmax", "scores", "context", "embed", "logits", "mask", "add", "scale")
    }
    assert found >= {*("zero_pads", "log_softmax", "cross_entropy", "gelu")}
    every = [case for seed in SEEDS for case in drawn(seed)[0].cases]
    assert any("head_mask" in case.inputs for case in every)
    assert any(len(names) > 2 for case in every for names in case.inputs.values()), "keys of several steps"


# Errors stay apart.


@given(st.data(), st.booleans(), st.sampled_from([-1.0, 1.0]))
@settings(max_examples=60)
def test_thirty_units_are_found_in_that_operation_alone(data: st.DataObject, single: bool, sign: float) -> None:
    whole = example()
    at = data.draw(st.integers(0, len(whole.cases) - 1), label="case")
    near = whole.cases[max(0, at - 5) : at + 6]
    outputs = {case.name: whole.outputs[case.name] for case in near}
    cases = Refed(near, whole.given, outputs, {name: whole.noise[name] for name in outputs}, whole.about)
    name = whole.cases[at].name
    answers = {each: array.copy() for each, array in cases.outputs.items()}
    step = sign * 30 * unit(answers[name], whole.noise[name])
    place: Any = ...
    if single:
        place = np.unravel_index(data.draw(st.integers(0, step.size - 1), label="place"), step.shape)
    answers[name][place] += step[place]
    report = compare_refed(cases, answers)
    assert [(point.name, point.op) for point in report.diverged] == [(name, whole.cases[at].op)]


@pytest.mark.slow
def test_every_divergence_is_remarked_upon() -> None:
    """Each operation stands for itself, so facts are reported about each, unlike those after a first divergence."""
    cases = example(steps=False)
    answers = {name: 2 * array for name, array in cases.outputs.items() if array.any()}
    report = compare_refed(cases, answers)
    assert len(report.diverged) == len(answers)
    scaled = [point for point in report.diverged if point.remarks[:1] == ("it would agree times 0.5",)]
    assert len(scaled) > 0.9 * len(answers), "but where hidden scores or a start logit are doubled, too"
    assert report.refed


def test_the_noise_is_that_of_one_operation() -> None:
    """Less than what a whole run carries along, and none where nothing is rounded."""
    cases = example(steps=False)
    truth = record(example_model(), TraceInputs(**INPUTS), dtype="float64")
    late = [name for name in cases.outputs if name.startswith("decoder.layers.1.")]
    ratios = [cases.noise[name].rms / truth.noise[name].rms for name in late if truth.noise[name].rms]
    assert np.median(ratios) < 0.7
    for case in cases.cases:
        if case.op in ("embed", "zero_pads", "mask"):
            assert cases.noise[case.name].max == 0
        elif case.op in ("linear", "scores", "layer_norm", "gelu", "softmax", "context"):
            assert cases.noise[case.name].rms > 0


def test_every_value_has_the_noise_of_its_own_sum() -> None:
    """A fault in a small row shows beside a row of large weights, whose noise is a million times as large."""
    model = example_model()
    arrays = {name: array.copy() for name, array in to_arrays(model.weights).items()}
    arrays["encoder.layers.0.fc1.weight"][0] *= 1e6
    model = type(model)(model.config, from_arrays(model.config, arrays), dialect=model.dialect)
    cases = refed(model, TraceInputs(**INPUTS))
    name = "encoder.layers.0.ffn.hidden"
    each = cases.noise[name].each
    assert each is not None
    assert each.shape == cases.outputs[name].shape
    assert each[..., 0].mean() > 1e5 * each[..., 1:].mean()
    answers = dict(cases.outputs)
    x, weight = cases.given["encoder.layers.0.self_attn.norm"], arrays["encoder.layers.0.fc1.weight"]
    wrong = answers[name].copy()
    wrong[..., 3] -= x[..., -1] * weight[3, -1]  # its last term left out
    report = compare_refed(cases, answers | {name: wrong})
    assert report.first_divergence == name
    first = report.first
    assert first is not None
    assert "wrong only at F = 3" in " ".join(first.remarks)
    scalar = replace(cases, noise=cases.noise | {name: Noise(cases.noise[name].rms, cases.noise[name].max)})
    assert compare_refed(scalar, answers | {name: wrong}).verdict == "within noise", "one number for all hides it"


@pytest.mark.parametrize("loops", [Loops(3), Loops(5, fused=True), Loops(7), Loops(32)])
@pytest.mark.parametrize("seed", range(6))
def test_other_correct_loops_are_within_noise(loops: Loops, seed: int) -> None:
    """With numbers of accumulators over which no noise was measured."""
    cases, _, parameters = drawn(seed)
    answers = {}
    for case in cases.cases:
        named = {role: parameters[each].astype(np.float32) for role, each in case.parameters.items()}
        with np.errstate(all="ignore"):
            answers[case.name] = compute(case, cases.inputs_of(case), named, loops)
    assert compare_refed(cases, answers).verdict == "within noise"


# The file.


def test_a_file_of_the_first_version_is_read(tmp_path: Path) -> None:
    """It has one noise for all values of an operation."""
    example().save(tmp_path / "cases")
    arrays, metadata = read_tensors(tmp_path / "cases")
    old = {name: {"rms": each["rms"], "max": each["max"]} for name, each in json.loads(metadata["noise"]).items()}
    kept = {name: array for name, array in arrays.items() if not name.startswith("noise.")}
    write_tensors(tmp_path / "old", kept, metadata | {"version": "1", "noise": json.dumps(old)})
    loaded = Refed.load(tmp_path / "old")
    assert all(each.each is None and each.spread is None for each in loaded.noise.values())
    assert compare_refed(tmp_path / "old", dict(loaded.outputs)).verdict == "within noise"


def test_the_file_holds_everything_and_is_the_same_each_time(tmp_path: Path) -> None:
    cases = example()
    cases.save(tmp_path / "a")
    again = refed(example_model(), TraceInputs(**INPUTS, steps=True, prefill=2))
    again.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    loaded = Refed.load(tmp_path / "a")
    assert loaded.cases == cases.cases
    assert (loaded.noise, loaded.about) == (cases.noise, cases.about)
    for name, noise in cases.noise.items():
        np.testing.assert_array_equal(loaded.noise[name].each, noise.each)
    for mine, other in ((loaded.given, cases.given), (loaded.outputs, cases.outputs)):
        assert {name: (array.dtype, array.tolist()) for name, array in mine.items()} == {
            name: (array.dtype, array.tolist()) for name, array in other.items()
        }
    inputs = TraceInputs.from_json(loaded.about["inputs"])
    assert (inputs.steps, inputs.prefill) == (True, 2)
    assert {"dialect", "config", "inputs", "producer"} == set(loaded.about)


@pytest.mark.parametrize("key", ["cases", "noise"])
@pytest.mark.parametrize("value", ["[", "[3]", "{}", '[{"name": "logits"}]', '{"logits": {"rms": 1}}', "null"])
def test_damaged_metadata_are_said(tmp_path: Path, key: str, value: str) -> None:
    example().save(tmp_path / "cases")
    arrays, metadata = read_tensors(tmp_path / "cases")
    write_tensors(tmp_path / "damaged", arrays, metadata | {key: value})
    with pytest.raises(ValueError, match="damaged: its metadata do not describe its tensors"):
        Refed.load(tmp_path / "damaged")


def test_what_is_no_file_of_cases(tmp_path: Path) -> None:
    record(example_model(), TraceInputs(**INPUTS), noise=False).save(tmp_path / "trace")
    with pytest.raises(ValueError, match="holds no re-fed cases"):
        compare_refed(tmp_path / "trace", {})
    with pytest.raises(TypeError, match="the reference is a dict"):
        compare_refed({}, {})  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match="there is no file"):
        compare_refed(tmp_path / "nothing", {})
    with pytest.raises(ValueError, match="no point in common"):
        compare_refed(example(), {"x": np.zeros(1)})
    example().save(tmp_path / "cases")
    with pytest.raises(ValueError, match="holds re-fed cases"):
        compare(tmp_path / "cases", {"logits": np.zeros(1)})


def test_the_command_line_writes_them(tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "cases"
    given_ = ("--model", tiny_folder, "--input-ids", "5,6,7", "--decoder-input-ids", "1,9,8")
    written = run_cli("trace", *given_, "--steps", "--prefill", "2", "--refed", "--out", out)
    assert written.code == 0, written.err
    cases = Refed.load(out)
    assert written.out == f"{out}: {len(cases.cases)} operations, dialect {cases.about['dialect']}\n"
    assert cases.about["inputs"]["input_ids"] == [[5, 6, 7]]
    assert "step1.logits" in cases.outputs
    for option in (("--table",), ("--no-noise",), ("--points", "logits"), ("--dtype", "float64")):
        message = one_error(run_cli("trace", *given_, "--refed", "--out", out, *option))
        assert f"leave out {option[0]}" in message
    assert "it needs --out FILE" in one_error(run_cli("trace", *given_, "--refed"))
