"""Replies of the network itself that readers have judged: good ones, and bad ones beside what was wanted instead.

`judged/*.jsonl.gz` has one JSON object a line, {"persona": [lines], "turns": [user, bot, ..., user], "said": reply,
"better": reply or null}: the network, as far as it was trained, said `said` after `turns`; where that was bad, `better`
is what a reader would have said, and where it was good, null. (Files `remembered*` were judged by program: names are
asked for, and one is right or wrong.) What is learned: the wanted reply, and that it be likelier than the bad one.
"""

import gzip
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.demo import everyday
from tools.demo.clean import readable, sayable
from tools.demo.mixture import LONGEST_REPLY
from tools.demo.pieces import END, START, Cutter
from tools.demo.recipe import SHELF, Recipe
from tools.demo.samples import in_passes, join, pad

FOLDER = Path(__file__).with_name("judged")
DEVELOPMENT_SHARE = 0.04


@dataclass(frozen=True)
class Judged:
    """What was said before, the last turn the user's; the reply that is wanted; and the bad one, if there was one."""

    file: str
    persona: tuple[str, ...]
    turns: tuple[str, ...]
    wanted: str
    bad: str | None
    is_development: bool = False  # not learned: the training is watched by it


@dataclass(frozen=True)
class Choices:
    """Ids [B, S] of contexts, [B, T] of wanted replies, and [B, T] of bad ones; rows without one are all padding."""

    source: np.ndarray
    wanted: np.ndarray
    bad: np.ndarray


def read(folder: Path = FOLDER) -> list[Judged]:
    """Every judged reply, but for talks in which a user says a line that a conversation is tried with (see `everyday`).

    A seeded 4 % of each file is the development set.

    Raises:
        FileNotFoundError: there are none.
    """
    paths = sorted(folder.glob("*.jsonl.gz"))
    if not paths:
        raise FileNotFoundError(f"{folder} holds no *.jsonl.gz: judged replies are what the training ends with")
    never = everyday.tested()
    out = []
    for path in paths:
        name = path.name.split(".")[0]
        rng = random.Random(f"{name} judged")
        for row in map(json.loads, gzip.decompress(path.read_bytes()).decode("ascii").splitlines()):
            drawn, turns, said = rng.random(), tuple(row["turns"]), row["said"]
            if not any(everyday.plain(turn) in never for turn in turns[::2]):
                wanted = row["better"] or said
                bad = said if said != wanted else None
                out.append(Judged(name, tuple(row["persona"]), turns, wanted, bad, drawn < DEVELOPMENT_SHARE))
    return out


class Judgements:
    """Judged replies as ids, drawn by seeds alone: every step of a shelf has as many as its phase says."""

    def __init__(self, rows: Sequence[Judged], cut: Cutter, recipe: Recipe) -> None:
        self._recipe = recipe
        self._rows: list[tuple[list[int], list[int], list[int]]] = []
        self._shares: list[float] = []  # of the passes in which a row is learned: common sentences less often
        rows = [row for row in rows if sayable(row.wanted)]
        shares = everyday.kept_share([sayable(row.wanted) for row in rows])
        for row, share in zip(rows, shares, strict=True):
            source = context(row.persona, row.turns, cut)
            wanted, bad = cut(sayable(row.wanted)), cut(row.bad) if row.bad is not None else []
            if 0 < len(wanted) < LONGEST_REPLY and len(bad) < LONGEST_REPLY and wanted != bad:
                self._rows.append((source, [START, *wanted, END], [START, *bad, END] if bad else []))
                self._shares.append(share)

    def __len__(self) -> int:
        return len(self._rows)

    def shelf(self, number: int) -> list[Choices]:
        """What the steps of one shelf learn; nothing in phases without judged replies."""
        count = self._recipe.phase(number * SHELF).judged
        if not count:
            return []
        seen = sum(self._recipe.phase(shelf * SHELF).judged for shelf in range(number)) * SHELF
        at, rng = round(seen * len(self) / sum(self._shares)), random.Random(f"{self._recipe.seed} judged {number}")
        rows: list[tuple[list[int], list[int], list[int]]] = []
        while len(rows) < count * SHELF:
            places = in_passes(len(self), (self._recipe.seed, 5), at, count * SHELF - len(rows))
            at += len(places)
            rows += [self._rows[place] for place in places if rng.random() < self._shares[place]]
        rows.sort(key=lambda row: len(row[0]))
        order = np.random.default_rng((self._recipe.seed, number)).permutation(SHELF).tolist()
        return [choices(rows[i * count : (i + 1) * count]) for i in order]

    def batches(self, size: int) -> list[Choices]:
        """All of them, once."""
        return [choices(self._rows[first : first + size]) for first in range(0, len(self._rows), size)]


def context(persona: Sequence[str], turns: Sequence[str], cut: Cutter) -> list[int]:
    """The ids of persona lines and turns, as the network reads them before a reply."""
    lines = cut("\n".join(everyday.persona_lines(tuple(persona)))) if persona else []
    return join([cut(readable(turn)) for turn in turns], lines)


def choices(rows: Sequence[tuple[list[int], list[int], list[int]]]) -> Choices:
    """Rows of ids as arrays."""
    return Choices(*(pad([row[k] for row in rows], 4) for k in range(3)))
