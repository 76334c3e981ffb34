"""Taps: every point of the catalogue, in order and shape, changing nothing; and nothing given is ever written to."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npblender.config.dialect import DIALECTS, PARLAI, Dialect
from npblender.groundtruth.tracing.points import (
    Point,
    catalogue,
    decoder_points,
    encoder_points,
    head_points,
    start_points,
)
from npblender.ops import unchecked as ops
from npblender.transformer.parameters import to_arrays
from reference_tests.support.forward_checks import traced
from reference_tests.support.model_cases import Case, draw_case, draw_model, ids_of
from reference_tests.support.strategies import read_only, seeds


def sizes_of(config: Any, side: str, **sizes: int) -> dict[str, int]:
    """The letters of a point's axes; H, K and F are those of the side."""
    heads = getattr(config, f"{side}_attention_heads")
    own = {"H": heads, "K": config.d_model // heads, "F": getattr(config, f"{side}_ffn_dim")}
    return {"D": config.d_model, "V": config.vocab_size, **own, **sizes}


def assert_catalogue(found: dict[str, np.ndarray], points: list[Point], config: Any, **sizes: int) -> None:
    assert list(found) == [point.name for point in points]
    for point in points:
        side = "encoder" if point.name.startswith("encoder.") else "decoder"
        assert found[point.name].shape == point.shape(sizes_of(config, side, **sizes)), point.name
        assert point.meaning


@given(seed=seeds(), dialect=st.sampled_from(DIALECTS), labels=st.booleans())
@settings(max_examples=15)
def test_a_whole_pass_tells_the_catalogue(seed: int, dialect: Dialect, labels: bool) -> None:
    rng = np.random.default_rng(seed)
    model = draw_model(rng, dialect)
    batch, source, target = 2, int(rng.integers(1, 8)), int(rng.integers(1, 8))
    ids, decoder_ids = ids_of(rng, model.config, batch, source), ids_of(rng, model.config, batch, target)
    given_labels = {"labels": decoder_ids} if labels else {}
    found, _ = traced(model, input_ids=ids, decoder_input_ids=decoder_ids, **given_labels)
    points = catalogue(model.config, labels=labels)
    assert_catalogue(found, points, model.config, B=batch, S=source, T=target, L=target)
    embeds = rng.standard_normal((batch, source, model.config.d_model))
    found, _ = traced(model, inputs_embeds=embeds, decoder_input_ids=decoder_ids)
    assert list(found) == [p.name for p in catalogue(model.config) if p.name != "encoder.embed.tokens"]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_pass_in_steps_tells_its_part_of_the_catalogue(dialect: Dialect) -> None:
    """Flax's three, then a step: each computes what it must and no more, so keys of the source come once."""
    rng = np.random.default_rng(11)
    model = draw_model(rng, dialect)
    config, layers = model.config, model.config.decoder_layers
    sizes = {"B": 2, "S": 5}
    steps: list[dict[str, np.ndarray]] = [{} for _ in range(4)]

    def into(step: int) -> Any:
        return lambda name, array: steps[step].__setitem__(name, np.array(array))

    ids = ids_of(rng, config, 2, 4)
    encoded = model.encode(ids_of(rng, config, 2, 5), tap=into(0))
    cache = model.init_cache(2, 4, encoded, tap=into(1))
    prompt = model.decode(ids[:, :3], encoded, past_key_values=cache, tap=into(2))
    model(encoder_outputs=encoded, decoder_input_ids=ids[:, 3:], past_key_values=prompt.past_key_values, tap=into(3))
    of_target = [*decoder_points(layers), *head_points()]
    assert_catalogue(steps[0], list(encoder_points(config.encoder_layers)), config, **sizes)
    assert_catalogue(steps[1], list(start_points(layers)), config, **sizes)
    assert_catalogue(steps[2], of_target, config, **sizes, T=3, L=3)
    assert_catalogue(steps[3], of_target, config, **sizes, T=1, L=4)


def test_a_decoder_alone_tells_no_cross_attention() -> None:
    rng = np.random.default_rng(12)
    model = draw_model(rng, PARLAI, "causal")
    found, _ = traced(model, input_ids=ids_of(rng, model.config, 2, 3))
    points = [*decoder_points(model.config.decoder_layers, cross=False), *head_points()]
    assert_catalogue(found, points, model.config, B=2, T=3, L=3)


@given(seed=seeds())
@settings(max_examples=30)
def test_taps_change_nothing(seed: int) -> None:
    case = draw_case(np.random.default_rng(seed))
    model, everything = case.model(), {"output_hidden_states": True, "output_attentions": True}
    _, loud = traced(model, **case.arguments, **everything)
    quiet = model(**case.arguments, **everything)
    assert list(loud) == list(quiet)
    for name in quiet:
        assert_same_bits(loud[name], quiet[name])


def assert_same_bits(a: Any, b: Any) -> None:
    if isinstance(a, np.ndarray):
        assert np.array_equal(a, b, equal_nan=True)
    else:
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same_bits(x, y)


def test_a_tap_cannot_write() -> None:
    """Whatever a recorder does with an array, the pass goes on with its own numbers."""
    model = draw_model(np.random.default_rng(13), PARLAI)
    heard_names = []

    def vandal(name: str, array: np.ndarray) -> None:
        heard_names.append(name)
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0

    model([[3, 4]], decoder_input_ids=[[1]], labels=[[2]], tap=vandal)
    assert heard_names == [point.name for point in catalogue(model.config, labels=True)]


def test_what_only_a_tap_needs_is_not_computed_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log-probabilities are computed for taps alone."""
    model = draw_model(np.random.default_rng(14), PARLAI)
    asked = []
    monkeypatch.setattr(ops, "log_softmax", lambda x: asked.append(x) or x)
    model([[3, 4]], decoder_input_ids=[[1]])
    assert not asked
    traced(model, input_ids=[[3, 4]], decoder_input_ids=[[1]])
    assert len(asked) == 1


def frozen(value: Any) -> Any:
    """The value with every array in it read-only, so that a write into it raises."""
    if isinstance(value, np.ndarray):
        return read_only(value)
    return tuple(frozen(item) for item in value) if isinstance(value, tuple) else value


@given(seed=seeds(), training=st.booleans())
@settings(max_examples=40)
def test_nothing_given_is_written_to(seed: int, training: bool) -> None:
    """Inputs, weights and caches stay as they are, while training too: all of them are read-only here."""
    rng = np.random.default_rng(seed)
    case = draw_case(rng)
    frozen_case = Case(
        case.kind,
        case.config.replace(dropout=0.2, attention_dropout=0.2, activation_dropout=0.2),
        case.dialect,
        case.parameters,
        {name: frozen(value) for name, value in case.arguments.items()},
    )
    model = frozen_case.model()
    for array in to_arrays(model.weights).values():
        array.flags.writeable = False
    noise = {"training": True, "generator": 0} if training else {}
    arguments = {name: value for name, value in frozen_case.arguments.items() if name != "labels"}
    first = model(**arguments, **noise)
    model(**frozen_case.arguments, **noise)
    past = first.past_key_values
    before = [[array.copy() for array in layer] for layer in past]
    for layer in past:
        for array in layer:
            array.flags.writeable = False
    prefix = "" if case.kind == "causal" else "decoder_"
    token = {f"{prefix}input_ids": ids_of(rng, case.config, len(past[0][0]), 1)}
    sources = ["encoder_hidden_states"] if case.kind == "causal" else ["input_ids", "inputs_embeds", "encoder_outputs"]
    source = {name: value for name, value in arguments.items() if name in sources}
    longer = model(**source, **token, past_key_values=past, **noise).past_key_values
    assert longer.length == past.length + 1
    assert_same_bits([list(layer) for layer in past], before)
