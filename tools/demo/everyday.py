"""The everyday corpus as conversations: what is learned from, what choices are made by, and what is only counted with.

Conversations are dealt by a seed: 3 % are held out for the final count, 2 % are a development set, the rest is learned,
but for those in which a user says a line that replies are judged by (`tried/final.json`).
"""

import gzip
import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.demo import tries
from tools.demo.clean import readable, sayable, sentences

FOLDER = Path(__file__).with_name("everyday")
HELD_OUT_SHARE, DEVELOPMENT_SHARE = 0.03, 0.02
SEED = 19
PERSONA = "your persona: "
THREADS = (
    "going_on",
    "plain_home",
    "plain_people",
    "plain_threads_eighth",
    "plain_threads_fifth",
    "plain_threads_fourth",
    "plain_threads_home",
    "plain_threads_home_more",
    "plain_threads_ninth",
    "plain_threads_out",
    "plain_threads_out_more",
    "plain_threads_seventh",
    "plain_threads_sixth",
    "plain_threads_third",
    "plain_threads_work",
    "plain_threads_work_more",
    "plain_work",
    "threads",
)  # files of conversations in which the user leads


@dataclass(frozen=True)
class Everyday:
    """One conversation as it stands in its file; turns of the user and of the bot by turns."""

    file: str
    part: str  # "train", "development", "held out", or "tested"
    persona: tuple[str, ...]
    turns: tuple[str, ...]


def plain(text: str) -> str:
    """A line without capitals and marks, to be compared.

    >>> plain("I'm here, Pip!")
    "i'm here pip"
    """
    return re.sub(r"[^a-z0-9' ]", "", text.lower()).strip()


def tested() -> frozenset[str]:
    """The lines that the final count and the choice of settings begin with, `plain`."""
    return frozenset(plain(line) for name in ("final", "development") for line in tries.openings(tries.read(name)))


def read(folder: Path = FOLDER, seed: int = SEED) -> list[Everyday]:
    """Every distinct conversation of the `*.jsonl` or `*.jsonl.gz` files in `folder`, by file name."""
    never = tested()
    out, seen = [], set()
    paths = sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.gz")], key=lambda path: path.name.split(".")[0])
    if not paths:
        raise FileNotFoundError(f"{folder} holds no *.jsonl or *.jsonl.gz: name the folder of the everyday corpus")
    for path in paths:
        name = path.name.split(".")[0]
        rng = random.Random(f"{name} {seed}")
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for line in text.decode("ascii").splitlines():
            drawn, row = rng.random(), json.loads(line)
            key = (tuple(row["persona"]), tuple(row["turns"]))
            if key in seen:
                continue
            seen.add(key)
            part = "held out" if drawn < HELD_OUT_SHARE else "train"
            if HELD_OUT_SHARE <= drawn < HELD_OUT_SHARE + DEVELOPMENT_SHARE:
                part = "development"
            if part != "held out" and any(plain(turn) in never for turn in row["turns"][::2]):
                part = "tested"
            out.append(Everyday(name, part, *key))
    return out


def persona_lines(lines: tuple[str, ...]) -> list[str]:
    """Persona lines as the model reads them.

    >>> persona_lines(("I have a duck.",))
    ['your persona: i have a duck.']
    """
    return [PERSONA + readable(line) for line in lines]


def is_bots(turn: int) -> bool:
    """Whether the bot says turn number `turn`: the user begins."""
    return turn % 2 == 1


def heard(turns: tuple[str, ...]) -> list[str]:
    """A conversation's turns as they are read: the user's repaired, the bot's as it would say them."""
    return [sayable(turn) if is_bots(i) else readable(turn) for i, turn in enumerate(turns)]


def exchanges(talks: Sequence[Everyday]) -> list[tuple[str, str]]:
    """The talks of one line and one reply without persona lines, as they are read and said."""
    short = [talk for talk in talks if len(talk.turns) == 2 and not talk.persona]
    return [(line, reply) for line, reply in (heard(talk.turns) for talk in short)]


def kept_share(replies: list[str], copies: int = 20, begins: int = 6, power: float = 0.34) -> list[float]:
    """How often each of `replies` is learned in a pass, so that no one sentence becomes the answer to everything.

    Of one and the same reply `copies` are kept; one whose first sentence stands at the head of n replies is learned
    in (`begins` / n) ** `power` of the passes.

    >>> kept_share(["oh no!"] * 3, copies=2, begins=3)
    [1.0, 1.0, 0.0]
    """
    heads = Counter(sentences(reply)[0] for reply in replies)
    used: Counter[str] = Counter()
    out = []
    for reply in replies:
        used[reply] += 1
        share = min(1.0, (begins / heads[sentences(reply)[0]]) ** power)
        out.append(share if used[reply] <= copies else 0.0)
    return out
