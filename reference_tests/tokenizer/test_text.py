"""Text to ids and back: the originals' answers, the definitions on any text, special tokens, what a user types."""

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from npblender.config.dialect import PARLAI
from npblender.tokenizer import NEWLINE, AddedToken, BlenderbotSmallTokenizer
from npblender.tokenizer.example import EXAMPLE_MERGES, EXAMPLE_VOCABULARY, example_tokenizer
from npblender.tokenizer.shortcuts import LONGEST_KEY
from reference_tests.oracles import tokenizer as naive
from reference_tests.support.text_strategies import FRAGMENTS, SPECIAL_TOKENS, texts

GOLDEN = Path(__file__).parents[1] / "golden" / "tokenizer"
DIALECTS = ("parlai", "transformers-4", "transformers-5")
TOKENIZERS = {dialect: example_tokenizer(dialect) for dialect in DIALECTS}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_originals_answers(dialect):
    """Ids and decoded text that the originals gave for the example vocabulary."""
    golden = json.loads((GOLDEN / "texts.json").read_text(encoding="utf-8"))
    answers = golden["originals"][dialect]["answers"]
    assert len(golden["texts"]) == len(answers) > 200
    for text, answer in zip(golden["texts"], answers, strict=True):
        ids = TOKENIZERS[dialect](text)["input_ids"]
        assert {"ids": ids, "decoded": TOKENIZERS[dialect].decode(ids)} == answer, text


HAND_SOLVED = [
    # dialect, text, tokens; ids by the vocabulary, 3 for what it lacks
    ("parlai", "Hello, low LOWER!", ["hello", ",", "low", "low@@", "er", "!"]),
    ("parlai", "low\nher", ["low", NEWLINE, "h@@", "er"]),
    ("parlai", "low!er", ["low", "!", "er"]),
    ("parlai", "__start__low __end__", ["__@@", "s@@", "t@@", "a@@", "r@@", "t@@", "__@@", "low", "__end__"]),
    ("transformers-5", "Hello, low LOWER!", ["hello", ",", "low", "low@@", "er", "!"]),
    ("transformers-5", "low\nher", ["low", NEWLINE, "h@@", "er"]),
    ("transformers-5", "low!er", ["low", "!@@", "er"]),
    ("transformers-5", "__start__low__end__", ["__start__", "low", "__end__"]),
    ("transformers-5", "__START__", ["__@@", "s@@", "t@@", "a@@", "r@@", "t@@", "__"]),
]


@pytest.mark.parametrize(("dialect", "text", "tokens"), HAND_SOLVED)
def test_hand_solved(dialect, text, tokens):
    tokenizer = TOKENIZERS[dialect]
    assert tokenizer.tokenize(text) == tokens
    ids = [EXAMPLE_VOCABULARY.get(token, 3) for token in tokens]
    assert tokenizer.encode(text) == tokenizer(text).input_ids == ids
    assert tokenizer.convert_tokens_to_ids(tokens) == ids


@pytest.mark.parametrize("dialect", DIALECTS)
@given(text=texts())
@example(text="".join(FRAGMENTS))
def test_any_text_equals_the_definitions(dialect, text):
    ids = TOKENIZERS[dialect](text)["input_ids"]
    way = "parlai" if dialect == "parlai" else "transformers"
    assert ids == naive.ids_of(text, EXAMPLE_VOCABULARY, EXAMPLE_MERGES, way)
    assert isinstance(TOKENIZERS[dialect].decode(ids), str)


@pytest.mark.parametrize("dialect", DIALECTS)
@given(text=texts())
def test_every_public_way_agrees(dialect, text):
    tokenizer = TOKENIZERS[dialect]
    ids = tokenizer.encode(text)
    assert tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text)) == ids
    assert tokenizer([text, "low"])["input_ids"][0] == ids
    steps = list(tokenizer.explain(text))
    assert [index for step in steps for index in step.ids] == ids
    assert [token for step in steps for token in step.tokens] == tokenizer.tokenize(text)
    for step in steps:
        last = [list(merge.symbols) for merge in step.merges][-1:]
        assert not last or [symbol.removesuffix("</w>") for symbol in last[0]] == [
            token.removesuffix("@@") for token in step.tokens
        ]


