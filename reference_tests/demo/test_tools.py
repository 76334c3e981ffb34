"""What the demo is trained on: what is dropped, how text is edited, the vocabulary, and the baselines beside it.

Where subword-nmt is needed a test says so and is skipped without it.
"""

import math
import string
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_tests.support.asserts import assert_close
from reference_tests.support.tolerances import TOLERANCES
from tools.demo import blocked, clean, corpus, filters, ngrams, pieces, prepare, tables

HAND = TOLERANCES["numbers worked out by hand"]

SIZE = 7  # tokens of the small language below
SENTENCES = st.lists(st.lists(st.integers(5, SIZE - 1), min_size=1, max_size=6), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        ("I like dogs, do you?", None),
        ("we met in 2018, it was 20 degrees", None),
        ("", "empty"),
        ("  ", "empty"),
        ("write to jo.smith@example.org", "personal data"),
        ("call me at 801-555-0199", "personal data"),
        ("it is (801) 555 0199 i think", "personal data"),
        ("text 555-0199 to win", "personal data"),
        ("i live at 12 North Maple Street", "personal data"),
        ("see www.example.org for it", "personal data"),
        ("look at https://example.org", "personal data"),
        ("that was @someone", "personal data"),
        ("{}", "markup or placeholder"),
        ("hi, i'm [name]", "markup or placeholder"),
        (":) !!", "no letters"),
        ("I CAN NOT BELIEVE IT", "capitals"),
        ("word " * (filters.MOST_WORDS + 1), "too long"),
        ("привет как дела", "not English"),
        ("sdkjfhg", "not English"),
        ("bonjour monsieur comment allez vous aujourd'hui mes amis", "not English"),
    ],
)
def test_a_turn_is_dropped_for_its_reason(turn, reason):
    assert filters.reason_to_drop(turn) == reason


def test_every_listed_word_is_found_and_only_as_a_word():
    assert len(blocked._WORDS) > 100
    for word in blocked._WORDS:
        for form in (word.strip("*"), word.replace("*", "xy")):
            assert filters.reason_to_drop(f"well, {form.capitalize()} it is") == "unfit word"
    for innocent in ("hello there", "the class passed", "a cocktail in scunthorpe", "shell", "assess the analysis"):
        assert filters.reason_to_drop(innocent) is None


@pytest.mark.parametrize(
    ("text", "read", "said"),
    [
        ("Im glad u didnt go", "im glad u didnt go", "i'm glad you didn't go."),
        ("That’s  “fine”…", 'that\'s "fine"...', 'that\'s "fine"...'),
        ("Hahahaha that was soooo funny lol", "haha that was soo funny lol", "that was so funny."),
        ("what do you do for fun", "what do you do for fun", "what do you do for fun?"),
        ("Café :) !!!!", "cafe!", "cafe!"),
        ("haha", "haha", ""),
        ("so what about you", "so what about you", "so what about you?"),
    ],
)
def test_text_is_edited_in_two_degrees(text, read, said):
    assert clean.readable(text) == read
    assert clean.sayable(text) == said


@given(st.text(max_size=60))
def test_edited_text_is_plain_and_editing_it_again_keeps_it_so(text):
    read, said = clean.readable(text), clean.sayable(text)
    for out in (read, said):
        assert out.isascii()
        assert out == out.lower().strip()
    assert said == "" or said[-1] in ".!?"


def test_held_out_is_seeded_whole_conversations_and_the_published_test_split():
    rows = [{"turns": [f"a {i}", f"b {i}"]} for i in range(2000)]
    first = list(corpus.conversations("chitchat", rows, 5))
    again = list(corpus.conversations("chitchat", rows, 5))
    other = list(corpus.conversations("chitchat", rows, 6))
    held_out = sum(c.held_out for c in first)
    assert first == again
    assert [c.held_out for c in first] != [c.held_out for c in other]
    assert 20 <= held_out <= 60  # 2 % of 2,000 is 40, standard deviation 6.3
    persona = [
        {"split": split, "persona1": ["I ski."], "persona2": [], "turns": [split, "hi"]} for split in ("valid", "test")
    ]
    assert [c.held_out for c in corpus.conversations("persona", persona, 5)] == [False, True]


