"""The endless stream of training batches: a function of seed and step, so that a stopped training goes on exactly.

Corpora are mixed by share, each gone through in seeded passes. A *shelf* of batches is drawn together and sorted
by length, so that a batch holds rows of like length.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .corpus import FILES
from .noise import disturb
from .pieces import END, NEWLINE, NULL, START, vocabulary
from .recipe import SHELF, Recipe

LONGEST_CONTEXT = 128  # tokens, whole turns; the latest turn alone may be cut from its left


@dataclass(frozen=True)
class Batch:
    source: np.ndarray  # [B, S] int64, padded with __null__
    target: np.ndarray  # [B, T + 1] int64: __start__, reply, __end__, pads


BRACKETS = {id_ for entry, id_ in vocabulary([]).items() if entry[0] in "()"}  # around what stands for a name, and more


class Samples:
    """Prepared arrays (see `prepare.write_arrays`), and how a sample becomes a source and a target."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as arrays:
            self.rows = arrays["samples"]
            self._ids = {name: arrays[name] for name in ("read", "said", "persona")}
            self._at = {name: arrays[f"{name}_at"] for name in ("read", "said", "persona")}

    def ids(self, name: str, index: int) -> list[int]:
        at = self._at[name]
        return self._ids[name][at[index] : at[index + 1]].tolist()

    def reply(self, sample: int) -> list[int]:
        return [*self.ids("said", self.rows[sample][0]), END]

    def lengths(self) -> np.ndarray:
        """How many tokens every turn has, as it is read."""
        return np.diff(self._at["read"])

    def earlier(self, sample: int, turns: int) -> range:
        """The places of up to `turns` turns before the reply, oldest first."""
        turn, first = map(int, self.rows[sample][:2])
        return range(max(first, turn - turns), turn)

    def persona(self, sample: int) -> list[int]:
        """The persona lines of whoever replies, if there are any."""
        who = int(self.rows[sample][2])
        return self.ids("persona", who) if who >= 0 else []

    def context(self, sample: int, turns: int, persona: bool, limit: int = LONGEST_CONTEXT) -> list[int]:
        """Up to `turns` earlier turns joined by the newline token, whole turns within `limit`; persona lines first."""
        lines = self.persona(sample) if persona else []
        return join([self.ids("read", place) for place in self.earlier(sample, turns)], lines, limit)


def join(turns: list[list[int]], lines: list[int], limit: int = LONGEST_CONTEXT) -> list[int]:
    """Persona lines and as many whole turns as fit, the latest first of all; only that one is ever cut.

    >>> join([[10, 11], [20], [30, 31]], [7], limit=6)
    [7, 4, 20, 4, 30, 31]
    """
    lines = [*lines, NEWLINE] if lines else []
    room = limit - len(lines)
    context = turns[-1][-room:]
    for more in turns[-2::-1]:
        if len(more) + 1 + len(context) > room:
            break
        context = [*more, NEWLINE, *context]
    return lines + context


def pad(rows: list[list[int]]) -> np.ndarray:
    """Rows of ids as one array, padded on the right.

    >>> pad([[7, 8], [9]]).tolist()
    [[7, 8], [9, 0]]
    """
    out = np.full((len(rows), max(map(len, rows))), NULL, dtype=np.int64)
    for row, ids in zip(out, rows, strict=True):
        row[: len(ids)] = ids
    return out


def some_rows(samples: Samples, corpus: int, most: int) -> list[int]:
    """A fixed choice of at most `most` samples of one corpus."""
    rows = np.flatnonzero(samples.rows[:, 3] == corpus)
    return sorted(np.random.default_rng(0).permutation(rows)[:most].tolist())


