"""Any junk for any argument: a ValueError or a TypeError that names an argument, or a result of finite numbers."""

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from npblender.models.signatures import argument_names
from npblender.transformer.outputs import ModelOutput
from reference_tests.faults.bad_calls import BASE, CAUSAL, IDS, MODEL, OUT, PAST, STATES, TARGET, D
from reference_tests.faults.bad_values import Stubborn

SWITCHES = ("use_cache", "output_attentions", "output_hidden_states", "return_dict", "training")
GOOD: dict[str, list[Any]] = {
    "input_ids": [IDS, np.array(IDS), np.array(IDS, np.uint8)],
    "attention_mask": [np.ones((2, 3)), [[1, 0, 0], [0, 0, 0]], np.ones((2, 3), bool)],
    "decoder_input_ids": [TARGET, np.array(TARGET)],
    "decoder_attention_mask": [np.ones((2, 2)), np.zeros((2, 2), int)],
    "encoder_attention_mask": [np.ones((2, 3))],
    "head_mask": [np.ones((2, 5)), np.ones((2, 3)), np.zeros((2, 5))],
    "decoder_head_mask": [np.ones((2, 3), int)],
    "cross_attn_head_mask": [np.ones((2, 3))],
    "encoder_outputs": [STATES, (STATES,), {"last_hidden_state": STATES}],
    "encoder_hidden_states": [STATES, STATES.astype(np.float32)],
    "past_key_values": [PAST, tuple(tuple(layer) for layer in PAST), tuple(tuple(layer)[:2] for layer in PAST)],
    "inputs_embeds": [STATES, np.ones((2, 3, D), np.float16)],
    "decoder_inputs_embeds": [np.ones((2, 2, D))],
    "position_ids": [[0, 1, 2], [[8, 8, 8]]],
    "decoder_position_ids": [[0, 0]],
    "labels": [TARGET, [[-100, -100], [-100, -100]], [[3], [4]]],
    "cache_position": [[0, 1], np.arange(2, 4)],
    "logits_to_keep": [0, 1, [0]],
    "generator": [0, np.random.default_rng(0)],
    "tap": [lambda name, array: None],
    "batch_size": [2, np.int32(2)],
    "max_length": [2, 9],
    **{name: [True, False, None] for name in SWITCHES},
}

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.sampled_from([np.int64(3), np.float32(np.nan), np.bool_(True), np.array(3), object(), Stubborn(), OUT, IDS]),
)
nested = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner), max_leaves=8)
mappings = st.dictionaries(
    st.sampled_from(["last_hidden_state", "input_ids", "x"]) | st.integers(0, 3), nested, max_size=2
)
dtypes = st.sampled_from(["i8", "u1", "f4", "f8", "f2", "g", "?", "c16", "O", "U2", "M8[D]", ">i4", ">f8"])
shapes = st.lists(st.sampled_from([0, 1, 2, 2, 3, 3, 5, D]), max_size=4).map(tuple)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """Any dtype and small shape, filled with one value or with small whole numbers."""
    shape, dtype = draw(shapes), draw(dtypes)
    fill = draw(st.sampled_from([0, 1, 2, 5, -1, np.nan, np.inf, 1e30, 1e300]))
    values = np.arange(int(np.prod(shape))).reshape(shape) % 7 if draw(st.booleans()) else np.full(shape, fill)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return values.astype(dtype)
        except (ValueError, TypeError):
            return values


tuples = arrays().map(lambda a: (a,)) | arrays().map(lambda a: ((a, a), (a, a)))
junk = st.one_of(scalars, nested, mappings, arrays(), tuples)
METHODS = {
    "seq2seq": MODEL.forward,
    "base": BASE.forward,
    "causal": CAUSAL.forward,
    "encoder": MODEL.get_encoder().forward,
    "decoder": MODEL.get_decoder().forward,
    "decode": MODEL.decode,
    "init_cache": MODEL.init_cache,
}
START = {
    "seq2seq": {"input_ids": IDS, "decoder_input_ids": TARGET},
    "base": {"input_ids": IDS, "decoder_input_ids": TARGET},
    "causal": {"input_ids": TARGET},
    "encoder": {"input_ids": IDS},
    "decoder": {"input_ids": TARGET},
    "decode": {"decoder_input_ids": TARGET, "encoder_outputs": STATES},
    "init_cache": {"batch_size": 2, "max_length": 3, "encoder_outputs": STATES},
}


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A method and its arguments: good to begin with, then a few replaced by junk or by what is good elsewhere."""
    name = draw(st.sampled_from(sorted(METHODS)))
    given = dict(START[name])
    for argument in draw(st.lists(st.sampled_from(argument_names(METHODS[name])), min_size=1, max_size=3, unique=True)):
        good = st.sampled_from(GOOD[argument]) if argument in GOOD else st.none()
        given[argument] = draw(st.one_of(junk, good, good, good))
    return name, given


def numbers_in(value: Any) -> Iterator[np.ndarray]:
    """Every array of an output, however deep."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, ModelOutput):
        yield from numbers_in(
            {name: each for name, each in value.items() if name != "loss"}
        )  # NaN is one of its values
    elif isinstance(value, dict):
        yield from numbers_in(tuple(value.values()))
    elif value is not None:
        for each in value:
            yield from numbers_in(each)


def outcome(method: Callable[..., Any], arguments: dict[str, Any]) -> tuple[Any, Exception | None]:
    """What a call returned, or a ValueError or TypeError; anything else that it raises fails the test."""
    try:
        return method(**arguments), None
    except (ValueError, TypeError) as error:
        return None, error


@given(call=calls())
@settings(max_examples=300)
def test_junk_is_refused_by_name_or_gives_finite_numbers(call: tuple[str, dict[str, Any]]) -> None:
    name, arguments = call
    output, error = outcome(METHODS[name], arguments)
    if error is not None:
        assert type(error) in (ValueError, TypeError)
        names = argument_names(METHODS[name])
        assert any(re.search(rf"\b{re.escape(each)}\b", str(error)) for each in names), str(error)
    else:
        found = list(numbers_in(output))
        assert found
        loss_first = arguments.get("return_dict") is False and "labels" in arguments
        assert all(np.isfinite(array).all() for array in found[loss_first:])