def test_repeated_conversations_are_read_once():
    rows = [{"turns": ["a", "b"]}] * 3
    assert len(list(corpus.conversations("chitchat", rows, 5))) == 1


def test_a_dropped_turn_cuts_the_conversation_and_speakers_keep_their_personas():
    turns = ("hi.", "hello.", "mail me: a@example.org", "what?", "nothing.", "fine.")
    talk = corpus.Conversation("persona", False, turns, (("I ski.",), ("I cook.",)))
    dropped: Counter[str] = Counter()
    first, second = prepare.stretches(talk, dropped)
    assert dropped == {"personal data": 1}
    assert first.read == ["hi.", "hello."]
    assert first.personas == (("i ski.",), ("i cook.",))
    assert second.read == ["what?", "nothing.", "fine."]
    assert second.personas == (("i cook.",), ("i ski.",))  # the second speaker opens this stretch


def test_every_ascii_character_and_every_product_has_its_forms():
    merges = [("t", "h"), ("th", "e</w>"), ("a", "n"), ("an", "d</w>")]
    vocabulary = pieces.vocabulary(merges)
    assert [vocabulary[s] for s in pieces.SPECIAL] == [0, 1, 2, 3, 4]
    for character in string.printable:
        if character.isprintable() and character != " " and not character.isupper():
            assert character in vocabulary
            assert character + "@@" in vocabulary
    assert {"th@@", "the", "an@@", "and"} <= set(vocabulary)
    assert not {"th", "the@@", "an", "and@@"} & set(vocabulary)
    assert list(vocabulary.values()) == list(range(len(vocabulary)))


@settings(max_examples=30)
@given(SENTENCES, st.sampled_from([1, 2, 3]))
def test_baselines_are_distributions(sentences, order):
    table = ngrams.KneserNey([[*s, pieces.END] for s in sentences], order, SIZE)
    seen = [[pieces.START] * 2 + s[:2] for s in sentences[:2]]
    for history in (*seen, [pieces.START] * 2, [5, 6], [3, 3]):
        total = math.fsum(table.probability(history, token) for token in range(SIZE))
        assert_close(total, 1.0, HAND)
        assert all(table.probability(history, token) > 0 for token in range(SIZE))


def test_bigram_by_hand():
    """Replies `5 2` twice and `6 2` once: discounts 0.5, 1.25 and 3 where counts of counts fail."""
    replies_ = [[5, 2], [5, 2], [6, 2]]
    table = ngrams.KneserNey(replies_, 2, SIZE)
    one, two, _ = ngrams.discounts([2, 1, 2, 1])  # (start 5), (start 6), (5 end), (6 end)
    # continuation counts: 5 and 6 follow one token each, end follows two; discounts of their own
    low_one, low_two, _ = ngrams.discounts([1, 1, 2])
    rest = (2 * low_one + low_two) / 4
    unigram = {5: (1 - low_one) / 4 + rest / SIZE, 2: (2 - low_two) / 4 + rest / SIZE}
    mass = (one + two) / 3
    assert_close(table.probability([1], 5), (2 - two) / 3 + mass * unigram[5], HAND)
    assert_close(table.probability([5], 2), (2 - two) / 2 + two / 2 * unigram[2], HAND)
    assert_close(table.probability([4], 5), unigram[5], HAND)  # an unseen history


def test_discounts_where_counts_of_counts_are_missing():
    assert_close(ngrams.discounts([1, 2, 2]), (1 - 0.4 * 2, 2.0, 0.6), HAND)  # no 3: three times the ratio 1/5
    assert ngrams.discounts([5, 6]) == (0.5, 1.0, 1.5)  # no 1: the ratio is a half


def test_a_higher_order_fits_what_it_was_fitted_on_better():
    rng = np.random.default_rng(0)
    replies_ = [[*(5 + np.cumsum(rng.integers(0, 2, 6)) % 20).tolist(), pieces.END] for _ in range(300)]
    one, two, three = (ngrams.KneserNey(replies_, order, 30).perplexity(replies_) for order in (1, 2, 3))
    assert one > two > three > 1


def test_tables_by_hand():
    assert tables.cell("a|b\nc") == "a\\|b / c"
    assert tables.table(["x", "n"], [["a", 1200], ["b", 7]]) == "| x | n |\n|---|--:|\n| a | 1,200 |\n| b | 7 |"
