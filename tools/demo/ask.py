"""Lets a model folder answer talks of which only the user's side is written, and lays the replies out for readers.

WORK/users/*.txt   blocks of lines with a blank line between: persona lines that begin with "* ", then what a user
                   says one after another, whatever is answered
WORK/rows.txt      the same with the replies, numbered
WORK/verdicts.txt  what readers write: "12 +" for a good reply, "12 what it should have said" for a bad one
WORK/judged.jsonl  what `judged` reads, gzipped into `judged/`
"""

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from npblender import BlenderbotSmallForConditionalGeneration
from tools.demo import made_up, tries
from tools.demo.clean import sayable
from tools.demo.judged import context
from tools.demo.pieces import Cutter, name_parts
from tools.demo.replies import generated
from tools.demo.samples import join

_VERDICT = re.compile(r"(\d+)\s+(\S.*)")


@dataclass(frozen=True)
class Asked:
    """One talk: the persona's lines, what the user says, and what was answered."""

    persona: tuple[str, ...]
    users: tuple[str, ...]
    replies: tuple[str, ...] = ()

    def before(self, turn: int) -> tuple[str, ...]:
        """The turns up to the user's number `turn`."""
        pairs = zip(self.users[:turn], self.replies[:turn], strict=True)
        return (*(text for pair in pairs for text in pair), self.users[turn])


def blocks(text: str) -> list[Asked]:
    """The talks of one file.

    >>> [(talk.persona, talk.users) for talk in blocks("hi there\\n\\n* i ski.\\nany sports?\\nreally?\\n")]
    [((), ('hi there',)), (('i ski.',), ('any sports?', 'really?'))]
    """
    out = []
    for block in re.split(r"\n\s*\n", text):
        lines = [line.strip() for line in block.splitlines() if line.strip()]
        users = tuple(line for line in lines if not line.startswith("* "))
        if users:
            out.append(Asked(tuple(line[2:].strip() for line in lines if line.startswith("* ")), users))
    return out


def answer(talks: Sequence[Asked], model: BlenderbotSmallForConditionalGeneration, cut: Cutter) -> list[Asked]:
    """Every user's line answered after the talk so far, by the folder's own settings, in batches."""
    said: list[list[str]] = [[] for _ in talks]
    for turn in range(max((len(talk.users) for talk in talks), default=0)):
        places = [i for i, talk in enumerate(talks) if turn < len(talk.users)]
        contexts = {}
        for i in places:
            talk = Asked(talks[i].persona, talks[i].users, tuple(said[i]))
            contexts[i] = context(talk.persona, talk.before(turn), cut)
        for i, text in zip(contexts, generated(list(contexts.values()), model, cut), strict=True):
            said[i].append(text)
    return [Asked(talk.persona, talk.users, tuple(replies)) for talk, replies in zip(talks, said, strict=True)]


def rows(talks: Sequence[Asked]) -> str:
    """The sheet for readers: every reply has a number, in order.

    >>> print(rows([Asked(("i ski.",), ("any sports?",), ("yes, i ski.",))]), end="")
    * i ski.
    U: any sports?
    1 B: yes, i ski.
    """
    out, number = [], 0
    for talk in talks:
        lines = [f"* {line}" for line in talk.persona]
        for user, reply in zip(talk.users, talk.replies, strict=True):
            number += 1
            lines += [f"U: {user}", f"{number} B: {reply}"]
        out.append("\n".join(lines) + "\n")
    return "\n".join(out)


