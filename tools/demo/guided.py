"""What a model says when it is guided towards the last turn: better replies than its own, to be learned from.

A guided token is the likeliest by pos + guidance (pos - neg), among those that are likely at all. pos is the mean of
its log-probabilities after the whole context and after the last turn alone; neg is that after turns of others. Of a
greedy reply and some random ones the best is taken, and of all of these what gains most (see `made`).
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from . import made, own_words
from .batches import Reader, seeds
from .decoding import Decoding
from .net import Net
from .pieces import END, NULL, START
from .recipe import Guided, Recipe, words_before
from .samples import Samples, last_turn, pad

GAIN = 0.35  # weight of a reply's gain (see `relevance`) beside its mean log-probability
BATCH = 192
LONGEST, SHORTEST = 24, 5  # tokens of a reply, `__end__` not counted
REST = 4  # steps between looks at which rows are finished


@dataclass(frozen=True)
class Said:
    """One reply to each of B contexts: ids [B, LONGEST + 1], sums of pos and of neg [B]."""

    ids: Tensor
    own: Tensor
    other: Tensor

    def gain(self) -> Tensor:
        """What they owe to their own context [B] (see `relevance`)."""
        return (self.own - self.other) / (self.ids != NULL).sum(1).sqrt()

    def score(self) -> Tensor:
        """How good they are [B]; -inf for those that never end or say three tokens twice."""
        score = self.own / (self.ids != NULL).sum(1) + GAIN * self.gain()
        fine = torch.tensor([END in row and not made.repeats(row) for row in self.ids.tolist()])
        return score.masked_fill(~fine, -math.inf)


def say(net: Net, memory: Tensor, mask: Tensor, how: Guided, draw: torch.Generator | None) -> Said:
    """Guided replies to B contexts; `memory` [(2 + others) * B, S, D] of them whole, of last turns, of others' turns.

    `draw` for random ones, None for greedy.
    """
    streams = 2 + how.others
    count = len(memory) // streams
    decoding, going = Decoding(net, memory, mask), torch.arange(count)
    ids = torch.full((count, LONGEST + 1), NULL)
    own, other = torch.zeros(count), torch.zeros(count)
    last = torch.full((count, 1), START)
    for place in range(LONGEST + 1):
        log_p = decoding.logits(last.repeat(streams, 1)).log_softmax(-1).view(streams, len(going), -1)
        pos = log_p[:2].mean(0)
        neg = log_p[2:].logsumexp(0) - math.log(how.others)
        wanted = pos + how.guidance * (pos - neg)
        wanted = wanted.masked_fill(pos < pos.max(-1, keepdim=True).values + math.log(how.likely), -1e9)
        if place < SHORTEST:
            wanted[:, END] = -1e9
        if draw is None:
            last = wanted.argmax(-1, keepdim=True)
        else:
            last = torch.multinomial(wanted.softmax(-1), 1, generator=draw)
        over = (ids[going] == END).any(1)
        ids[going, place] = last[:, 0].masked_fill(over, NULL)
        own[going] += pos.gather(1, last)[:, 0].masked_fill(over, 0.0)
        other[going] += neg.gather(1, last)[:, 0].masked_fill(over, 0.0)
        if place % REST == REST - 1:
            rest = (ids[going] != END).all(1).nonzero()[:, 0]
            if len(rest) == 0:
                break
            decoding.keep(torch.cat([rest + stream * len(going) for stream in range(streams)]))
            going, last = going[rest], last[rest]
    return Said(ids, own, other)


def best(net: Net, contexts: list[list[int]], how: Guided, draw: torch.Generator) -> Said:
    """The best of a greedy reply and some random ones to each context; what the others answer stands for others."""
    memory, mask = net.encode(torch.from_numpy(pad([*contexts, *map(last_turn, contexts)])))
    size = len(contexts)
    rolls = [(size * (k + 1)) // (how.others + 1) for k in range(how.others)]
    memory, mask = (torch.cat([x, *(x[size:].roll(roll, 0) for roll in rolls)]) for x in (memory, mask))
    tries = [say(net, memory, mask, how, each) for each in (None, *[draw] * how.draws)]
    which = torch.stack([said.score() for said in tries]).argmax(0)
    rows = torch.arange(size)
    ids, own, other = (
        torch.stack([getattr(said, name) for said in tries])[which, rows] for name in ("ids", "own", "other")
    )
    return Said(ids, own, other)


def generate(work: Path, net: Net, recipe: Recipe, path: Path) -> None:
    """Write what the guided `net` replies to contexts of a stage's guided mix: what gains most from the last turn."""
    number, mix = next((number, mix) for number, (_, mix) in enumerate(recipe.mixes) if mix.guided)
    wanted = mix.guided
    assert wanted is not None
    words = own_words.read(words_before(work, recipe)) if recipe.answers else None
    reader = Reader(Samples(work / "train.npz"), mix, seeds(recipe, number), words)
    pairs = reader.pairs(0, wanted.contexts)
    pairs.sort(key=lambda pair: len(pair[0]))
    draw, begun = torch.Generator().manual_seed(wanted.seed), time.monotonic()
    found: list[tuple[float, made.Pair]] = []
    for i in range(0, len(pairs), BATCH):
        contexts = [source for source, _ in pairs[i : i + BATCH]]
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            said = best(net, contexts, wanted, draw)
        fine = said.gain().masked_fill(said.score() == -math.inf, -math.inf)
        for context, ids, worth in zip(contexts, said.ids.tolist(), fine.tolist(), strict=True):
            if worth > -math.inf:
                found.append((worth, (context, [START, *(token for token in ids if token != NULL)])))
        if i // BATCH % 20 == 0:
            print(f"guided: {i + len(contexts):,} of {len(pairs):,}, {time.monotonic() - begun:.0f} s", flush=True)
    kept = made.best(found, round(wanted.part * len(pairs)))
    print(f"guided: {len(kept):,} kept, {len({tuple(target) for _, target in kept}):,} different", flush=True)
    made.write(path, kept)
