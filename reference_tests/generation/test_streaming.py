"""Replies while they are made: the same tokens, the same text, and no half words; and texts that end a reply."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender.config.dialect import DIALECTS
from npblender.generation.stopping import StopStrings
from npblender.generation.streaming import text_pieces
from npblender.tokenizer.example import example_tokenizer
from reference_tests.support.generation_cases import lively_model

SOURCE = [[5, 9, 4, 5]]


@pytest.mark.parametrize("dialect", ["parlai", "transformers-4", "transformers-5"])
@pytest.mark.parametrize(
    "call",
    [
        {},
        {"do_sample": True, "seed": 3},
        {"max_length": 3},
        {"min_length": 12},
        {"decoder_input_ids": [[1, 9, 8]]},
    ],
)
@pytest.mark.filterwarnings("ignore:min_length 20 is larger")
def test_the_tokens_are_those_of_generate(dialect: str, call: dict[str, Any]) -> None:
    model = lively_model(2, dialect)
    call = {"max_length": 12, **call}
    whole = model.generate(SOURCE, **call)[0]
    prompt = 1 if dialect == "parlai" else len(call.get("decoder_input_ids", [[1]])[0])
    tokens = [int(token[0]) for token in model.stream(SOURCE, **call)]
    assert tokens == whole[prompt:].tolist()


def test_the_tokens_of_several_rows() -> None:
    for dialect in ("parlai", "transformers-5"):
        model = lively_model(5, dialect)
        source = [[5, 6], [7, 8], [9, 4]]
        steps = np.stack(list(model.stream(source, max_length=15)), axis=1)
        assert np.array_equal(steps, model.generate(source, max_length=15)[:, 1:])


def test_lookups_and_contrast_can_be_streamed() -> None:
    model = lively_model(2)
    for call in ({"prompt_lookup_num_tokens": 3}, {"penalty_alpha": 0.5, "top_k": 3}):
        whole = model.generate(SOURCE, max_length=12, **call)[0, 1:]
        assert [int(token[0]) for token in model.stream(SOURCE, max_length=12, **call)] == whole.tolist()


def test_a_streamer_gets_the_prompt_each_step_and_the_end() -> None:
    class Streamer:
        def __init__(self) -> None:
            self.got: list[Any] = []

        def put(self, value: np.ndarray) -> None:
            self.got.append(value.tolist())

        def end(self) -> None:
            self.got.append("end")

    model, streamer = lively_model(2), Streamer()
    row = model.generate(SOURCE, max_length=6, streamer=streamer)[0].tolist()
    assert streamer.got == [[[1]], *([token] for token in row[1:]), "end"]


WORDS = st.lists(
    st.sampled_from(["hello", "low@@", "er", "!", ",", ".", "?", "__newln__", "__unk__", "__end__", "n't", "'", "'s"]),
    max_size=12,
)


def test_half_a_word_goes_on_behind_a_token_that_is_left_out() -> None:
    tokenizer = example_tokenizer()
    ids = tokenizer.convert_tokens_to_ids(["low@@", "__unk__", "hello", "!"])
    pieces = list(text_pieces([np.array([i]) for i in ids], tokenizer, False))
    assert pieces == ["lowhello", " !"]


@pytest.mark.parametrize("dialect", [dialect.name for dialect in DIALECTS])
@given(words=WORDS, cleaned=st.sampled_from([True, False, None]))
def test_pieces_of_text_join_to_the_decoded_text(dialect: str, words: list[str], cleaned: bool | None) -> None:
    tokenizer = example_tokenizer(dialect=dialect)
    known = set(tokenizer.get_vocab())
    ids = tokenizer.convert_tokens_to_ids([word for word in words if word in known])
    pieces = list(text_pieces([np.array([i]) for i in ids], tokenizer, cleaned))
    options = {} if cleaned is None else {"clean_up_tokenization_spaces": cleaned}
    whole = tokenizer.decode(ids, skip_special_tokens=True, **options)
    assert "".join(pieces) == whole
    assert all(pieces)
    shown = ""
    for piece in pieces[:-1]:
        shown += piece
        assert not shown.endswith("@@")
        rest = whole[len(shown) :]
        assert not (shown[-1:].isalpha() and rest[:1].isalpha()), "a word is shown whole"


class Words:
    """A tokenizer of single words and halves, in the order of their ids."""

    clean_up_tokenization_spaces = True
    all_special_ids: tuple[int, ...] = ()

    def __init__(self, *words: str) -> None:
        self.words = words

    def convert_ids_to_tokens(self, token: int) -> str:
        return self.words[token]

    def decode(
        self, ids: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> str:
        tokens = [self.words[token] for token in ids]
        return str(
            example_tokenizer().clean_up_tokenization(" ".join(tokens).replace("@@ ", ""))
            if clean_up_tokenization_spaces or clean_up_tokenization_spaces is None
            else " ".join(tokens).replace("@@ ", "")
        )


@given(
    words=st.lists(
        st.sampled_from(["is", "n", "'", "t", "it", "s", "m", "n't", "re", ".", ",", "d@@", "o"]), max_size=14
    )
)
def test_spaces_that_are_cleaned_up_later_are_not_shown(words: list[str]) -> None:
    """`is n ' t` becomes `isn't` with its fourth word; what has been shown by then must still stand."""
    if words and words[-1] == "d@@":
        words = [*words, "o"]
    tokenizer = Words(*words)
    pieces = list(text_pieces([np.array([n]) for n in range(len(words))], tokenizer))
    assert "".join(pieces) == tokenizer.decode(range(len(words)))


def test_text_is_streamed_for_one_reply_at_a_time() -> None:
    with pytest.raises(ValueError, match="one reply at a time, not for 2"):
        list(text_pieces([np.array([5, 6])], example_tokenizer()))


def reply_model(tokens: list[str], dialect: str = "transformers-5") -> tuple[Any, Any, Any]:
    """A model over the example's vocabulary, its tokenizer, and a filter that makes it say these tokens."""
    tokenizer = example_tokenizer()
    model = lively_model(1, dialect, vocab_size=len(tokenizer), max_position_embeddings=30)
    ids = tokenizer.convert_tokens_to_ids(tokens)

    def say(target: np.ndarray, scores: np.ndarray) -> np.ndarray:
        changed = np.full_like(scores, -50)
        changed[:, ids[(target.shape[1] - 1) % len(ids)]] = 0
        return changed

    return model, tokenizer, say


