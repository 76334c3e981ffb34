"""What a model says in place of people's turns: the words of its own that it will find in a chat (see `noise`).

Greedy for one half of the batches, drawn from the twenty likeliest tokens for the other.
"""

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .batches import Samples, pad, some_rows
from .corpus import FILES
from .net import Attention, Net
from .pieces import END, NULL, START, UNK

MOST = 60_000  # turns of one corpus, a seeded choice
BATCH = 192
LONGEST, SHORTEST = 24, 5  # tokens of a reply, `__end__` not counted
TURNS = 3  # of context
LIKELIEST = 20
SEED = 31
FILE = "own_words.npz"


def attend(attention: Attention, q: Tensor, k: Tensor, v: Tensor, blocked: Tensor | None) -> Tensor:
    """Attention of one new token [B, 1, D] to all keys and values [B, S, D]."""
    q, k, v = (y.unflatten(-1, (attention.heads, -1)).transpose(1, 2) for y in (q, k, v))
    scores = (q * (q.shape[-1] ** -0.5)) @ k.transpose(-1, -2)
    if blocked is not None:
        scores = scores.masked_fill(blocked, -1e4)
    return attention.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


def answers(net: Net, source: Tensor, draw: torch.Generator | None) -> Tensor:
    """Replies [B, LONGEST] to the rows of `source`, without their start; `draw` for random ones, None for greedy."""
    memory, mask = net.encode(source)
    pads = ~mask[:, None, None, :]
    read = [layer.cross_attn.rest(memory).chunk(2, -1) for layer in net.decoder]
    kept: list[list[Tensor]] = [[] for _ in net.decoder]
    last = torch.full((len(source), 1), START)
    over = torch.zeros(len(source), dtype=torch.bool)
    out = []
    for place in range(LONGEST):
        x = net.decoder_norm(net.shared(last) * net.scale) + net.decoder_positions.weight[place]
        for number, layer in enumerate(net.decoder):
            q, *new = layer.self_attn.rest(x).chunk(3, -1)
            kept[number] = [torch.cat(pair, 1) for pair in zip(kept[number], new, strict=True)] if place else new
            x = layer.self_norm(x + attend(layer.self_attn, q, *kept[number], None))
            x = layer.cross_norm(x + attend(layer.cross_attn, layer.cross_attn.q(x), *read[number], pads))
            x = layer.norm(x + layer.fc2(torch.nn.functional.gelu(layer.fc1(x))))
        logits = net.logits(x[:, 0]).float()
        logits[:, [NULL, START, UNK, *([END] if place < SHORTEST else [])]] = -1e9
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


def generate(work: Path, net: Net) -> None:
    """Write what `net` says in place of some training turns: `turns`, and their ids, cut at `at`."""
    samples = Samples(work / "train.npz")
    draw = torch.Generator().manual_seed(SEED)
    begun, said = time.monotonic(), {}
    for corpus in range(len(FILES)):
        rows = some_rows(samples, corpus, MOST)
        pairs = sorted(((samples.context(row, TURNS, False), row) for row in rows), key=lambda pair: len(pair[0]))
        for i in range(0, len(pairs), BATCH):
            part = pairs[i : i + BATCH]
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                found = answers(net, torch.from_numpy(pad([c for c, _ in part])), draw if i // BATCH % 2 else None)
            for (_, row), ids in zip(part, found.tolist(), strict=True):
                said[int(samples.rows[row][0])] = [token for token in ids if token not in (NULL, END)]
        print(f"own words: {len(pairs):,} turns, {time.monotonic() - begun:.0f} s", flush=True)
    turns = sorted(said)
    flat = np.array([token for turn in turns for token in said[turn]], dtype=np.int16)
    np.savez(work / FILE, turns=np.array(turns), ids=flat, at=np.cumsum([0, *(len(said[turn]) for turn in turns)]))


def read(work: Path) -> dict[int, list[int]]:
    """What was generated, by turn."""
    with np.load(work / FILE) as kept:
        turns, ids, at = (kept[name].tolist() for name in ("turns", "ids", "at"))
    return {turn: ids[first:end] for turn, first, end in zip(turns, at, at[1:], strict=False)}
