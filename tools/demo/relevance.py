"""How much a reply owes to the turn it answers, in the eyes of a model: what is said anywhere owes it nothing.

The gain of a sample is log p(reply | last turn) - log p(reply | last turn of another sample of its corpus).
"that's a good one." fits after almost everything and gains little; a model that learns from the others says it less.
It does NOT measure (see `gains`).
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .corpus import FILES
from .recipe import Mix
from .samples import Samples

FILE = "relevance.npz"


def choices(work: Path, samples: Samples, mixes: Iterable[Mix]) -> dict[str, np.ndarray]:
    """For each of the mixes that does not read everything what it chooses from, by its name."""
    return {mix.name: choose(work, samples, mix.relevant, mix.on_topic) for mix in mixes if mix.relevant}


def choose(work: Path, samples: Samples, part: float, on_topic: bool = False) -> np.ndarray:
    """The samples of each corpus whose gain is among the highest `part` of what was measured.

    Gains are divided by the root of the number of tokens: then neither long replies nor short ones are preferred.
    With `on_topic` replies that begin with "so," are left out: they change the subject.
    """
    with np.load(work / FILE) as kept:
        rows, gain = kept["rows"], (kept["own"] - kept["other"]) / np.sqrt(kept["tokens"])
    if on_topic:
        ids = json.loads((work / "vocab.json").read_text(encoding="utf-8"))
        turning = [samples.reply(row)[:2] == [ids["so"], ids[","]] for row in rows]
        rows, gain = rows[~np.array(turning)], gain[~np.array(turning)]
    corpus = samples.rows[rows, 3]
    out = []
    for number in range(len(FILES)):
        here = corpus == number
        order = np.argsort(-gain[here], kind="stable")
        out.append(rows[here][order[: round(part * len(order))]])
    return np.sort(np.concatenate(out))
