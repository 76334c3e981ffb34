"""The whole forward pass in plain, slow Python: the oracle of the forward pass.

Written from the model's equations and from the table of what its originals do, not from the package: Python floats,
lists and loops, one row at a time, every target computed whole from its first token. There are no arrays, no batches
and no cache here, and nothing is imported from npblender but the two records that say which model is meant. It is
tested itself, in `test_naive_model`, against an example solved by hand.

Not here: training, sampling, and anything fast.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import Dialect

Vector: TypeAlias = list[float]
Matrix: TypeAlias = list[list[float]]
Parameters: TypeAlias = Mapping[str, Any]  # transformers' names without `model.`; nested lists
Points: TypeAlias = dict[str, Any]  # the name of a point to its value, nested lists without the batch axis

EPS = 1e-5
IGNORED = -100


@dataclass(frozen=True)
class Row:
    """One source and one target. What is None was not given."""

    target_ids: list[int] | None = None
    target_embeds: Matrix | None = None
    target_mask: list[int] | None = None
    target_positions: list[int] | None = None
    source_ids: list[int] | None = None
    source_embeds: Matrix | None = None
    source_states: Matrix | None = None  # what an encoder made of the source elsewhere
    source_mask: list[int] | None = None
    source_positions: list[int] | None = None
    encoder_head_mask: Matrix | None = None  # layers x heads
    decoder_head_mask: Matrix | None = None
    cross_head_mask: Matrix | None = None
    labels: list[int] | None = None


def gelu(x: float) -> float:
    return x * 0.5 * math.erfc(-x / math.sqrt(2.0))


def gelu_tanh(x: float) -> float:
    return 0.5 * x * (1.0 + math.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS: Mapping[str, Callable[[float], float]] = {
    "gelu": gelu,
    "gelu_new": gelu_tanh,
    "relu": lambda x: x if x > 0 else 0.0,
    "silu": lambda x: x / (1.0 + math.exp(-x)),
}


def dot(a: Vector, b: Vector) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def add(a: Vector, b: Vector) -> Vector:
    return [x + y for x, y in zip(a, b, strict=True)]


def softmax(scores: Vector) -> Vector:
    top = max(scores)
    powers = [math.exp(s - top) for s in scores]
    total = math.fsum(powers)
    return [p / total for p in powers]


def log_softmax(scores: Vector) -> Vector:
    top = max(scores)
    total = math.log(math.fsum(math.exp(s - top) for s in scores))
    return [s - top - total for s in scores]


class Naive:
    """One model in one dialect, and the points of the row that it reads."""

    def __init__(self, config: BlenderbotSmallConfig, dialect: Dialect, parameters: Parameters) -> None:
        self.config, self.dialect, self.parameters = config, dialect, parameters
        self.points: Points = {}

    def norm(self, name: str, x: Vector) -> Vector:
        weight, bias = self.parameters[f"{name}.weight"], self.parameters[f"{name}.bias"]
        mean = math.fsum(x) / len(x)
        variance = math.fsum((value - mean) ** 2 for value in x) / len(x)
        return [(v - mean) / math.sqrt(variance + EPS) * w + b for v, w, b in zip(x, weight, bias, strict=True)]

    def linear(self, name: str, x: Vector) -> Vector:
        weight, bias = self.parameters[f"{name}.weight"], self.parameters[f"{name}.bias"]
        return [dot(x, row) + b for row, b in zip(weight, bias, strict=True)]

    def note(self, name: str, value: Any) -> None:
        assert name not in self.points, f"{name} is computed twice"
        self.points[name] = value

    def embedded(self, point: str, ids: list[int] | None, embeds: Matrix | None, factors: tuple[bool, bool]) -> Matrix:
        """Token embeddings, scaled: `factors` say whether those of ids are, and whether a caller's are."""
        if embeds is None:
            assert ids is not None
            embeds = [self.parameters["shared.weight"][i] for i in ids]
            self.note(f"{point}.tokens", embeds)
            scaled = factors[0]
        else:
            scaled = factors[1]
        factor = math.sqrt(self.config.d_model) if scaled and self.config.scale_embedding else 1.0
        embeds = [[factor * value for value in token] for token in embeds]
        self.note(f"{point}.scaled", embeds)
        return embeds

    def heads(self, x: Vector, count: int) -> list[Vector]:
        size = len(x) // count
        return [x[h * size : (h + 1) * size] for h in range(count)]

    def keys_values(self, weights: str, point: str, states: Matrix, count: int) -> None:
        """Note the keys and values of a sequence: head, token, size."""
        for part in ("k", "v"):
            tokens = [self.heads(self.linear(f"{weights}.{part}_proj", state), count) for state in states]
            self.note(f"{point}.{part}", [[token[h] for token in tokens] for h in range(count)])

    def attention(
        self,
        weights: str,
        point: str,
        x: Matrix,
        count: int,
        allowed: Callable[[int, int], bool],
        head_mask: Vector | None,
    ) -> Matrix:
        """Queries of `x` over the keys and values noted under `point`."""
        size = self.config.d_model // count
        keys, values = self.points[f"{point}.k"], self.points[f"{point}.v"]
        hidden_score = -sys.float_info.max if self.dialect.masked_score is None else self.dialect.masked_score
        per_token = [self.heads(self.linear(f"{weights}.q_proj", token), count) for token in x]
        queries = [[[value / math.sqrt(size) for value in token[h]] for token in per_token] for h in range(count)]
        scores = [[[dot(q, k) for k in keys[h]] for q in queries[h]] for h in range(count)]
        masked = [
            [[s if allowed(i, j) else hidden_score for j, s in enumerate(line)] for i, line in enumerate(scores[h])]
            for h in range(count)
        ]
        kept = [1.0] * count if head_mask is None else head_mask
        shares = [[[share * kept[h] for share in softmax(line)] for line in masked[h]] for h in range(count)]
        context: Matrix = []
        for i in range(len(x)):
            token: Vector = []
            for h in range(count):
                token += [dot(shares[h][i], [value[c] for value in values[h]]) for c in range(size)]
            context.append(token)
        output = [self.linear(f"{weights}.out_proj", token) for token in context]
        found = {"q": queries, "scores": scores, "masked_scores": masked, "weights": shares}
        for name, value in {**found, "context": context, "output": output}.items():
            self.note(f"{point}.{name}", value)
        return self.residual(f"{weights}_layer_norm", point, x, output)

    def residual(self, norm: str, point: str, x: Matrix, output: Matrix) -> Matrix:
        sums = [add(a, b) for a, b in zip(x, output, strict=True)]
        self.note(f"{point}.sum", sums)
        normed = [self.norm(norm, token) for token in sums]
        self.note(f"{point}.norm", normed)
        return normed

    def feed_forward(self, layer: str, x: Matrix) -> Matrix:
        activate = ACTIVATIONS[self.config.activation_function]
        hidden = [self.linear(f"{layer}.fc1", token) for token in x]
        active = [[activate(value) for value in token] for token in hidden]
        output = [self.linear(f"{layer}.fc2", token) for token in active]
        for name, value in {"hidden": hidden, "activation": active, "output": output}.items():
            self.note(f"{layer}.ffn.{name}", value)
        return self.residual(f"{layer}.final_layer_norm", f"{layer}.ffn", x, output)

    def encode(self, row: Row, mask: list[int] | None) -> Matrix:
        config, dialect = self.config, self.dialect
        tokens = self.embedded("encoder.embed", row.source_ids, row.source_embeds, (True, False))
        places = row.source_positions
        if places is None:
            places = list(range(len(tokens)))
            if dialect.positions_follow_mask and mask is not None:
                places = [max(sum(mask[: i + 1]) - 1, 0) for i in places]
        positions = [self.parameters["encoder.embed_positions.weight"][p] for p in places]
        sums = [add(token, position) for token, position in zip(tokens, positions, strict=True)]
        x = [self.norm("encoder.layernorm_embedding", token) for token in sums]
        for name, value in {"positions": positions, "sum": sums, "norm": x}.items():
            self.note(f"encoder.embed.{name}", value)
        x = self.without_pads(x, mask)
        self.note("encoder.embed.output", x)
        for n in range(config.encoder_layers):
            layer, heads = f"encoder.layers.{n}", config.encoder_attention_heads
            head_mask = None if row.encoder_head_mask is None else row.encoder_head_mask[n]
            self.keys_values(f"{layer}.self_attn", f"{layer}.self_attn", x, heads)
            attention = f"{layer}.self_attn"
            x = self.attention(attention, attention, x, heads, lambda i, j: mask is None or mask[j] == 1, head_mask)
            x = self.without_pads(self.feed_forward(layer, x), mask)
            self.note(f"{layer}.output", x)
        self.note("encoder.states", x)
        return x

    def without_pads(self, x: Matrix, mask: list[int] | None) -> Matrix:
        if mask is None or not self.dialect.zero_padded_states:
            return x
        return [token if kept else [0.0] * len(token) for token, kept in zip(x, mask, strict=True)]

    def decode(self, row: Row, source: Matrix | None, mask: list[int] | None) -> Matrix:
        config, dialect = self.config, self.dialect
        factors = (dialect.scale_decoder_embeddings, dialect.scale_decoder_inputs_embeds)
        tokens = self.embedded("decoder.embed", row.target_ids, row.target_embeds, factors)
        normed = [self.norm("decoder.layernorm_embedding", token) for token in tokens]
        places = list(range(len(tokens))) if row.target_positions is None else row.target_positions
        positions = [self.parameters["decoder.embed_positions.weight"][p] for p in places]
        x = [add(token, position) for token, position in zip(normed, positions, strict=True)]
        for name, value in {"norm": normed, "positions": positions, "sum": x, "output": x}.items():
            self.note(f"decoder.embed.{name}", value)

        def may_look_back(i: int, j: int) -> bool:
            return j <= i and (row.target_mask is None or row.target_mask[j] == 1)

        for n in range(config.decoder_layers):
            layer, heads = f"decoder.layers.{n}", config.decoder_attention_heads
            own, cross = f"{layer}.self_attn", f"{layer}.encoder_attn"
            self.keys_values(own, own, x, heads)
            kept = None if row.decoder_head_mask is None else row.decoder_head_mask[n]
            x = self.attention(own, own, x, heads, may_look_back, kept)
            if source is not None:
                self.keys_values(cross, cross, source, heads)
                kept = None if row.cross_head_mask is None else row.cross_head_mask[n]
                x = self.attention(cross, cross, x, heads, lambda i, j: mask is None or mask[j] == 1, kept)
            x = self.feed_forward(layer, x)
            self.note(f"{layer}.output", x)
        self.note("decoder.states", x)
        return x

    def head(self, row: Row, states: Matrix) -> None:
        shared = self.parameters["shared.weight"]
        bias = self.parameters.get("final_logits_bias", [[0.0] * len(shared)])[0]
        logits = [[dot(state, token) + b for token, b in zip(shared, bias, strict=True)] for state in states]
        if self.dialect.start_logit is not None and self.config.decoder_start_token_id is not None:
            for line in logits:
                line[self.config.decoder_start_token_id] = self.dialect.start_logit
        self.note("logits", logits)
        self.note("log_probabilities", [log_softmax(line) for line in logits])


def forward(
    config: BlenderbotSmallConfig, dialect: Dialect, parameters: Parameters, row: Row, *, head: bool = True
) -> Points:
    """Every point of one row. Without any source the decoder runs without cross-attention."""
    naive = Naive(config, dialect, parameters)
    mask, source = row.source_mask, row.source_states
    if mask is None and dialect.mask_from_ids and row.source_ids is not None and config.pad_token_id is not None:
        mask = [int(i != config.pad_token_id) for i in row.source_ids]
    if source is None and (row.source_ids is not None or row.source_embeds is not None):
        source = naive.encode(row, mask)
    states = naive.decode(row, source, mask)
    if head:
        naive.head(row, states)
    return naive.points


def loss(points: list[Points], labels: list[list[int]]) -> float:
    """The mean over all rows' labels that count; NaN if none does."""
    losses = [
        -line[label]
        for row, wanted in zip(points, labels, strict=True)
        for line, label in zip(row["log_probabilities"], wanted, strict=True)
        if label != IGNORED
    ]
    return math.fsum(losses) / len(losses) if losses else math.nan
