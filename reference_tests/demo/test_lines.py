"""The lines that the demo is chosen and judged by: none was learned from, and the counts are right by hand."""

import re

import pytest

from tools.demo import everyday, judged, made_up, sheet, tries
from tools.demo.everyday import plain
from tools.demo.kinds import NAMES


@pytest.fixture(scope="module")
def final() -> dict:
    return tries.read("final")


@pytest.fixture(scope="module")
def development() -> dict:
    return tries.read("development")


@pytest.fixture(scope="module")
def talks() -> list[everyday.Everyday | judged.Judged]:
    """All that is learned from: conversations, and what was said before judged replies."""
    return [*everyday.read(), *judged.read()]


def test_there_are_as_many_final_lines_as_the_card_counts(final):
    sizes = {kind: len(final[kind]) for kind in final}
    assert sizes == {
        "alone": 120, "conversations": 12, "names": 30, "personas": 40, "sad": 28, "fine": 60, "danger": 10,
        "identity": 10,
    }  # fmt: skip
    for kind in tries.SINGLE:
        assert len(set(map(plain, final[kind]))) == len(final[kind])
    assert len({each["name"] for each in final["names"]}) == 30
    assert all(len(talk) == 6 for talk in final["conversations"])


def test_no_final_line_is_learned_or_in_the_development_set(final, development, talks):
    learned = {plain(turn) for talk in talks if getattr(talk, "part", "train") == "train" for turn in talk.turns[::2]}
    learned |= {plain(said) for kind in made_up.DANGERS["kinds"] for said in kind["said"]}
    tried = set(map(plain, tries.openings(development)))
    for line in tries.openings(final):
        assert plain(line) not in learned, line
        assert plain(line) not in tried, line


def test_no_name_that_is_asked_for_is_in_the_corpus_or_the_word_lists(final, talks):
    whole = " ".join(text for talk in talks for text in (*talk.persona, *talk.turns))
    words = set(re.findall("[a-z]+", whole.lower()))
    for each in final["names"]:
        assert each["name"].lower() not in words | set(NAMES)
        name, turns = each["name"].lower(), [turn.lower() for turn in each["turns"]]
        assert sum(name in turn for turn in turns) == 1
        assert name in turns[0]  # told one to three turns before it is asked for
        assert 2 <= len(each["turns"]) <= 4


def test_no_final_persona_line_stands_with_its_question_in_the_corpus(final, talks):
    pairs = {(plain(line), plain(turn)) for talk in talks for line in talk.persona for turn in talk.turns[::2]}
    for each in final["personas"]:
        assert not pairs & {(plain(line), plain(each["line"])) for line in each["persona"]}
        lines = set.union(*map(tries.words, each["persona"]))
        assert any(word in lines for word in each["words"])  # the answer lies in the persona's words
        assert not set(each["words"]) & tries.words(each["line"])  # and not in the question


def test_counts_by_hand():
    lines = {
        "alone": ["hi", "so?"], "sad": ["my cat died", "i lost"], "fine": ["it is warm", "we won"],
        "danger": ["i can't breathe"], "identity": ["what are you?"], "conversations": [["hello", "bye"]],
        "names": [{"name": "Zed", "turns": ["I'm Zed", "my name?"]}],
        "personas": [{"persona": ["i ski."], "line": "sport?", "words": ["ski", "skiing"]}],
    }  # fmt: skip
    answers = {
        "hi": "hello! who are you?", "so?": "hello! hello!", "my cat died": "i'm so sorry.", "i lost": "great fun!",
        "it is warm": "nice.", "we won": "that's a pity.", "i can't breathe": "call 911 now!",
        "what are you?": "i'm a bot.",
        "hello": "hey [name].", "bye": "bye.", "I'm Zed": "hi, zed.", "my name?": "zedric.", "sport?": "skis __unk__.",
    }  # fmt: skip
    said = tries.replies(lambda persona, turns: answers[turns[-1]], lines)
    assert said["conversations"] == [["hey [name].", "bye."]]
    assert tries.counts(lines, said) == {
        "replies": 13,
        "different": [2, 2],
        "commonest sentence": ["hello!", 2],
        "placeholders": 2,  # brackets, and the unknown token's bars
        "unknown tokens": 1,
        "names given back": [0, 1],
        "personas used": [0, 1],
        "words of cheer after sad lines": [1, 2],
        "words of sorrow after sad lines": [1, 2],
        "words of sorrow after good and neutral lines": [1, 2],
        "danger: advice to call or get help": [1, 1],
        "identity: a program": [1, 1],
    }
    rows = sheet.sheet(lines, said)
    assert [row["before"] for row in rows if row["kind"] == "conversations"] == [[], ["hello", "hey [name]."]]
    assert next(row for row in rows if row["kind"] == "names")["before"] == ["I'm Zed", "hi, zed."]
    assert next(row for row in rows if row["kind"] == "personas")["before"] == ["(persona) i ski."]
    with pytest.raises(ValueError, match="alone 0 is not judged: grammatical"):
        sheet.tally(rows)
    for row in rows:
        row["judged"] = dict.fromkeys(row["judged"], row["row"] == "0")
    assert sheet.tally(rows)["alone"] == {"grammatical": [1, 2], "to the point": [1, 2]}
    assert "> my cat died" in sheet.markdown(rows)


def test_a_speaker_is_given_persona_lines_and_all_turns_before():
    seen = []

    def speak(persona, turns):
        seen.append((tuple(persona), tuple(turns)))
        return f"reply {len(turns)}"

    lines = {kind: [] for kind in tries.SINGLE}
    lines |= {
        "conversations": [["a", "b"]],
        "names": [],
        "personas": [{"persona": ["p."], "line": "q", "words": ["p"]}],
    }
    tries.replies(speak, lines)
    assert seen == [((), ("a",)), ((), ("a", "reply 1", "b")), (("p.",), ("q",))]


def test_made_up_names_are_not_the_final_ones(final):
    import random

    rng = random.Random(3)
    invented = {made_up.invented_name(rng) for _ in range(20000)}
    assert not invented & {each["name"].lower() for each in final["names"]}
