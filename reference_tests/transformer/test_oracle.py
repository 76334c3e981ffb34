"""The forward pass equals the slow oracle at every point, whatever is asked of it."""

import numpy as np
import pytest
from hypothesis import given, settings

from npblender.config.dialect import DIALECTS, TRANSFORMERS_4, Dialect
from npblender.groundtruth.tracing.points import catalogue
from reference_tests.oracles import hand_example as hand
from reference_tests.support.forward_checks import assert_like_oracle, assert_near, traced
from reference_tests.support.model_cases import build, draw_case
from reference_tests.support.strategies import seeds
from reference_tests.support.tolerances import TOLERANCES


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@given(seed=seeds())
@settings(max_examples=30)
def test_every_point_in_a_dialect(dialect: Dialect, seed: int) -> None:
    assert_like_oracle(draw_case(np.random.default_rng(seed), dialect))


@pytest.mark.slow
@given(seed=seeds())
def test_every_point_in_any_mixture_of_dialects(seed: int) -> None:
    assert_like_oracle(draw_case(np.random.default_rng(seed)))


def test_the_drawn_cases_use_every_argument() -> None:
    """The two tests above are worth as much as what they draw."""
    used = set().union(*(draw_case(np.random.default_rng(seed)).arguments for seed in range(60)))
    assert used == {
        *("input_ids", "inputs_embeds", "attention_mask", "position_ids", "head_mask", "encoder_outputs"),
        *("decoder_input_ids", "decoder_inputs_embeds", "decoder_attention_mask", "decoder_position_ids"),
        *("decoder_head_mask", "cross_attn_head_mask", "encoder_hidden_states", "encoder_attention_mask", "labels"),
    }


def test_hand_solved_example() -> None:
    """The example that tests the oracle, solved by the package itself, point by point and in the catalogue's order."""
    parameters = {name: np.array(value) for name, value in hand.PARAMETERS.items()}
    model = build(hand.CONFIG, TRANSFORMERS_4, parameters, "seq2seq")
    points, output = traced(model, input_ids=[hand.SOURCE], decoder_input_ids=[hand.TARGET], labels=[hand.LABELS])
    loss = points.pop("loss")
    assert list(points) == list(hand.POINTS) == [point.name for point in catalogue(hand.CONFIG)]
    compared = 0
    for name, value in points.items():
        lowest = np.finfo(np.float64).min
        rows = [row for row in hand.POINTS[name] if row is not None]  # one has no simple value in its second row
        expected = np.array([[lowest if x is None else x for x in np.ravel(row)] for row in rows]).reshape(-1)
        assert_near(name, value.reshape(-1)[: expected.size], expected, TOLERANCES["float64 against the oracle"])
        compared += expected.size
    assert compared > 150
    assert_near("loss", loss, hand.LOSS, TOLERANCES["float64 against the oracle"])
    assert output.loss == loss
