"""What vocabulary and merges must be, refused by name where they are not; the quick looks let nothing pass."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from npblender.tokenizer import BlenderbotSmallTokenizer
from npblender.tokenizer.bpe import MergeTable
from npblender.tokenizer.example import EXAMPLE_VOCABULARY
from npblender.tokenizer.vocabulary import _check_order, _plainly_in_order, check_fit, check_merges, check_pairs
from reference_tests.support.text_strategies import merge_tables

VOCABULARY_FAULTS = [
    ({}, ValueError, "is empty"),
    ([], TypeError, "must map each token to its id, not be a list"),
    ({"a": "0"}, TypeError, "maps 'a' to '0'"),
    ({"a": True}, TypeError, "maps 'a' to True"),
    ({"a": 1}, ValueError, "must be 0 to 0, but 'a' has 1"),
    ({"a": 0, "b": 0}, ValueError, "each once, but 'a' and 'b' both have 0"),
    ({"Ġlow": 0, "er": 1}, ValueError, "byte-level: 1 of its 2 entries begin with 'Ġ' or 'Ċ', such as 'Ġlow'"),
    ({"low": 0, "low</w>": 1}, ValueError, "writes word ends as '</w>', such as 'low</w>'"),
]


@pytest.mark.parametrize(("vocab", "error", "message"), VOCABULARY_FAULTS)
def test_faulty_vocabularies_are_named(vocab, error, message):
    with pytest.raises(error, match=message):
        BlenderbotSmallTokenizer(vocab, [])


MERGE_FAULTS = [
    ([["l", "o"]], TypeError, "merge 1 must be a tuple of two strings"),
    ([("l", 5)], TypeError, "merge 1 must be a tuple of two strings"),
    ([("l", "o", "w")], ValueError, "must join two symbols, not 3"),
    ([("l", "")], ValueError, "a symbol is empty"),
    ([("l", "</w>")], ValueError, "a symbol is empty"),
    ([("l</w>", "o")], ValueError, "can stand at the right end only"),
    ([("l", "o</w>"), ("lo</w>", "w")], ValueError, "merge 2 .* can stand at the right end only"),
    ([("lo", "w")], ValueError, "merge 1 .* no earlier merge makes 'lo'"),
    ([("w", "lo</w>"), ("l", "o</w>")], ValueError, "merge 1 .* no earlier merge makes 'lo</w>'"),
    ([("l", "o"), ("h", "e"), ("l", "o")], ValueError, r"\('l', 'o'\) stands there twice"),
    ([("x", "y")], ValueError, r"of the 1 tokens that the merges make, 1 are no entries, such as 'xy@@'"),
]


@pytest.mark.parametrize(("merges", "error", "message"), MERGE_FAULTS)
def test_faulty_merges_are_named(merges, error, message):
    with pytest.raises(error, match=message):
        BlenderbotSmallTokenizer(EXAMPLE_VOCABULARY, merges)


@given(merge_tables())
def test_merges_of_symbols_that_exist_are_sound(merges):
    check_pairs(merges)
    check_merges(MergeTable.of(merges))


@pytest.mark.parametrize("known", range(6))
@pytest.mark.parametrize("first", [True, False])
def test_half_of_the_merges_must_be_entries(known, first):
    """Wherever they stand among the merges."""
    table = MergeTable.of([("a", letter) for letter in "bcdef"])
    entries = ["ab@@", "ac@@", "ad@@", "ae@@", "af@@"]
    vocab = dict.fromkeys(entries[:known] if first else entries[5 - known :], 0)
    if known >= 3:
        check_fit(vocab, table, [])
    else:
        with pytest.raises(ValueError, match=f"of the 5 tokens that the merges make, {5 - known} are no entries"):
            check_fit(vocab, table, [])


SYMBOLS = ["a", "b", "ab", "ba", "a</w>", "b</w>", "ab</w>", "aba</w>", "</w>", ">", "w>", "/w>", "</", "a</w", ""]


@given(st.lists(st.tuples(st.sampled_from(SYMBOLS), st.sampled_from(SYMBOLS)), max_size=5, unique=True))
@example([("ab", "a"), ("a", "b")])
@example([("a", "ab"), ("a", "b")])
@example([("a</w>", "b")])
def test_the_quick_look_at_merges_lets_nothing_pass(merges):
    """Whatever it takes for sound is sound when each merge is looked at."""
    if _plainly_in_order(MergeTable.of(merges)):
        _check_order(merges)


@given(merge_tables())
def test_the_quick_look_at_merges_suffices(merges):
    """Where every symbol is made by one merge, as learning has it, no second look is due."""
    table = MergeTable.of(merges)
    assert _plainly_in_order(table) or len(table.made_by) < len(merges)
