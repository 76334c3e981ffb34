"""Samples that a model made (see `guided`): which of them are kept, their file, and how they are read in training.

Torch is not needed here.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from .pieces import NULL
from .samples import in_passes

SAME_AT_MOST = 40  # times that one and the same reply is kept

Pair = tuple[list[int], list[int]]  # source, target


def repeats(ids: Sequence[int]) -> bool:
    """Whether three tokens stand in a row twice; pads are passed over.

    >>> repeats([7, 8, 9, 7, 8, 9]), repeats([7, 8, 9, 7, 8])
    (True, False)
    """
    said = [token for token in ids if token != NULL]
    return max(Counter(zip(said, said[1:], said[2:], strict=False)).values(), default=0) > 1


def best(found: Iterable[tuple[float, Pair]], count: int) -> list[Pair]:
    """Of samples and what they are worth the best `count`, less those whose reply is among them too often.

    >>> best([(1.0, ([7], [1])), (3.0, ([8], [2])), (2.0, ([9], [3]))], 2)
    [([8], [2]), ([9], [3])]
    """
    same: Counter[tuple[int, ...]] = Counter()
    out = []
    for _, (source, target) in sorted(found, key=lambda each: -each[0])[:count]:
        same[tuple(target)] += 1
        if same[tuple(target)] <= SAME_AT_MOST:
            out.append((source, target))
    return out


def write(path: Path, pairs: Sequence[Pair]) -> None:
    """Keep samples in a file: the `ids` of source, target, source, …, cut at `at`."""
    rows = [ids for pair in pairs for ids in pair]
    np.savez(path, ids=np.concatenate(rows).astype(np.int16), at=np.cumsum([0, *map(len, rows)]))


def read(path: Path) -> list[Pair]:
    """What `write` has kept."""
    with np.load(path) as kept:
        ids, at = kept["ids"], kept["at"].tolist()
    rows = [ids[first:last].tolist() for first, last in pairwise(at)]
    return list(zip(rows[::2], rows[1::2], strict=True))


class Kept:
    """Samples that were made, in seeded passes: what `batches.Reader` is for those of the corpora."""

    def __init__(self, pairs: Sequence[Pair], seed: tuple[int, ...]) -> None:
        self._pairs, self._seed = pairs, seed

    def pairs(self, number: int, size: int) -> list[Pair]:
        """The samples of shelf `number` when every shelf takes `size` of them."""
        return [self._pairs[place] for place in in_passes(len(self._pairs), self._seed, number * size, size)]
