"""Words that are never generated: every spelling covered, no other word touched."""

import pickle

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from npblender.chat.blocklist import BlockList, read_phrases
from npblender.tokenizer import BlenderbotSmallTokenizer, pretokenize_parlai
from reference_tests.support.tiny_folder import make_model, make_tokenizer

# Few tokens, so that words come together by chance: letters in both forms, marks, and the special ones.
TOKENS = [
    "__null__",
    "__start__",
    "__end__",
    "__unk__",
    "__newln__",
    "a",
    "a@@",
    "b",
    "b@@",
    "ab",
    "ab@@",
    "c",
    "'",
    "'@@",
]
SMALL = BlenderbotSmallTokenizer({token: number for number, token in enumerate(TOKENS)}, [])
SPECIAL = set(range(4))


def shown_words(ids: list[int]) -> list[str]:
    """The words that a reader sees once this much is decoded, the one that may still grow left out."""
    text = ""
    for number in ids:
        token = TOKENS[number]
        if number not in SPECIAL:
            text += token[:-2] if token.endswith("@@") else ("\n " if token == "__newln__" else token + " ")
    found = pretokenize_parlai(text)
    if found and not text.endswith(" ") and found[-1].isalnum() and ids[-1] not in SPECIAL:
        return found[:-1]
    return found


def count(shown: list[str], phrase: list[str]) -> int:
    return sum(shown[at : at + len(phrase)] == phrase for at in range(len(shown)))


@given(
    st.lists(st.integers(4, len(TOKENS) - 1), max_size=7),
    st.lists(
        st.sampled_from(["a", "ab", "aab", "c", "a b", "ab'a", "'", "b c ab", "B", "a '", "c'"]), min_size=1, max_size=3
    ),
)
@example([6], ["a '"])
@example([8], ["b"])
def test_forbidden_is_what_would_show_a_phrase(ids: list[int], phrases: list[str]) -> None:
    """The oracle appends every token in turn, decodes, and looks for the phrases in what a reader would see."""
    phrase_words = [pretokenize_parlai(phrase) for phrase in phrases]
    before = shown_words([1, *ids])
    block = BlockList(phrases, SMALL)
    scores = block(np.array([[1, *ids]]), np.zeros((1, len(TOKENS)), np.float32))
    for number in range(len(TOKENS)):
        after = shown_words([1, *ids, number])
        said = any(count(after, phrase) > count(before, phrase) for phrase in phrase_words)
        assert np.isneginf(scores[0, number]) == said, (TOKENS[number], after)


def test_the_scores_given_are_left_alone_and_rows_are_their_own() -> None:
    block = BlockList(["ab"], SMALL)
    scores = np.zeros((2, len(TOKENS)), np.float32)
    found = block(np.array([[1, 6], [1, 5]]), scores)  # "a@@" begun; "a" whole
    assert not np.isneginf(scores).any()
    assert [TOKENS[n] for n in np.flatnonzero(np.isneginf(found[0]))] == ["b"]
    assert [TOKENS[n] for n in np.flatnonzero(np.isneginf(found[1]))] == ["ab"]


def test_other_words_with_the_same_ending_can_be_said() -> None:
    """What a list of token sequences could not tell apart: `ass` alone and `class` in pieces."""
    tokenizer = make_tokenizer()
    block = BlockList(["ass"], tokenizer)
    start = tokenizer.convert_tokens_to_ids("__start__")
    ass = tokenizer.convert_tokens_to_ids("ass")
    begun = tokenizer.convert_tokens_to_ids("cl@@")
    scores = np.zeros((1, len(tokenizer)), np.float32)
    assert np.isneginf(block(np.array([[start]]), scores)[0, ass])
    assert not np.isneginf(block(np.array([[start, begun]]), scores)[0, ass])


@pytest.mark.parametrize("dialect", ["parlai", "transformers-5"])
@pytest.mark.parametrize("options", [{"num_beams": 1}, {"num_beams": 4}, {"do_sample": True, "seed": 3}])
def test_searches_never_say_what_is_blocked(dialect: str, options: dict[str, object]) -> None:
    """A model that says one thing all the time is kept from it, in every search."""
    tokenizer = make_tokenizer(dialect)
    model = make_model(seed=1, dialect=dialect)
    ids = np.array([tokenizer.encode("how are you?")])
    call = {"max_length": 24, "min_length": 10, **options}
    free = tokenizer.decode(np.asarray(model.generate(ids, **call))[0], skip_special_tokens=True)
    habits = {word for word in pretokenize_parlai(free)[:-1] if word != "\n"}
    assert habits
    block = BlockList(sorted(habits), tokenizer)
    kept = tokenizer.decode(
        np.asarray(model.generate(ids, logits_processor=[block], **call))[0], skip_special_tokens=True
    )
    assert not habits & set(pretokenize_parlai(kept)[:-1])
    assert kept


def test_a_block_list_travels_to_other_processes() -> None:
    block = pickle.loads(pickle.dumps(BlockList(["ab c"], SMALL)))
    scores = block(np.array([[1, 9]]), np.zeros((1, len(TOKENS)), np.float32))
    assert [TOKENS[n] for n in np.flatnonzero(np.isneginf(scores[0]))] == ["c"]


def test_tokens_of_several_words_are_forbidden_whole() -> None:
    vocabulary = {"__null__": 0, "__start__": 1, "__end__": 2, "__unk__": 3, "a!": 4, "a": 5, "!": 6, "b": 7}
    block = BlockList(["b !"], BlenderbotSmallTokenizer(vocabulary, []))
    scores = block(np.array([[1, 7]]), np.zeros((1, 8), np.float32))
    assert np.flatnonzero(np.isneginf(scores[0])).tolist() == [4, 6]


def test_phrases_of_a_file() -> None:
    assert read_phrases("\ufeff".strip("\ufeff") + "# why\n darn \r\n\nheck no") == ("darn", "heck no")


def test_one_text_is_one_phrase() -> None:
    assert BlockList("heck no", SMALL).phrases == ("heck no",)


@pytest.mark.parametrize(
    ("phrases", "error", "message"),
    [
        (b"darn", TypeError, "the block list must be a text or a list of texts, not bytes"),
        (["darn", 5], TypeError, "its item 2 is int"),
        (["darn", " "], ValueError, "' ', which is no word"),
    ],
)
def test_refusals(phrases: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        BlockList(phrases, SMALL)  # type: ignore[arg-type]
