"""BlenderbotSmall in torch, for training only: the architecture the package computes, no cache, no options.

Post-LN; the decoder's embedding norm comes before its positions; both embeddings times sqrt(d); states at pads
are zeroed in the encoder; erf-GELU; tied output. Queries, keys and values are one product here, three in the export.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.demo.pieces import NULL

ROUND = 128  # rows of the widest product: few different sizes, since each is compiled for, and kept


@dataclass(frozen=True)
class Shape:
    """Sizes of the network that is shipped."""

    vocab_size: int = 12288
    d_model: int = 320
    heads: int = 5
    ffn: int = 960
    encoder_layers: int = 3
    decoder_layers: int = 3
    positions: int = 128
    dropout: float = 0.1


class Drop(nn.Module):
    """Dropout whose masks are cut out of one long row of random numbers: on a CPU drawing them costs more than use."""

    LENGTH = 1 << 23

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self._masks: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.share == 0:
            return x
        if self._masks is None or self._masks.dtype != x.dtype:
            kept = torch.rand(self.LENGTH, device=x.device) >= self.share
            self._masks = kept.to(x.dtype) / (1 - self.share)
        begin = int(torch.randint(self.LENGTH - x.numel(), ()))
        return x * self._masks[begin : begin + x.numel()].view(x.shape)


class Attention(nn.Module):
    def __init__(self, shape: Shape, cross: bool) -> None:
        super().__init__()
        d = shape.d_model
        self.heads, self.cross = shape.heads, cross
        # one projection for what comes from the same states
        self.q = nn.Linear(d, d) if cross else None
        self.rest = nn.Linear(d, 2 * d if cross else 3 * d)
        self.out = nn.Linear(d, d)

    def forward(self, x: Tensor, memory: Tensor, blocked: Tensor) -> Tensor:
        parts = self.rest(memory).chunk(2 if self.cross else 3, dim=-1)
        q, k, v = (self.q(x), *parts) if self.q is not None else parts
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in (q, k, v))
        scores = (q * (q.shape[-1] ** -0.5)) @ k.transpose(-1, -2)
        y = scores.masked_fill(blocked, -1e4).softmax(-1) @ v  # faster on a CPU than torch's fused attention
        return self.out(y.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """One post-LN layer; with cross-attention it is the decoder's."""

    def __init__(self, shape: Shape, decoder: bool, drop: Drop) -> None:
        super().__init__()
        d = shape.d_model
        self.self_attn, self.self_norm = Attention(shape, cross=False), nn.LayerNorm(d)
        self.cross_attn = Attention(shape, cross=True) if decoder else None
        self.cross_norm = nn.LayerNorm(d) if decoder else None
        self.fc1, self.fc2, self.norm = nn.Linear(d, shape.ffn), nn.Linear(shape.ffn, d), nn.LayerNorm(d)
        self.drop = drop

    def forward(self, x: Tensor, blocked: Tensor, memory: Tensor | None = None, pads: Tensor | None = None) -> Tensor:
        x = self.self_norm(x + self.drop(self.self_attn(x, x, blocked)))
        if self.cross_attn is not None:
            x = self.cross_norm(x + self.drop(self.cross_attn(x, memory, pads)))
        return self.norm(x + self.drop(self.fc2(F.gelu(self.fc1(x)))))


class Net(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        d = shape.d_model
        self.shape, self.scale = shape, math.sqrt(d)
        self.shared = nn.Embedding(shape.vocab_size, d)
        self.encoder_positions = nn.Embedding(shape.positions, d)
        self.decoder_positions = nn.Embedding(shape.positions, d)
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.drop, drop = Drop(shape.dropout), Drop(shape.dropout)
        self.encoder = nn.ModuleList(Layer(shape, False, drop) for _ in range(shape.encoder_layers))
        self.decoder = nn.ModuleList(Layer(shape, True, drop) for _ in range(shape.decoder_layers))
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=d**-0.5)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
                nn.init.zeros_(module.bias)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Ids [B, S] to states [B, S, D] and the mask [B, S] of what is no pad."""
        mask = source != NULL
        pads, keep = ~mask[:, None, None, :], mask[:, :, None]
        places = self.encoder_positions.weight[: source.shape[1]]
        x = self.drop(self.encoder_norm(self.shared(source) * self.scale + places)) * keep
        for layer in self.encoder:
            x = layer(x, pads) * keep
        return x, mask

    def decode(self, target: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Ids [B, T] after the states [B, S, D] to states [B, T, D]."""
        x = self.decoder_norm(self.shared(target) * self.scale) + self.decoder_positions.weight[: target.shape[1]]
        x = self.drop(x)
        pads = ~mask[:, None, None, :]
        future = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool, device=target.device).triu(1)
        for layer in self.decoder:
            x = layer(x, future, memory, pads)
        return x

    def logits(self, states: Tensor) -> Tensor:
        return F.linear(states, self.shared.weight)

    def loss(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Summed cross-entropy of the target after its start, and the number of tokens it is summed over."""
        nats, chosen = self.nats(target, *self.encode(source))
        return nats.sum(), chosen.sum()

    def nats(self, target: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The cross-entropy [N] of all tokens of the targets [B, T] after their starts, and which [B, T-1] they are."""
        wanted = target[:, 1:]
        chosen = wanted != NULL
        states = self.decode(target[:, :-1], memory, mask)[chosen]  # pads leave before the widest product
        more = -len(states) % ROUND
        states, ids = F.pad(states, (0, 0, 0, more)), F.pad(wanted[chosen], (0, more), value=-100)
        return F.cross_entropy(self.logits(states).float(), ids, reduction="none")[: len(ids) - more], chosen

    def surprise(self, target: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """The mean cross-entropy [B] of each target's tokens after its start."""
        nats, chosen = self.nats(target, memory, mask)
        whole = torch.zeros(chosen.shape, dtype=nats.dtype, device=nats.device).masked_scatter(chosen, nats)
        return whole.sum(1) / chosen.sum(1)

    def preference(
        self, source: Tensor, wanted: Tensor, bad: Tensor, sharpness: float, margin: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """How far the wanted replies [B, T] are from being likely, and from being likelier than the bad ones.

        The mean surprise s of the wanted replies; the mean of softplus(margin - sharpness (s_bad - s)) where there is a
        bad one, which is simple preference optimisation (Meng, Xia and Chen, 2024); and the share of those in which the
        wanted reply is the likelier one.
        """
        memory, mask = self.encode(source)
        good, there = self.surprise(wanted, memory, mask), (bad != NULL).any(1)
        gain = self.surprise(bad[there], memory[there], mask[there]) - good[there]
        many = max(1, len(gain))
        return good.mean(), F.softplus(margin - sharpness * gain).sum() / many, (gain > 0).sum() / many
