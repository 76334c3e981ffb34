"""Text to words, in both ways: worked examples, and equality with the step-by-step definitions on any text."""

import pytest
from hypothesis import example, given

from npblender.tokenizer import pretokenize_parlai, pretokenize_transformers
from npblender.tokenizer.pretokenize import PRETOKENIZERS
from reference_tests.oracles import tokenizer as naive
from reference_tests.support.text_strategies import FRAGMENTS, texts

PARLAI = [
    ("", []),
    (" \t\r\n ", ["__newln__"]),
    ("Hello World", ["hello", "world"]),
    ("don't!!to", ["don", "'", "t", "!", "!", "to"]),
    ("a\n\nb\n", ["a", "__newln__", "__newln__", "b", "__newln__"]),
    ("snake_case 3.14", ["snake_case", "3", ".", "14"]),
    # The dot above a capital I is a mark of its own once it is lower case, and no word character.
    ("İs", ["i", "\u0307", "s"]),
    # A sigma at a word's end becomes another letter; whether it is one depends on what follows, full stops skipped.
    ("ΑΣ ΑΣΑ ΑΣ.Α", ["ας", "ασα", "ασ", ".", "α"]),
    ("e\u0301 ٣² 生活", ["e", "\u0301", "٣²", "生活"]),
    ("a\x1cb\x00c", ["a", "b", "\x00", "c"]),
    ("__start__hi", ["__start__hi"]),
]

TRANSFORMERS = [
    ("", []),
    (" \t\r\n ", []),
    ("Hello World", ["hello", "world"]),
    ("don't!!to", ["don", "'", "t", "!", "!to"]),
    ("(hello) they:@", ["(hello", ")", "they:@"]),
    ("a\n\nb\n", ["a", "__newln__", "b", "__newln__"]),
    ("\na \nb", ["a", "b"]),
    ("a.\nb!'\nc", ["a", ".", "__newln__", "b", "!", "'", "c"]),
    ("3.14,", ["3", ".14", ","]),
    ("İs", ["i\u0307s"]),
    # Here the words are lowered one by one, so the sigma before the full stop ends its word.
    ("ΑΣ ΑΣΑ ΑΣ.Α", ["ας", "ασα", "ας", ".α"]),
    # The four separators that Python counts as white space are none here; the next-line character is.
    ("a\x1cb\x85c", ["a\x1cb", "c"]),
    ("a\r\nb", ["a", "b"]),
]


@pytest.mark.parametrize(("text", "words"), PARLAI)
def test_parlais_way_by_hand(text, words):
    assert pretokenize_parlai(text) == words == naive.parlai_words(text)


@pytest.mark.parametrize(("text", "words"), TRANSFORMERS)
def test_transformers_way_by_hand(text, words):
    assert pretokenize_transformers(text) == words == naive.transformers_words(text)


@given(texts())
@example("".join(FRAGMENTS))
def test_any_text_equals_the_definitions(text):
    assert pretokenize_parlai(text) == naive.parlai_words(text)
    assert pretokenize_transformers(text) == naive.transformers_words(text)


def test_characters_between_letters():
    """Code points between two letters and behind a mark, the first 8,448 and then every 97th: what joins, what cuts."""
    codes = [*range(0x2100), *range(0x2100, 0x110000, 97)]
    for start in range(0, len(codes), 4096):
        text = " ".join(f"a{chr(code)}b !{chr(code)}" for code in codes[start : start + 4096])
        assert pretokenize_parlai(text) == naive.parlai_words(text)
        assert pretokenize_transformers(text) == naive.transformers_words(text)


def test_every_white_space_character():
    spaces = {chr(code) for code in range(0x110000) if chr(code).isspace()}
    cut = {s for s in spaces if pretokenize_transformers(f"a{s}b") != [f"a{s}b"]}
    assert cut == spaces - {"\x1c", "\x1d", "\x1e", "\x1f"} == naive.WHITE_SPACE
    assert all(pretokenize_parlai(f"a{s}b")[0] == "a" for s in spaces)


@given(texts())
def test_words_hold_no_white_space_and_are_lower_case(text):
    for way in PRETOKENIZERS.values():
        for word in way(text):
            assert word
            assert word == word.lower()
            assert not set(word) & naive.WHITE_SPACE


@given(texts(), texts())
def test_a_space_separates(left, right):
    """Cutting two texts with a space between is cutting each; ParlAI's lower-casing looks no further than a space."""
    for way in PRETOKENIZERS.values():
        assert way(left + " " + right) == way(left) + way(right)


def words_by_chunks(way, text):
    """The words of a text by way of its chunks, as a tokenizer that remembers chunks has them."""
    pieces = [piece for chunk in way.chunk(text) for piece in ([chunk] if chunk == "\n" else way.cut(chunk))]
    return [way.spell(piece) for piece in pieces]


@given(texts())
@example("".join(FRAGMENTS))
def test_chunks_cut_up_are_the_pieces(text):
    for way in PRETOKENIZERS.values():
        assert words_by_chunks(way, text) == way(text)


def test_chunks_of_characters_between_letters():
    """Without a line break among them, so that the quick way is taken."""
    codes = [code for code in [*range(0x2100), *range(0x2100, 0x110000, 97)] if chr(code) != "\n"]
    for code in codes:
        text = f"A{chr(code)}b !{chr(code)}"
        for way in PRETOKENIZERS.values():
            assert words_by_chunks(way, text) == way(text)


def test_chunks_of_chat_are_words_and_marks():
    """What would make a memory of chunks useless: words together with the marks beside them."""
    for way in PRETOKENIZERS.values():
        assert way.chunk("Don't stop, will you? No! Bye.") == way.cut("don't stop, will you? no! bye.")
    way = PRETOKENIZERS["transformers"]  # which has seven marks, all told
    assert way.chunk("Don't(really)stop,you?No!Bye.") == way.cut("don't(really)stop,you?no!bye.")