def verdicts_of(text: str, most: int) -> dict[int, str]:
    """Every reply's verdict by its number, "+" or the wanted reply.

    Raises:
        ValueError: a line is no verdict, its number is not there or was there before, or the reply says nothing.

    >>> verdicts_of("2 that sounds cold!\\n\\n 1  +", 2)
    {2: 'that sounds cold!', 1: '+'}
    """
    out: dict[int, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        found = _VERDICT.fullmatch(line)
        number, verdict = (int(found[1]), found[2]) if found else (0, "")
        if verdict != "+" and (verdict.startswith(("+", "B:")) or not sayable(verdict)):
            raise ValueError(f"{line!r} is no verdict: write a number, and + or the reply that was wanted")
        if not 1 <= number <= most or number in out:
            raise ValueError(f"{line!r}: there is no reply {number}, or it has a verdict already")
        out[number] = verdict
    return out


def judged(talks: Sequence[Asked], verdicts: str) -> list[dict[str, object]]:
    """Rows of `judged/`: what readers said of each reply; replies without a verdict are left out.

    Raises:
        ValueError: see `verdicts_of`.

    >>> judged([Asked((), ("hi", "i ski"), ("hello!", "i see a dog."))], "1 +\\n2 that sounds cold!")[1]
    {'persona': [], 'turns': ['hi', 'hello!', 'i ski'], 'said': 'i see a dog.', 'better': 'that sounds cold!'}
    """
    said = verdicts_of(verdicts, sum(len(talk.replies) for talk in talks))
    out: list[dict[str, object]] = []
    number = 0
    for talk in talks:
        for turn, reply in enumerate(talk.replies):
            number += 1
            if number in said:
                better = None if said[number] == "+" else said[number]
                row = {"persona": list(talk.persona), "turns": list(talk.before(turn)), "said": reply, "better": better}
                out.append(row)
    return out


def remembered(
    count: int, exchanges: Sequence[tuple[str, str]], model: BlenderbotSmallForConditionalGeneration, cut: Cutter
) -> list[dict[str, object]]:
    """Rows of `judged/` from made-up talks in which an invented name is asked for: what lacks the name is bad."""
    rng, parts = random.Random(count), name_parts(cut)
    talks = []
    for _ in range(count):
        filling, name = made_up.Filling(rng, parts), made_up.USERS["name"]
        turns = [filling(name.told) + rng.choice(("", "", ".", "!")), filling(name.taken)]
        for _ in range(rng.choice((0, 0, 1, 1, 2))):
            turns += rng.choice(exchanges)
        talks.append(([*turns, filling(name.asked)], filling(name.answered), filling.word("name")))
    replies = generated([join([cut(turn) for turn in turns], []) for turns, _, _ in talks], model, cut)
    return [
        {"persona": [], "turns": turns, "said": said, "better": None if name in tries.words(said) else right}
        for (turns, right, name), said in zip(talks, replies, strict=True)
    ]


def write_rows(work: Path, model: BlenderbotSmallForConditionalGeneration, cut: Cutter) -> int:
    """Answer WORK/users/*.txt into WORK/rows.txt, and WORK/asked.json for `write_judged`; the number of replies."""
    files = sorted((work / "users").glob("*.txt"))
    if not files:
        raise FileNotFoundError(f"{work / 'users'} holds no *.txt: write there what users say")
    talks = answer([talk for file in files for talk in blocks(file.read_text(encoding="ascii"))], model, cut)
    (work / "rows.txt").write_text(rows(talks), encoding="ascii")
    (work / "asked.json").write_text(json.dumps([vars(talk) for talk in talks]) + "\n", encoding="ascii")
    return sum(len(talk.replies) for talk in talks)


def write_judged(work: Path) -> tuple[int, int]:
    """WORK/judged.jsonl from WORK/asked.json and WORK/verdicts.txt; how many replies are judged, of how many."""
    stored = json.loads((work / "asked.json").read_text(encoding="ascii"))
    talks = [Asked(*(tuple(row[name]) for name in ("persona", "users", "replies"))) for row in stored]
    found = judged(talks, (work / "verdicts.txt").read_text(encoding="ascii"))
    write(work / "judged.jsonl", found)
    return len(found), sum(len(talk.replies) for talk in talks)


def write(path: Path, rows: Sequence[dict[str, object]]) -> None:
    """Rows as lines of JSON."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="ascii")
