"""What the exported demo answers: npblender's own `Conversation` speaks, with the settings of the folder."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Speaker:
    """A model folder that answers; every reply is remembered, since searches are not cheap."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        from npblender.chat import Conversation

        self._talk = Conversation.from_pretrained(folder, **settings)
        self._known: dict[tuple[str, ...], str] = {}

    @property
    def model(self) -> Any:
        return self._talk.model

    def __call__(self, turns: Sequence[str]) -> str:
        """The reply to the last of `turns`, which the two said in turn; no more than the model reads is read."""
        key = tuple(turns)
        if key not in self._known:
            self._talk.reset()
            for place, turn in enumerate(key[:-1]):
                self._talk.add_turn(turn, "model" if (len(key) - place) % 2 == 0 else "user")
            self._known[key] = self._talk.reply(key[-1]).text
        return self._known[key]


def distinct(replies: Sequence[str], n: int) -> float:
    """Different n-grams of words among all of them.

    >>> distinct(["i like tea", "i like dogs"], 1), distinct(["i like tea", "i like dogs"], 2)
    (0.6666666666666666, 0.75)
    """
    grams: Counter[tuple[str, ...]] = Counter()
    for reply in replies:
        words = reply.split()
        grams.update(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    return len(grams) / sum(grams.values())


def conversation(speaker: Speaker, lines: Sequence[str]) -> list[tuple[str, str]]:
    """A user's lines, each with the reply to it and to everything before it."""
    turns: list[str] = []
    out = []
    for line in lines:
        turns.append(line)
        turns.append(speaker(turns))
        out.append((line, turns[-1]))
    return out