class Stream:
    """`stream.batch(step)` for step 0, 1, 2, …; shelves are kept one at a time.

    `words` are turns of a model's (see `own_words`), `chosen` the samples that are read (see `relevance`), all without
    it.
    """

    def __init__(
        self,
        samples: Samples,
        recipe: Recipe,
        words: list[list[int]] | None = None,
        chosen: np.ndarray | None = None,
    ) -> None:
        self._samples, self._seed, self._size = samples, recipe.seed, recipe.batch_size
        self._mix, self._words = recipe.mix, words or []
        rows = np.arange(len(samples.rows)) if chosen is None else np.sort(chosen)
        self._turns = np.arange(len(samples.lengths()))
        if recipe.mix.noise.longest is not None:
            self._turns = np.flatnonzero(samples.lengths() <= recipe.mix.noise.longest)
            rows = rows[samples.lengths()[samples.rows[rows, 0] - 1] <= recipe.mix.noise.longest]
            self._words = [ids for ids in self._words if len(ids) <= recipe.mix.noise.longest]
        if not recipe.mix.brackets:
            rows = np.array([row for row in rows if not BRACKETS.intersection(samples.reply(row))])
        self._corpora = [rows[samples.rows[rows, 3] == i] for i in range(len(FILES))]
        self._shelf: tuple[int, list[Batch]] = (-1, [])
        self._orders: dict[int, tuple[int, np.ndarray]] = {}

    def batch(self, step: int) -> Batch:
        number, place = divmod(step, SHELF)
        if self._shelf[0] != number:
            self._shelf = (number, self._fill(number))
        return self._shelf[1][place]

    def _pick(self, corpus: int, start: int, count: int) -> list[int]:
        """Places start … start + count of the endless seeded passes over one corpus."""
        rows, picked = self._corpora[corpus], []
        for place in range(start, start + count):
            round_, index = divmod(place, len(rows))
            if self._orders.get(corpus, (-1,))[0] != round_:
                order = np.random.default_rng((self._seed, corpus, round_)).permutation(len(rows))
                self._orders[corpus] = (round_, order)
            picked.append(int(rows[self._orders[corpus][1][index]]))
        return picked

    def _counts(self, number: int) -> np.ndarray:
        """How many samples of each corpus are on one shelf; a corpus that is not there gives none."""
        chosen = [shares for first, shares in self._mix.shares if first <= number][-1]
        shares = np.array([chosen[name] if len(rows) else 0 for name, rows in zip(FILES, self._corpora, strict=True)])
        counts = np.round(shares / shares.sum() * self._size * SHELF).astype(int)
        counts[counts.argmax()] += self._size * SHELF - counts.sum()
        return counts

    def _context(self, sample: int, rng: np.random.Generator) -> list[int]:
        """One sample's context as the stage has it: so many turns, persona lines or none, some turns exchanged."""
        numbers, weights = zip(*self._mix.turns, strict=True)
        places = self._samples.earlier(sample, int(rng.choice(numbers, p=weights)))
        lines = self._samples.persona(sample) if rng.random() < self._mix.persona_lines else []
        turns = [self._samples.ids("read", place) for place in places]
        return join(disturb(turns, self._mix.noise, rng, self._any_turn, self._words), lines)

    def _any_turn(self, number: int) -> list[int]:
        """A turn of any conversation that is not too long."""
        return self._samples.ids("read", self._turns[number % len(self._turns)])

    def _fill(self, number: int) -> list[Batch]:
        rng = np.random.default_rng((self._seed, 1000, number))
        begin = sum((self._counts(n) for n in range(number)), np.zeros(len(FILES), int))
        pairs = []
        for corpus, count in enumerate(self._counts(number).tolist()):
            for sample in self._pick(corpus, int(begin[corpus]), count):
                pairs.append((self._context(sample, rng), [START, *self._samples.reply(sample)]))
        rng.shuffle(pairs)
        pairs.sort(key=lambda pair: (len(pair[1]) // 5, len(pair[0])))
        groups = [pairs[i : i + self._size] for i in range(0, len(pairs), self._size)]
        rng.shuffle(groups)
        return [Batch(pad([p[0] for p in group]), pad([p[1] for p in group])) for group in groups]
