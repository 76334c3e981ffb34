"""`Conversation.explain` and `npblender explain`: the reply that was said, with its history, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from npblender import Conversation
from npblender.cli.main import main
from reference_tests.chat.explanation.test_page import data_of


@pytest.fixture
def talk() -> Conversation:
    return Conversation.from_pretrained(persona=["i have two cats."], max_length=16, min_length=3)


def test_the_last_reply_with_its_history(talk: Conversation) -> None:
    talk.reply("hello!")
    reply = talk.reply("do you have any pets\u2028?")
    found: Any = talk.explain()
    run = found.runs[0]
    assert (run.target[0], *run.chosen) == reply.ids
    assert run.source == reply.source.ids
    assert run.score == reply.score
    assert run.notes == ()
    assert [each.ids for each in run.tree.finished] == [each.ids for each in reply.n_best]
    assert [each.name for each in found.runs] == ["parlai", "transformers-4", "transformers-5"]
    assert "__newln__" in [piece.piece for piece in run.pieces]
    assert [piece.piece for piece in run.pieces][:4] == ["your", "persona", ":", "i"]
    assert found.said == "do you have any pets\u2028?"


def test_an_earlier_reply(talk: Conversation) -> None:
    first = talk.reply("hello!")
    talk.reply("do you have any pets?")
    run: Any = talk.explain(1, dialects=()).runs[0]
    assert run.source == first.source.ids
    assert (run.target[0], *run.chosen) == first.ids


def test_a_drawn_reply_is_shown_as_it_was_said() -> None:
    """So hot that a second draw, which nothing seeds, finds the same reply once in more than a million times."""
    draws = {"do_sample": True, "temperature": 5.0, "num_beams": 1, "max_length": 12}
    talk = Conversation.from_pretrained(seed=4, dialect="transformers-5", **draws)
    reply = talk.reply("what do you do for fun?")
    run: Any = talk.explain(dialects=()).runs[0]
    assert (run.target[0], *run.chosen) == reply.ids
    (note,) = run.notes
    assert "another reply" in note
    assert run.score is None


def test_a_history_that_does_not_fit_begins_with_its_last_words(talk: Conversation) -> None:
    for _ in range(12):
        talk.add_turn("i like long walks and unbelievably long talks about nothing at all")
    reply = talk.reply("and unbelievably " * 50)
    assert reply.source.dropped_turns > 0
    assert reply.source.cut_tokens > 0
    run: Any = talk.explain(dialects=()).runs[0]
    assert run.source == reply.source.ids
    assert tuple(index for piece in run.pieces for index in piece.ids) == reply.source.ids


def test_what_cannot_be_explained(talk: Conversation) -> None:
    with pytest.raises(ValueError, match="no turn -1: the conversation has 0"):
        talk.explain()
    talk.reply("hello!")
    with pytest.raises(ValueError, match="turn 0 is the user's"):
        talk.explain(0)
    with pytest.raises(ValueError, match="no turn 2"):
        talk.explain(2)
    talk.reset()
    talk.add_turn("hello", "model")
    with pytest.raises(ValueError, match="replies to nothing"):
        talk.explain()


def test_a_block_list_is_honoured(talk: Conversation) -> None:
    plain: Any = talk.reply("do you have any pets?")
    word = plain.text.split()[-1].strip(".?!")
    other = Conversation.from_pretrained(block=word, max_length=16, min_length=3)
    reply = other.reply("do you have any pets?")
    run: Any = other.explain(dialects=()).runs[0]
    assert (run.target[0], *run.chosen) == reply.ids
    assert any(each.reason == "another rule" for here in run.tree_blocked for each in here.tokens)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert main(["explain", "do", "you have pets?", "--greedy", "--out", str(page), "--no-others"]) == 0
    said = capsys.readouterr().out
    data = data_of(page.read_text(encoding="utf-8"))
    assert data["said"] == "do you have pets?"
    assert [run["search"] for run in data["runs"]] == ["ParlAI beam search"]
    assert said == f"{page}: the reply {data['runs'][0]['reply']!r}\n"


def test_the_command_goes_on_with_a_saved_conversation(tmp_path: Path) -> None:
    talk, page = tmp_path / "talk.json", tmp_path / "page.html"
    assert main(["chat", "--say", "hello!", "--save", str(talk)]) == 0
    assert main(["explain", "--load", str(talk), "--out", str(page), "--no-others"]) == 0
    turns = json.loads(talk.read_text(encoding="utf-8"))["turns"]
    data = data_of(page.read_text(encoding="utf-8"))
    assert data["said"] == turns[0]["text"] == "hello!"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "page.html"], "give a text to reply to"),
        (["hello", "--out", "."], "is a folder"),
        (["hello", "--out", "no/such/page.html"], "there is no folder 'no/such'"),
        (["hello", "--out", "page.png"], "give it the ending .html"),
        (["hello", "--out", "page.html", "--other", "x"], "--other belongs to --trace"),
        (["hello", "--out", "page.html", "--row", "1"], "--row belongs to --trace"),
        (["hello", "--trace", "t", "--out", "page.html"], "leave out TEXT"),
        (["--trace", "t", "--out", "page.html", "--beams", "3"], "leave out --beams"),
        (["--trace", "t", "--out", "page.html", "--dialect", "parlai"], "leave out --dialect"),
        (["--trace", "t", "--out", "page.html", "--dtype", "float64"], "leave out --dtype"),
        (["--trace", "t", "--out", "page.html", "--no-others"], "leave out --no-others"),
        (["--trace", "no such file", "--out", "page.html"], "no such file"),
    ],
)
def test_arguments_that_do_not_go_together(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["explain", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
