"""What a model says in the training conversations: the words of its own that it will find in a chat (see `noise`).

Greedy for one half of the batches, drawn from the ten likeliest tokens for the other.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .batches import Samples, pad, some_rows
from .corpus import FILES
from .net import Attention, Net
from .pieces import END, NULL, START, UNK

MOST = 2000  # replies in one corpus, to a seeded choice of contexts
BATCH = 100
LONGEST, SHORTEST = 24, 5  # tokens of a reply, `__end__` not counted
TURNS = 1  # of context
LIKELIEST = 10
SEED = 31


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


def generate(work: Path, net: Net, path: Path) -> None:
    """Write what `net` replies in some training conversations: ids, cut at `at`."""
    samples = Samples(work / "train.npz")
    draw = torch.Generator().manual_seed(SEED)
    said: list[list[int]] = []
    for corpus in range(len(FILES)):
        contexts = [samples.context(row, TURNS, False) for row in some_rows(samples, corpus, MOST)]
        contexts.sort(key=len)
        for i in range(0, len(contexts), BATCH):
            with torch.no_grad():
                found = answers(net, torch.from_numpy(pad(contexts[i : i + BATCH])), draw if i // BATCH % 2 else None)
            said += [[token for token in ids if token not in (NULL, END)] for ids in found.tolist()]
    np.savez(path, ids=np.concatenate(said).astype(np.int16), at=np.cumsum([0, *map(len, said)]))


def read(path: Path) -> list[list[int]]:
    """What was generated."""
    with np.load(path) as kept:
        ids, at = kept["ids"].tolist(), kept["at"].tolist()
    return [ids[first:end] for first, end in pairwise(at)]
