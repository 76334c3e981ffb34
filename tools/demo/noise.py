"""Earlier turns exchanged for others, so that a model learns to answer the last one whatever was said before it.

In the corpora every earlier turn is a person's and fits. In a chat the model reads its own words, which often do not;
trained on people's alone, it goes on from them instead of from what it was told. The last turn is never touched.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Ids = list[int]


@dataclass(frozen=True)
class Answers:
    """What a model answers to the turns at some places (see `own_words`)."""

    places: Sequence[int]
    ids: Mapping[int, Ids]


@dataclass(frozen=True)
class Noise:
    """How often an earlier turn is exchanged: those of the speaker who replies now, and the other's but the last."""

    own_exchanged: float = 0.0
    others_exchanged: float = 0.0
    own_words: float = 0.0  # the part of the former that become what a model answers to the turn before
    fitting: float = 1.0  # the part of these that answer the turn before indeed; the others answer any turn
    longest: int | None = None  # tokens of an earlier turn; a longer one is always exchanged, and for none as long


NONE = Noise()


def disturb(
    places: Sequence[int],
    noise: Noise,
    rng: np.random.Generator,
    read: Callable[[int], Ids],
    any_places: Sequence[int],
    answers: Answers | None = None,
) -> list[Ids]:
    """The turns at `places`, oldest first, some of them exchanged; the last is the one to be answered.

    `read` gives the turn at a place, `any_places` are those of turns to exchange for. Where the turn before has
    no answer by the model, that to another turn stands in.

    >>> turns, rng = {1: [10], 2: [20], 3: [30], 4: [40]}, np.random.default_rng(0)
    >>> answers = Answers([1], {1: [11]})
    >>> disturb([1, 2, 3], Noise(own_exchanged=1.0, own_words=1.0), rng, turns.get, [4], answers)
    [[10], [11], [30]]
    >>> disturb([1, 2, 3], Noise(own_exchanged=1.0), rng, turns.get, [4])
    [[10], [40], [30]]
    """
    out: list[Ids] = []
    before = -1  # the place of the turn that stands before this one
    for index, here in enumerate(places[:-1]):
        own = (len(places) - index) % 2 == 0
        exchanged = rng.random() < (noise.own_exchanged if own else noise.others_exchanged)
        exchanged = exchanged or (noise.longest is not None and len(read(here)) > noise.longest)
        if exchanged and own and answers is not None and rng.random() < noise.own_words:
            fits = before in answers.ids and rng.random() < noise.fitting
            out.append(answers.ids[before if fits else _any(rng, answers.places)])
            continue
        before = _any(rng, any_places) if exchanged else here
        out.append(read(before))
    return [*out, read(places[-1])]


def _any(rng: np.random.Generator, places: Sequence[int]) -> int:
    return int(places[rng.integers(len(places))])
