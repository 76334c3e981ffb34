"""What packs hold as truth: definitions against hand-solved cases and against one another, filters, retraced steps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from npblender.groundtruth.packs.sections import filters, scalars
from npblender.groundtruth.packs.sections.tensors import OPERATIONS
from npblender.groundtruth.packs.tiny import TINY_CONFIG
from npblender.groundtruth.packs.truth import filters as slow_filters
from npblender.groundtruth.packs.truth import operations
from npblender.groundtruth.packs.truth.arithmetic import LIBM, best, by_name
from npblender.groundtruth.packs.truth.search_steps import retrace_beams, retrace_parlai_beams, retrace_rows
from reference_tests.oracles import operations as naive

EXACT = best()
FLOATS = st.floats(-40, 40)


def test_mpmath_is_used_where_it_is_installed() -> None:
    assert EXACT.name.startswith("mpmath")
    assert by_name(EXACT.name) is not None
    assert by_name("npblender") is None


def near(a: float, b: float, bound: float = scalars.AGREE) -> bool:
    return a == b or abs(a - b) <= max(bound * abs(b), 1e-280)


@pytest.mark.parametrize("name", operations.SCALARS)
@given(x=FLOATS)
def test_definitions_agree_in_both_arithmetics(name: str, x: float) -> None:
    assert near(operations.scalar(LIBM, name, x), operations.scalar(EXACT, name, x))


@pytest.mark.parametrize("name", operations.SCALARS)
@given(x=FLOATS)
def test_definitions_are_those_of_the_slow_oracle(name: str, x: float) -> None:
    mp.dps = naive.DIGITS
    assert operations.scalar(EXACT, name, x) == float(naive.ELEMENTWISE[name](mpf(x)))


def test_definitions_by_hand() -> None:
    row = [0.0, math.log(3.0)]
    assert operations.softmax(LIBM, row) == [0.25, 0.75]
    assert operations.layer_norm(LIBM, [1.0, 3.0], [1.0, 10.0], [0.0, 5.0], 0.0) == [-1.0, 15.0]
    assert operations.linear(LIBM, [1.0, 2.0], [[3.0, 4.0], [5.0, 6.0]], [0.0, 0.5]) == [11.0, 17.5]
    assert operations.embed([1, 0], [[7.0], [8.0]]) == [[8.0], [7.0]]
    loss = operations.cross_entropy(LIBM, [[0.0, math.log(3.0)], [5.0, 5.0]], [1, -100])
    assert near(loss, math.log(4 / 3), 1e-15)
    assert operations.log_softmax(LIBM, [-math.inf, 0.0]) == [-math.inf, 0.0]


@pytest.mark.parametrize(
    ("name", "at_minus_infinity", "at_infinity"),
    [("erf", -1, 1), ("gelu", -0.0, math.inf), ("silu", -0.0, math.inf), ("relu", 0.0, math.inf)],
)
def test_special_values(name: str, at_minus_infinity: float, at_infinity: float) -> None:
    value = operations.scalar(LIBM, name, -math.inf)
    assert (value, math.copysign(1, value)) == (at_minus_infinity, math.copysign(1, at_minus_infinity))
    assert operations.scalar(LIBM, name, math.inf) == at_infinity
    assert math.isnan(operations.scalar(LIBM, name, math.nan))
    assert math.copysign(1, operations.scalar(LIBM, name, -0.0)) == (1 if name == "relu" else -1)


def test_truths_that_disagree_are_not_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scalars.ops, "gelu", scalars.ops.gelu_new)
    with pytest.raises(ValueError, match=r"gelu\(.* by npblender"):
        list(scalars.make(0, EXACT))


def test_every_operation_has_its_definition() -> None:
    assert set(OPERATIONS) == {*("softmax", "log_softmax", "layer_norm", "linear", "embed", "cross_entropy", "argmax")}


FILTERED: list[tuple[str, list[float], list[int], dict[str, Any], list[float]]] = [
    ("min_length", [1, 2, 3], [1, 0], {"shortest": 3, "eos": [2]}, [1, 2, -math.inf]),
    ("forced_eos", [1, 2, 3], [1, 0], {"longest": 3, "tokens": [2]}, [-math.inf, -math.inf, 0]),
    ("repetition_penalty", [1, -2, 3], [0, 1], {"penalty": 2.0}, [0.5, -4, 3]),
    ("no_repeat_ngram", [0, 0, 0, 0], [3, 1, 2, 3], {"size": 2}, [0, -math.inf, 0, 0]),
    ("no_repeat_ngram", [0, 0, 0], [1, 2], {"size": 1}, [0, -math.inf, -math.inf]),
    ("bad_words", [0, 0, 0], [1, 2], {"phrases": [[2, 0], [1, 1]]}, [-math.inf, 0, 0]),
    ("sequence_bias", [0, 0, 0], [1, 2], {"biases": [[[2, 0], 5.0], [[1], -1.0]]}, [5, -1, 0]),
    ("exponential_decay", [1, -2], [1, 0, 0], {"start": 1, "factor": 2.0, "eos": [1]}, [1, 4]),
    ("allowed_tokens", [1, 2, 3], [1], {"allowed": [0, 1]}, [1, 2, -math.inf]),
    ("top_k", [1, 3, 2], [1], {"k": 2}, [-math.inf, 3, 2]),
    (
        "top_p",
        [math.log(0.5), math.log(0.2), math.log(0.3)],
        [1],
        {"p": 0.7},
        [math.log(0.5), -math.inf, math.log(0.3)],
    ),
    (
        "min_p",
        [math.log(0.6), math.log(0.3), math.log(0.1)],
        [1],
        {"share": 0.4},
        [math.log(0.6), math.log(0.3), -math.inf],
    ),
    (
        "typical",
        [math.log(0.6), math.log(0.3), math.log(0.1)],
        [1],
        {"mass": 0.2},
        [-math.inf, math.log(0.3), -math.inf],
    ),
    (
        "epsilon",
        [math.log(0.6), math.log(0.3), math.log(0.1)],
        [1],
        {"cutoff": 0.7},
        [math.log(0.6), -math.inf, -math.inf],
    ),
]


@pytest.mark.parametrize(("name", "scores", "ids", "parameters", "expected"), FILTERED)
def test_slow_filters_by_hand(
    name: str, scores: list[float], ids: list[int], parameters: dict[str, Any], expected: list[float]
) -> None:
    assert slow_filters.apply(name, [scores], [ids], parameters) == [expected]


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_npblender_filters_as_the_definitions_say(seed: int) -> None:
    for name, why, scores, parameters in filters.cases_of(np.random.default_rng(seed)):
        truth = np.array(slow_filters.apply(name, scores.astype(np.float64).tolist(), filters.IDS, parameters))
        mine = filters.OWN[name](scores.copy(), np.array(filters.IDS), dict(parameters))
        assert np.array_equal(np.isfinite(mine), np.isfinite(truth)), f"{name}: {why}"
        left = np.isfinite(truth) & (np.abs(truth) < 1e30)  # what replaces infinities is float32's largest number
        size = np.maximum(np.abs(mine), np.nan_to_num(np.abs(scores)))[left]  # a gain may cancel a score
        assert (np.abs(mine[left] - truth[left]) <= 2 * np.spacing(size)).all(), f"{name}: {why}"


def test_every_filter_is_in_a_pack() -> None:
    used = {name for name, *_ in filters.cases_of(np.random.default_rng(0))}
    assert used == set(slow_filters.FILTERS) == set(filters.OWN)


def test_steps_of_one_path() -> None:
    (step,) = retrace_rows([np.array([[0.5, 2.0, 1.75]])], 2, drawn=False)
    assert step.candidates == ((0, 1, 2.0), (0, 2, 1.75))
    assert (step.gap, step.to_json()["near_tie"]) == (0.25, False)
    (drawn,) = retrace_rows([np.array([[0.5, 2.0, 1.75]])], 2, drawn=True)
    assert (drawn.gap, drawn.to_json()["near_tie"]) == (None, False)


def test_steps_of_transformers_beams() -> None:
    """Two beams of four tokens, 3 ends. First the one beam there is; then both, with what they have."""
    first = np.array([[-1.0, -2.0, -3.0, -1.5], [0.0, 0.0, 0.0, 0.0]], np.float32)
    second = np.array([[-1.0, -1.00005, -9.0, -9.0], [-0.5, -9.0, -9.0, -9.0]], np.float32)
    (one, two), chosen = retrace_beams([first, second], 2, [3])
    assert one.candidates == ((0, 0, -1.0), (0, 3, -1.5), (0, 1, -2.0), (0, 2, -3.0))
    # 0 and 1 go on with -1 and -2, since 3 has ended
    assert [(row, token) for row, token, _ in two.candidates][:3] == [(0, 0), (0, 1), (1, 0)]
    assert one.to_json()["near_tie"] is False
    assert two.to_json()["near_tie"] is True
    assert chosen[0] == ([0, 0, 0, 0], [0, 3, 1, 2])


def test_steps_of_parlai_beams() -> None:
    """An ended path keeps its place, and nothing follows it."""
    first = np.array([[-1.0, -2.0, -0.5], [0.0, 0.0, 0.0]], np.float32)
    second = np.array([[-0.1, -0.2, -0.3], [-1.0, -2.0, -3.0]], np.float32)
    (one, two), chosen = retrace_parlai_beams([first, second], 2)
    assert one.candidates == ((0, 2, -0.5), (0, 0, -1.0))
    assert [(row, token) for row, token, _ in two.candidates] == [(1, 0), (1, 1)]
    assert chosen[1] == ([1, 1], [0, 1])


def test_every_size_of_the_tiny_model_is_another_number() -> None:
    c = TINY_CONFIG
    heads = (c.encoder_attention_heads, c.decoder_attention_heads)
    sizes = [c.vocab_size, c.d_model, c.encoder_layers, c.decoder_layers, *heads, *(c.d_model // h for h in heads)]
    sizes += [c.encoder_ffn_dim, c.decoder_ffn_dim, c.max_position_embeddings, 5, 7, 9]  # and B, S, T of `batch`
    assert len(set(sizes)) == len(sizes)
