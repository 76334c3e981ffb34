"""A disturbance is found where it is: at any point, of an array or of one value, with or without what follows it."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npblender import compare
from npblender.groundtruth import Trace, trace
from npblender.groundtruth.noise.units import errors_in_units, unit
from reference_tests.support.compared import arrays, in_float32, reference
from reference_tests.support.trace_cases import draw_trace_case

UNITS = 30.0
STEPS = st.booleans()
SIGNS = st.sampled_from([-1.0, 1.0])


def around(truth: Trace, at: int) -> Trace:
    """The points near one, which is enough to see that no other is taken for it, and quick."""
    names = truth.points[max(0, at - 6) : at + 7]
    return Trace({n: truth.arrays[n] for n in names}, {n: truth.noise[n] for n in names}, dtype=truth.dtype)


def disturbed(truth: Trace, name: str, array: np.ndarray, sign: float, draw: Any, single: bool) -> np.ndarray:
    """The array with `UNITS` units more, everywhere or at a place that is drawn."""
    step = sign * UNITS * unit(truth.arrays[name], truth.noise[name])
    wide = np.asarray(array, np.float64).copy()
    if not single:
        return wide + step
    place = np.unravel_index(draw(st.integers(0, wide.size - 1), label="place"), wide.shape)
    wide[place] += step[place]
    return wide


@given(st.data(), STEPS, st.booleans(), st.booleans(), SIGNS)
@settings(max_examples=80)
def test_thirty_units_anywhere_are_found_there(
    data: st.DataObject, steps: bool, single: bool, later: bool, sign: float
) -> None:
    whole = data.draw(st.integers(0, len(reference(steps).points) - 1), label="point")
    truth = around(reference(steps), whole)
    names = truth.points
    at = names.index(reference(steps).points[whole])
    mine = arrays(truth)
    for name in names[at:] if later else [names[at]]:
        mine[name] = disturbed(truth, name, truth.arrays[name], sign, data.draw, single)
    report = compare(truth, mine)
    assert report.first_divergence == names[at]
    expected = names[at:] if later else names[at : at + 1]
    assert tuple(point.name for point in report.diverged) == tuple(expected)
    assert report.first is not None
    assert report.first.score is not None
    assert abs(report.first.score.worst - UNITS) < 0.01


@pytest.mark.slow
@given(st.data(), STEPS, st.booleans(), st.booleans())
@settings(max_examples=60)
def test_and_in_a_float32_port(data: st.DataObject, steps: bool, single: bool, later: bool) -> None:
    """On top of float32's own noise, away from the truth."""
    whole = data.draw(st.integers(0, len(reference(steps).points) - 1), label="point")
    truth = around(reference(steps), whole)
    names = truth.points
    at = names.index(reference(steps).points[whole])
    mine = {name: in_float32(steps).arrays[name].copy() for name in names}
    for name in names[at:] if later else [names[at]]:
        own = np.asarray(mine[name], np.float64) - np.asarray(truth.arrays[name], np.float64)
        away = np.where(own < 0, -1.0, 1.0)
        step = disturbed(truth, name, np.zeros(mine[name].shape), 1.0, data.draw, single)
        mine[name] = mine[name] + away * step
    assert compare(truth, mine).first_divergence == names[at]


@given(st.data(), STEPS)
@settings(max_examples=40)
def test_single_nan_is_found(data: st.DataObject, steps: bool) -> None:
    at = data.draw(st.integers(0, len(reference(steps).points) - 1), label="point")
    truth, name = around(reference(steps), at), reference(steps).points[at]
    mine = {name: in_float32(steps).arrays[name].copy() for name in truth.points}
    mine[name].flat[data.draw(st.integers(0, mine[name].size - 1), label="place")] = np.nan
    assert compare(truth, mine).first_divergence == name


@given(st.data(), STEPS, SIGNS)
@settings(max_examples=5)
def test_one_unit_is_never_a_divergence(data: st.DataObject, steps: bool, sign: float) -> None:
    """What is within one unit everywhere agrees, and so does a comparison of the truth with itself."""
    truth = reference(steps)
    part = data.draw(st.floats(0, 1), label="units")
    mine = {
        name: np.asarray(array, np.float64) + sign * part * unit(array, truth.noise[name])
        for name, array in truth.arrays.items()
    }
    report = compare(truth, mine)
    assert report.first_divergence is None
    assert all(point.score is not None and point.score.units <= part + 1e-6 for point in report.points)


@cache
def drawn(seed: int) -> tuple[Trace, Trace]:
    """A random run of a random model in a random dialect: the truth, and the same in float32."""
    from npblender.groundtruth import record

    case = draw_trace_case(np.random.default_rng(seed))
    model = case.model(np.float32)
    return record(model, case.inputs, dtype="float64"), record(model, case.inputs, dtype="float32", noise=False)


@pytest.mark.slow
@given(st.data(), st.integers(0, 11), st.booleans())
@settings(max_examples=16)
def test_in_random_models(data: st.DataObject, seed: int, single: bool) -> None:
    """Odd sizes, each kind of model and each dialect: nothing found in a float32 run, and everything planted."""
    truth, _ = drawn(seed)
    name = data.draw(st.sampled_from(truth.points), label="point")
    mine = arrays(truth)
    if mine[name].size == 0:
        return
    finite = np.isfinite(mine[name])
    mine[name] = np.where(finite, disturbed(truth, name, truth.arrays[name], 1.0, data.draw, single), mine[name])
    small = around(truth, truth.points.index(name))
    changed = errors_in_units(truth.arrays[name], mine[name], truth.noise[name]).max(initial=0.0) > 1
    near = {each: mine[each] for each in small.points}
    assert compare(small, near).first_divergence == (name if changed else None)


@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_found_in_random_models(seed: int) -> None:
    truth, port = drawn(seed)
    assert compare(truth, port).diverged == ()


def test_the_trace_of_a_model_with_other_weights_diverges_at_once() -> None:
    from npblender.models.example import example_model

    model = example_model()
    other = type(model).from_config(model.config, seed=1)
    inputs = {"input_ids": [[5, 6, 7]], "decoder_input_ids": [[1, 9]]}
    report = compare(trace(model, **inputs, dtype="float64"), trace(other, **inputs, noise=False))
    assert report.first_divergence == report.points[0].name
    assert report.first is not None
    assert report.first.is_bug
