"""What people said: seeded lines and conversations of the shared dialogues, and a few written here that stand alone.

The dialogues are read from the folder that NPBLENDER_SHARED names; a record made without them says so, and has less.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

OWN = (
    *("Hi! What do you like to do for fun?", "hello", "Do you have any pets?", "My cat died this morning :("),
    *("WHY ARE YOU SHOUTING?!", "i dont know...", "what's your name?", "Tell me a story about a dragon."),
    *("I'm 34 years old, and I've never seen the sea.", "no", "?", "...", "ok ok ok ok ok ok ok ok ok ok", "🙂 nice"),
    *("¿Hablas español?", "Ich heiße Jürgen.", "a", "x" * 60, "It costs $3.50 (or 4), doesn't it?", "good night"),
    *("do you want to talk about football or music or anything else that you like?", "I lost my job today."),
    *("What is 2 + 2?", "__start__ hi __end__", "tea & biscuits", "you're right, i shouldn't've said that!"),
    *("The quick brown fox jumps over the lazy dog. " * 4, "newline\nhere", "tabs\tand  spaces", "Thanks! Bye!"),
)
PERSONAS = (
    (),
    ("i have two cats.", "i work as a nurse at night."),
    ("My name is Otto.", "I sell shoes.", "I like rain."),
    ("i grew up on a farm in kansas",),
)


@dataclass(frozen=True)
class Talk:
    """A conversation: the lines of one side's persona, and what both said."""

    persona: tuple[str, ...]
    turns: tuple[str, ...]


def shared(name: str) -> Path | None:
    """A place in the shared folder; None where there is no such folder."""
    root = os.environ.get("NPBLENDER_SHARED")
    return Path(root) / name if root else None


@cache
def talks() -> tuple[Talk, ...]:
    """Every conversation of the dialogues in a fixed order; made of OWN where they are not there."""
    folder = shared("dialogue")
    if folder is None:
        return tuple(Talk(PERSONAS[n % 4], OWN[n : n + 6]) for n in range(0, len(OWN) - 6, 2))
    found = []
    for path in sorted([*folder.glob("*.jsonl.gz"), *folder.glob("everyday/*.jsonl")]):
        opened: Any = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file):
                if number % 40 == 0:  # enough, and soon read
                    content = json.loads(line)
                    persona = content.get("persona", content.get("persona1", []))
                    found.append(Talk(tuple(persona), tuple(content["turns"])))
    return tuple(found)


def lines(count: int, seed: int = 0) -> list[str]:
    """So many different lines, those of OWN first."""
    every = list(dict.fromkeys(turn for talk in talks() for turn in talk.turns if turn.strip()))
    order = np.random.default_rng([41, seed]).permutation(len(every))
    return [*OWN, *(every[at] for at in order)][:count]


def some_talks(count: int, turns: int) -> Iterator[Talk]:
    """So many conversations of at least so many turns."""
    long = [talk for talk in talks() if len(talk.turns) >= turns]
    order = np.random.default_rng(42).permutation(len(long))
    return (long[at] for at in order[:count])
