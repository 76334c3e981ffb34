"""Batches: the originals' answers to random calls, hand-solved padding and truncation, laws, and refusals by name."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender.tokenizer import BatchEncoding, BlenderbotSmallTokenizer
from npblender.tokenizer.batching import truncate
from npblender.tokenizer.encoding_options import EVERY_METHOD, TABLE
from npblender.tokenizer.example import EXAMPLE_MERGES, EXAMPLE_VOCABULARY, example_tokenizer
from reference_tests.support.text_strategies import texts

GOLDEN = Path(__file__).parents[1] / "golden" / "tokenizer"
TOKENIZER = BlenderbotSmallTokenizer(EXAMPLE_VOCABULARY, EXAMPLE_MERGES, model_max_length=512)


def plain(value):
    """Encodings, arrays and tuples as JSON has them."""
    if isinstance(value, BatchEncoding | dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("dialect", ["transformers-4", "transformers-5"])
def test_the_originals_answers(dialect):
    """Whole results of method calls as both transformers gave them."""
    golden = json.loads((GOLDEN / "calls.json").read_text(encoding="utf-8"))
    answers = golden["originals"][dialect]["answers"]
    assert len(golden["calls"]) == len(answers) > 200
    tokenizer = BlenderbotSmallTokenizer(EXAMPLE_VOCABULARY, EXAMPLE_MERGES, dialect=dialect, model_max_length=512)
    for call, answer in zip(golden["calls"], answers, strict=True):
        value = plain(getattr(tokenizer, call["method"])(*call["args"], **call["kwargs"]))
        assert {"value": value} == answer, call


def test_exactly_ids_and_mask():
    assert dict(TOKENIZER("low")) == {"input_ids": [6], "attention_mask": [1]}
    assert dict(TOKENIZER(["low", "low low"])) == {"input_ids": [[6], [6, 6]], "attention_mask": [[1], [1, 1]]}


def test_arrays_by_hand():
    encoding = TOKENIZER(["hello low", "low"], padding=True, return_tensors="np")
    assert encoding.input_ids.tolist() == [[5, 6], [6, 0]]
    assert encoding["attention_mask"].tolist() == [[1, 1], [1, 0]]
    assert {array.dtype for array in encoding.values()} == {np.dtype(np.int64)}
    one = TOKENIZER("hello low", return_tensors="np")
    assert (one.input_ids.shape, one.attention_mask.shape) == ((1, 2), (1, 2))
    assert TOKENIZER.encode("hello low", return_tensors="np").shape == (1, 2)
    assert TOKENIZER("", return_tensors="np").input_ids.shape == (1, 0)
    assert TOKENIZER(["", ""], return_tensors="np").input_ids.shape == (2, 0)
    assert TOKENIZER([], return_tensors="np").input_ids.shape == (0, 0)


@pytest.mark.parametrize(
    ("texts", "options", "ids"),
    [
        (["hello low", "low"], {"padding": True, "padding_side": "left"}, [[5, 6], [0, 6]]),
        (["low"], {"padding": "max_length", "max_length": 3}, [[6, 0, 0]]),
        (["low low low", "low"], {"padding": True, "pad_to_multiple_of": 4}, [[6, 6, 6, 0], [6, 0, 0, 0]]),
        (["hello low !", "low"], {"max_length": 2}, [[5, 6], [6]]),
        (["hello low !", "low"], {"max_length": 2, "truncation": True, "padding": True}, [[5, 6], [6, 0]]),
        ([("hello low !", "low er")], {"max_length": 3}, [[5, 6, 6]]),
        ([("hello low !", "low er")], {"max_length": 3, "truncation": "only_first"}, [[5, 6, 8]]),
        ([("hello low !", "low er")], {"max_length": 3, "truncation": "only_second"}, None),
        ([("hello low", "low er")], {"max_length": 3, "truncation": "only_second"}, [[5, 6, 6]]),
        ([["hello", "low"], ["!"]], {"is_split_into_words": True}, [[5, 6], [10]]),
        ([[5, 6, 7], [8]], {"padding": True}, [[5, 6, 7], [8, 0, 0]]),
        ([([5, 6], [7])], {}, [[5, 6, 7]]),
        ([""], {"padding": "max_length", "max_length": 2}, [[0, 0]]),
        ([], {"padding": True}, []),
    ],
)
def test_lists_by_hand(texts, options, ids):
    if ids is None:
        with pytest.raises(ValueError, match="cannot take"):
            TOKENIZER([("hello low ! !", "low")], **options)
    else:
        assert TOKENIZER(texts, **options)["input_ids"] == ids


def test_what_else_can_be_asked_for():
    asked = dict.fromkeys(("return_token_type_ids", "return_special_tokens_mask", "return_length"), True)
    encoding = TOKENIZER(
        ["hello low", "low"], ["!", "er er"], padding="max_length", max_length=4, truncation=True, **asked
    )
    assert dict(encoding) == {
        "input_ids": [[5, 6, 10, 0], [6, 8, 8, 0]],
        "attention_mask": [[1, 1, 1, 0], [1, 1, 1, 0]],
        "token_type_ids": [[0, 0, 1, 0], [0, 1, 1, 0]],
        "special_tokens_mask": [[0, 0, 0, 1], [0, 0, 0, 1]],
        "length": [3, 3],
    }
    overflow = TOKENIZER("hello low low !", max_length=2, stride=1, return_overflowing_tokens=True)
    assert dict(overflow) == {
        "input_ids": [5, 6],
        "attention_mask": [1, 1],
        "overflowing_tokens": [6, 6, 10],
        "num_truncated_tokens": 2,
    }
    assert dict(TOKENIZER("low", return_attention_mask=False)) == {"input_ids": [6]}
    assert dict(TOKENIZER("low", text_target="er !"))["labels"] == [8, 10]
    assert dict(TOKENIZER(text_target="er !"))["input_ids"] == [8, 10]


def test_the_truncation_side_is_the_tokenizers():
    left = BlenderbotSmallTokenizer(EXAMPLE_VOCABULARY, EXAMPLE_MERGES, truncation_side="left", padding_side="left")
    assert left("hello low !", max_length=2)["input_ids"] == [6, 10]
    assert left(["hello low", "low"], padding=True)["input_ids"] == [[5, 6], [0, 6]]
    assert left(["hello low", "low"], padding=True, padding_side="right")["input_ids"] == [[5, 6], [6, 0]]
    left.truncation_side = "right"
    assert left("hello low !", max_length=2)["input_ids"] == [5, 6]


@given(st.lists(texts(), min_size=1, max_size=4), st.sampled_from(["left", "right"]), st.integers(1, 9))
def test_padding_and_truncation_keep_the_ends(batch, side, length):
    """Removing the padding gives each text's own ids, cut at the right; the mask says which they are."""
    padded = TOKENIZER(
        batch, padding="max_length", truncation=True, max_length=length, padding_side=side, return_tensors="np"
    )
    for text, ids, mask in zip(batch, padded.input_ids, padded.attention_mask, strict=True):
        own = TOKENIZER.encode(text)[:length]
        assert ids[mask == 1].tolist() == own
        assert not ids[mask == 0].any()
        assert mask.tolist() == ([1] * len(own) + [0] * (length - len(own)))[:: -1 if side == "left" else 1]


