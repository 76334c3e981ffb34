"""How much a reply owes to the turn it answers, in the eyes of a model: what is said anywhere owes it nothing.

The gain of a sample is log p(reply | last turn) - log p(reply | last turn of another sample of its corpus).
"that's a good one." fits after almost everything and gains little; a model that learns from the others says it less.
It does NOT measure (see `gains`).
"""

from pathlib import Path

import numpy as np

from .batches import Samples
from .corpus import FILES

FILE = "relevance.npz"


def choose(work: Path, samples: Samples, part: float) -> np.ndarray:
    """The samples of each corpus whose gain is among the highest `part` of what was measured.

    Gains are divided by the root of the number of tokens: then neither long replies nor short ones are preferred.
    """
    with np.load(work / FILE) as kept:
        rows, gain = kept["rows"], (kept["own"] - kept["other"]) / np.sqrt(kept["tokens"])
    corpus = samples.rows[rows, 3]
    out = []
    for number in range(len(FILES)):
        here = corpus == number
        order = np.argsort(-gain[here], kind="stable")
        out.append(rows[here][order[: round(part * len(order))]])
    return np.sort(np.concatenate(out))
