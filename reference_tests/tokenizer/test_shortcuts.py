"""Words that are known to become one symbol, against the definition, for merges of every kind; remembered calls."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from npblender.tokenizer import shortcuts
from npblender.tokenizer.bpe import MergeTable
from npblender.tokenizer.shortcuts import WholeWords, mergeable_without_search, remembered
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
    # An unsure part makes all unsure that it is part of.
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
        patch.setattr(shortcuts, "_BUCKETS", 1)
        assert mergeable_without_search(table).tolist() == expected


def test_the_table_of_merges():
    merges = [("a", " "), ("a ", "b"), ("a", "!"), (" ", "b"), ("a", " b")]
    table = MergeTable.of(merges)
    assert table.rank("b", "a") is table.rank("a", "b") is None
    assert [table.rank(*pair) for pair in merges] == [0, 1, 2, 3, 4]
    assert table.pairs == tuple(merges)


@given(merge_tables(), st.text("ab", max_size=6))
def test_whole_words_are_those_that_the_rounds_leave_whole(merges, word):
    if word in WholeWords(MergeTable.of(merges)):
        assert naive.segment(word, merges) == [word]


def test_remembered_calls_fail_as_the_function_does():
    asked = []

    @remembered
    def double(number):
        asked.append(number)
        return [*number, *number]

    assert double((1,)) is double((1,))
    assert double([1]) == [1, 1]
    assert asked == [(1,), [1]]
    with pytest.raises(TypeError, match="must be an iterable"):
        double(1)