def test_a_stream_of_text() -> None:
    model, tokenizer, say = reply_model(["hello", ",", "low@@", "er", "!", "__end__"])
    pieces = list(model.stream([[5, 6]], tokenizer=tokenizer, logits_processor=[say], max_length=12))
    assert pieces == ["hello", " ,", " lower", " !"]
    pieces = list(
        model.stream(
            [[5, 6]],
            tokenizer=tokenizer,
            clean_up_tokenization_spaces=True,
            logits_processor=[say],
            max_length=12,
        )
    )
    assert "".join(pieces) == "hello, lower!"


@pytest.mark.parametrize(
    ("strings", "said"),
    [
        ("lower", ["hello", ",", "low@@", "er"]),
        ("low", ["hello", ",", "low@@"]),
        (["!", "lower"], ["hello", ",", "low@@", "er"]),
        ("lower!", ["hello", ",", "low@@", "er", "!"]),
        ("lower !", ["hello", ",", "low@@", "er", "!"]),
        ("o, l", ["hello", ",", "low@@"]),
        ("! hello", ["hello", ",", "low@@", "er", "!", "hello"]),
        ("nowhere", ["hello", ",", "low@@", "er", "!", "hello", ",", "low@@", "er"]),
    ],
)
@pytest.mark.parametrize("beams", [1, 3])
def test_strings_that_end_a_reply(strings: Any, said: list[str], beams: int) -> None:
    model, tokenizer, say = reply_model(["hello", ",", "low@@", "er", "!"])
    row = model.generate(
        [[5, 6]],
        stop_strings=strings,
        tokenizer=tokenizer,
        logits_processor=[say],
        max_length=10,
        num_beams=beams,
        eos_token_id=None,
    )[0]
    assert tokenizer.convert_ids_to_tokens(row[1:].tolist()) == said


def test_what_stands_in_the_prompt_ends_nothing() -> None:
    tokenizer = example_tokenizer()
    ids = tokenizer.convert_tokens_to_ids(["__start__", "hello", "hello", ","])
    stop = StopStrings(("hello",), tokenizer, prompt_length=2)
    assert stop(np.array([ids[:3], [*ids[:2], ids[3]]])).tolist() == [True, False]
    assert stop(np.array([ids])).tolist() == [False], "it was there before the last token"
