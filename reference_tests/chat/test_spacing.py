"""Text for people: spacing, streaming, and nothing that a terminal would obey."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender.chat.spacing import NaturalSpacing, natural_text
from npblender.common.printable import json_line, one_line, printable
from npblender.tokenizer import pretokenize_parlai
from npblender.tokenizer.pretokenize import clean_up_tokenization

SPACED = {
    # What transformers' clean-up gives too: its own cases, and published replies of the 90M.
    "i don ' t know . i feel like i ' m going to throw up .": "i don't know. i feel like i'm going to throw up.",
    "hi sarah , i live in london as well . do you ?": "hi sarah, i live in london as well. do you?",
    "i don ' t know . . . i ' m not really sure .": "i don't know... i'm not really sure.",
    "you should ' ve done this": "you should've done this",
    "wow ! ! !": "wow!!!",
    # Where it glues both sides of a mark, and people do not.
    "he said ' hi ' to me .": "he said 'hi' to me.",
    'i like " dune " and " alien " .': 'i like "dune" and "alien".',
    "the dogs ' food , and goin ' home": "the dogs' food, and goin' home",
    "it ' s 5 o ' clock , y ' all": "it's 5 o'clock, y'all",
    "rock ' n ' roll of the ' 80s , ' cause i can": "rock 'n' roll of the '80s, 'cause i can",
    "' it ' s fine ' , she said": "'it's fine', she said",
    # Numbers, brackets, prices, faces.
    "$ 3 . 14 for 1 , 000 at 10 : 30 , 100 %": "$3.14 for 1,000 at 10:30, 100%",
    "i have 2 , 3 maybe": "i have 2, 3 maybe",
    "a 5 ' 10 guy ( really ) and / or [ two ]": "a 5'10 guy (really) and/or [two]",
    "cool : ) or not ; ( : it depends": "cool :) or not ;(: it depends",
    "such as : tea": "such as: tea",
    "": "",
    "'": "'",
    ".": ".",
}


@pytest.mark.parametrize(("raw", "natural"), SPACED.items())
def test_spacing_as_people_write(raw: str, natural: str) -> None:
    assert natural_text(raw) == natural


def test_agrees_with_the_clean_up_where_that_reads_well() -> None:
    for raw in list(SPACED)[:5]:
        assert natural_text(raw) == clean_up_tokenization(raw)


def test_line_breaks_of_both_dialects_become_line_breaks() -> None:
    assert natural_text("hi . \n how are you ?") == natural_text("hi . __newln__ how are you ?") == "hi.\nhow are you?"


words = st.sampled_from(
    [*"'\".,!?:;()[]$%-/=*#", "i", "s", "t", "5", "10", "30", "000", "dogs", "o", "clock", "n", "p"]
)


@given(st.lists(words, max_size=12))
def test_only_spaces_change_and_the_words_stay_the_words(tokens: list[str]) -> None:
    """The model is shown the same ids whether a transcript keeps the raw text or the natural one."""
    raw = " ".join(tokens)
    natural = natural_text(raw)
    assert natural.replace(" ", "") == raw.replace(" ", "")
    assert pretokenize_parlai(natural) == pretokenize_parlai(raw)
    assert natural == natural.strip()
    assert "  " not in natural


@given(st.lists(words, max_size=12))
def test_streamed_pieces_are_the_text(tokens: list[str]) -> None:
    spacing = NaturalSpacing()
    pieces = [piece for token in tokens for piece in spacing.push_all(token)]
    pieces += filter(None, [spacing.close()])
    assert "".join(pieces) == natural_text(" ".join(tokens))
    assert all(pieces)


@given(st.lists(words, min_size=1, max_size=8))
def test_a_word_is_shown_one_word_later_at_most(tokens: list[str]) -> None:
    spacing, shown = NaturalSpacing(), ""
    for count, token in enumerate(tokens):
        shown += spacing.push(token)
        assert shown.replace(" ", "") in ("".join(tokens[:count]), "".join(tokens[: count + 1]))
    assert shown + spacing.close() == natural_text(" ".join(tokens))


def test_published_hypotheses_keep_their_words() -> None:
    shared = os.environ.get("NPBLENDER_SHARED")
    if shared is None:
        pytest.skip("NPBLENDER_SHARED names no folder with recorded self-chats")
    texts = []
    for path in sorted(Path(shared, "goldens", "parlai_selfchat").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            for pair in json.loads(line)["dialog"]:
                texts += [text for turn in pair for text, _ in turn["beam_texts"]]
    assert len(texts) == 1121
    for text in texts:
        assert pretokenize_parlai(natural_text(text)) == pretokenize_parlai(text)
    assert all(" ." not in natural_text(text) and " ' " not in natural_text(text) for text in texts)


@given(st.text())
def test_printable_leaves_nothing_to_obey(text: str) -> None:
    shown = printable(text)
    for character in shown:
        number = ord(character)
        assert number >= 32
        assert not 127 <= number < 160
        assert character not in "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\ufeff"
        assert not 0xD800 <= number < 0xE000


def test_printable_keeps_letters_and_emoji() -> None:
    kept = "café żółw 你好 👩‍🚀 é"
    assert printable(kept) == kept
    assert printable("a\tb\x1b]0;title\x07\x9b2J\u202ex\u2028") == "a\\tb\\x1b]0;title\\x07\\x9b2J\\u202ex\\u2028"
    assert printable("a\xa0b") == "a b"


@given(st.text())
def test_one_line_is_one_line(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1
    assert "\n" not in one_line(text)


@given(st.recursive(st.text() | st.integers() | st.none() | st.booleans(), st.lists))
def test_json_line_is_the_value_on_one_safe_line(value: object) -> None:
    line = json_line({"value": value})
    assert json.loads(line) == {"value": value}
    assert printable(line.replace("\xa0", "")) == line.replace("\xa0", "")
    line.encode("utf-8")


def test_json_line_refuses_what_json_lacks() -> None:
    with pytest.raises(ValueError, match="JSON"):
        json_line({"score": float("nan")})
