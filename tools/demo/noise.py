"""Earlier turns exchanged for others, so that a model learns to answer the last one whatever was said before it.

In the corpora every earlier turn is a person's and fits. In a chat the model reads its own words, which often do not;
trained on people's alone, it goes on from them instead of from what it was told. The last turn is never touched.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Ids = list[int]


@dataclass(frozen=True)
class Noise:
    """How often an earlier turn is exchanged: those of the speaker who replies now, and the other's but the last."""

    own_exchanged: float = 0.0
    others_exchanged: float = 0.0
    own_words: float = 0.0  # the part of the former that become what a model says in a chat
    longest: int | None = None  # tokens of an earlier turn; a longer one is always exchanged, and for none as long


NONE = Noise()


def disturb(
    turns: list[Ids], noise: Noise, rng: np.random.Generator, any_turn: Callable[[int], Ids], words: list[Ids]
) -> list[Ids]:
    """The earlier turns of a context, oldest first, some of them exchanged; the last is the one to be answered.

    `any_turn` gives a turn of any conversation for a random number, `words` are turns of a model's.

    >>> always = Noise(own_exchanged=1.0)
    >>> disturb([[1], [2], [3], [4]], always, np.random.default_rng(0), lambda n: [9], [])
    [[9], [2], [9], [4]]
    """
    out = list(turns)
    for place in range(len(turns) - 1):
        own = (len(turns) - place) % 2 == 0
        kept = rng.random() >= (noise.own_exchanged if own else noise.others_exchanged)
        if kept and (noise.longest is None or len(turns[place]) <= noise.longest):
            continue
        by_model = own and rng.random() < noise.own_words and len(words) > 0
        out[place] = words[rng.integers(len(words))] if by_model else any_turn(int(rng.integers(2**62)))
    return out
