"""What a model answers to turns of the training conversations: its own words, as it finds them in a chat (see `noise`).

Greedy for one half of the batches, drawn from the ten likeliest tokens for the other; only the turn itself is read.
"""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import relevance
from .batches import rows_read
from .decoding import Decoding
from .net import Net
from .noise import Answers
from .pieces import END, NULL, START
from .recipe import Recipe
from .samples import LONGEST_CONTEXT, Samples, pad

MOST = 200_000  # turns that are answered, a seeded choice
BATCH = 512
LONGEST, SHORTEST = 24, 5  # tokens of a reply, `__end__` not counted
LIKELIEST = 10
SEED = 31


def answers(net: Net, source: Tensor, draw: torch.Generator | None) -> Tensor:
    """Replies [B, LONGEST] to the rows of `source`, without their start; `draw` for random ones, None for greedy."""
    decoding = Decoding(net, *net.encode(source))
    last = torch.full((len(source), 1), START)
    over = torch.zeros(len(source), dtype=torch.bool)
    out = []
    for place in range(LONGEST):
        logits = decoding.logits(last)
        if place < SHORTEST:
            logits[:, END] = -1e9
        last = logits.argmax(-1, keepdim=True)
        if draw is not None:
            top, which = logits.topk(LIKELIEST)
            last = which.gather(1, torch.multinomial(top.softmax(-1), 1, generator=draw))
        last = last.masked_fill(over[:, None], NULL)
        over |= last[:, 0] == END
        out.append(last)
        if over.all():
            break
    return torch.cat(out, 1)


def asked(samples: Samples, recipe: Recipe, chosen: Mapping[str, np.ndarray]) -> np.ndarray:
    """The places of the turns that a model answers in the chats that `recipe` reads, at most `MOST` of them."""
    places: set[int] = set()
    for _, mix in recipe.mixes:
        if mix.noise.own_words:
            rows = rows_read(samples, mix, chosen.get(mix.name))
            longest = max(turns for turns, _ in mix.turns)
            places.update(place for row in rows for place in samples.earlier(row, longest)[-3::-2])
    found = np.array(sorted(places), dtype=np.int64)
    limit = min(mix.noise.longest or LONGEST_CONTEXT for _, mix in recipe.mixes if mix.noise.own_words)
    found = found[samples.lengths()[found] <= limit]
    return np.sort(np.random.default_rng(SEED).permutation(found)[:MOST])


def generate(work: Path, net: Net, recipe: Recipe, path: Path) -> None:
    """Write what `net` answers to turns of the training conversations: `places` and the ids, cut at `at`."""
    samples = Samples(work / "train.npz")
    places = asked(samples, recipe, relevance.choices(work, samples, (mix for _, mix in recipe.mixes)))
    order = sorted(places.tolist(), key=lambda place: samples.lengths()[place])
    draw, begun = torch.Generator().manual_seed(SEED), time.monotonic()
    said: dict[int, list[int]] = {}
    for i in range(0, len(order), BATCH):
        part = order[i : i + BATCH]
        source = torch.from_numpy(pad([samples.ids("read", place) for place in part]))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            found = answers(net, source, draw if i // BATCH % 2 else None)
        said |= {p: [t for t in ids if t not in (NULL, END)] for p, ids in zip(part, found.tolist(), strict=True)}
        if i // BATCH % 20 == 0:
            print(f"own words: {len(said):,} of {len(order):,}, {time.monotonic() - begun:.0f} s", flush=True)
    ids = [said[place] for place in places.tolist()]
    np.savez(path, places=places, ids=np.concatenate(ids).astype(np.int16), at=np.cumsum([0, *map(len, ids)]))


def read(path: Path) -> Answers:
    """What was generated."""
    with np.load(path) as kept:
        places, ids, at = (kept[name].tolist() for name in ("places", "ids", "at"))
    return Answers(places, {place: ids[at[i] : at[i + 1]] for i, place in enumerate(places)})
