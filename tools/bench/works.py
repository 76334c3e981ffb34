"""What is timed, and the least that each work can cost: weights read once a pass, and products.

A bound is for a machine that reads weights at the measured bandwidth and multiplies at the measured peak, both at
once: each pass through a stack of weights costs the larger of the two. Attention, cache and elementwise work are left
out of it, so that no program can be faster, and a good one is near.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from npblender.config import BlenderbotSmallConfig

FLOAT = 4  # bytes

CONFIGS: dict[str, dict[str, Any]] = {
    # the published checkpoint's sizes
    "90M": {
        "vocab_size": 54944,
        "d_model": 512,
        "encoder_layers": 8,
        "decoder_layers": 8,
        "encoder_attention_heads": 16,
        "decoder_attention_heads": 16,
        "encoder_ffn_dim": 2048,
        "decoder_ffn_dim": 2048,
        "max_position_embeddings": 512,
        "scale_embedding": True,
    },
    # for trying the tool itself
    "small": {
        "vocab_size": 12288,
        "d_model": 64,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 128,
        "decoder_ffn_dim": 128,
        "max_position_embeddings": 256,
        "scale_embedding": True,
    },
}


@dataclass(frozen=True)
class Work:
    """One thing to time. `kind` is the method of the adapters that does it."""

    name: str
    kind: str  # generate, encode, tokenize, load, start
    about: str
    calls: int = 1  # timed calls a round, each with other inputs; their median is the round's time
    batch: int = 1
    source: int = 32
    new: int = 32
    beams: int = 1
    blocks: bool = False  # trigrams of the reply and of the source may not be repeated
    words: int = 20_000
    unit: str = "ms"
    per: int = 1  # a shown figure is the time over this: tokens, steps
    first: str = "npblender"  # the peer that the others are compared with
    note: str = ""  # what a reader of the figures must know
    wanted: str = ""  # what this project asks of itself against transformers (or the work's own peer), with AVX-512
    wanted_avx2: str = ""  # the same without AVX-512; "" = the same
    of_products_avx2: str = ""  # how often the time of its products it may take at most, without AVX-512

    def in_time(self) -> Work:
        """This work, its figures as times: a rate becomes the time of a step, in which every row gets a token.

        >>> WORKS["batch"].in_time().about, WORKS["batch"].in_time().per, WORKS["greedy"].in_time().about
        ('greedy, 32 rows, ms a step', 32, 'greedy, ms a token')
        """
        if self.unit != "tokens/s":
            return self
        return replace(self, about=self.about.replace("tokens/s", "ms a step"), unit="ms", per=self.new)


WORKS = {
    work.name: work
    for work in (
        Work("greedy", "generate", "greedy, ms a token", calls=3, per=32, wanted="2.4", wanted_avx2="2.1"),
        Work(
            "beam",
            "generate",
            "beam 10, trigrams blocked, ms a step",
            calls=3,
            per=32,
            beams=10,
            blocks=True,
            note="CTranslate2 blocks the reply's own trigrams; it has no block of the source's.",
            wanted="2.6",
            wanted_avx2="1.75",
        ),
        Work(
            "batch",
            "generate",
            "greedy, 32 rows, tokens/s",
            batch=32,
            unit="tokens/s",
            per=32 * 32,
            wanted="2.0",
            wanted_avx2="1.65",
        ),
        Work(
            "encode-8x128",
            "encode",
            "encode 8 x 128, ms",
            batch=8,
            source=128,
            wanted="1.25",
            wanted_avx2="1.1",
            of_products_avx2="1.4",
        ),
        Work("encode-1x32", "encode", "encode 1 x 32, ms", calls=7, wanted="1.25", wanted_avx2="2.4"),
        Work("start", "start", "process start to a 20-token reply, s", new=20, unit="s", wanted="7"),
        Work(
            "load",
            "load",
            "loading the weights, page cache warm, s",
            unit="s",
            note="transformers maps the file when it loads and reads a weight when it is first used; npblender reads "
            "all of them, checks them and lays them out. ONNX Runtime loads two graphs.",
        ),
        Work("tokenize", "tokenize", "tokenizing as transformers, words/s", unit="words/s", wanted="12"),
        Work(
            "tokenize-parlai",
            "tokenize",
            "tokenizing as ParlAI, words/s",
            unit="words/s",
            first="npblender-parlai",
            wanted="1.0",
        ),
    )
}

GROWTH = ("steps", "widths", "texts")
"""How cost grows: along a reply, with the width of a beam, with the length of a text."""


@dataclass(frozen=True)
class Cost:
    """Bytes of weights read and operations of products, in passes that each read their weights once."""

    passes: tuple[tuple[int, int], ...]  # (bytes, operations), two operations a multiplication and addition

    @property
    def bytes(self) -> int:
        return sum(size for size, _ in self.passes)

    @property
    def operations(self) -> int:
        return sum(operations for _, operations in self.passes)

    def seconds(self, bandwidth: float, peak: float) -> float:
        """The least time at `bandwidth` bytes a second and `peak` operations a second.

        >>> Cost(((100, 10), (100, 1000))).seconds(bandwidth=100.0, peak=100.0)  # read-bound, then product-bound
        11.0
        """
        return sum(max(size / bandwidth, operations / peak) for size, operations in self.passes)


@dataclass(frozen=True)
class Pass:
    """Products by one stack of matrices: each takes `batch` rows of `tokens` each; the work does it `times` times."""

    part: str  # of the model: encoder, source (the decoder's keys and values of it), layers (a step's), vocabulary
    batch: int
    tokens: int
    times: int = 1

    @property
    def rows(self) -> int:
        """How many rows each matrix is multiplied by."""
        return self.batch * self.tokens


def matrices(part: str, config: BlenderbotSmallConfig) -> list[tuple[int, int]]:
    """The shapes [F, D] of a part's matrices, in the order of their use; those that share an input are one.

    >>> matrices("source", BlenderbotSmallConfig(**CONFIGS["small"]))
    [(128, 64), (128, 64)]
    """
    d = config.d_model
    feed_forward = {ffn: [(ffn, d), (d, ffn)] for ffn in (config.encoder_ffn_dim, config.decoder_ffn_dim)}
    return {
        "encoder": [(3 * d, d), (d, d), *feed_forward[config.encoder_ffn_dim]] * config.encoder_layers,
        "source": [(2 * d, d)] * config.decoder_layers,
        "layers": [(3 * d, d), (d, d), (d, d), (d, d), *feed_forward[config.decoder_ffn_dim]] * config.decoder_layers,
        "vocabulary": [(config.vocab_size, d)],
    }[part]


def passes_of(kind: str, batch: int, source: int, new: int = 0, beams: int = 1) -> list[Pass]:
    """The passes of a work in their order: all that it multiplies by the model's own matrices (attention: see below).

    >>> [(each.part, each.rows, each.times) for each in passes_of("generate", 1, 32, new=20, beams=10)]
    [('encoder', 32, 1), ('source', 32, 1), ('layers', 1, 1), ('vocabulary', 1, 1), ('layers', 10, 19), \
('vocabulary', 10, 19)]
    """
    reading = [Pass("encoder", batch, source)]
    if kind == "encode":
        return reading
    step = [Pass(part, batch, 1) for part in ("layers", "vocabulary")]
    later = [Pass(part, batch * beams, 1, new - 1) for part in ("layers", "vocabulary")]
    return [*reading, Pass("source", batch, source), *step, *later]


@dataclass(frozen=True)
class Attention:
    """The two products of attention, q k^T and weights v, in every layer of a part; the work does it `times` times.

    Beams of one source are rows of one product with its keys; those of the reply have keys of their own.
    """

    layers: int
    batch: int  # stacks of keys and values, H of [keys, K] each
    heads: int
    queries: int  # of each stack
    keys: int
    size: int  # K
    times: int = 1

    def shapes(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """The shapes that are multiplied in a layer.

        >>> Attention(layers=8, batch=1, heads=16, queries=10, keys=32, size=4).shapes()
        [((1, 16, 10, 4), (1, 16, 4, 32)), ((1, 16, 10, 32), (1, 16, 32, 4))]
        """
        stack = self.batch, self.heads
        queries, weights = (*stack, self.queries, self.size), (*stack, self.queries, self.keys)
        return [(queries, (*stack, self.size, self.keys)), (weights, (*stack, self.keys, self.size))]


def attentions_of(
    kind: str, config: BlenderbotSmallConfig, batch: int, source: int, new: int = 0, beams: int = 1
) -> list[Attention]:
    """Attention in a work: of the encoder, and of each step over the tokens so far and over the source.

    >>> config = BlenderbotSmallConfig(**CONFIGS["small"])
    >>> [(each.batch, each.queries, each.keys, each.times) for each in attentions_of("generate", config, 1, 7, 3, 10)]
    [(1, 7, 7, 1), (1, 1, 1, 1), (10, 1, 2, 1), (10, 1, 3, 1), (1, 1, 7, 1), (1, 10, 7, 2)]
    """
    heads = config.encoder_attention_heads
    reading = [Attention(config.encoder_layers, batch, heads, source, source, config.d_model // heads)]
    if kind == "encode":
        return reading
    layers, heads = config.decoder_layers, config.decoder_attention_heads
    size = config.d_model // heads
    own = [Attention(layers, batch * (beams if n else 1), heads, 1, n + 1, size) for n in range(new)]
    first = Attention(layers, batch, heads, 1, source, size)
    return [*reading, *own, first, Attention(layers, batch, heads, beams, source, size, new - 1)]


def _cost(passes: list[Pass], config: BlenderbotSmallConfig) -> Cost:
    costs: list[tuple[int, int]] = []
    for each in passes:
        parameters = sum(rows * columns for rows, columns in matrices(each.part, config))
        costs += [(FLOAT * parameters, 2 * parameters * each.rows)] * each.times
    return Cost(tuple(costs))


def encoder_cost(config: BlenderbotSmallConfig, rows: int) -> Cost:
    """The encoder's matrices over so many tokens.

    >>> encoder_cost(BlenderbotSmallConfig(**CONFIGS["90M"]), rows=1).bytes
    100663296
    """
    return _cost([Pass("encoder", rows, 1)], config)


def step_cost(config: BlenderbotSmallConfig, rows: int) -> Cost:
    """One decoder step for so many rows: its matrices, but for those of the source's keys and values; and the logits.

    >>> step_cost(BlenderbotSmallConfig(**CONFIGS["90M"]), rows=1).bytes
    229965824
    """
    return _cost([Pass("layers", rows, 1), Pass("vocabulary", rows, 1)], config)


def cost_of(work: Work, config: BlenderbotSmallConfig) -> Cost | None:
    """The least that a work costs, or None where weights say little about it."""
    if work.kind not in ("encode", "generate"):
        return None
    return _cost(passes_of(work.kind, work.batch, work.source, work.new, work.beams), config)
