"""Calls of `generate` at the edge of what makes sense: as the originals do, or refused by name.

What transformers 4.52.4 and 5.23.0 do with each was read off from them, with one small model: refused are 0 for
repetition_penalty and typical_p and empty lists of phrases; top_p=0 keeps the most probable token; a length penalty of
400 is an OverflowError, a temperature of 1e-40 or 1e300 a RuntimeError about probabilities; a missing source is the
token that begins a text; min_length above max_length warns; a list of one start id is that id.
"""

from typing import Any

import numpy as np
import pytest

from npblender.config.generation_config import GenerationConfig
from reference_tests.support.generation_cases import lively_model

MODELS = {dialect: lively_model(0, dialect) for dialect in ("parlai", "transformers-4", "transformers-5")}
TRANSFORMERS = ("transformers-4", "transformers-5")
SOURCE = [[5, 6, 7]]

REFUSED = [
    ({"repetition_penalty": 0}, "repetition_penalty must be above 0, not 0"),
    ({"encoder_repetition_penalty": 0.0}, "encoder_repetition_penalty must be above 0"),
    ({"typical_p": 0.0, "do_sample": True}, "typical_p must be above 0, to 1"),
    ({"temperature": 0.0, "do_sample": True}, "temperature must be above 0"),
    ({"temperature": 1e-40, "do_sample": True}, "temperature=1e-40 is too small"),
    ({"temperature": 1e300, "do_sample": True}, r"temperature=1e\+300 is too large"),
    ({"length_penalty": 400.0, "num_beams": 2}, "length_penalty=400.0 is too large"),
    ({"length_penalty": -1e6, "num_beams": 2}, "length_penalty=-1000000.0 is too large"),
    ({"force_words_ids": [], "num_beams": 2}, "force_words_ids is empty; None stands for none"),
    ({"bad_words_ids": []}, "bad_words_ids is empty"),
    ({"sequence_bias": {}}, "sequence_bias is empty"),
    ({"decoder_start_token_id": [3, 4]}, r"decoder_start_token_id is one id for all rows, not \[3, 4\]"),
    ({"max_new_tokens": 0}, "max_new_tokens must be at least 1"),
]


