"""How much a reply owes to the turn it answers, in the eyes of a model: what is said anywhere owes it nothing.

The gain of a sample is log p(reply | last turn) - log p(reply | last turn of another sample of its corpus).
"that's a good one." fits after almost everything and gains little; a model that learns from the others says it less.
"""

import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from .batches import Samples, pad, some_rows
from .corpus import FILES
from .net import Net
from .pieces import NULL, START

MOST = 80_000  # samples of one corpus, a seeded choice
BATCH = 128
FILE = "relevance.npz"


def likelihoods(net: Net, source: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """log p of each row's target after its own source, and after that of the row half the batch away."""
    memory, mask = net.encode(source)
    half = len(source) // 2
    wanted = target[:, 1:]
    there = wanted != NULL
    rows = there.nonzero()[:, 0]
    out = []
    for states, seen in ((memory, mask), (memory.roll(half, 0), mask.roll(half, 0))):
        logits = net.logits(net.decode(target[:, :-1], states, seen)[there]).float()
        lost = F.cross_entropy(logits, wanted[there], reduction="none")
        out.append(torch.zeros(len(source)).index_add_(0, rows, -lost))
    return out[0], out[1]


def measure(work: Path, net: Net) -> None:
    """Write the gains of training samples into `work`: `rows`, `own` and `other` (log p), `tokens`."""
    samples = Samples(work / "train.npz")
    found: list[np.ndarray] = []
    begun = time.monotonic()
    for corpus in range(len(FILES)):
        rows = some_rows(samples, corpus, MOST)
        pairs = [(row, samples.context(row, 1, False), [START, *samples.reply(row)]) for row in rows]
        np.random.default_rng(corpus).shuffle(pairs)
        pairs.sort(key=lambda pair: (len(pair[2]), len(pair[1]) // 8))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            for i in range(0, len(pairs), BATCH):
                part = pairs[i : i + BATCH]
                np.random.default_rng(i).shuffle(part)  # whose turn stands in for whose is chance
                source, target = (torch.from_numpy(pad([p[k] for p in part])) for k in (1, 2))
                own, other = likelihoods(net, source, target)
                tokens = [len(p[2]) - 1 for p in part]
                found.append(np.array([[p[0] for p in part], own.tolist(), other.tolist(), tokens]))
                if i // BATCH % 100 == 0:
                    print(f"relevance: {list(FILES)[corpus]} {i:,}, {time.monotonic() - begun:.0f} s", flush=True)
        print(f"relevance: {len(pairs):,} samples, {time.monotonic() - begun:.0f} s", flush=True)
    row, own, other, tokens = np.concatenate(found, axis=1)
    np.savez(work / FILE, rows=row.astype(np.int64), own=own, other=other, tokens=tokens.astype(np.int64))


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