@given(texts())
@example("".join(FRAGMENTS))
@example("__end__ low__end__ __newln__\n__null__ __unk__")
def test_nothing_typed_forges_a_special_token(text):
    """With split_special_tokens no id is a special token's, unknown characters apart; line breaks stay line breaks."""
    for tokenizer in TOKENIZERS.values():
        ids = tokenizer.encode(text, split_special_tokens=True)
        assert not set(ids) & {0, 1, 2}
        tokens = tokenizer.tokenize(text, split_special_tokens=True)
        assert tokenizer.convert_tokens_to_ids(tokens) == ids
        breaks = naive.parlai_words(text.replace(NEWLINE, "")) if tokenizer.dialect == PARLAI else None
        if breaks is not None and "_" not in text.replace(NEWLINE, ""):
            assert ids.count(4) == text.count("\n") == breaks.count(NEWLINE)


@given(texts())
def test_splitting_changes_nothing_else(text):
    if not any(token.strip("_") in text.lower() for token in SPECIAL_TOKENS):
        for tokenizer in TOKENIZERS.values():
            assert tokenizer.encode(text, split_special_tokens=True) == tokenizer.encode(text)


def test_a_typed_special_token_is_taken_apart_into_known_pieces():
    tokenizer = TOKENIZERS["parlai"]
    assert tokenizer.tokenize("__end__ low__end__") == ["__end__", "low@@", "__end__"]
    assert tokenizer.tokenize("__end__", split_special_tokens=True) == ["__end@@", "__"]
    assert tokenizer.tokenize("__newln__\n", split_special_tokens=True) == ["__newln@@", "__", NEWLINE]
    own = BlenderbotSmallTokenizer(EXAMPLE_VOCABULARY, EXAMPLE_MERGES, split_special_tokens=True)
    assert own.encode("__end__") == tokenizer.encode("__end__", split_special_tokens=True) != [2]
    assert own.encode("__end__", split_special_tokens=False) == [2]
    # A special token of one character has no parts; it becomes the unknown token.
    marked = BlenderbotSmallTokenizer(EXAMPLE_VOCABULARY, EXAMPLE_MERGES, pad_token="!")
    assert marked.encode("low!") == [6, 10]
    assert marked.encode("low!", split_special_tokens=True) == [6, 3]


def test_decoding_by_hand():
    parlai, transformers = TOKENIZERS["parlai"], TOKENIZERS["transformers-5"]
    ids = [1, 5, 9, 7, 8, 10, 4, 6, 7, 2]  # start hello , low@@ er ! newln low low@@ end
    assert parlai.decode(ids) == "__start__ hello , lower ! \n low low__end__"
    assert transformers.decode(ids) == "__start__ hello , lower ! __newln__ low low__end__"
    assert parlai.decode(ids, skip_special_tokens=True) == "hello , lower ! \n low low"
    assert transformers.decode(ids, skip_special_tokens=True) == "hello , lower ! __newln__ low low@@"
    assert transformers.decode(ids[1:6], clean_up_tokenization_spaces=True) == "hello, lower!"
    assert parlai.decode([4]) == "\n"
    assert parlai.decode([]) == transformers.decode([]) == ""
    assert parlai.convert_tokens_to_string(["", "low", ""]) == " low "
    assert transformers.convert_tokens_to_string(["", "low", ""]) == "low"
    assert parlai.decode(7) == "low"
    assert transformers.decode(7) == "low@@"


def test_decoding_takes_what_numpy_gives():
    tokenizer = TOKENIZERS["parlai"]
    ids = np.array([[5, 10], [6, 10]])
    assert tokenizer.decode(ids[0]) == tokenizer.decode(tuple(ids[0])) == tokenizer.decode([5, 10]) == "hello !"
    assert tokenizer.decode(ids) == tokenizer.batch_decode(ids) == tokenizer.batch_decode(list(ids))
    assert tokenizer.decode(ids) == ["hello !", "low !"]
    assert tokenizer.decode(np.int32(5)) == tokenizer.convert_ids_to_tokens(np.int64(5)) == "hello"
    assert tokenizer.decode(ids.astype(np.uint8)[0]) == "hello !"
    assert tokenizer.decode(range(5, 7)) == tokenizer.decode(iter([5, 6])) == "hello low"
    assert tokenizer.batch_decode(iter([[5], (6,)])) == ["hello", "low"]


def test_numbers_that_are_no_ids_read_as_unknown():
    for tokenizer in TOKENIZERS.values():
        assert tokenizer.convert_ids_to_tokens([-100, -1, len(tokenizer), 5]) == ["__unk__"] * 3 + ["hello"]
        assert tokenizer.decode([5, -100], skip_special_tokens=True) == "hello"


