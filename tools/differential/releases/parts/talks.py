"""Conversations of several turns with the demo: personas, profiles, streaming, undoing, saving and loading."""

from __future__ import annotations

# ruff: noqa: B023  (what `attempt` is given it calls at once)
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from npblender import Conversation

from ..book import Book
from ..frozen.lines import PERSONAS, some_talks
from . import Place

WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "greedy": {"num_beams": 1},
    "sampling": {"do_sample": True, "num_beams": 1, "top_k": 20, "seed": 3},
    "ten beams": {"num_beams": 10, "min_length": 12},
    "delayed": {"beam_delay": 3, "top_k": 10, "seed": 4},
    "blocked": {"block": ["dog", "i like to", "yes"]},
    "documentation": {"profile": "transformers-documentation", "dialect": "transformers-5", "num_beams": 3},
    "pipeline": {"profile": "transformers-pipeline", "dialect": "transformers-4", "num_beams": 1},
    "beam sampling": {"dialect": "transformers-5", "num_beams": 3, "do_sample": True, "seed": 5},
    "stop strings": {"dialect": "transformers-5", "num_beams": 1, "stop_strings": [".", "?"]},
    "bfloat16": {"dtype": "bfloat16"},
}


def turns(book: Book, name: str, talk: Conversation, said: Sequence[str]) -> None:
    """Replies to one turn after another, every other one streamed."""
    for at, text in enumerate(said):
        if at % 2:
            pieces: list[str] = []

            def streamed(text: str = text) -> Any:
                pieces.extend(talk.stream(text))
                return talk.last_reply

            book.attempt(f"{name}/{at}", streamed)
            book.put(f"{name}/{at}/pieces", pieces)
        else:
            book.attempt(f"{name}/{at}", lambda: talk.reply(text))
    book.put(f"{name}/turns", talk.turns)
    book.attempt(f"{name}/source", talk.source)


def whole(book: Book, place: Place) -> None:
    """Everything that a conversation can do, in one."""
    talk: Any = Conversation.from_pretrained(persona=PERSONAS[1], seed=0)
    change: Any = setattr

    def put(name: str, call: Callable[[], Any]) -> None:
        book.attempt(f"whole/{name}", call)

    put("persona", lambda: talk.persona)
    put("first", lambda: talk.reply("hi, do you have any pets?"))
    put("second", lambda: talk.reply("and what do you do for work?", num_beams=1, min_length=12))
    put("again", lambda: talk.reply())
    put("undone", talk.undo)
    put("undone twice", talk.undo)
    put("other turns", lambda: [talk.add_turn("i like tea."), talk.add_turn("me too!", "model"), talk.turns])
    put("to that", lambda: talk.reply("do you want some?"))
    path = place.work / "talk.json"
    put("saved", lambda: talk.save(path))
    book.put("whole/file", path.read_text())
    put("configured", lambda: [talk.configure(num_beams=2, max_length=20), talk.settings])
    put("n best", lambda: talk.reply("what is your name?").n_best)
    put("unset", lambda: [talk.configure(num_beams=None), talk.settings])
    given_up = talk.stream("tell me more", num_beams=1)
    put("given up", lambda: [next(given_up), given_up.close(), talk.turns])
    put("reset", lambda: [talk.reset(), talk.turns, talk.persona, talk.last_reply])
    put("loaded", lambda: [talk.load(path), talk.turns, talk.settings, talk.persona])
    put("after loading", lambda: talk.reply("are you sure?"))
    put("long", lambda: [talk.reply("so " * 150 + "what?"), talk.turns])
    put("new persona", lambda: [change(talk, "persona", PERSONAS[2]), talk.persona, talk.reply("who are you?")])


def refused(book: Book, place: Place) -> None:
    """What a conversation refuses."""
    talk = Conversation.from_pretrained(seed=0)
    bad: dict[str, Any] = {
        "nothing to reply to": lambda: talk.reply(),
        "nothing to undo": talk.undo,
        "no source": talk.source,
        "empty": lambda: talk.reply("  \n "),
        "no text": lambda: talk.reply(5),  # type: ignore[arg-type]
        "a misspelt option": lambda: talk.reply("hi", num_beems=2),  # type: ignore[call-arg]
        "an option of records": lambda: talk.configure(return_dict_in_generate=True),
        "an unused option": lambda: talk.configure(penalty_alpha=0.6),
        "no beams": lambda: talk.configure(num_beams=0),
        "a speaker": lambda: talk.add_turn("hi", "bot"),  # type: ignore[arg-type]
        "a long persona": lambda: setattr(talk, "persona", ["i like cats " * 80]),
        "one string": lambda: setattr(talk, "persona", "i like cats"),
        "an empty line": lambda: setattr(talk, "persona", ["  "]),
        "a profile": lambda: Conversation.from_pretrained(profile="reddit"),
        "a folder": lambda: Conversation.from_pretrained(place.work / "nowhere"),
        "a block list": lambda: Conversation.from_pretrained(block=["", 5]),  # type: ignore[list-item]
        "an empty block": lambda: Conversation.from_pretrained(block=[" "]),
        "a seed": lambda: Conversation.from_pretrained(seed="x"),  # type: ignore[arg-type]
        "no file": lambda: talk.load("nowhere.json"),
        "no place": lambda: talk.save("nowhere/talk.json"),
    }
    for name, call in bad.items():
        book.attempt(f"refused/{name}", call)
    good = {"format": "npblender-transcript", "version": 1, "profile": "parlai", "persona": [], "turns": []}
    talk.add_turn("hi")
    path = place.work / "t.json"
    talk.save(path)
    good = json.loads(path.read_text())
    changes: list[dict[str, Any]] = [
        *({"version": 99}, {"format": "x"}, {"turns": 5}, {"turns": [{"speaker": "x", "text": "y"}]}, {"persona": "x"}),
        *(
            {"profile": "reddit"},
            {"settings": {"num_beems": 1}},
            {"settings": 5},
            {"more": 1},
            {"turns": [{"text": 5}]},
        ),
    ]
    for number, change in enumerate(changes):
        Path(path).write_text(json.dumps({**good, **change}))
        book.attempt(f"refused/file {number}", lambda: talk.load(path))
    for number, text in enumerate(("", "[]", "{", '{"a": 1}', "\ufeff{}")):
        path.write_text(text)
        book.attempt(f"refused/broken file {number}", lambda: talk.load(path))


def record(book: Book, place: Place) -> None:
    """Conversations in every way, then one whole one, then refusals."""
    for number, talk in enumerate(some_talks(16, 6)):
        ways = list(WAYS.items()) if number < 3 else [("default", {}), ("greedy", {"num_beams": 1})]
        for way, options in ways:
            persona = talk.persona[:5] or PERSONAS[number % 4]
            mine = Conversation.from_pretrained(persona=persona, **options)
            turns(book, f"{way}/{number}", mine, talk.turns[0:10:2][:5])
    whole(book, place)
    refused(book, place)
