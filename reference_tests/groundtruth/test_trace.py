"""Traces: the numbers of the forward pass itself under the right names, in every dtype, in one pass and in steps."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import npblender
from npblender import BlenderbotSmallForCausalLM, BlenderbotSmallModel, Trace, trace
from npblender.config.dialect import DIALECTS, PARLAI, TRANSFORMERS_4, TRANSFORMERS_5, Dialect
from npblender.groundtruth import TraceInputs, diverged, record, score
from npblender.groundtruth.noise.units import unit, worst_limit
from npblender.groundtruth.tracing.evaluate import planned_points
from npblender.groundtruth.tracing.points import (
    catalogue,
    decoder_points,
    encoder_points,
    head_points,
    start_points,
    without_step,
)
from npblender.models.example import example_model
from reference_tests.support.forward_checks import HIDDEN, traced
from reference_tests.support.model_cases import draw_model, ids_of
from reference_tests.support.strategies import seeds
from reference_tests.support.tolerances import TOLERANCES
from reference_tests.support.trace_cases import draw_trace_case
from reference_tests.transformer.test_laws import needs_longdouble

dialects = st.sampled_from(DIALECTS)
IDS = {"input_ids": [[5, 6, 7]], "decoder_input_ids": [[1, 9]]}


@given(seed=seeds(), dialect=dialects)
@settings(max_examples=25)
def test_a_trace_is_what_a_tap_of_the_model_is_called_with(seed: int, dialect: Dialect) -> None:
    drawn = draw_trace_case(np.random.default_rng(seed), dialect, steps=False)
    for dtype in (np.float32, np.float64):
        model = drawn.model(dtype)
        points, _ = traced(model, **drawn.case.arguments)
        found = record(model, drawn.inputs, noise=False)
        assert found.points == tuple(points) == tuple(planned_points(drawn.evaluation(dtype)))
        for name, array in points.items():
            assert found.arrays[name].dtype == array.dtype == dtype
            assert np.array_equal(found.arrays[name], array, equal_nan=True), name
        assert found.dtype == np.dtype(dtype).name


@given(seed=seeds(), dialect=dialects)
@settings(max_examples=10)
def test_a_trace_in_steps_is_what_a_decoding_over_a_cache_tells(seed: int, dialect: Dialect) -> None:
    rng = np.random.default_rng(seed)
    model = draw_model(rng, dialect)
    config, prefill = model.config, int(rng.integers(1, 5))
    ids, target = ids_of(rng, config, 2, 5), ids_of(rng, config, 2, 4)
    mask, target_mask = (ids != config.pad_token_id).astype(int), rng.integers(2, size=(2, 4))
    found = trace(model, ids, mask, target, target_mask, steps=True, prefill=prefill, noise=False)

    expected: dict[str, np.ndarray] = {}

    def under(name: str) -> Any:
        return lambda point, array: expected.__setitem__(name + point, np.array(array))

    encoded = model.encode(ids, attention_mask=mask, tap=under(""))
    cache, past = model.init_cache(2, 4, encoded, tap=under("")), 0
    pieces = [("prefill.", target[:, :prefill])]
    pieces += [(f"step{n}.", target[:, at : at + 1]) for n, at in enumerate(range(prefill, 4), 1)]
    for name, piece in pieces:
        past += piece.shape[1]
        so_far = {"decoder_attention_mask": target_mask[:, :past], "past_key_values": cache}
        cache = model.decode(piece, encoded, mask, **so_far, tap=under(name)).past_key_values
    assert found.points == tuple(expected)
    for name, array in expected.items():
        assert np.array_equal(found.arrays[name], array), name
    assert found.inputs is not None
    assert (found.inputs["steps"], found.inputs["prefill"]) == (True, prefill)


def test_names_and_shapes_are_the_catalogues() -> None:
    model = example_model()
    names = [point.name for point in catalogue(model.config, labels=True)]
    assert list(trace(model, [[5, 6]], labels=[[9, 2]], noise=False).points) == names
    assert list(trace(example_model(BlenderbotSmallModel), **IDS, noise=False).points) == [
        name for name in names if "." in name
    ]
    layers = model.config.decoder_layers
    causal = [point.name for point in (*decoder_points(layers, cross=False), *head_points())]
    assert list(trace(example_model(BlenderbotSmallForCausalLM), [[1, 9]], noise=False).points) == causal
    once = [point.name for point in (*encoder_points(model.config.encoder_layers), *start_points(layers))]
    each = [point.name for point in (*decoder_points(layers), *head_points())]
    in_steps = trace(model, [[5]], decoder_input_ids=[[1, 9, 8]], steps=True, prefill=2, noise=False)
    assert list(in_steps.points) == [*once, *(f"prefill.{n}" for n in each), *(f"step1.{n}" for n in each)]
    assert in_steps.arrays["prefill.decoder.layers.1.self_attn.scores"].shape == (1, 3, 2, 2)
    assert in_steps.arrays["step1.decoder.layers.1.self_attn.scores"].shape == (1, 3, 1, 3)


@given(seed=seeds())
@settings(max_examples=15)
def test_steps_are_the_columns_of_one_pass(seed: int) -> None:
    """What the steps say of their tokens is what one pass says of all: names and numbers fit together.

    Not with a mask of the target, which may hide all keys of a token: its weights are then uniform over as many keys
    as there are, and in one pass there are more.
    """
    drawn = draw_trace_case(np.random.default_rng(seed), steps=True)
    model, tolerance = drawn.model(), TOLERANCES["float64 computed another way"]
    no_mask = {"attention_mask" if drawn.case.kind == "causal" else "decoder_attention_mask": None}
    apart = record(model, replace(drawn.inputs, **no_mask), noise=False).arrays
    whole = record(model, replace(drawn.inputs, **no_mask, steps=False, prefill=1), noise=False).arrays
    steps = sorted({name.partition(".")[0] for name in apart} - {"encoder", "decoder"}, key=lambda s: (len(s), s))
    assert steps[0] == "prefill" or len(steps) > 1
    for name, array in whole.items():
        if name in apart:
            assert np.array_equal(apart[name], array), name
            continue
        point = name.rpartition(".")[2]
        if point in ("scores", "masked_scores", "weights"):
            continue  # their keys grow from step to step
        pieces = [apart[f"{step}.{name}"] for step in ("prefill", *(s for s in steps if s != "prefill"))]
        joined = np.concatenate(pieces, axis=2 if point in ("q", "k", "v") else 1)
        never = array <= HIDDEN
        assert np.array_equal(joined[never], array[never])
        assert (np.abs(joined - array)[~never] <= tolerance.bound(array[~never], np.float64)).all(), name


def magnitude(name: str, arrays: Mapping[str, np.ndarray]) -> float:
    """What an error of a point is judged by: its largest value; of scores, whose terms may cancel, those terms' sum."""
    array = arrays[name]
    largest = float(np.abs(array[array > HIDDEN]).max(initial=0))
    path, _, point = name.rpartition(".")
    if point not in ("scores", "masked_scores"):
        return largest
    keys = f"{without_step(path)}.k"
    every_key = [np.abs(values).max() for other, values in arrays.items() if without_step(other) == keys]
    queries = np.abs(arrays[f"{path}.q"])
    return max(largest, float(queries.max() * max(every_key)) * queries.shape[-1])