@given(st.lists(st.integers(0, 9), max_size=9), st.lists(st.integers(0, 9), max_size=9), st.integers(0, 18))
def test_a_pair_is_cut_to_equal_lengths_first(first, second, remove):
    remove = min(remove, len(first) + len(second))
    for side in ("left", "right"):
        one, two, overflow = truncate(first, second, remove, "longest_first", side)
        assert two is not None
        assert len(one) + len(two) == len(first) + len(second) - remove
        assert overflow == []
        assert one == (first[: len(one)] if side == "right" else first[len(first) - len(one) :])
        assert two == (second[: len(two)] if side == "right" else second[len(second) - len(two) :])
        if len(one) < len(first) and len(two) < len(second):
            assert abs(len(one) - len(two)) <= 1


def test_what_fills_up_is_the_pad_token():
    marked = BlenderbotSmallTokenizer(EXAMPLE_VOCABULARY, EXAMPLE_MERGES, pad_token="?")
    assert marked(["low low", "low"], padding=True)["input_ids"] == [[6, 6], [6, 12]]


def test_padding_encodings():
    rows = [TOKENIZER("hello low"), TOKENIZER("low")]
    wanted = {"input_ids": [[5, 6], [6, 0]], "attention_mask": [[1, 1], [1, 0]]}
    assert dict(TOKENIZER.pad(rows)) == wanted
    assert dict(TOKENIZER.pad(TOKENIZER(["hello low", "low"]))) == wanted
    arrays = TOKENIZER.pad([{"input_ids": np.array([5, 6])}, {"input_ids": np.array([6])}])
    assert arrays.input_ids.dtype == np.int64
    assert plain(arrays) == wanted
    assert dict(TOKENIZER.pad(rows[1], padding="max_length", max_length=2))["input_ids"] == [6, 0]
    assert dict(TOKENIZER.pad({"input_ids": [[5], [6, 6]]}, return_attention_mask=False)) == {
        "input_ids": [[5, 0], [6, 6]]
    }
    assert dict(TOKENIZER.pad({"input_ids": []})) == {"input_ids": [], "attention_mask": []}


