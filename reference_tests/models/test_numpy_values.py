"""NumPy's numbers, booleans and arrays are values like Python's own, wherever a caller may write one.

`max_new_tokens=lengths.max()`, `eos_token_id=ids[0, -1]` and `seed=np.int64(3)` are what programs have at hand.
"""

from typing import Any

import numpy as np
import pytest

from npblender import BlenderbotSmallConfig, BlenderbotSmallTokenizer, Conversation, GenerationConfig
from npblender.chat.batch import reply_to_all
from npblender.common.checks import as_array
from npblender.config.generation_options import OPTIONS, check_setting
from npblender.models import BlenderbotSmallForConditionalGeneration
from reference_tests.support.generation_cases import lively_model

MODELS = {dialect: lively_model(0, dialect) for dialect in ("parlai", "transformers-5")}
SOURCE = [[5, 6, 7]]

# A value of every kind of setting, in Python's numbers.
VALUES: dict[str, Any] = {
    "true or false": True,
    "token id": 3,
    "token id, or list of them": [3, 4],
    "list of token ids": [3, 4],
    "list of phrases, each a list of token ids": [[3, 4], [5]],
    "list of phrases, or of lists of phrases": [[3, 4], [[5], [6, 7]]],
    "list of [phrase, bias]": [[[3, 4], 0.5]],
    'true, false or "never"': False,
    "[start, factor]": [2, 1.5],
}


def in_numpy(value: Any) -> Any:
    """The same value in NumPy's numbers, a list of numbers as an array."""
    if isinstance(value, list) and all(isinstance(each, int) for each in value):
        return np.array(value, np.int32)
    if isinstance(value, list):
        return [in_numpy(each) for each in value]
    return {bool: np.bool_, int: np.int64, float: np.float32}.get(type(value), lambda same: same)(value)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_setting_takes_numpys_values(name: str) -> None:
    text = OPTIONS[name].kind.text
    value = VALUES.get(text, "stop" if "text" in text else 1 if "whole" in text else 0.5)
    kept, again = check_setting(name, value), check_setting(name, in_numpy(value))
    assert again == kept
    assert repr(again) == repr(kept), "no NumPy number is left: settings go to JSON and into messages"


@pytest.mark.parametrize(
    ("dialect", "call"),
    [
        ("parlai", {"num_beams": 2, "max_new_tokens": 4, "length_penalty": 0.5}),
        ("parlai", {"do_sample": True, "seed": 3, "top_k": 5, "max_length": 6}),
        ("transformers-5", {"eos_token_id": 4, "max_length": 6}),
        ("transformers-5", {"suppress_tokens": [5, 8], "max_length": 6, "eos_token_id": [2, 4]}),
        ("transformers-5", {"do_sample": True, "seed": 3, "temperature": 0.5, "num_return_sequences": 2}),
        ("transformers-5", {"bad_words_ids": [[5], [8]], "max_length": 6, "use_cache": False}),
    ],
)
def test_generate_does_the_same(dialect: str, call: dict[str, Any]) -> None:
    model = MODELS[dialect]
    converted = {name: in_numpy(value) for name, value in call.items()}
    np.testing.assert_array_equal(model.generate(SOURCE, **converted), model.generate(SOURCE, **call))
    if "do_sample" not in call and dialect == "transformers-5":
        streamed = [tokens.tolist() for tokens in model.stream(SOURCE, **converted)]
        assert streamed == [tokens.tolist() for tokens in model.stream(SOURCE, **call)]


def test_an_eos_read_from_an_array_ends_the_reply() -> None:
    """The right value, not only an equal one: the reply ends at the first token that it is."""
    model = MODELS["transformers-5"]
    reply = model.generate(SOURCE, max_length=8, eos_token_id=None)
    ended = model.generate(SOURCE, max_length=np.array([3, 8]).max(), eos_token_id=reply[0, 1])
    assert ended.tolist() == reply[:, :2].tolist()


def test_configurations_keep_pythons_numbers() -> None:
    config = BlenderbotSmallConfig(
        vocab_size=np.int64(50), dropout=np.float32(0.5), use_cache=np.False_, eos_token_id=np.array([2, 3])
    )
    assert config == BlenderbotSmallConfig(vocab_size=50, dropout=0.5, use_cache=False, eos_token_id=[2, 3])
    assert (type(config.vocab_size), type(config.dropout), config.use_cache) == (int, float, False)
    assert hash(config) == hash(config.replace())
    settings = GenerationConfig(max_length=np.int64(9), eos_token_id=np.array([2, 3]))
    assert settings.to_dict() == {"max_length": 9, "eos_token_id": [2, 3]}


def test_what_is_no_such_number_is_still_refused() -> None:
    for value in (np.float64(9.0), np.True_, np.array([9]), np.str_("9")):
        with pytest.raises(TypeError, match="max_length must be a whole number"):
            GenerationConfig(max_length=value)
    with pytest.raises(TypeError, match="do_sample must be true or false, not 1"):
        MODELS["parlai"].generate(SOURCE, do_sample=np.int64(1))
    with pytest.raises(ValueError, match="temperature"):
        GenerationConfig(temperature=np.float32(np.nan))
    with pytest.raises(TypeError, match="seed"):
        MODELS["parlai"].generate(SOURCE, do_sample=True, seed=np.float32(1))
    with pytest.raises(ValueError, match="seed=3 would not be used"):
        MODELS["parlai"].generate(SOURCE, seed=np.int64(3))


def test_tokenizer_conversation_and_batches_take_them() -> None:
    tokenizer = BlenderbotSmallTokenizer.from_pretrained(model_max_length=np.int64(7))
    assert type(tokenizer.model_max_length) is int
    cut = tokenizer("a b c", truncation=np.True_, max_length=np.int64(2), padding=np.False_)
    assert cut == tokenizer("a b c", truncation=True, max_length=2)
    model = BlenderbotSmallForConditionalGeneration.from_pretrained()
    tokenizer = BlenderbotSmallTokenizer.from_pretrained()
    said = [
        Conversation(
            model, tokenizer, do_sample=draw(True), num_beams=whole(1), max_length=whole(6), seed=whole(3)
        ).reply("hi")
        for draw, whole in ((bool, int), (np.bool_, np.int64))
    ]
    assert said[0] == said[1]
    records = [
        list(reply_to_all(["hi"], num_beams=n(2), max_length=n(6), min_length=n(0), n_best=n(1), batch_size=n(1)))
        for n in (int, np.int64)
    ]
    assert records[0] == records[1]


def test_object_arrays_of_numbers_are_arrays_of_numbers() -> None:
    """As columns of a table come: ids of several lengths, padded, in an array of Python's integers."""
    mixed = np.array([[5, np.int64(6)]], object)
    assert as_array("input_ids", mixed).dtype == np.int64
    model = MODELS["parlai"]
    np.testing.assert_array_equal(model.generate(mixed, max_length=5), model.generate([[5, 6]], max_length=5))
    with pytest.raises(TypeError, match="input_ids must hold numbers, not NoneType"):
        as_array("input_ids", np.array([[5, None]], object))
    with pytest.raises(ValueError, match="too large for 64 bits"):
        as_array("input_ids", [[2**70]])
