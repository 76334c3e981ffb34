"""Conversations made up from sentences with gaps, for what only copying answers: names, things said before, personas.

A *fact* is one thing about somebody: how a user tells it, what the bot says to that, how it is asked for later, and
the answer. For a persona it is the line, the question and the answer. `conversation` puts facts together with real
exchanges of the everyday corpus between them, so that what is asked for lies some turns back.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.demo.kinds import KINDS

# word kinds that a gap may ask for, by the gap's name
_GAPS = {
    "name": "names",
    "place": "places",
    "animal": "animals",
    "food": "foods",
    "drink": "drinks",
    "job": "jobs",
    "hobby": "hobbies",
    "color": "colors",
    "instrument": "instruments",
    "music": "music",
    "season": "seasons",
    "month": "months",
    "day": "days",
    "vehicle": "vehicles",
    "thing": "things",
    "number": "numbers",
    "topic": "topics",
    "flower": "flowers",
    "tongue": "tongues",
}


@dataclass(frozen=True)
class Fact:
    """One thing that can be told and asked for; every field is a choice of sentences with gaps."""

    told: tuple[str, ...]
    taken: tuple[str, ...]
    asked: tuple[str, ...]
    answered: tuple[str, ...]


def _facts(rows: dict[str, dict[str, list[str]]]) -> dict[str, Fact]:
    return {name: Fact(**{part: tuple(choices) for part, choices in row.items()}) for name, row in rows.items()}


_STORED = json.loads(Path(__file__).with_name("facts.json").read_text(encoding="utf-8"))
USERS, PERSONAS = _facts(_STORED["users"]), _facts(_STORED["personas"])
_UNTOLD: dict[str, list[str]] = _STORED["untold"]  # what is said when something is asked for that was never told
_PARTS: dict[str, list[str]] = {part: sounds.split() for part, sounds in _STORED["syllables"].items()}
_ONSETS, _VOWELS, _CODAS = [*_PARTS["onsets"], ""], _PARTS["vowels"], [*_PARTS["codas"], *[""] * 6]
_KIN: list[str] = _STORED["kin"]
_BACK = ("", "", "", "", " and you?", " do you?", " what about you?", " how about you?")


def invented_name(rng: random.Random, pieces: Sequence[str] = ()) -> str:
    """A name that hardly anybody has, so that it can only be copied: of syllables, of names' parts, or of `pieces`."""
    if pieces and rng.random() < 0.4:
        return "".join(rng.choice(pieces) for _ in range(rng.choice((2, 2, 3, 3, 4))))
    if rng.random() < 0.5:
        first, middle, last = (rng.choice(KINDS["names"]) for _ in range(3))
        head, tail = first[: rng.randint(1, 4)], last[rng.randint(1, 4) :]
        name = head + (middle[1 : rng.randint(2, 4)] if rng.random() < 0.4 else "") + tail
        return name if len(name) > 2 else head + last
    name = ""
    for _ in range(rng.choice((1, 2, 2, 2, 3))):
        name += rng.choice(_ONSETS) + rng.choice(_VOWELS)
    name += rng.choice(_CODAS)
    return name if len(name) > 2 else name + rng.choice("nlrs") + rng.choice("aeio")


def article(word: str) -> str:
    """The word with "a" or "an" before it.

    >>> article("owl"), article("ukulele"), article("cat")
    ('an owl', 'a ukulele', 'a cat')
    """
    return ("an " if word[0] in "aeio" or word.startswith(("und", "umb", "unc")) else "a ") + word


class Filling:
    """Words for the gaps of one conversation's sentences, each gap the same throughout one fact."""

    def __init__(self, rng: random.Random, pieces: Sequence[str] = ()) -> None:
        self._rng, self._pieces = rng, pieces
        self._words: dict[str, str] = {}

    def word(self, gap: str) -> str:
        if gap not in self._words:
            kind = "names" if gap == "other" else _GAPS.get(gap)
            if gap == "kin":
                self._words[gap] = self._rng.choice(_KIN)
            elif kind == "names" and self._rng.random() < (0.75 if self._pieces else 0.5):
                self._words[gap] = invented_name(self._rng, self._pieces)
            else:
                self._words[gap] = self._rng.choice(KINDS[kind])
        return self._words[gap]

    def __call__(self, sentences: Sequence[str]) -> str:
        """One of the sentences, its gaps filled."""
        out = self._rng.choice(sentences)
        for gap in (*_GAPS, "kin", "other"):
            if f"{{{gap}}}" in out:
                out = out.replace(f"{{{gap}}}", self.word(gap))
            if f"{{a {gap}}}" in out:
                out = out.replace(f"{{a {gap}}}", article(self.word(gap)))
        return out


@dataclass(frozen=True)
class Talk:
    """Persona lines and turns, the user's first; the bot's turns at `learned` are to be learned."""

    persona: tuple[str, ...]
    turns: tuple[str, ...]
    learned: tuple[int, ...]


