"""The endless stream of training batches: a function of seed and step, so that a stopped training goes on exactly.

Corpora are mixed by share, each gone through in seeded passes. A *shelf* of batches is drawn together and sorted
by length, so that a batch holds rows of like length.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .corpus import FILES
from .pieces import END, NEWLINE, NULL, START

# (first shelf, share of each corpus); the persona corpus' replies follow best, the others say more
SHARES = (
    (0, {"chitchat": 0.38, "self_dialogue": 0.38, "persona": 0.24}),
    (8, {"chitchat": 0.30, "self_dialogue": 0.22, "persona": 0.48}),
    (10, {"chitchat": 0.36, "self_dialogue": 0.38, "persona": 0.26}),
    (16, {"chitchat": 0.30, "self_dialogue": 0.49, "persona": 0.21}),
)
CONTEXT_TURNS = ((1, 0.34), (2, 0.26), (3, 0.20), (4, 0.12), (6, 0.08))
LONGEST_CONTEXT = 128  # tokens, whole turns; the latest turn alone may be cut from its left
PERSONA_SHARE = 0.30
SHELF = 256  # batches


@dataclass(frozen=True)
class Batch:
    source: np.ndarray  # [B, S] int64, padded with __null__
    target: np.ndarray  # [B, T + 1] int64: __start__, reply, __end__, pads


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

    def context(self, sample: int, turns: int, persona: bool, limit: int = LONGEST_CONTEXT) -> list[int]:
        """Up to `turns` earlier turns joined by the newline token, whole turns within `limit`; persona lines first."""
        turn, first, who, _ = map(int, self.rows[sample])
        lines = self.ids("persona", who) if persona and who >= 0 else []
        lines = [*lines, NEWLINE] if lines else []
        room = limit - len(lines)
        context = self.ids("read", turn - 1)[-room:]
        for index in range(turn - 2, max(first, turn - turns) - 1, -1):
            more = self.ids("read", index)
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
    """`stream.batch(step)` for step 0, 1, 2, …; shelves are kept one at a time."""

    def __init__(self, samples: Samples, seed: int, batch_size: int) -> None:
        self._samples, self._seed, self._size = samples, seed, batch_size
        self._corpora = [np.flatnonzero(samples.rows[:, 3] == i) for i in range(len(FILES))]
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
        chosen = [shares for first, shares in SHARES if first <= number][-1]
        shares = np.array([chosen[name] if len(rows) else 0 for name, rows in zip(FILES, self._corpora, strict=True)])
        counts = np.round(shares / shares.sum() * self._size * SHELF).astype(int)
        counts[counts.argmax()] += self._size * SHELF - counts.sum()
        return counts

    def _fill(self, number: int) -> list[Batch]:
        rng = np.random.default_rng((self._seed, 1000, number))
        begin = sum((self._counts(n) for n in range(number)), np.zeros(len(FILES), int))
        turns, weights = zip(*CONTEXT_TURNS, strict=True)
        pairs = []
        for corpus, count in enumerate(self._counts(number).tolist()):
            for sample in self._pick(corpus, int(begin[corpus]), count):
                context = self._samples.context(
                    sample, int(rng.choice(turns, p=weights)), bool(rng.random() < PERSONA_SHARE)
                )
                pairs.append((context, [START, *self._samples.reply(sample)]))
        rng.shuffle(pairs)
        pairs.sort(key=lambda pair: (len(pair[1]) // 5, len(pair[0])))
        groups = [pairs[i : i + self._size] for i in range(0, len(pairs), self._size)]
        rng.shuffle(groups)
        return [Batch(pad([p[0] for p in group]), pad([p[1] for p in group])) for group in groups]
