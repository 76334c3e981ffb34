"""Dropout and LayerDrop: where they strike, how they scale, that nothing else is drawn, and that seeds repeat them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npblender.config.dialect import DIALECTS, TRANSFORMERS_4, Dialect
from reference_tests.support.forward_checks import assert_near, traced
from reference_tests.support.model_cases import draw_model, ids_of
from reference_tests.support.strategies import seeds
from reference_tests.support.tolerances import TOLERANCES

P = 0.3
SURE = 5.0  # standard errors; the noise is measured from the same samples


def two_layers(**fixed: Any) -> Any:
    return draw_model(np.random.default_rng(3), TRANSFORMERS_4, encoder_layers=2, decoder_layers=2, **fixed)


def call_of(model: Any, copies: int = 1) -> dict[str, np.ndarray]:
    """One source of four tokens and one target of three, so many times over: each copy gets noise of its own."""
    rng = np.random.default_rng(4)
    source, target = ids_of(rng, model.config, 1, 4), ids_of(rng, model.config, 1, 3)
    return {"input_ids": np.repeat(source, copies, 0), "decoder_input_ids": np.repeat(target, copies, 0)}


def dropout_places(config: Any) -> dict[str, tuple[str, str, str | None]]:
    """Every place of `dropout`: its result, what went in, and what was added to the result before it was named."""
    places: dict[str, tuple[str, str, str | None]] = {
        "encoder.embed": ("encoder.embed.output", "encoder.embed.norm", None),
        "decoder.embed": ("decoder.embed.output", "decoder.embed.sum", None),
    }
    for side, blocks in (("encoder", ["self_attn", "ffn"]), ("decoder", ["self_attn", "encoder_attn", "ffn"])):
        residual = f"{side}.embed.output"
        for n in range(getattr(config, f"{side}_layers")):
            for block in blocks:
                place = f"{side}.layers.{n}.{block}"
                places[place] = (f"{place}.sum", f"{place}.output", residual)
                residual = f"{place}.norm"
    return places


def test_dropout_strikes_every_place_and_scales_what_it_keeps() -> None:
    """After embeddings, attention and feed-forward each number is zero, with probability p, or divided by 1 - p."""
    model = two_layers(dropout=P)
    points, _ = traced(model, **call_of(model, copies=40), training=True, generator=0)
    places = dropout_places(model.config)
    assert len(places) == 2 + 2 * 2 + 2 * 3
    drawn = 0
    for name, (after, before, residual) in places.items():
        result = points[after] - (0 if residual is None else points[residual])
        expected = points[before] / (1 - P)
        dropped = np.abs(result) < np.abs(result - expected)
        tolerance = TOLERANCES["float64 computed another way"]
        assert_near(name, np.where(dropped, 0, expected), result, tolerance)
        noise = np.sqrt(P * (1 - P) / dropped.size)
        assert abs(dropped.mean() - P) < SURE * noise, name
        drawn += dropped.size
    assert_draws(model, drawn)


def assert_draws(model: Any, count: int) -> None:
    """A training pass takes that many numbers from its generator, so there is no other place of noise."""
    used, fresh = np.random.default_rng(0), np.random.default_rng(0)
    model(**call_of(model, copies=40), training=True, generator=used)
    fresh.random(count)
    assert used.random() == fresh.random()


@pytest.mark.parametrize(
    ("field", "before", "after"),
    [
        ("attention_dropout", "encoder.layers.0.self_attn.weights", "encoder.layers.0.self_attn.context"),
        ("attention_dropout", "decoder.layers.0.self_attn.weights", "decoder.layers.0.self_attn.context"),
        ("attention_dropout", "decoder.layers.0.encoder_attn.weights", "decoder.layers.0.encoder_attn.context"),
        ("activation_dropout", "encoder.layers.0.ffn.activation", "encoder.layers.0.ffn.output"),
        ("activation_dropout", "decoder.layers.0.ffn.activation", "decoder.layers.0.ffn.output"),
    ],
)
def test_dropout_keeps_expectations(field: str, before: str, after: str) -> None:
    """What is linear in the dropped numbers is unchanged on average; what comes before is not touched at all."""
    copies = 1500
    model = two_layers(dropout=0.0, **{field: P})
    call = call_of(model)
    plain, _ = traced(model, **call)
    points, _ = traced(model, **call_of(model, copies), training=True, generator=1)
    if after.startswith("encoder.layers.0"):  # elsewhere noise from further up has arrived already
        assert_near(before, points[before][:1], plain[before], TOLERANCES["float64 computed another way"])
        samples, expected = points[after], plain[after][0]
    else:
        # Each copy's own expectation, computed from what went in.
        samples, expected = points[after] - expectation(model, after, points), 0.0
    error = samples.std(axis=0) / np.sqrt(copies)
    assert (error > 0).mean() > 0.6  # a first target token attends to itself alone, but is dropped all the same
    assert (np.abs(samples.mean(axis=0) - expected) < SURE * error + 1e-12).all()


def expectation(model: Any, point: str, points: dict[str, np.ndarray]) -> np.ndarray:
    """The linear map without dropout, for every copy on its own."""
    place, _, _ = point.rpartition(".")
    layer = model.weights.decoder.layers[0]
    if place.endswith("ffn"):
        return points[f"{place}.activation"] @ layer.fc2.weight.T + layer.fc2.bias
    mixed = points[f"{place}.weights"] @ points[f"{place}.v"]
    return mixed.transpose(0, 2, 1, 3).reshape(points[point].shape)


@pytest.mark.parametrize("field", ["attention_dropout", "activation_dropout"])
def test_one_number_is_drawn_for_each_that_may_be_dropped(field: str) -> None:
    model = two_layers(dropout=0.0, **{field: P})
    points, _ = traced(model, **call_of(model, copies=40))
    suffix = ".weights" if field == "attention_dropout" else ".activation"
    assert_draws(model, sum(value.size for name, value in points.items() if name.endswith(suffix)))


@given(seed=seeds(), dialect=st.sampled_from(DIALECTS), training=st.booleans())
@settings(max_examples=15)
def test_dropout_of_nothing_is_the_identity(seed: int, dialect: Dialect, training: bool) -> None:
    """p = 0 while training, and any p while not, leave every bit as it is."""
    p = 0.0 if training else P
    rates = ("dropout", "attention_dropout", "activation_dropout", "encoder_layerdrop", "decoder_layerdrop")
    model = draw_model(np.random.default_rng(seed), dialect, **dict.fromkeys(rates, p))
    plain = draw_model(np.random.default_rng(seed), dialect)
    call = call_of(model)
    points, _ = traced(model, **call, **({"training": True, "generator": 0} if training else {}))
    expected, _ = traced(plain, **call)
    assert points.keys() == expected.keys()
    assert all(np.array_equal(points[name], expected[name]) for name in expected)


def test_layerdrop_of_one_skips_every_layer() -> None:
    model = two_layers(dropout=0.0, encoder_layerdrop=1.0, decoder_layerdrop=1.0)
    points, output = traced(
        model, **call_of(model), training=True, generator=0, output_hidden_states=True, output_attentions=True
    )
    assert not [name for name in points if ".layers." in name and ".encoder_attn." not in name]
    assert np.array_equal(points["encoder.states"], points["encoder.embed.output"])
    assert np.array_equal(points["decoder.states"], points["decoder.embed.output"])
    assert len(output.encoder_hidden_states) == len(output.decoder_hidden_states) == 3
    assert output.encoder_attentions == (None, None)
    assert output.decoder_attentions == output.cross_attentions == ()
    assert output.past_key_values is None


def test_layerdrop_skips_its_share_of_layers() -> None:
    """One draw a layer: over many seeds, each layer of either side is skipped with probability p."""
    model = two_layers(dropout=0.0, encoder_layerdrop=P, decoder_layerdrop=P)
    skipped = np.zeros((300, 4), bool)
    for seed in range(len(skipped)):
        points, _ = traced(model, **call_of(model), training=True, generator=seed)
        layers = [f"{side}.layers.{n}.output" for side in ("encoder", "decoder") for n in range(2)]
        skipped[seed] = [name not in points for name in layers]
    noise = np.sqrt(P * (1 - P) / len(skipped))
    assert (np.abs(skipped.mean(axis=0) - P) < SURE * noise).all()
    assert (np.abs(np.corrcoef(skipped.T) - np.eye(4)) < SURE / np.sqrt(len(skipped))).all()


def test_a_skipped_layer_leaves_the_others_as_they_are() -> None:
    """With only the second encoder layer skipped the result is that of the first alone."""
    model = two_layers(dropout=0.0, encoder_layerdrop=0.5)
    short = two_layers(dropout=0.0).get_encoder()(call_of(model)["input_ids"], output_hidden_states=True)
    for seed in range(60):
        points, output = traced(model, **call_of(model), training=True, generator=seed, output_attentions=True)
        if [layer is None for layer in output.encoder_attentions] == [False, True]:
            assert np.array_equal(points["encoder.states"], short.hidden_states[1])
            return
    pytest.fail("none of sixty seeds skips the second layer alone")


def test_seeds_repeat_and_generators_go_on() -> None:
    model = two_layers(dropout=P)
    call = call_of(model) | {"training": True}
    first = model(**call, generator=7).logits
    assert np.array_equal(model(**call, generator=np.int64(7)).logits, first)
    generator = np.random.default_rng(7)
    assert np.array_equal(model(**call, generator=generator).logits, first)
    assert not np.array_equal(model(**call, generator=generator).logits, first)
    assert not np.array_equal(model(**call, generator=8).logits, first)
    in_flax = call_of(model) | {"train": True, "dropout_rng": 7}
    assert np.array_equal(model(**in_flax).logits, first)


def test_a_seed_drops_the_same_places_in_every_dtype() -> None:
    double = two_layers(dropout=P)
    single = two_layers(dropout=P, dtype=np.float32)
    for point in ("encoder.embed.output", "decoder.embed.output"):
        dropped = [traced(m, **call_of(m), training=True, generator=7)[0][point] == 0 for m in (double, single)]
        assert np.array_equal(*dropped)
