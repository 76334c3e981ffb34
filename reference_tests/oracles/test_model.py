"""The slow oracle is tested too: against an example solved by hand, and against known values of its parts."""

import math
from dataclasses import replace
from typing import Any

import pytest

from npblender.config.dialect import PARLAI, TRANSFORMERS_4, TRANSFORMERS_5
from reference_tests.oracles import hand_example as hand
from reference_tests.oracles import model as naive
from reference_tests.support.asserts import assert_close
from reference_tests.support.tolerances import TOLERANCES

HAND = TOLERANCES["numbers worked out by hand"]

ROW = naive.Row(source_ids=hand.SOURCE, target_ids=hand.TARGET)


def assert_by_hand(found: Any, expected: Any, name: str, hidden_score: float) -> None:
    """Nested lists equal to twelve digits; a None expected is a hidden score, or a line without a simple value."""
    if isinstance(expected, list):
        assert len(found) == len(expected), name
        for f, e in zip(found, expected, strict=True):
            if e is not None:
                assert_by_hand(f, e, name, hidden_score)
            elif not isinstance(f, list):
                assert f == hidden_score, name
    else:
        assert_close(found, expected, HAND, name)


def test_hand_solved_example() -> None:
    points = naive.forward(hand.CONFIG, TRANSFORMERS_4, hand.PARAMETERS, ROW)
    assert points.keys() == hand.POINTS.keys()
    for name, expected in hand.POINTS.items():
        assert_by_hand(points[name], expected, name, -1.7976931348623157e308)
    assert_close(naive.loss([points], [hand.LABELS]), hand.LOSS, HAND)


def test_hand_solved_start_token() -> None:
    """ParlAI's -1e20 on the start token, id 1, leaves 1/6 and 5/6 for the others."""
    points = naive.forward(hand.CONFIG, PARLAI, hand.PARAMETERS, replace(ROW, source_mask=[1, 1]))
    assert points["logits"][0][1] == -1e20
    log_probabilities = points["log_probabilities"][0]
    assert_close(log_probabilities[0], -math.log(6.0), HAND)
    assert_close(log_probabilities[2], -math.log(1.2), HAND)


def test_hand_solved_pad_in_parlai() -> None:
    """Id 0 is the pad: without a mask ParlAI makes one, so the first token sees itself alone and the pad is zero."""
    points = naive.forward(hand.CONFIG, PARLAI, hand.PARAMETERS, ROW)
    assert points["encoder.embed.output"][1] == [0.0, 0.0]
    assert points["encoder.states"][1] == [0.0, 0.0]
    assert points["encoder.layers.0.self_attn.weights"] == [[[1.0, 0.0], [1.0, 0.0]]]
    assert points["encoder.embed.positions"] == [[-0.006, 0.0], [-0.006, 0.0]]  # a pad stands where its last token did
    assert points["decoder.layers.0.encoder_attn.weights"] == [[[1.0, 0.0], [1.0, 0.0]]]


def test_hand_solved_lost_scale() -> None:
    """Without the factor the decoder's first norm sees h = .0015 / sqrt 2, where epsilon shows: 3 / sqrt(89)."""
    points = naive.forward(hand.CONFIG, TRANSFORMERS_5, hand.PARAMETERS, ROW)
    assert_close(points["decoder.embed.norm"][0][0], 77 * 3 / math.sqrt(89.0), HAND)
    assert_close(points["encoder.embed.norm"][0], [3.0, -5.0], HAND)


def test_hand_solved_masks() -> None:
    """A hidden first target leaves the first token nothing (so 1/2 each, the future too) and the second itself."""
    row = replace(ROW, target_mask=[0, 1], source_mask=[0, 1])
    points = naive.forward(hand.CONFIG, TRANSFORMERS_4, hand.PARAMETERS, row)
    assert points["decoder.layers.0.self_attn.weights"] == [[[0.5, 0.5], [0.0, 1.0]]]
    assert points["encoder.layers.0.self_attn.weights"] == [[[0.0, 1.0], [0.0, 1.0]]]
    assert points["decoder.layers.0.encoder_attn.context"] == [points["decoder.layers.0.encoder_attn.v"][0][1]] * 2


def test_hand_solved_head_masks() -> None:
    """A head of weight 1/2 halves the context; of weight 0 it leaves the output bias."""
    row = replace(ROW, encoder_head_mask=[[0.5]], decoder_head_mask=[[0.0]], cross_head_mask=[[0.0]])
    points = naive.forward(hand.CONFIG, TRANSFORMERS_4, hand.PARAMETERS, row)
    assert_close(points["encoder.layers.0.self_attn.context"][0], [0.75, 1.0], HAND)
    assert points["decoder.layers.0.self_attn.output"] == [[3.66667, 0.0]] * 2
    assert points["decoder.layers.0.encoder_attn.output"] == [[52.200064, 0.0]] * 2


def test_embeddings_of_the_callers_own() -> None:
    """The same numbers as embeddings: the encoder takes them as scaled, and only 4.52.4's decoder scales them."""
    embeds = [hand.PARAMETERS["shared.weight"][i] for i in hand.TARGET]
    row = naive.Row(source_embeds=[[0.009, 0.0], [0.0, 0.0]], target_embeds=embeds)
    points = naive.forward(hand.CONFIG, TRANSFORMERS_4, hand.PARAMETERS, row)
    assert_close(points["logits"][0], hand.POINTS["logits"][0], HAND)
    assert "encoder.embed.tokens" not in points
    unscaled = naive.forward(
        hand.CONFIG, replace(TRANSFORMERS_4, scale_decoder_inputs_embeds=False), hand.PARAMETERS, row
    )
    assert unscaled["decoder.embed.scaled"] == embeds


def test_decoder_alone() -> None:
    points = naive.forward(hand.CONFIG, TRANSFORMERS_4, hand.PARAMETERS, naive.Row(target_ids=hand.TARGET))
    assert not [name for name in points if "encoder_attn" in name or name.startswith("encoder.")]
    # The self-attention's 9 goes straight to the feed-forward block, which takes 1 away.
    assert_close(points["decoder.layers.0.ffn.hidden"][0], [8.0], HAND)


def test_loss_of_nothing() -> None:
    points = naive.forward(hand.CONFIG, TRANSFORMERS_4, hand.PARAMETERS, ROW)
    assert math.isnan(naive.loss([points], [[-100, -100]]))


@pytest.mark.parametrize(
    ("name", "at_one", "at_minus_two"),
    [
        # x Phi(x), from tables of the normal distribution; x / (1 + exp(-x)); the tanh form, from its definition
        ("gelu", 0.8413447460685429, -0.0455002638963584),
        ("silu", 0.7310585786300049, -0.2384058440442351),
        ("gelu_new", 0.8411919906082768, -0.0454023059122500),
        ("relu", 1.0, 0.0),
    ],
)
def test_activations(name: str, at_one: float, at_minus_two: float) -> None:
    assert_close(naive.ACTIVATIONS[name](1.0), at_one, HAND)
    assert_close(naive.ACTIVATIONS[name](-2.0), at_minus_two, HAND)
    assert naive.ACTIVATIONS[name](0.0) == 0.0
