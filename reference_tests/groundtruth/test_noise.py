"""Measured noise: every variant is the same model in exact arithmetic, and what is counted of its deviations."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npblender import BlenderbotSmallForConditionalGeneration, trace
from npblender.config.dialect import DIALECTS, PARLAI, TRANSFORMERS_5, Dialect
from npblender.groundtruth import TraceInputs, diverged, record, score
from npblender.groundtruth.noise import measured as measuring
from npblender.groundtruth.noise.measured import measure_noise, record_arrays
from npblender.groundtruth.noise.permuted_model import draw_permutation, permuted, restore
from npblender.groundtruth.noise.plain_loops import Loops, run_plainly
from npblender.groundtruth.noise.units import Noise
from npblender.groundtruth.noise.variants import (
    Variant,
    legitimate_variants,
    longer_source,
    reordered_source,
    rows_alone,
)
from npblender.groundtruth.tracing.evaluate import Evaluation, evaluate, planned_points
from npblender.groundtruth.tracing.inputs import check_inputs
from npblender.models.example import EXAMPLE_CONFIG, example_model
from npblender.transformer.parameters import from_arrays, to_arrays
from reference_tests.support.forward_checks import HIDDEN
from reference_tests.support.model_cases import draw_parameters
from reference_tests.support.strategies import seeds
from reference_tests.support.tolerances import TOLERANCES
from reference_tests.support.trace_cases import draw_trace_case

AGAIN = TOLERANCES["float64 computed another way"]
dialects = st.sampled_from(DIALECTS)


def covered(variant: Variant) -> dict[str, np.ndarray]:
    """Every point that a variant covers, in the original's order."""
    found: dict[str, np.ndarray] = {}
    evaluate(variant.evaluation, lambda name, array: found.__setitem__(name, np.array(variant.restore(name, array))))
    return {name: array for name, array in found.items() if variant.covers(name)}


def evaluation_of(dialect: Dialect = PARLAI, config: Any = EXAMPLE_CONFIG, **inputs: Any) -> Evaluation:
    model = BlenderbotSmallForConditionalGeneration.from_config(config, seed=0, dialect=dialect, dtype="float64")
    given_inputs = TraceInputs(**{"input_ids": [[5, 6, 7], [8, 9, 0]], "decoder_input_ids": [[1, 9], [1, 4]], **inputs})
    run = check_inputs(model.config, model.weights, model.dialect, given_inputs)
    return Evaluation(model.config, model.dialect, model.weights, run)


@pytest.mark.slow
@given(seed=seeds(), dialect=dialects)
@settings(max_examples=16)
def test_every_variant_is_the_same_in_exact_arithmetic(seed: int, dialect: Dialect) -> None:
    """At every point that it covers, with inputs of every kind: run in float64 it differs by float64's rounding."""
    original = draw_trace_case(np.random.default_rng(seed), dialect).evaluation()
    expected = record_arrays(original, planned_points(original))
    variants = list(legitimate_variants(original))
    assert len(variants) >= 4
    for variant in variants:
        found = covered(variant)
        assert expected.keys() - found.keys() <= {"loss"}
        for name, array in found.items():
            wanted = expected[name] if variant.rows is None else expected[name][variant.rows]
            assert array.shape == wanted.shape, (variant.name, name)
            never = (wanted <= HIDDEN) | np.isnan(wanted)
            assert np.array_equal(array[never], wanted[never], equal_nan=True), (variant.name, name)
            # a row of a batch is judged by what is large in the batch
            bound = AGAIN.bound(np.where(expected[name] <= HIDDEN, 0, np.nan_to_num(expected[name])), np.float64).max()
            assert (np.abs(array[~never] - wanted[~never]) <= bound).all(), (variant.name, name)