@needs_longdouble
@given(seed=seeds(), dialect=dialects)
@settings(max_examples=30)
def test_float64_is_the_truth_at_every_point(seed: int, dialect: Dialect) -> None:
    """Against longdouble, within the required 1e-13 of each point's magnitude."""
    drawn = draw_trace_case(np.random.default_rng(seed), dialect)
    double, wide = (record(drawn.model(dtype), drawn.inputs, noise=False) for dtype in (np.float64, np.longdouble))
    assert (double.dtype, wide.dtype) == ("float64", "longdouble")
    assert double.points == wide.points
    tolerance = TOLERANCES["float64 against longdouble at every point"]
    for name, exact in wide.arrays.items():
        found, never = double.arrays[name], exact <= HIDDEN
        assert exact.dtype == np.longdouble
        assert np.array_equal(found <= HIDDEN, never), name
        bound = tolerance.bound(np.array(magnitude(name, wide.arrays)), np.float64)
        error = np.abs(found[~never] - exact[~never])
        assert (np.isnan(error) | (error <= bound)).all(), name
        assert np.array_equal(np.isnan(found), np.isnan(exact))


@pytest.mark.slow
@given(seed=seeds(), dialect=dialects)
@settings(max_examples=14)
def test_a_float32_trace_is_within_the_noise_of_a_float64_one(seed: int, dialect: Dialect) -> None:
    """At every point, with inputs of every kind, in every dialect: no more than 3 units, and never diverged."""
    drawn = draw_trace_case(np.random.default_rng(seed), dialect)
    truth = record(drawn.model(), drawn.inputs)
    mine = record(drawn.model(np.float32), drawn.inputs, noise=False)
    for name, reference in truth.arrays.items():
        found = score(reference, mine.arrays[name], truth.noise[name])
        assert found.units < 3, name
        assert not diverged(found), name
        assert not diverged(score(mine.arrays[name], reference, truth.noise[name])), name


