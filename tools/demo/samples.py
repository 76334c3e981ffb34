"""Prepared arrays of turns, and how a turn becomes a sample: what was said before it, and itself.

A sample is a row of numbers (turn, first turn of its stretch, persona of the speaker or -1, corpus).
"""

from pathlib import Path

import numpy as np

from tools.demo.pieces import END, NEWLINE, NULL

LONGEST_CONTEXT = 128  # tokens, whole turns; the latest turn alone may be cut from its left


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
    """Persona lines, in half of the room at most, and as many whole turns as fit, the latest first of all.

    Of the turns only the latest is ever cut.

    >>> join([[10, 11], [20], [30, 31]], [7], limit=6)
    [7, 4, 20, 4, 30, 31]
    """
    lines = [*lines[: limit // 2], NEWLINE] if lines else []
    room = limit - len(lines)
    context = turns[-1][-room:]
    for more in turns[-2::-1]:
        if len(more) + 1 + len(context) > room:
            break
        context = [*more, NEWLINE, *context]
    return lines + context


def pad(rows: list[list[int]], multiple: int = 1) -> np.ndarray:
    """Rows of ids as one array, padded on the right to the longest, or on to a multiple of a number.

    >>> pad([[7, 8], [9]]).tolist(), pad([[7, 8], [9]], 4).shape
    ([[7, 8], [9, 0]], (2, 4))
    """
    longest = max(map(len, rows))
    out = np.full((len(rows), longest + -longest % multiple), NULL, dtype=np.int64)
    for row, ids in zip(out, rows, strict=True):
        row[: len(ids)] = ids
    return out


def some_rows(samples: Samples, corpus: int, most: int) -> list[int]:
    """A fixed choice of at most `most` samples of one corpus."""
    rows = np.flatnonzero(samples.rows[:, 3] == corpus)
    return sorted(np.random.default_rng(0).permutation(rows)[:most].tolist())


def in_passes(size: int, seed: tuple[int, ...], first: int, count: int) -> list[int]:
    """Places `first` … `first + count` of endless passes over `size` things, each shuffled by the seed and its number.

    >>> sorted(in_passes(3, (1,), 0, 2) + in_passes(3, (1,), 2, 1))
    [0, 1, 2]
    """
    out: list[int] = []
    for round_ in range(first // size, -(-(first + count) // size)):
        order = np.random.default_rng((*seed, round_)).permutation(size)
        out += order[max(first - round_ * size, 0) : first + count - round_ * size].tolist()
    return out