def test_an_encoding_is_a_mapping_with_attributes():
    encoding = TOKENIZER(["low", "er"])
    assert (lambda input_ids, attention_mask: input_ids)(**encoding) == [[6], [8]]
    assert encoding[1:] == {"input_ids": [[8]], "attention_mask": [[1]]}
    assert encoding.to("cpu") is encoding
    with pytest.raises(AttributeError, match="'labels'; it has input_ids, attention_mask"):
        encoding.labels  # noqa: B018
    with pytest.raises(ValueError, match="'cuda'"):
        encoding.to("cuda")
    with pytest.raises(KeyError, match="by its name"):
        encoding[0]


REFUSALS = [
    ({"text": None}, ValueError, "give text"),
    ({"text": 5}, TypeError, "text must be a string or a list of ids, not int 5"),
    ({"text": ["low", 5]}, TypeError, r"text\[1\] must be a string"),
    ({"text": [1.5]}, TypeError, "text must be a string or a list of ids"),
    ({"text": [("low", "er", "hello")]}, ValueError, r"text\[0\] holds 3 texts"),
    ({"text": ["low"], "text_pair": ["low", "er"]}, ValueError, "1 texts and text_pair 2"),
    ({"text": ["low"], "text_pair": "low"}, TypeError, "text_pair is one text"),
    ({"text": "low", "text_pair": ["low"]}, TypeError, "text_pair is a batch"),
    ({"text": "low", "text_pair_target": "low"}, ValueError, "needs text_target"),
    ({"padding": "longset"}, ValueError, "padding must be True, False or one of 'longest'"),
    ({"truncation": "first"}, ValueError, "truncation must be True, False or one of 'longest_first'"),
    ({"padding": ["longest"]}, ValueError, "padding must be True, False"),
    ({"padding_side": "up"}, ValueError, "padding_side must be 'left' or 'right', not 'up'"),
    ({"return_tensors": "pt"}, ValueError, "'pt' is not available"),
    ({"return_tensors": "np", "text": ["low", "low er"]}, ValueError, "pass padding=True"),
    ({"max_length": 0}, ValueError, "max_length must be at least 1"),
    ({"max_length": "8"}, TypeError, "max_length must be a whole number"),
    ({"max_length": 8, "padding": True}, ValueError, "max_length=8 would have no effect"),
    ({"max_length": 8, "truncation": False}, ValueError, "max_length=8 would have no effect"),
    ({"stride": 2}, ValueError, "stride would have no effect"),
    ({"stride": -1}, ValueError, "stride must be at least 0"),
    ({"pad_to_multiple_of": 8}, ValueError, "pad_to_multiple_of would have no effect"),
    ({"pad_to_multiple_of": 8, "padding": True, "truncation": True, "max_length": 9}, ValueError, "not a multiple"),
    ({"truncation": "only_second", "max_length": 1, "text": "low er"}, ValueError, "needs a pair"),
    ({"return_overflowing_tokens": True, "return_tensors": "np"}, ValueError, "without return_tensors"),
    ({"return_length": 1}, TypeError, "return_length must be true or false"),
    ({"split_special_tokens": "no"}, TypeError, "split_special_tokens must be true or false"),
    ({"paddin": True}, TypeError, "paddin"),
]