@given(seed=seeds())
@settings(max_examples=10)
def test_a_disturbance_of_thirty_units_is_found_where_it_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = draw_trace_case(rng)
    truth = record(drawn.model(), drawn.inputs)
    mine = dict(record(drawn.model(np.float32), drawn.inputs, noise=False).arrays)
    finite = [name for name, array in truth.arrays.items() if np.isfinite(array).all()]
    name = finite[int(rng.integers(len(finite)))]
    reference, noise = np.clip(truth.arrays[name], -3e38, 3e38), truth.noise[name]
    disturbed = mine[name].astype(np.float64)
    if rng.random() < 0.5 and worst_limit(noise) < 30:  # one value, or else all of them
        index: Any = tuple(rng.integers(size) for size in reference.shape)
    else:
        index = ...
    disturbed[index] = (reference + 30.1 * rng.choice([-1, 1], reference.shape) * unit(reference, noise))[index]
    mine[name] = disturbed
    wrong = [p for p in truth.points if diverged(score(truth.arrays[p], mine[p], truth.noise[p]))]
    assert wrong == [name]


def test_what_was_run_is_written_down_and_runs_again(tmp_path: Path) -> None:
    """Masks made from ids, targets made from labels: what the model made of its inputs is among the inputs."""
    model = example_model()
    found = trace(model, [[5, 6, 0]], labels=[[9, -100]])
    assert found.inputs == {
        "input_ids": [[5, 6, 0]],
        "attention_mask": [[1, 1, 0]],
        "decoder_input_ids": [[1, 9]],
        "labels": [[9, -100]],
    }
    assert trace(model, [[5, 6, 0]], dialect="transformers-5", noise=False).inputs == {
        "input_ids": [[5, 6, 0]],
        "decoder_input_ids": [[1]],
    }
    found.save(tmp_path / "t")
    again = Trace.load(tmp_path / "t")
    assert again.inputs is not None
    record(model, TraceInputs.from_json(again.inputs)).save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "t").read_bytes()
    assert again.config == model.config.to_dict()
    assert (again.dialect, again.dtype) == ("parlai", "float32")
    assert again.producer == {"npblender": npblender.__version__, "numpy": np.__version__}


@given(seed=seeds())
@settings(max_examples=20)
def test_inputs_survive_json(seed: int) -> None:
    drawn = draw_trace_case(np.random.default_rng(seed))
    first = record(drawn.model(), drawn.inputs, noise=False)
    assert first.inputs is not None
    again = record(drawn.model(), TraceInputs.from_json(first.inputs), noise=False)
    assert again.inputs == first.inputs
    for name, array in first.arrays.items():
        assert np.array_equal(again.arrays[name], array, equal_nan=True), name


def test_points_are_chosen_by_globs() -> None:
    model = example_model()
    for globs, expected in (
        ("encoder.states", ["encoder.states"]),
        (["logits", "encoder.embed.n*"], ["encoder.embed.norm", "logits"]),
        ("decoder.layers.?.ffn.sum", ["decoder.layers.0.ffn.sum", "decoder.layers.1.ffn.sum"]),
        (["*.states", "encoder.states"], ["encoder.states", "decoder.states"]),
    ):
        found = trace(model, **IDS, points=globs)
        assert list(found.points) == list(found.noise) == expected
    in_steps = trace(model, **IDS, points=["logits", "step1.decoder.states"], steps=True, noise=False)
    assert list(in_steps.points) == ["prefill.logits", "step1.decoder.states", "step1.logits"]


def test_dialect_and_dtype_of_the_call_count() -> None:
    model = example_model()
    for dialect in (TRANSFORMERS_4, TRANSFORMERS_5, replace(PARLAI, name="mine", masked_score=-1e4)):
        other = type(model)(model.config, model.weights, dialect=dialect)
        found, expected = trace(model, **IDS, dialect=dialect, noise=False), trace(other, **IDS, noise=False)
        assert all(np.array_equal(found.arrays[name], expected.arrays[name]) for name in expected.points)
        assert found.dialect == expected.dialect
    assert isinstance(found.dialect, dict)
    assert found.dialect["name"] == "mine"
    wide = trace(model, **IDS, dtype="float64", noise=False)
    cast = type(model).from_config(model.config, seed=0, dtype="float64")
    exact = np.array_equal(wide.arrays["logits"], trace(cast, **IDS, noise=False).arrays["logits"])
    assert not exact  # the float32 weights are run in float64, not other weights
    assert wide.arrays["logits"].dtype == np.float64
    assert not np.array_equal(wide.arrays["logits"], wide.arrays["logits"].astype(np.float32))


