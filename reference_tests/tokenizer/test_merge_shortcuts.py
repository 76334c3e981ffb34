"""Which words become whole, told of all merges at once: against the definition, for merges of every kind."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from npblender.tokenizer import merge_shortcuts
from npblender.tokenizer.merge_shortcuts import mergeable_without_search
from npblender.tokenizer.merge_table import MergeTable
from reference_tests.oracles import tokenizer as naive
from reference_tests.support.text_strategies import merge_tables

SYMBOLS = ["", "a", "b", "ab", "ba", "a</w>", "b</w>", "ab</w>", "bab</w>", "</w>", ">", "/w>", "a</w"]


def check(merges):
    """Plain products of words are what the rounds end with."""
    for (left, right), plain in zip(merges, mergeable_without_search(MergeTable.of(merges)).tolist(), strict=True):
        if plain and right.endswith("</w>"):
            word = (left + right).removesuffix("</w>")
            assert naive.segment(word, merges) == [word]


@given(merge_tables())
def test_plain_products_are_what_the_rounds_end_with(merges):
    check(merges)


@given(st.lists(st.tuples(st.sampled_from(SYMBOLS), st.sampled_from(SYMBOLS)), max_size=9, unique=True))
@example([("", "a")])
@example([("ab", "a"), ("a", "ba")])
@example([("a</w>", "b</w>")])
def test_merges_that_nobody_can_have_learned_end_too(merges):
    """The class takes them, so the proof must come to an end, and claim nothing that is wrong."""
    check(merges)


HAND_SOLVED = [
    ([], []),
    ([("l", "o"), ("o", "w</w>"), ("lo", "w</w>")], [True, True, True]),
    ([("l", "o"), ("o", "w</w>"), ("l", "ow</w>")], [True, True, False]),  # l + o goes before
    ([("o", "w</w>"), ("l", "o"), ("l", "ow</w>")], [True, True, True]),
    ([("a", "a"), ("aa", "a</w>"), ("a", "aaa</w>")], [True, True, False]),
    # What is not plain hands it on to all that it is part of.
    ([("l", "o"), ("o", "w"), ("l", "ow"), ("low", "e"), ("lowe", "r</w>")], [True, True, False, False, False]),
]


@pytest.mark.parametrize(("merges", "plain"), HAND_SOLVED)
def test_hand_solved(merges, plain):
    assert mergeable_without_search(MergeTable.of(merges)).tolist() == plain


@given(merge_tables())
def test_pairs_that_fall_together_are_told_apart(merges):
    """With one bucket for all pairs the quick look tells nothing, and the answers are the same."""
    table = MergeTable.of(merges)
    expected = mergeable_without_search(table).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge_shortcuts, "_BUCKETS", 1)
        assert mergeable_without_search(table).tolist() == expected


def test_the_table_of_merges():
    merges = [("a", " "), ("a ", "b"), ("a", "!"), (" ", "b"), ("a", " b")]
    table = MergeTable.of(merges)
    assert table.rank("b", "a") is table.rank("a", "b") is None
    assert [table.rank(*pair) for pair in merges] == [0, 1, 2, 3, 4]
    assert table.pairs == tuple(merges)
