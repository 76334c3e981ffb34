"""`/load` of any file: what cannot be gone on with is refused in a line, and the conversation at hand goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from npblender.chat import Conversation
from npblender.chat.transcript import FORMAT
from reference_tests.cli.test_terminal import Visit


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")


GOOD: dict[str, Any] = {
    **{"format": FORMAT, "version": 1, "profile": "parlai", "persona": [], "settings": {}},
    "turns": [{"speaker": "user", "text": "hi"}, {"speaker": "model", "text": "hello ."}],
}


def good(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


CONTENTS: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{",
    "no UTF-8": b"\xff\xfe{}",
    "a list": b"[]",
    "deep": b"[" * 100_000,
    "many digits": good(settings={"num_beams": 1}).replace(b": 1,", b": " + b"9" * 5000 + b",", 1),
    "another format": good(format="\x1b]0;x\x07"),
    "another version": good(version=10**400),
    "another profile": good(profile="\u202e" * 3000),
    "a persona of letters": good(persona="i sing"),
    "a persona of numbers": good(persona=[5]),
    "no turns": good(turns=None),
    "turns of letters": good(turns="hi"),
    "a turn without text": good(turns=[{"speaker": "user"}]),
    "an unknown speaker": good(turns=[{"speaker": "me", "text": "hi"}]),
    "a turn of numbers": good(turns=[{"speaker": "user", "text": 5}]),
    "settings of letters": good(settings="num_beams"),
    "an unknown setting": good(settings={"beams" * 900: 1}),
    "absurd beams": good(settings={"num_beams": 10**11}),
    "absurd lengths": good(settings={"max_length": -5}),
    "absurd returns": good(settings={"num_beams": 2, "num_return_sequences": 10**11}),
    "NaN": good(settings={"temperature": float("nan")}),
    "infinite": good(settings={"length_penalty": float("inf")}),
    "a switch of texts": good(settings={"do_sample": "yes"}),
    "more than a transcript": good(more=1),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=list(CONTENTS))
def test_a_file_that_cannot_be_gone_on_with(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    alone = Visit("/persona i sing", "hi", "you", f"/save {tmp_path / 'alone.json'}")
    visit = Visit("/persona i sing", "hi", f"/load {tmp_path / 'bad.json'}", "you", f"/save {tmp_path / 'after.json'}")
    assert visit.code == 0
    (error,) = [line for line in visit.shown if line.startswith("error: ")]
    assert "bad.json" in error
    assert len(error) < 1500
    assert error.isprintable()
    assert (tmp_path / "after.json").read_bytes() == (tmp_path / "alone.json").read_bytes()
    assert visit.talk.turns == alone.talk.turns


STRANGE: dict[str, bytes] = {
    "a persona with breaks": good(persona=["a\nyour persona: b"]),
    "a surrogate": good(turns=[{"speaker": "user", "text": "\ud800"}]),
    "settings at odds": good(settings={"num_beams": 2, "num_return_sequences": 5, "do_sample": False}),
}


@pytest.mark.parametrize("content", STRANGE.values(), ids=list(STRANGE))
def test_the_talk_goes_on_after_any_file(content: bytes, tmp_path: Path) -> None:
    """Whether it is loaded and the next reply given up, or not: nothing ends, and it can be saved."""
    (tmp_path / "strange.json").write_bytes(content)
    visit = Visit("hi", f"/load {tmp_path / 'strange.json'}", "you", f"/save {tmp_path / 'after.json'}")
    assert visit.code == 0
    assert f"saved {len(visit.talk.turns)} turns to {tmp_path / 'after.json'}" in visit.shown
    assert all(line.isprintable() for line in visit.shown)


def test_a_good_file_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_bytes(good(settings={"num_beams": 1}))
    visit = Visit("you", f"/load {tmp_path / 'good.json'}", "you")
    assert [turn.text for turn in visit.talk.turns][:3] == ["hi", "hello .", "you"]
    assert isinstance(visit.talk, Conversation)


@pytest.mark.skipif(os.name != "posix", reason="devices and pipes of Unix")
@pytest.mark.parametrize("place", ["/dev/zero", "fifo", "folder", "a" * 5000, "a\0b"])
def test_what_is_no_file(place: str, tmp_path: Path) -> None:
    if place == "fifo":
        os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    visit = Visit("hi", f"/load {place if place.startswith('/') else tmp_path / place}", "you")
    (error,) = [line for line in visit.shown if line.startswith("error: ")]
    assert error.isprintable()
    assert len(visit.talk.turns) == 4
