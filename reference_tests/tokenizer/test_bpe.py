"""Byte-pair encoding: hand-solved words, the definition as oracle, both algorithms, the visible mode, the cost."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from npblender.tokenizer import BytePairEncoding
from npblender.tokenizer.bpe import MergeTable, spell_symbols, symbols_of_word
from npblender.tokenizer.example import example_tokenizer
from npblender.tokenizer.shortcuts import WholeWords
from reference_tests.oracles import tokenizer as naive
from reference_tests.support.text_strategies import characters, merge_tables, words

LOWER = [("l", "o"), ("lo", "w"), ("e", "r</w>")]

HAND_SOLVED = [
    # merges, word, tokens
    (LOWER, "lower", ["low@@", "er"]),
    (LOWER, "low", ["lo@@", "w"]),  # the last character is `w</w>`, which `lo + w` does not match
    (LOWER, "er", ["er"]),
    (LOWER, "x", ["x"]),
    ([], "abc", ["a@@", "b@@", "c"]),
    # Overlapping pairs go to the leftmost: aaaaa -> aa aa a.
    ([("a", "a")], "aaaaa", ["aa@@", "aa@@", "a"]),
    # The lowest rank first, wherever it stands.
    ([("b", "c"), ("a", "b")], "abcd", ["a@@", "bc@@", "d"]),
    ([("a", "b"), ("b", "c")], "abcd", ["ab@@", "c@@", "d"]),
    # A round is finished before what it gave birth to is looked at, though `abc + a` ranks before `a + bc`: so the
    # second `bc` is there already, and abc abc d is the result, not abca bc d.
    ([("b", "c"), ("abc", "a"), ("a", "bc")], "abcabcd", ["abc@@", "abc@@", "d"]),
    # But a pair that was there before counts by its rank.
    ([("b", "c"), ("bc", "a"), ("a", "bc")], "abcabcd", ["a@@", "bca@@", "bc@@", "d"]),
]


@pytest.mark.parametrize(("merges", "word", "tokens"), HAND_SOLVED)
def test_hand_solved(merges, word, tokens):
    assert list(BytePairEncoding(merges).segment(word)) == tokens == naive.segment(word, merges)


def test_the_naive_oracle_by_hand():
    """Each round of `lowerlow`, written out: the oracle itself is tested."""
    assert list(naive.rounds("lowerlow", [*LOWER, ("low", "e")])) == [
        (("l", "o"), ["lo", "w", "e", "r", "lo", "w</w>"]),
        (("lo", "w"), ["low", "e", "r", "lo", "w</w>"]),
        (("low", "e"), ["lowe", "r", "lo", "w</w>"]),
    ]


@given(merge_tables(), words("abc"))
@example([("b", "c"), ("abc", "a"), ("a", "bc")], "abcabc")
def test_any_merges_equal_the_definition(merges, word):
    assert list(BytePairEncoding(merges).segment(word)) == naive.segment(word, merges)


@given(merge_tables())
def test_products_equal_the_definition(merges):
    """Words that one symbol spells: those that the shortcut says end whole, without a round of merges."""
    bpe = BytePairEncoding(merges)
    for word in dict.fromkeys((left + right).removesuffix("</w>") for left, right in merges):
        assert list(bpe.segment(word)) == naive.segment(word, merges)


@given(merge_tables("a</w>"), words("a</w>", max_size=8))
@example([("/", "w"), ("<", "/w"), ("a", "</w"), ("a</w", ">")], "a")
@example([("/", "w"), ("/w", ">"), ("a", "b"), ("ab", "<"), ("ab<", "/w>")], "ab")
def test_a_mark_that_was_typed_is_text(merges, word):
    assert list(BytePairEncoding(merges).segment(word)) == naive.segment(word, merges)


WHOLE = [
    ([("l", "o"), ("lo", "w</w>")], "low", True),
    ([("l", "o"), ("o", "w</w>"), ("lo", "w</w>")], "low", True),
    # Over the border of l and ow`</w>`, l + o comes first: the merge that makes the word finds no such pair.
    ([("l", "o"), ("o", "w</w>"), ("l", "ow</w>")], "low", False),
    ([("o", "w</w>"), ("l", "o"), ("l", "ow</w>")], "low", True),
    # Occurrences of one merge overlap, and the leftmost one counts.
    ([("a", "a"), ("aa", "a</w>")], "aaa", True),
    ([("a", "a"), ("aa", "a</w>"), ("a", "aaa</w>")], "aaaa", False),
    # Merges that use what only a later one makes: a file cannot hold them, and the class takes them all the same.
    ([("a", "bb</w>"), ("b", "abb</w>"), ("b", "a"), ("b", "b</w>")], "babb", False),
]


@pytest.mark.parametrize(("merges", "word", "whole"), WHOLE)
def test_a_word_that_ends_whole_needs_no_round(merges, word, whole):
    """It is known to end whole, and rounds agree; of any other word nothing is claimed."""
    assert (naive.segment(word, merges) == [word]) == whole
    assert (list(BytePairEncoding(merges).segment(word)) == [word]) == whole
    assert (word in WholeWords(MergeTable.of(merges))) == whole


def test_a_tokenizer_takes_no_round_for_a_word_that_ends_whole(monkeypatch):
    begun = []
    monkeypatch.setattr(BytePairEncoding, "segment", lambda self, word: begun.append(word) or (word,))
    example_tokenizer()("hello low lower")
    example_tokenizer().tokenize("hello low lower")
    assert begun == ["lower", "lower"]


def test_a_word_of_thousands_of_nested_merges():
    merges = [("a" * n, "a</w>") for n in range(1, 2_000)]
    merges = [("a" * n, "a") for n in range(1, 2_000)] + merges
    assert BytePairEncoding(merges).segment("a" * 2_000)[-1].endswith("a")


@given(merge_tables(), words("abc", max_size=120))
def test_both_algorithms_take_the_same_rounds(merges, word):
    bpe = BytePairEncoding(merges)
    short, long = symbols_of_word(word), symbols_of_word(word)
    assert list(bpe._rounds(short)) == list(bpe._rounds_of_long(long))
    assert short == long


@given(merge_tables(), words("abc"))
def test_visible_merges_are_the_definitions_rounds(merges, word):
    seen = [((step.left, step.right), list(step.symbols)) for step in BytePairEncoding(merges).merges(word)]
    assert seen == list(naive.rounds(word, merges))
    ranks = [step.rank for step in BytePairEncoding(merges).merges(word)]
    assert [merges[rank] for rank in ranks] == [pair for pair, _ in seen]
    if seen:
        assert BytePairEncoding(merges).segment(word) == spell_symbols(seen[-1][1])


@given(merge_tables(), st.text(alphabet=characters() | st.sampled_from("abc"), min_size=1, max_size=50))
def test_tokens_spell_the_word(merges, word):
    tokens = BytePairEncoding(merges).segment(word)
    assert "".join(token.removesuffix("@@") for token in tokens[:-1]) + tokens[-1] == word


def test_the_empty_word():
    assert BytePairEncoding(LOWER).segment("") == ()
    assert list(BytePairEncoding(LOWER).merges("")) == []


@given(merge_tables(), words("abc", max_size=8), st.sets(st.text(alphabet="abc@", max_size=5)))
def test_taking_apart_keeps_the_text_and_what_is_wanted(merges, word, unwanted):
    bpe = BytePairEncoding(merges)
    for token in bpe.segment(word):
        parts = bpe.take_apart(token, lambda part: part not in unwanted)
        assert all(part.endswith("@@") for part in parts[:-1])
        assert parts[-1].endswith("@@") == token.endswith("@@")
        assert "".join(part.removesuffix("@@") for part in parts) == token.removesuffix("@@")
        for part in parts:
            symbol = part[:-2] if part.endswith("@@") else part + "</w>"
            assert part not in unwanted or symbol not in {left + right for left, right in merges}


class CountingRanks(dict):
    """Ranks that count how often they are asked."""

    asked = 0

    def get(self, pair, default=None):
        self.asked += 1
        return super().get(pair, default)


@pytest.mark.parametrize("text", ["ab", "a", "abc", "aabacabb"])
def test_a_long_words_cost_grows_as_its_length(text):
    """Lookups of a word, per character: no more for 64,000 characters than for 1,000."""
    merges = [("a", "b"), ("ab", "ab"), ("a", "a"), ("aa", "aa"), ("abab", "abab"), ("b", "c"), ("a", "bc")]
    bpe = BytePairEncoding(merges)
    per_character = {}
    for length in (1_000, 64_000):
        bpe.ranks = CountingRanks(bpe.ranks)
        word = (text * length)[:length]
        tokens = bpe.segment(word)
        assert "".join(token.removesuffix("@@") for token in tokens) == word
        per_character[length] = bpe.ranks.asked / length
    # Each neighbour is looked up when it is noted and when its turn comes: n at first, two more after every merge.
    assert per_character[64_000] <= 1.01 * per_character[1_000] <= 6.06


def test_long_words_do_not_take_the_quadratic_way(monkeypatch):
    merges = [("a", "b")]
    used: list[int] = []
    plain = BytePairEncoding._rounds

    def watched(self, symbols):
        used.append(len(symbols))
        return plain(self, symbols)

    monkeypatch.setattr(BytePairEncoding, "_rounds", watched)
    for length in (4, 200, 2_000):
        BytePairEncoding(merges).segment("ab" * length)
    assert used == [8]


def test_a_hundred_thousand_characters():
    bpe = BytePairEncoding([("a", "b"), ("ab", "ab"), ("abab", "abab")])
    # The last b is closed and merges with nothing, so 49,999 times ab are left: 12,499 * 4 + 2 + 1.
    assert bpe.segment("ab" * 50_000) == ("abababab@@",) * 12_499 + ("abab@@", "ab@@", "a@@", "b")