def memory(rng: random.Random, exchanges: Sequence[tuple[str, str]], pieces: Sequence[str] = ()) -> Talk:
    """A user tells one to three things; some real exchanges later one of them is asked for."""
    first = "name" if rng.random() < 0.65 else rng.choice(tuple(USERS))
    others = [kind for kind in rng.sample(tuple(USERS), 2) if kind != first]
    kinds = [first, *others[: rng.choice((0, 0, 1, 1, 2))]]
    fillings = {kind: Filling(rng, pieces) for kind in kinds}
    rng.shuffle(kinds)
    if rng.random() < 0.05 and first in _UNTOLD:  # asked for what was never told
        kinds.remove(first)
        answers: Sequence[str] = _UNTOLD[first]
    else:
        answers = USERS[first].answered
    turns: list[str] = []
    learned = []
    for kind in kinds:
        turns.append(fillings[kind](USERS[kind].told) + rng.choice(("", "", ".", "!")))
        if rng.random() < 0.3:  # what the bot said then was not always right: the user's own turn decides
            wrong = Filling(rng, pieces)(USERS[kind].taken) if rng.random() < 0.5 else rng.choice(exchanges)[1]
            turns.append(wrong)
        else:
            learned.append(len(turns))
            turns.append(fillings[kind](USERS[kind].taken))
        if rng.random() < 0.35:
            turns += rng.choice(exchanges)
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
        turns += rng.choice(exchanges)
    turns.append(fillings[first](USERS[first].asked))
    learned.append(len(turns))
    turns.append(fillings[first](answers))
    keep = learned if rng.random() < 0.3 else learned[-1:]
    return Talk((), tuple(turns), tuple(keep))


def persona(rng: random.Random, exchanges: Sequence[tuple[str, str]], lines: Sequence[str]) -> Talk:
    """Persona lines in any order, and questions that one of them answers; other `lines` may lie among them."""
    chosen = rng.sample(tuple(PERSONAS), rng.choice((1, 2, 3, 3, 4, 5)))
    if {"dislike", "pet"} <= set(chosen) or {"single", "married"} <= set(chosen):
        chosen = chosen[:1]
    fillings = {kind: Filling(rng) for kind in chosen}
    said = [fillings[kind](PERSONAS[kind].told) for kind in chosen]
    said += rng.sample(lines, rng.choice((0, 0, 1, 2)))
    rng.shuffle(said)
    turns: list[str] = []
    learned = []
    if rng.random() < 0.25:
        turns += rng.choice((("hi", "hello! how are you?"), ("hello", "hi! nice to meet you."), ("hey", "hey there!")))
    for kind in rng.sample(chosen, min(len(chosen), rng.choice((1, 1, 2, 3)))):
        turns.append(fillings[kind](PERSONAS[kind].asked))
        learned.append(len(turns))
        answer = fillings[kind](PERSONAS[kind].answered)
        turns.append(answer + (rng.choice(_BACK) if answer.endswith((".", "!")) and "?" not in answer else ""))
    return Talk(tuple(said), tuple(turns), tuple(learned))


_ECHOES = ("say {}", "say: {}", "repeat after me: {}", "please repeat: {}", "can you say {}?", "{}. say that again")
_TAKEN = ("okay.", "good to know!", "i see.", "got it!", "thank you for telling me.", "i'll remember that.")
_MINE = ("my {} is {}.", "my {} is called {}.", "my {} is {}!", "my {}'s name is {}.")
_ASKED = ("what is {} {}?", "what's {} {}?", "tell me {} {}", "{} {}?", "do you know {} {}?", "what was {} {} again?")
_ANSWERED = ("{1}.", "{0} {2} is {1}.", "it's {1}.", "it is {1}!", "{1}!", "{0} {2} is {1}, of course.")


def echo(rng: random.Random, words: Sequence[str]) -> Talk:
    """A user wants some random words said again: the plainest copying."""
    said = " ".join(_any_word(rng, words) for _ in range(rng.choice((1, 1, 2, 3, 4, 6, 8))))
    return Talk((), (rng.choice(_ECHOES).format(said), f"{said}."), (1,))


def lookup(rng: random.Random, words: Sequence[str]) -> Talk:
    """Random things are called random words, and one is asked for: what a word stands beside is the only answer."""
    count = rng.choice((1, 2, 2, 3, 4))
    pairs = [(rng.choice(words), _any_word(rng, words)) for _ in range(count)]
    told = [rng.choice(_MINE).format(*pair) for pair in pairs]
    key, value = rng.choice(pairs)
    value = next(each for name, each in pairs if name == key)  # the first, should a key stand there twice
    if rng.random() < 0.5:
        asked = rng.choice(_ASKED).format("your", key)
        return Talk(tuple(told), (asked, rng.choice(_ANSWERED).format("my", value, key)), (1,))
    turns: list[str] = []
    while told:
        now, told = told[:2], told[2:]
        turns += [" ".join(now), rng.choice(_TAKEN)]
    turns += [rng.choice(_ASKED).format("my", key), rng.choice(_ANSWERED).format("your", value, key)]
    return Talk((), tuple(turns), (len(turns) - 1,))


def _any_word(rng: random.Random, words: Sequence[str]) -> str:
    return invented_name(rng) if rng.random() < 0.4 else rng.choice(words)


DANGERS: dict = json.loads(Path(__file__).with_name("dangers.json").read_text(encoding="utf-8"))


def danger(rng: random.Random, exchanges: Sequence[tuple[str, str]]) -> Talk:
    """A user tells of a danger, at times after some real exchanges; the bot cares and says who helps."""
    kind = rng.choice(DANGERS["kinds"])
    girl = rng.random() < 0.5
    told = rng.choice(DANGERS["before"]) + rng.choice(kind["said"])
    for gap, word in {
        "die": "dy" if "{die}ing" in told else "die",
        "kin": rng.choice(_KIN),
        "man": rng.choice(DANGERS["people"]),
        "she": "she" if girl else "he",
        "her": "her" if girl else "his",
        "herself": "herself" if girl else "himself",
    }.items():
        told = told.replace(f"{{{gap}}}", word)
    turns: list[str] = []
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        turns += rng.choice(exchanges)
    turns += [told + rng.choice(("", "", ".", "!")), rng.choice(kind["replies"])]
    return Talk((), tuple(turns), (len(turns) - 1,))