@pytest.mark.parametrize("dialect", TRANSFORMERS)
@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refused_by_name(dialect: str, call: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MODELS[dialect].generate(SOURCE, **{"max_length": 8, **call})


@pytest.mark.parametrize("call", [{"do_sample": True, "temperature": 1e-40}, {"length_penalty": 400.0}])
def test_refused_by_name_in_parlais_searches_too(call: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(reversed(call))):
        MODELS["parlai"].generate(SOURCE, **call)


def test_parlais_nucleus_of_nothing() -> None:
    with pytest.raises(ValueError, match="top_p=0 leaves no token"):
        MODELS["parlai"].generate(SOURCE, do_sample=True, top_p=0.0)


@pytest.mark.parametrize("dialect", TRANSFORMERS)
def test_top_p_0_keeps_the_most_probable_token(dialect: str) -> None:
    model = MODELS[dialect]
    greedy = model.generate(SOURCE, max_length=8)
    np.testing.assert_array_equal(model.generate(SOURCE, max_length=8, do_sample=True, top_p=0.0, seed=0), greedy)


def test_the_widest_settings_that_are_taken_give_finite_scores() -> None:
    for dialect in MODELS:
        for penalty in (-20.0, 20.0):
            record = MODELS[dialect].generate(
                SOURCE,
                num_beams=2,
                max_length=8,
                length_penalty=penalty,
                return_dict_in_generate=True,
                output_scores=True,
            )
            assert np.isfinite(record.sequences_scores).all()
        for temperature in (1e-15, 1e30):
            assert MODELS[dialect].generate(SOURCE, do_sample=True, temperature=temperature, max_length=8).shape[0] == 1


@pytest.mark.parametrize("dialect", TRANSFORMERS)
def test_a_shorter_limit_than_the_minimum_warns(dialect: str) -> None:
    model = MODELS[dialect]
    with pytest.warns(UserWarning, match="min_length 12 is larger than max_length 8"):
        reply = model.generate(SOURCE, min_length=12, max_length=8)
    assert reply.shape == (1, 8)


@pytest.mark.parametrize("dialect", MODELS)
def test_a_list_of_one_start_id_is_that_id(dialect: str) -> None:
    model = MODELS[dialect]
    one = model.generate(SOURCE, decoder_start_token_id=3, max_length=6)
    assert one[0, 0] == 3
    for several in ([3], [3, 3], np.array([3])):
        np.testing.assert_array_equal(model.generate(SOURCE, decoder_start_token_id=several, max_length=6), one)
    assert GenerationConfig(decoder_start_token_id=[3]).decoder_start_token_id == 3


@pytest.mark.parametrize("dialect", TRANSFORMERS)
def test_without_a_source_it_is_the_token_that_begins_a_text(dialect: str) -> None:
    model = MODELS[dialect]
    begin = model.config.bos_token_id
    np.testing.assert_array_equal(model.generate(max_length=8), model.generate([[begin]], max_length=8))
    np.testing.assert_array_equal(
        model.generate(bos_token_id=4, max_length=8, num_beams=2), model.generate([[4]], max_length=8, num_beams=2)
    )


@pytest.mark.parametrize("dialect", TRANSFORMERS)
@pytest.mark.parametrize(
    "call", [{}, {"num_beams": 3}, {"num_beams": 4, "num_return_sequences": 2}, {"do_sample": True}]
)
def test_a_cache_is_gone_on_from(dialect: str, call: dict[str, Any]) -> None:
    """The prompt's first tokens are not read again; ids are those of a call without the cache."""
    model = MODELS[dialect]
    source, prompt = [[5, 6, 7], [8, 3, 9]], np.array([[1, 4, 6, 5], [1, 7, 7, 8]])
    call = {"max_length": 10, **({"seed": 1} if "do_sample" in call else {}), **call}
    expected = model.generate(source, decoder_input_ids=prompt, **call)
    for length in (1, 3):
        past = model(source, decoder_input_ids=prompt[:, :length]).past_key_values
        keys = past[0].key.copy()
        found = model.generate(source, decoder_input_ids=prompt, past_key_values=past, **call)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(past[0].key, keys), "the caller's cache is never changed"
    changed = model(source, decoder_input_ids=[[1, 9, 9], [1, 9, 9]]).past_key_values
    read: list[int] = []
    model.generate(
        source,
        decoder_input_ids=prompt,
        past_key_values=changed,
        tap=lambda name, array: read.append(array.shape[1]) if name == "decoder.embed_tokens" else None,
        **call,
    )
    assert not read or read[0] == 1


def test_caches_that_do_not_fit() -> None:
    model = MODELS["transformers-5"]
    past = model(SOURCE, decoder_input_ids=[[1, 4]]).past_key_values
    for call, message in (
        ({}, "pass these too"),
        ({"decoder_input_ids": [[4, 5, 6]]}, "the start token first"),
        ({"decoder_input_ids": [[1, 4]]}, "one at least must be new"),
        ({"decoder_input_ids": [[1, 4, 5]], "use_cache": False}, "leave use_cache=False out"),
        ({"decoder_input_ids": [[1, 4, 5]], "input_ids": [[5, 6]]}, "cover a source of 3 tokens"),
        ({"decoder_input_ids": [[1, 4, 5]], "past_key_values": ()}, "past_key_values has 0 layers"),
    ):
        with pytest.raises(ValueError, match=message):
            model.generate(**{"input_ids": SOURCE, "past_key_values": past, "max_length": 8, **call})
    with pytest.raises(ValueError, match="ParlAI-style search reads decoder_input_ids itself"):
        MODELS["parlai"].generate(SOURCE, decoder_input_ids=[[1, 4, 5]], past_key_values=past)