@pytest.mark.parametrize(("given", "error", "message"), REFUSALS)
def test_refusals(given, error, message):
    with pytest.raises(error, match=message):
        TOKENIZER(**{"text": "low", **given})


def test_lengths_without_a_limit_are_refused():
    unlimited = example_tokenizer()
    for options in ({"truncation": True}, {"padding": "max_length"}):
        with pytest.raises(ValueError, match="needs max_length: this tokenizer has no model_max_length"):
            unlimited("low", **options)
    assert len(TOKENIZER("low " * 600, truncation=True)["input_ids"]) == 512
    assert len(TOKENIZER("low", padding="max_length")["input_ids"]) == 512


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "needs input_ids; it got nothing"),
        ([{"attention_mask": [1]}], "needs input_ids; it got attention_mask"),
        ([{"input_ids": [1], "labels": [2]}], "what to fill 'labels'"),
        ([{"input_ids": [1]}, {"input_ids": [1], "attention_mask": [1]}], "different entries"),
        ({"input_ids": [[1], [2]], "attention_mask": [[1]]}, "1 and of 2 rows"),
    ],
)
def test_encodings_that_can_not_be_padded(given, message):
    with pytest.raises(ValueError, match=message):
        TOKENIZER.pad(given)


def test_encode_takes_one_text_tokens_or_ids():
    assert TOKENIZER.encode(["low@@", "er"]) == [7, 8]
    assert TOKENIZER.encode(["low", "er!"], is_split_into_words=True) == [6, 8, 10]
    assert TOKENIZER.encode([7, 8], text_pair="!") == [7, 8, 10]
    assert TOKENIZER.encode([]) == []
    with pytest.raises(TypeError, match="text must be"):
        TOKENIZER.encode([["low"], ["er"]])
    with pytest.raises(TypeError, match="tokens must be strings"):
        TOKENIZER.encode(["low", 5])
    with pytest.raises(TypeError, match="tokenize takes one string"):
        TOKENIZER.tokenize(["low"])


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_the_methods_take_the_options_of_the_table(method):
    """Every option that a row says a method reads is one of its parameters, with the row's default, and no other is."""
    parameters = inspect.signature(getattr(BlenderbotSmallTokenizer, method)).parameters
    assert TABLE.keys() & parameters.keys() == {name for name, row in TABLE.items() if method in row["read_by"]}
    for name in TABLE.keys() & parameters.keys() - {"padding" if method == "pad" else ""}:
        assert parameters[name].default == TABLE[name]["default"], name


def test_an_option_that_a_method_does_not_read_is_unknown_to_it():
    for name, row in TABLE.items():
        for method in set(EVERY_METHOD) - set(row["read_by"]):
            with pytest.raises(TypeError, match=name):
                getattr(TOKENIZER, method)([5], **{name: row["default"]})
