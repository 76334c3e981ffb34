"""The plugin with the real llm: the replies, scores and histories are those of npblender's own conversations."""

import json
from pathlib import Path
from typing import Any

import llm
import pytest
from click.testing import CliRunner, Result
from llm.cli import cli

from npblender import Conversation


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user of llm who has neither logs nor settings."""
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    return tmp_path


def run(*words: str, given: str | None = None) -> Result:
    return CliRunner().invoke(cli, list(words), input=given)


def said(*words: str, given: str | None = None) -> str:
    """What a command prints; it must end well."""
    result = run(*words, given=given)
    assert result.exit_code == 0, result.output
    return result.output.strip()


def logged(count: int = 1) -> list[dict[str, Any]]:
    """The last entries of the log, the last first."""
    return list(reversed(json.loads(said("logs", "list", "--json", "-n", str(count)))))


def test_the_model_is_listed() -> None:
    assert "Npblender: npblender" in said("models")
    options = said("models", "list", "--options", "-q", "npblender")
    for name in ("model", "dialect", "num_beams", "do_sample", "top_k", "seed"):
        assert f"{name}:" in options


def test_a_reply_and_what_follows() -> None:
    """`-c` goes on with the conversation: ids and score are those of one that was never interrupted."""
    talk = Conversation.from_pretrained()
    for text, words in (("hi", ("-m", "npblender")), ("do you like music?", ("-c",)), ("why?", ("-c",))):
        expected = talk.reply(text)
        assert said(*words, text) == expected.text
        (entry,) = logged()
        assert entry["response_json"]["raw"] == expected.raw
        assert entry["response_json"]["score"] == expected.score
        assert entry["input_tokens"] == len(expected.source.ids)
        assert entry["output_tokens"] == len(expected.ids)
    assert expected.score != Conversation.from_pretrained().reply("why?").score, "the history counts"
    assert len({entry["conversation_id"] for entry in logged(3)}) == 1


def test_a_chat() -> None:
    talk = Conversation.from_pretrained()
    printed = said("chat", "-m", "npblender", given="hi\ndo you like music?\nexit\n")
    expected = [talk.reply("hi"), talk.reply("do you like music?")]
    assert [text for text in printed.splitlines() if text in [reply.text for reply in expected]] == [
        reply.text for reply in expected
    ]
    assert [entry["response_json"]["score"] for entry in logged(2)] == [reply.score for reply in reversed(expected)]
    assert [entry["prompt"] for entry in logged(2)] == ["do you like music?", "hi"]


def test_a_system_prompt_is_the_persona_and_stays() -> None:
    talk = Conversation.from_pretrained(persona=["i am a cook.", "i have two dogs."])
    expected = talk.reply("what do you do?")
    assert said("-m", "npblender", "-s", "i am a cook.\ni have two dogs.", "what do you do?") == expected.text
    assert logged()[0]["response_json"]["score"] == expected.score
    said("-c", "do you have any pets?")
    assert logged()[0]["response_json"]["score"] == talk.reply("do you have any pets?").score


def test_options_are_the_searchs() -> None:
    talk = Conversation.from_pretrained(num_beams=2, min_length=3, max_length=9)
    said("-m", "npblender", "-o", "num_beams", "2", "-o", "min_length", "3", "-o", "max_length", "9", "hi")
    assert logged()[0]["response_json"]["score"] == talk.reply("hi").score
    sampled = ("-m", "npblender", "-o", "do_sample", "true", "-o", "top_k", "40", "-o", "seed")
    text = "tell me something"
    one, two, other = (said(*sampled, seed, text) for seed in ("1", "1", "2"))
    assert one == two != other
    assert one == Conversation.from_pretrained(do_sample=True, num_beams=1, top_k=40, seed=1).reply(text).text


def test_another_folder_and_dialect(tmp_path: Path) -> None:
    talk = Conversation.from_pretrained(dialect="transformers-5")
    talk.model.save_pretrained(tmp_path / "model")
    talk.tokenizer.save_pretrained(tmp_path / "model")
    said("-m", "npblender", "-o", "model", str(tmp_path / "model"), "hi")
    found = logged()[0]["response_json"]
    assert (found["model"], found["score"]) == (str(tmp_path / "model"), talk.reply("hi").score)
    said("-m", "npblender", "-o", "dialect", "transformers-5", "hi")
    assert logged()[0]["response_json"]["score"] == found["score"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-o", "num_beams", "0", "hi"), "num_beams must be at least 1"),
        (("-o", "topk", "3", "hi"), "Extra inputs are not permitted"),
        (("-o", "model", "no/such/folder", "hi"), "there is no folder"),
        (("-s", "?" * 3000, "hi"), "persona"),
    ],
)
def test_what_cannot_be_is_an_error_and_is_not_logged(words: tuple[str, ...], message: str) -> None:
    result = run("-m", "npblender", *words)
    assert result.exit_code == 1
    assert message in result.output
    assert json.loads(run("logs", "list", "--json").output or "[]") == []


def test_words_come_as_they_are_certain() -> None:
    model = llm.get_model("npblender")
    pieces = list(model.prompt("hi", num_beams=1, do_sample=False))
    assert len(pieces) > 2
    whole = model.prompt("hi", num_beams=1, do_sample=False, stream=False)
    assert "".join(pieces) == whole.text()


def test_a_conversation_in_python() -> None:
    talk, ours = llm.get_model("npblender").conversation(), Conversation.from_pretrained()
    for text in ("hi", "what is your name?"):
        assert talk.prompt(text).text() == ours.reply(text).text