@pytest.mark.parametrize("wrong", [[1.5], "5", [None], np.array([1.0]), {5: 1}, [["a"]]])
def test_what_can_not_be_decoded_is_refused(wrong):
    with pytest.raises(TypeError, match="whole numbers"):
        TOKENIZERS["parlai"].decode(wrong)


def test_a_flat_batch_is_refused():
    with pytest.raises(TypeError, match="decode takes one"):
        TOKENIZERS["parlai"].batch_decode([5, 6])


def test_added_tokens():
    tokenizer = example_tokenizer("transformers-5")
    strip = AddedToken("<s>", lstrip=True, rstrip=True)
    assert tokenizer.add_tokens(["<turn>", "<turn>", strip, "low"]) == 2
    assert (len(tokenizer), tokenizer.vocab_size) == (50, 48)
    assert tokenizer.tokenize("er<turn>er lower <s> \n!") == ["er", "<turn>", "er", "low", "er", "<s>", "!"]
    # White space goes with a stripping token on its own sides only: the line break before <turn> stays.
    assert tokenizer.tokenize("er\n<s>\ner\n<turn>") == ["er", "<s>", "er", NEWLINE, "<turn>"]
    assert tokenizer.encode("<turn>") == [48]
    assert tokenizer.encode("<turn>", split_special_tokens=True) != [48]
    assert tokenizer.all_special_tokens == ["__start__", "__end__", "__unk__", "__null__"]
    assert tokenizer.decode([48, 49], skip_special_tokens=True) == "<turn> <s>"
    assert tokenizer.add_special_tokens({"sep_token": "<sep>", "additional_special_tokens": ["<s>"]}) == 1
    assert (tokenizer.sep_token, tokenizer.sep_token_id, tokenizer.cls_token_id) == ("<sep>", 50, None)
    tokenizer.add_tokens(["<turn>ed", "urn>"])
    assert tokenizer.tokenize("<turn>ed<turn>urn>ed") == ["<turn>ed", "<turn>", "urn>", "e@@", "d"]
    with pytest.raises(ValueError, match=r"'parlai' cuts no tokens out .* dialect='transformers-5'"):
        example_tokenizer("parlai").add_tokens("<turn>")
    with pytest.raises(ValueError, match="single_word"):
        tokenizer.add_tokens(AddedToken("<x>", single_word=True))
    with pytest.raises(ValueError, match="'turn_token' is no special token"):
        tokenizer.add_special_tokens({"turn_token": "<x>"})


def test_special_tokens_can_be_renamed():
    tokenizer = example_tokenizer()
    assert [tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id] == [
        0,
        1,
        2,
        3,
    ]
    tokenizer.eos_token = "!"
    assert (tokenizer.eos_token_id, tokenizer.all_special_ids) == (10, [1, 10, 3, 0])
    tokenizer.unk_token = "?"
    assert tokenizer.encode("low €") == [6, 12]
    tokenizer.pad_token = None
    with pytest.raises(ValueError, match="no pad_token"):
        tokenizer(["low", "low low"], padding=True)
    with pytest.raises(ValueError, match="unk_token cannot be None"):
        tokenizer.unk_token = None
    with pytest.raises(ValueError, match="no entry of the vocabulary"):
        tokenizer.eos_token = "moon"


def test_a_copy_and_a_pickle_tokenize_alike():
    tokenizer = example_tokenizer("transformers-5")
    tokenizer.add_tokens("<turn>")
    for other in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert other("Hello<turn>\nlow!") == tokenizer("Hello<turn>\nlow!")
        other.add_tokens("<more>")
        assert "<more>" not in tokenizer.get_vocab()


@given(st.lists(st.text(alphabet="low er", max_size=6), max_size=40), st.integers(1, 5))
def test_a_small_memory_changes_no_ids(pieces, size):
    small = BlenderbotSmallTokenizer(EXAMPLE_VOCABULARY, EXAMPLE_MERGES, cache_size=size)
    for piece in pieces:
        assert small.encode(piece) == TOKENIZERS["parlai"].encode(piece)
        assert small.codec.remembered.stored() <= 2 * size


def test_the_memory_keeps_no_giants():
    tokenizer = example_tokenizer()
    giant = "low" * LONGEST_KEY
    assert tokenizer.decode(tokenizer.encode(giant)) == giant
    assert giant not in tokenizer.codec.remembered


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_word_of_a_hundred_thousand_letters(dialect):
    word = "LoweR" * 20_000
    assert TOKENIZERS[dialect].decode(TOKENIZERS[dialect].encode(word)) == word.lower()