def test_which_variants_there_are() -> None:
    """And that each has what it is named after: another permutation, height, length or order."""
    original = evaluation_of()
    variants = {variant.name: variant for variant in legitimate_variants(original)}
    assert list(variants) == [
        *("as it is", "permuted", "permuted again", "row 0 alone", "row 1 alone", "rows twice"),
        *("longer source", "reordered source"),
    ]
    matrices = {name: v.evaluation.weights.shared.weight for name, v in variants.items()}
    assert np.array_equal(matrices["as it is"], original.weights.shared.weight)
    orders = {tuple(matrix[5]) for matrix in matrices.values()}
    assert len(orders) == 7, "each has a permutation of its own, except the two rows alone"
    assert {tuple(sorted(order)) for order in orders} == {tuple(sorted(original.weights.shared.weight[5]))}
    ids = {name: v.evaluation.run.source.input_ids for name, v in variants.items() if v.evaluation.run.source}
    assert ids["row 1 alone"].tolist() == [[8, 9, 0]]
    assert ids["rows twice"].tolist() == [[5, 6, 7], [8, 9, 0]] * 2
    assert ids["longer source"].tolist() == [[5, 6, 7, 0, 0, 0], [8, 9, 0, 0, 0, 0]]
    assert sorted(ids["reordered source"][0].tolist()) == [5, 6, 7] != ids["reordered source"][0].tolist()
    again = {variant.name: variant.evaluation.weights.shared.weight for variant in legitimate_variants(original)}
    assert all(np.array_equal(again[name], matrix) for name, matrix in matrices.items())


