"""Transcripts: saved, read again, and refused where they are damaged."""

import json
import os
from pathlib import Path

import pytest

from npblender.chat import Conversation
from npblender.chat.history import Profile, Turn
from npblender.chat.transcript import Transcript, read_transcript, write_transcript
from reference_tests.support.tiny_folder import make_model, make_tokenizer

SHORT = {"min_length": 3, "max_length": 9}


def make_talk(dialect: str = "parlai", **options: object) -> Conversation:
    return Conversation(make_model(seed=2, dialect=dialect), make_tokenizer(dialect), **{**SHORT, **options})


def test_a_transcript_takes_up_where_it_was_left(tmp_path: Path) -> None:
    talk = make_talk(persona=["i like cats"], num_beams=2)
    talk.reply("hi\x1b[31m \u2028 żółw \ud800")
    talk.save(tmp_path / "talk.json")
    other = make_talk()
    other.load(tmp_path / "talk.json")
    assert (other.turns, other.persona, other.settings) == (talk.turns, talk.persona, talk.settings)
    assert other.last_reply is None
    assert other.reply("you").text == talk.reply("you").text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["talk.json"]  # nothing half-written beside it
    (tmp_path / "talk.json").read_bytes().decode("ascii")


def test_a_transcript_written_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    path.write_text('{"format": "npblender transcript", "version": 1, "turns": [{"speaker": "user", "text": "hi"}]}')
    talk = make_talk()
    talk.load(path)
    assert talk.turns == (Turn("user", "hi"),)
    assert (talk.profile.name, talk.persona, talk.settings) == ("parlai", (), {})


DAMAGED = {
    "[]": "this is no transcript",
    "{": "Expecting",
    '{"format": "npblender transcript", "version": 2, "turns": []}': "version 2; this program reads 1",
    '{"format": "npblender transcript", "version": 1}': "turns must be a list",
    '{"format": "npblender transcript", "version": 1, "turns": [], "model": 1}': "has no 'model'; it has format",
    '{"format": "npblender transcript", "version": 1, "turns": [{"speaker": "user"}]}': 'turn 1 .*"text"',
    '{"format": "npblender transcript", "version": 1, "turns": [{"speaker": "x", "text": "a"}]}': "turn 1 .*'x'",
    '{"format": "npblender transcript", "version": 1, "turns": [{"speaker": "user", "text": 5}]}': "turn 1 .*string",
    '{"format": "npblender transcript", "version": 1, "turns": [{"speaker": "user", "text": "a", "b": 1}]}': "no 'b'",
    '{"format": "npblender transcript", "version": 1, "turns": [], "persona": "x"}': "persona must be a list",
    '{"format": "npblender transcript", "version": 1, "turns": [], "settings": []}': "settings must be an object",
    '{"format": "npblender transcript", "version": 1, "turns": [], "profile": "x"}': "unknown profile 'x'",
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.items())
def test_damaged_transcripts_are_refused_by_name_and_change_nothing(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "talk.json"
    path.write_text(content)
    talk = make_talk(persona=["i sing"])
    talk.reply("hi")
    before = talk.to_transcript()
    with pytest.raises(ValueError, match=f"talk.json.*{message}"):
        talk.load(path)
    assert talk.to_transcript() == before


def test_what_a_transcript_can_not_be_written_or_read() -> None:
    with pytest.raises(FileNotFoundError, match=r"no file 'nowhere.json'"):
        read_transcript("nowhere.json")
    with pytest.raises(ValueError, match=r"cannot be written to 'nowhere/talk.json'"):
        write_transcript("nowhere/talk.json", Transcript("parlai"))
    mine = Conversation(make_model(), make_tokenizer(), profile=Profile("mine", between=("eos",)))
    with pytest.raises(ValueError, match="a profile of your own, 'mine'"):
        mine.to_transcript()


def test_a_transcript_that_can_not_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    write_transcript(path, Transcript("parlai", ("i sing.",)))
    with pytest.raises(TypeError):
        write_transcript(path, Transcript("parlai", settings={"seed": object()}))
    assert json.loads(path.read_text())["persona"] == ["i sing."]
    assert os.listdir(tmp_path) == ["talk.json"]
