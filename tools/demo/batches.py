"""The endless stream of training batches: a function of seed and step, so that a stopped training goes on exactly.

A *shelf* of batches is drawn together, so many samples of each mix, and sorted by length, so that a batch holds rows
of like length. Within a mix corpora are mixed by share, each gone through in seeded passes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .corpus import FILES
from .made import Kept, Pair
from .noise import Answers, disturb
from .pieces import START, vocabulary
from .recipe import SHELF, Mix, Recipe
from .samples import Samples, in_passes, join, pad


@dataclass(frozen=True)
class Batch:
    source: np.ndarray  # [B, S] int64, padded with __null__
    target: np.ndarray  # [B, T + 1] int64: __start__, reply, __end__, pads


BRACKETS = {id_ for entry, id_ in vocabulary([]).items() if entry[0] in "()"}  # around what stands for a name, and more


def rows_read(samples: Samples, mix: Mix, chosen: np.ndarray | None = None) -> np.ndarray:
    """The samples that a mix reads, of those `chosen` (see `relevance`), all without it."""
    rows = np.arange(len(samples.rows)) if chosen is None else np.sort(chosen)
    if mix.noise.longest is not None:
        rows = rows[samples.lengths()[samples.rows[rows, 0] - 1] <= mix.noise.longest]
    if not mix.brackets:
        rows = np.array([row for row in rows if not BRACKETS.intersection(samples.reply(row))])
    return rows


def shared_out(shares: Sequence[float], size: int) -> np.ndarray:
    """`size` things by their shares, in whole numbers; the largest part takes what rounding leaves or wants.

    >>> shared_out([0.45, 0.55], 256).tolist(), shared_out([1, 1, 1], 256).tolist()
    ([115, 141], [86, 85, 85])
    """
    wanted = np.array(shares, float)
    counts = np.round(wanted / wanted.sum() * size).astype(int)
    counts[counts.argmax()] += size - counts.sum()
    return counts


def seeds(recipe: Recipe, number: int) -> tuple[int, ...]:
    """The seed of a stage's mix."""
    return (recipe.seed, number) if number else (recipe.seed,)


class Reader:
    """The samples of one mix, in seeded passes."""

    def __init__(
        self,
        samples: Samples,
        mix: Mix,
        seed: tuple[int, ...],
        answers: Answers | None = None,
        chosen: np.ndarray | None = None,
    ) -> None:
        self._samples, self._mix, self._seed, self._answers = samples, mix, seed, answers
        rows = rows_read(samples, mix, chosen)
        self._corpora = [rows[samples.rows[rows, 3] == i] for i in range(len(FILES))]
        longest = samples.lengths().max() if mix.noise.longest is None else mix.noise.longest
        self._turns = np.flatnonzero(samples.lengths() <= longest)

    def pairs(self, number: int, size: int) -> list[Pair]:
        """The samples of shelf `number` when every shelf takes `size` of them."""
        rng = np.random.default_rng((*self._seed, 1000, number))
        begin = sum((self._counts(n, size) for n in range(number)), np.zeros(len(FILES), int))
        out = []
        for corpus, count in enumerate(self._counts(number, size).tolist()):
            for sample in self._pick(corpus, int(begin[corpus]), count):
                out.append((self._context(sample, rng), [START, *self._samples.reply(sample)]))
        return out

    def _pick(self, corpus: int, start: int, count: int) -> list[int]:
        """Places start … start + count of the endless seeded passes over one corpus."""
        rows = self._corpora[corpus]
        return rows[in_passes(len(rows), (*self._seed, corpus), start, count)].tolist() if count else []

    def _counts(self, number: int, size: int) -> np.ndarray:
        """How many samples of each corpus are on one shelf; a corpus that is not there gives none."""
        chosen = [shares for first, shares in self._mix.shares if first <= number][-1]
        there = zip(FILES, self._corpora, strict=True)
        return shared_out([chosen[name] if len(rows) else 0 for name, rows in there], size)

    def _context(self, sample: int, rng: np.random.Generator) -> list[int]:
        """One sample's context as the mix has it: so many turns, persona lines or none, some turns exchanged."""
        numbers, weights = zip(*self._mix.turns, strict=True)
        places = self._samples.earlier(sample, int(rng.choice(numbers, p=weights)))
        lines = self._samples.persona(sample) if rng.random() < self._mix.persona_lines else []
        return join(disturb(places, self._mix.noise, rng, self._read, self._turns, self._answers), lines)

    def _read(self, place: int) -> list[int]:
        return self._samples.ids("read", place)


class Stream:
    """`stream.batch(step)` for step 0, 1, 2, …; shelves are kept one at a time."""

    def __init__(
        self,
        samples: Samples,
        recipe: Recipe,
        answers: Answers | None = None,
        chosen: Mapping[str, np.ndarray] | None = None,
        guided: Sequence[Pair] = (),
    ) -> None:
        """`chosen` are the samples to be read, by the names of mixes that do not read all; `guided` were made."""
        self._seed, self._size = recipe.seed, recipe.batch_size
        self._readers: list[tuple[int, Reader | Kept]] = []
        batches = shared_out([share for share, _ in recipe.mixes], SHELF).tolist()
        for number, (_, mix) in enumerate(recipe.mixes):
            seed, size = seeds(recipe, number), batches[number] * recipe.batch_size
            if mix.guided:
                self._readers.append((size, Kept(guided, seed)))
            else:
                self._readers.append((size, Reader(samples, mix, seed, answers, (chosen or {}).get(mix.name))))
        self._shelf: tuple[int, list[Batch]] = (-1, [])

    def batch(self, step: int) -> Batch:
        number, place = divmod(step, SHELF)
        if self._shelf[0] != number:
            self._shelf = (number, self._fill(number))
        return self._shelf[1][place]

    def _fill(self, number: int) -> list[Batch]:
        pairs = [pair for size, reader in self._readers for pair in reader.pairs(number, size)]
        rng = np.random.default_rng((self._seed, 2000, number))
        rng.shuffle(pairs)
        pairs.sort(key=lambda pair: (len(pair[1]) // 5, len(pair[0])))
        groups = [pairs[i : i + self._size] for i in range(0, len(pairs), self._size)]
        rng.shuffle(groups)
        return [Batch(pad([p[0] for p in group]), pad([p[1] for p in group])) for group in groups]