def test_a_permutation_moves_everything() -> None:
    """Columns, heads, the columns of each head and units all change places, and columns stay with their head."""
    drawn = [draw_permutation(EXAMPLE_CONFIG, np.random.default_rng(seed)) for seed in range(8)]
    for path in drawn[0].attentions:
        own = [order.attentions[path] for order in drawn]
        heads = getattr(EXAMPLE_CONFIG, f"{path.partition('.')[0]}_attention_heads")
        size = EXAMPLE_CONFIG.d_model // heads
        assert len({tuple(each.heads) for each in own}) > 1
        assert len({tuple(each.keys % size) for each in own}) > 1
        assert any(each.keys.tolist() != each.values.tolist() for each in own)
        for each in own:
            for columns in (each.keys, each.values):
                assert sorted(columns.tolist()) == list(range(EXAMPLE_CONFIG.d_model))
                assert np.array_equal(columns // size, np.repeat(each.heads, size))
    for path in drawn[0].feed_forwards:
        assert len({tuple(order.feed_forwards[path]) for order in drawn}) > 4
    assert len({tuple(order.model) for order in drawn}) > 4


def test_of_many_rows_some_are_run_alone() -> None:
    for rows, expected in ((1, 0), (2, 2), (4, 4), (7, 4)):
        original = evaluation_of(input_ids=[[5, 6, 7]] * rows, decoder_input_ids=[[1, 9]] * rows)
        alone = list(rows_alone(original))
        assert [variant.rows for variant in alone] == [slice(n, n + 1) for n in range(expected)]


def test_a_source_grows_only_where_that_changes_nothing() -> None:
    for kwargs, expected in (
        ({}, 1),
        ({"dialect": TRANSFORMERS_5}, 1),
        ({"attention_mask": [[1, 1, 1], [0, 0, 0]]}, 0),  # a row of pads is uniform over all columns
        ({"config": EXAMPLE_CONFIG.replace(max_position_embeddings=5)}, 0),  # there is no room
        ({"config": EXAMPLE_CONFIG.replace(max_position_embeddings=6)}, 1),
        ({"dialect": replace(PARLAI, name="weak", masked_score=-7.0)}, 0),  # hidden keys keep a weight
        ({"dialect": replace(PARLAI, name="strong", masked_score=-1e4)}, 1),
    ):
        assert len(list(longer_source(evaluation_of(**kwargs)))) == expected, kwargs
    assert not list(reordered_source(evaluation_of(input_ids=[[5], [6]])))


@given(seed=seeds(), dialect=dialects)
@settings(max_examples=10)
def test_variants_round_otherwise(seed: int, dialect: Dialect) -> None:
    """In float32 each permuted variant has other digits at most points: else it would measure nothing."""
    rng = np.random.default_rng(seed)
    config = EXAMPLE_CONFIG.replace(
        d_model=24, encoder_ffn_dim=30, decoder_ffn_dim=26, encoder_attention_heads=4, decoder_attention_heads=3
    )
    arrays = {name: a.astype(np.float32) for name, a in draw_parameters(rng, config, "seq2seq").items()}
    model = BlenderbotSmallForConditionalGeneration(config, from_arrays(config, arrays), dialect=dialect)
    inputs = TraceInputs([[5, 6, 7, 8]], decoder_input_ids=[[1, 9, 3]])
    original = Evaluation(config, model.dialect, model.weights, check_inputs(config, model.weights, dialect, inputs))
    first, *others = legitimate_variants(original)
    expected = covered(first)
    for variant in others:
        found = covered(variant)
        same = [name for name, array in found.items() if np.array_equal(array, expected[name])]
        assert len(same) < 0.35 * len(found), (variant.name, same)


@pytest.mark.slow
@given(seed=seeds(), dialect=dialects)
@settings(max_examples=12)
def test_an_evaluation_that_was_not_measured_scores_about_one(seed: int, dialect: Dialect) -> None:
    """A new permutation, drawn apart from those that the noise was measured with: below 3 units, not diverged."""
    rng = np.random.default_rng(seed)
    original = draw_trace_case(rng, dialect).evaluation()
    truth = record_arrays(original, planned_points(original))
    noise = measure_noise(original, truth)
    order = draw_permutation(original.config, rng)
    evaluation = permuted(original.in_dtype(np.dtype(np.float32)), order)
    other = covered(Variant("another", evaluation, lambda name, array: restore(name, array, order)))
    for name, array in truth.items():
        found = score(array, other[name], noise[name])
        assert found.units < 3, name
        assert not diverged(found), name


def test_noise_solved_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deviations 3, 4, 0, 0 and 0, 0, 0, 5 of four values: rms sqrt(50 / 8) = 2.5, max 5."""
    original, name = evaluation_of(input_ids=[[5, 6]], decoder_input_ids=[[1]]), "encoder.states"
    size = original.config.d_model

    def variants(evaluation: Evaluation) -> Iterator[Variant]:
        for added in ([3.0, -4.0] + [0.0] * (2 * size - 2), [0.0] * (2 * size - 1) + [5.0]):
            yield Variant("one", original, lambda name, array, added=added: array + np.reshape(added, (1, 2, size)))

    monkeypatch.setattr(measuring, "legitimate_variants", variants)
    monkeypatch.setattr(measuring, "LOOPS", ())
    found = measure_noise(original, record_arrays(original, {name}))[name]
    assert found == Noise(float(f"{math.sqrt(50 / (4 * size)):.2e}"), 5.0)


def test_noise_of_some_rows_is_of_those_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    original, name = evaluation_of(), "logits"
    truth = record_arrays(original, {name, "loss"})

    def variants(evaluation: Evaluation) -> Iterator[Variant]:
        yield Variant("the second", original, lambda name, array: array[1:] + 1.0, slice(1, 2))

    monkeypatch.setattr(measuring, "legitimate_variants", variants)
    monkeypatch.setattr(measuring, "LOOPS", ())
    assert measure_noise(original, truth)[name] == Noise(1.0, 1.0)


@pytest.mark.slow
@given(seed=seeds())
@settings(max_examples=4)
def test_noise_does_not_depend_on_what_is_stored(seed: int) -> None:
    """Of the same weights it is the same, whatever dtype the trace has and however many of its points are kept."""
    drawn = draw_trace_case(np.random.default_rng(seed))
    narrow = record(drawn.model(np.float32), drawn.inputs)
    double = record(drawn.model(), drawn.inputs)
    assert narrow.noise == double.noise == record(drawn.model(), drawn.inputs).noise
    last = narrow.points[-1]
    assert record(drawn.model(np.float32), drawn.inputs, points=last).noise == {last: narrow.noise[last]}


def test_digits_that_float32_can_not_hold_are_noise_too() -> None:
    """Weights of float64: a float32 port has to round them, so the truth is the run of all their digits."""
    config = EXAMPLE_CONFIG.replace(d_model=24, decoder_attention_heads=3, encoder_attention_heads=2)
    model = BlenderbotSmallForConditionalGeneration.from_config(config, seed=3, dtype="float64")
    inputs = {"input_ids": [[5, 6, 7]], "decoder_input_ids": [[1, 9, 8]]}
    found = trace(model, **inputs)
    assert found.noise["encoder.embed.tokens"].rms > 0
    rounded = {name: array.astype(np.float32) for name, array in to_arrays(model.weights).items()}
    port = trace(type(model)(config, from_arrays(config, rounded)), **inputs)
    for name, array in found.arrays.items():
        assert score(array, port.arrays[name], found.noise[name]).units < 3, name
    assert port.noise["encoder.embed.tokens"] == Noise(0.0, 0.0)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_values_that_stand_for_never_are_not_noise(dialect: Dialect) -> None:
    """Their rounding, up to 4e12 or 1e31 absolute, would hide every fault of the scores beside them."""
    found = trace(example_model(), [[5, 6, 0]], [[1, 1, 0]], [[1, 9]], dialect=dialect)
    for name, noise in found.noise.items():
        assert 0 <= noise.rms <= noise.max < 1e-4, name
    mine = replace(dialect, name="mine", masked_score=-12345.6, start_logit=-4321.9)
    found = trace(example_model(), [[5, 6, 0]], [[1, 1, 0]], [[1, 9]], dialect=mine)
    assert found.noise["encoder.layers.0.self_attn.masked_scores"].max < 1e-5
    assert found.noise["logits"].max < 1e-5
    assert found.noise["log_probabilities"].max < 1e-5


def test_what_is_only_copied_has_no_noise() -> None:
    noise = trace(example_model(), [[5, 6, 7]], decoder_input_ids=[[1, 9]]).noise
    for side in ("encoder", "decoder"):
        assert noise[f"{side}.embed.tokens"] == noise[f"{side}.embed.positions"] == Noise(0.0, 0.0)
        assert noise[f"{side}.embed.norm"].rms > 0


def test_a_loss_of_nothing_has_no_noise() -> None:
    found = trace(example_model(), [[5, 6], [7, 8]], labels=[[-100], [-100]])
    assert math.isnan(found.arrays["loss"])
    assert found.noise["loss"] == Noise(0.0, 0.0)
    assert trace(example_model(), [[5, 6], [7, 8]], labels=[[-100], [3]]).noise["loss"].rms > 0


def test_what_float32_can_not_compute_has_no_noise() -> None:
    """Weights that overflow in float32 and not in float64 are refused, not given an infinite noise."""
    model = BlenderbotSmallForConditionalGeneration.from_config(EXAMPLE_CONFIG, seed=0, dtype="float64")
    arrays = dict(to_arrays(model.weights))
    arrays["encoder.layers.0.fc2.weight"] = np.full_like(arrays["encoder.layers.0.fc2.weight"], 1e38)
    huge = type(model)(EXAMPLE_CONFIG, from_arrays(EXAMPLE_CONFIG, arrays))
    with np.errstate(all="ignore"):
        with pytest.raises(ValueError, match="is not finite when it is computed in float32"):
            trace(huge, [[5, 6]])
        assert trace(huge, [[5, 6]], noise=False).noise == {}


def test_a_config_without_a_pad_has_noise_too() -> None:
    config = EXAMPLE_CONFIG.replace(pad_token_id=None)
    model = BlenderbotSmallForConditionalGeneration.from_config(config, seed=0)
    assert trace(model, [[5, 6]]).noise["logits"].rms > 0


@given(seed=seeds(), accumulators=st.sampled_from([1, 2, 3, 8]), fused=st.booleans())
@settings(max_examples=20)
def test_plain_loops_add_one_term_after_the_other(seed: int, accumulators: int, fused: bool) -> None:
    """Against loops written out over Python's numbers, each operation rounded to float32 as C rounds it."""
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, 11)).astype(np.float32), rng.standard_normal((11, 3)).astype(np.float32)

    def added(terms: list[tuple[np.float32, np.float32]]) -> np.float32:
        lanes = [np.float32(0)] * min(accumulators, len(terms))
        for n, (x, y) in enumerate(terms):
            lane = n % len(lanes)
            if fused:  # the product is not rounded
                lanes[lane] = np.float32(np.float64(x) * np.float64(y) + np.float64(lanes[lane]))
            else:
                lanes[lane] = np.float32(lanes[lane] + np.float32(x * y))
        total = lanes[0]
        for lane_sum in lanes[1:]:
            total = np.float32(total + lane_sum)
        return total

    loops = Loops(accumulators, fused)
    found = loops.product(a, b)
    for row in range(2):
        for column in range(3):
            assert found[row, column] == added(list(zip(a[row], b[:, column], strict=True)))
        assert loops.total(a[row]) == Loops(accumulators).product(a[row : row + 1], np.ones((11, 1), np.float32))[0, 0]


@pytest.mark.slow
@given(seed=seeds(), dialect=dialects)
@settings(max_examples=10)
def test_plain_loops_run_every_point(seed: int, dialect: Dialect) -> None:
    """All points of the run, under their names, near the truth: with inputs of every kind."""
    original = draw_trace_case(np.random.default_rng(seed), dialect).evaluation()
    truth = record_arrays(original, planned_points(original))
    noise = measure_noise(original, truth)
    found = dict(run_plainly(original.in_dtype(np.dtype(np.float32)), Loops(3)))
    assert list(found) == list(truth)
    for name, array in truth.items():
        assert not diverged(score(array, found[name], noise[name])), name
