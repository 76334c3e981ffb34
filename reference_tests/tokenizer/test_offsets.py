"""Where tokens stand in their text: hand-solved, and laws for any text. test_fast.py compares with the Rust library."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender.tokenizer import AddedToken
from npblender.tokenizer.example import example_tokenizer
from reference_tests.support.text_strategies import texts

DIALECTS = ("parlai", "transformers-5")
TOKENIZERS = {dialect: example_tokenizer(dialect) for dialect in DIALECTS}

HAND_SOLVED = [
    # dialect, text, spans, words
    ("parlai", "Hello,  lower!", [(0, 5), (5, 6), (8, 11), (11, 13), (13, 14)], [0, 1, 2, 2, 3]),
    ("parlai", "low\nlow", [(0, 3), (3, 4), (4, 7)], [0, 1, 2]),
    ("parlai", "İlow", [(0, 1), (0, 1), (1, 4)], [0, 1, 2]),  # i and a dot, which is a mark, and no letter
    ("parlai", "a😀lower", [(0, 1), (1, 2), (2, 5), (5, 7)], [0, 1, 2, 2]),
    ("transformers-5", "İlow", [(0, 1), (0, 1), (1, 4)], [0, 0, 0]),
    ("transformers-5", "low!low", [(0, 3), (3, 4), (4, 7)], [0, 1, 1]),
    ("transformers-5", "low \nlow\n", [(0, 3), (5, 8), (8, 9)], [0, 1, 2]),
    ("transformers-5", " __end__low", [(1, 8), (8, 11)], [0, 1]),
]


@pytest.mark.parametrize(("dialect", "text", "spans", "words"), HAND_SOLVED)
def test_hand_solved(dialect, text, spans, words):
    encoding = TOKENIZERS[dialect](text, return_offsets_mapping=True)
    assert encoding["offset_mapping"] == spans
    assert encoding.word_ids() == words
    assert encoding["input_ids"] == TOKENIZERS[dialect].encode(text)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
@given(text=texts())
def test_laws_of_any_text(dialect, split, text):
    """One span a token, in order, none with white space at its ends, and all visible characters in some span."""
    encoding = TOKENIZERS[dialect](text, return_offsets_mapping=True, split_special_tokens=split)
    spans = encoding["offset_mapping"]
    assert len(spans) == len(encoding["input_ids"])
    assert spans == sorted(spans)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    covered = {at for start, end in spans for at in range(start, end)}
    assert {at for at, character in enumerate(text) if not character.isspace()} <= covered
    assert all(text[at] == "\n" or not text[at].isspace() or "\x1c" <= text[at] <= "\x1f" for at in covered)
    words = encoding.word_ids()
    assert sorted(set(words)) == list(range(len(set(words))))


@pytest.mark.parametrize("dialect", DIALECTS)
@given(text=texts())
def test_a_known_token_is_what_stands_there(dialect, text):
    tokenizer = TOKENIZERS[dialect]
    encoding = tokenizer(text, return_offsets_mapping=True)
    for number, (start, end) in zip(encoding["input_ids"], encoding["offset_mapping"], strict=True):
        token = tokenizer.convert_ids_to_tokens(number)
        if token not in ("__unk__", "__newln__"):
            assert text[start:end].lower().replace("i̇", "i") == token.removesuffix("@@").replace("i̇", "i")


def test_a_token_that_takes_white_space_along():
    tokenizer = example_tokenizer("transformers-5")
    tokenizer.add_tokens([AddedToken("<t>", lstrip=True, rstrip=True)])
    encoding = tokenizer("low  <t>  low low", return_offsets_mapping=True)
    assert encoding["offset_mapping"] == [(0, 3), (5, 8), (10, 13), (14, 17)]


@given(rows=st.lists(texts(), max_size=4), length=st.integers(1, 6), side=st.sampled_from(["left", "right"]))
def test_truncation_and_padding_keep_places(rows, length, side):
    tokenizer = example_tokenizer()
    tokenizer.padding_side = tokenizer.truncation_side = side
    whole = [tokenizer(text, return_offsets_mapping=True) for text in rows]
    batch = tokenizer(rows, return_offsets_mapping=True, truncation=True, max_length=length, padding="max_length")
    assert batch["input_ids"] == tokenizer(rows, truncation=True, max_length=length, padding="max_length")["input_ids"]
    for at, alone in enumerate(whole):
        kept = alone["offset_mapping"][:length] if side == "right" else alone["offset_mapping"][-length:]
        pads = [(0, 0)] * (length - len(kept))
        assert batch["offset_mapping"][at] == (kept + pads if side == "right" else pads + kept)
        assert sum(word is not None for word in batch.word_ids(at)) == len(kept)


def test_pairs_words_and_arrays():
    tokenizer = example_tokenizer()
    pair = tokenizer(
        "low low", "lower", return_offsets_mapping=True, return_tensors="np", truncation="only_first", max_length=3
    )
    np.testing.assert_array_equal(pair["offset_mapping"], [[[0, 3], [0, 3], [3, 5]]])
    assert pair.sequence_ids() == [0, 1, 1]
    assert (pair.char_to_token(4), pair.char_to_token(0, 4, 1), pair.char_to_token(3)) == (None, 2, None)
    words = tokenizer([["low", "lower!"]], is_split_into_words=True, return_offsets_mapping=True)
    assert words["offset_mapping"] == [[(0, 3), (0, 3), (3, 5), (5, 6)]]
    assert words.word_ids() == [0, 1, 1, 1]
    assert words.word_to_tokens(1) == (1, 4)
    assert words.word_to_tokens(2) is None
    assert tokenizer([], return_offsets_mapping=True)["offset_mapping"] == []
    with pytest.raises(IndexError, match="there are 1 texts"):
        words.word_ids(1)
