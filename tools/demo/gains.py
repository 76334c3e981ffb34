"""Measures what `relevance` chooses by, with a model: every reply after its own last turn and after another one."""

import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from .corpus import FILES
from .net import Net
from .pieces import NULL, START
from .relevance import FILE
from .samples import Samples, pad, some_rows

MOST = 80_000  # samples of one corpus, a seeded choice
BATCH = 128


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
        print(f"relevance: {len(pairs):,} samples, {time.monotonic() - begun:.0f} s", flush=True)
    row, own, other, tokens = np.concatenate(found, axis=1)
    np.savez(work / FILE, rows=row.astype(np.int64), own=own, other=other, tokens=tokens.astype(np.int64))
