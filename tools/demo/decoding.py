"""Decoding one token at a time with kept keys and values, in torch: what a model says itself is made with it.

It does NOT choose tokens (see `own_words` and `guided`).
"""

import torch
from torch import Tensor

from .net import Attention, Net
from .pieces import NULL, START, UNK


def attend(attention: Attention, q: Tensor, k: Tensor, v: Tensor, blocked: Tensor | None) -> Tensor:
    """Attention of one new token [B, 1, D] to all keys and values [B, S, D]."""
    q, k, v = (y.unflatten(-1, (attention.heads, -1)).transpose(1, 2) for y in (q, k, v))
    scores = (q * (q.shape[-1] ** -0.5)) @ k.transpose(-1, -2)
    if blocked is not None:
        scores = scores.masked_fill(blocked, -1e4)
    return attention.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


class Decoding:
    """Replies to the rows of `memory` [B, S, D], a token at a time; `mask` [B, S] says what is no pad."""

    def __init__(self, net: Net, memory: Tensor, mask: Tensor) -> None:
        self._net, self._pads, self._place = net, ~mask[:, None, None, :], 0
        self._read = [layer.cross_attn.rest(memory).chunk(2, -1) for layer in net.decoder]
        self._kept: list[list[Tensor]] = [[] for _ in net.decoder]

    def logits(self, last: Tensor) -> Tensor:
        """Float32 logits [B, V] after one more token [B, 1] of each row; what is never said has -1e9."""
        net = self._net
        x = net.decoder_norm(net.shared(last) * net.scale) + net.decoder_positions.weight[self._place]
        for number, layer in enumerate(net.decoder):
            q, *new = layer.self_attn.rest(x).chunk(3, -1)
            old = self._kept[number]
            self._kept[number] = [torch.cat(pair, 1) for pair in zip(old, new, strict=True)] if old else new
            x = layer.self_norm(x + attend(layer.self_attn, q, *self._kept[number], None))
            x = layer.cross_norm(x + attend(layer.cross_attn, layer.cross_attn.q(x), *self._read[number], self._pads))
            x = layer.norm(x + layer.fc2(torch.nn.functional.gelu(layer.fc1(x))))
        self._place += 1
        logits = net.logits(x[:, 0]).float()
        logits[:, [NULL, START, UNK]] = -1e9
        return logits

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self._pads = self._pads[rows]
        self._read = [(k[rows], v[rows]) for k, v in self._read]
        self._kept = [[each[rows] for each in pair] for pair in self._kept]