def test_arrays_are_the_traces_own() -> None:
    """Contiguous copies: no view of a buffer that the pass goes on to use, none of the model's weights."""
    model = example_model()
    found = trace(model, **IDS, noise=False)
    arrays = list(found.arrays.values())
    assert all(array.flags.c_contiguous and array.flags.owndata for array in arrays)
    before = trace(model, **IDS, noise=False).arrays["logits"]
    for array in arrays:
        array[...] = 0
    assert np.array_equal(trace(model, **IDS, noise=False).arrays["logits"], before)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"input_ids": [[5, 99]]}, ValueError, "input_ids hold 99 at"),
        ({"input_ids": [5, 6]}, ValueError, r"one row is \[input_ids\]"),
        ({"input_ids": None}, ValueError, "exactly one of input_ids and inputs_embeds"),
        ({"input_ids": [[5.0]]}, TypeError, "input_ids must be whole numbers"),
        ({"decoder_input_ids": [[1], [1]]}, ValueError, "decoder_input_ids has 2 rows, the source 1"),
        ({"decoder_input_ids": [[1] * 14]}, ValueError, "the model has 13 positions"),
        ({"attention_mask": [[1, 1]]}, ValueError, r"attention_mask must have shape \(1, 3\)"),
        ({"decoder_attention_mask": [[1, 2]]}, ValueError, "decoder_attention_mask holds 2"),
        ({"labels": [[9]]}, ValueError, r"labels have shape \(1, 1\), the target \(1, 2\)"),
        ({"labels": [[9, 2]], "steps": True}, ValueError, "labels make the loss of a whole pass"),
        ({"prefill": 2}, ValueError, "say steps=True, too"),
        ({"steps": True, "prefill": 3}, ValueError, "prefill is 3, but the target has 2 tokens"),
        ({"steps": True, "prefill": 0}, ValueError, "prefill must be at least 1"),
        ({"steps": "yes"}, TypeError, "steps must be True, False or None"),
        ({"noise": 1}, TypeError, "noise must be True, False or None"),
        ({"points": "encoder.state"}, ValueError, "no point is named 'encoder.state'; did you mean 'encoder.states'"),
        ({"points": ["logits", "step1.logits"]}, ValueError, "no point is named 'step1.logits'"),
        ({"points": []}, ValueError, "points is an empty list"),
        ({"points": [3]}, TypeError, "points are named by texts"),
        ({"dtype": "float16"}, ValueError, "dtype 'float16' is not computed in"),
        ({"dialect": "moses"}, ValueError, "unknown dialect 'moses'"),
        ({"head_mask": [[1.0]]}, ValueError, r"head_mask must have shape \(1, 2\)"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        trace(example_model(), **{**IDS, **change})


def test_what_is_no_model_or_no_input_is_refused() -> None:
    with pytest.raises(TypeError, match="trace takes a model of npblender, not dict"):
        trace({}, [[5]])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"TraceInputs.from_json"):
        record(example_model(), {"input_ids": [[5]]})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not a list"):
        TraceInputs.from_json([1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="there is no input 'colour'; inputs are input_ids, attention_mask"):
        TraceInputs.from_json({"colour": 1})
    with pytest.raises(ValueError, match="decoder_input_ids is of a model with an encoder"):
        trace(example_model(BlenderbotSmallForCausalLM), [[5]], decoder_input_ids=[[1]])
    with pytest.raises(TypeError, match="labels need a head"):
        trace(example_model(BlenderbotSmallModel), [[5]], labels=[[1]])
    model = example_model()
    headless = type(model)(model.config.replace(decoder_start_token_id=None), model.weights)
    with pytest.raises(ValueError, match="the config has no start token"):
        trace(headless, [[5]])
    padless = type(model)(model.config.replace(pad_token_id=None), model.weights)
    with pytest.raises(ValueError, match=r"no start token \(and pad\) to make it from"):
        trace(padless, [[5]], labels=[[9]])
