"""What no NumPy program can do without: the products by the model's own matrices, those of attention, the interpreter.

"The products alone" multiplies as a work does, matrix by matrix and with nothing in between, in several ways: by the
matrices as npblender keeps them and with its threads; by plain ones, x @ W.T; and by transposed ones, x @ W_T. Queries
times keys, and weights times values, are multiplied as npblender does and as one stack, by one thread of the BLAS or
by several. The best way of each pass counts. The interpreter's share is what the same work takes with a tiny model of
as many layers, whose arithmetic is next to nothing. What stands between the products is in `functions`.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from npblender import BlenderbotSmallForConditionalGeneration
from npblender.ops import num_threads
from npblender.ops.linear import Matrix, fuses, linear, linears, mlp, products
from npblender.ops.packed.blas import BlasThreadLimit
from npblender.transformer.context import Context
from npblender.transformer.execution import each_group, groups_of_rows, packed_for, run, whose_threads
from npblender.transformer.parameters import Weights
from tools.bench import machine
from tools.bench.peers.functions import between_products, groups_for, softmaxes
from tools.bench.peers.timing import timed
from tools.bench.peers.with_npblender import generated
from tools.bench.rounds import PAUSE
from tools.bench.works import Attention, Pass, attentions_of, passes_of

Array: TypeAlias = np.ndarray[Any, Any]
Way: TypeAlias = Callable[[Any], None]  # multiplies everything that a Pass, or an Attention, multiplies
REPEATS = 3  # of every pass in every way; the median counts
TINY = {
    "vocab_size": 1024,
    **dict.fromkeys(("d_model", "encoder_ffn_dim", "decoder_ffn_dim"), 32),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 1),
}


@dataclass(frozen=True)
class Product:
    """One input times a matrix, times several matrices, or times a matrix and the result times the next."""

    matrices: tuple[Matrix, ...]
    chained: bool = False  # a feed-forward block

    @property
    def inner(self) -> int:
        """The length of a row of the input, D."""
        return self.matrices[0].shape[1]

    def plain(self) -> list[Array]:
        """The matrices as arrays [F, D]; those that share an input are one."""
        arrays = [np.array(matrix) for matrix in self.matrices]
        return arrays if self.chained else [np.concatenate(arrays)]

    def multiply(self, x: Array) -> None:
        """As npblender does, for rows [rows, D]; with zeros for the biases that a block or joined matrices take."""
        if not self.chained and len(self.matrices) == 1:
            linear(x, self.matrices[0])
            return
        maps = [(matrix, np.zeros(len(matrix), x.dtype)) for matrix in self.matrices]
        if not self.chained:
            linears(x, maps)
        elif fuses(x, *self.matrices):
            mlp(x, maps[0], lambda hidden: hidden, maps[1])
        else:
            linear(linear(x, self.matrices[0]), self.matrices[1])


def products_of(weights: Weights) -> dict[str, list[Product]]:
    """The products of each part of the model, in their order: those of `works.matrices`."""
    assert weights.encoder is not None
    encoder, source, layers = [], [], []
    for read in weights.encoder.layers:
        own = read.self_attn
        encoder.append(Product((own.q_proj.weight, own.k_proj.weight, own.v_proj.weight)))
        encoder.append(Product((own.out_proj.weight,)))
        encoder.append(Product((read.fc1.weight, read.fc2.weight), chained=True))
    for layer in weights.decoder.layers:
        own, cross = layer.self_attn, layer.encoder_attn
        source.append(Product((cross.k_proj.weight, cross.v_proj.weight)))
        layers.append(Product((own.q_proj.weight, own.k_proj.weight, own.v_proj.weight)))
        layers += [Product((map.weight,)) for map in (own.out_proj, cross.q_proj, cross.out_proj)]
        layers.append(Product((layer.fc1.weight, layer.fc2.weight), chained=True))
    vocabulary = [Product((weights.shared.weight,))]
    return {"encoder": encoder, "source": source, "layers": layers, "vocabulary": vocabulary}


class Engine:
    """The products of the model in a folder, and a tiny model of as many layers."""

    def __init__(self, folder: Path, threads: int, variant: str) -> None:
        model = BlenderbotSmallForConditionalGeneration.from_pretrained(folder, dialect="transformers-5")
        config = model.config.replace(**TINY)
        self.tiny = BlenderbotSmallForConditionalGeneration.from_config(config, seed=0, dialect="transformers-5")
        context = Context(model.config, model.dialect)
        self.config, self.weights, self.context = model.config, model.weights, context
        found = products_of(model.weights)
        plain = {part: [each for product in all for each in product.plain()] for part, all in found.items()}
        self.ways: tuple[Way, ...] = (
            as_npblender(found, model.weights, context),
            by_blas({part: [matrix.T for matrix in all] for part, all in plain.items()}),
            by_blas({part: [np.ascontiguousarray(matrix.T) for matrix in all] for part, all in plain.items()}),
        )
        self.ways_to_attend: tuple[Way, ...] = (
            attend_as_npblender(model.weights, context),
            functools.partial(attend_as_stacks, 1),
            functools.partial(attend_as_stacks, threads),
        )

    def versions(self) -> dict[str, str]:
        return {"numpy": np.__version__, "blas": machine.blas()}

    def generate(self, batches: list[Any], new: int, beams: int, blocks: bool) -> dict[str, Any]:
        def run_tiny(ids: Array) -> Any:
            return generated(self.tiny, ids, new, beams, blocks)

        return self._timed("generate", run_tiny, batches, new, beams)

    def encode(self, batches: list[Any]) -> dict[str, Any]:
        def run_tiny(ids: Array) -> Any:
            return self.tiny.get_encoder()(ids)

        return self._timed("encode", run_tiny, batches)

    def _timed(self, kind: str, run_tiny: Callable[[Array], Any], batches: list[Any], *search: int) -> dict[str, Any]:
        _, batch, source = np.shape(batches)
        total = total_of(self.ways, passes_of(kind, batch, source, *search))
        attended = attentions_of(kind, self.config, batch, source, *search)
        total += total_of(self.ways_to_attend, attended)
        _, beams = search or (0, 1)
        between = (between_products(self.weights, self.context, beams),)
        functions = total_of(between, passes_of(kind, batch, source, *search))
        functions += total_of((softmaxes(self.weights, self.context),), attended)
        time.sleep(PAUSE)
        interpreter, _ = timed(run_tiny, np.array(batches) % self.tiny.config.vocab_size)
        return {"seconds": [total], "interpreter": interpreter, "functions": [functions]}


def total_of(ways: Sequence[Way], passes: Sequence[Pass | Attention]) -> float:
    """The seconds of all passes, each in its best way: every way does all of them in their order, several times."""
    best = [float("inf")] * len(passes)
    for way in ways:
        time.sleep(PAUSE)
        found = [timed(way, passes)[0] for _ in range(REPEATS)]
        best = [min(b, statistics.median(each)) for b, each in zip(best, zip(*found, strict=True), strict=True)]
    return sum(each.times * seconds for each, seconds in zip(passes, best, strict=True))


def as_npblender(found: dict[str, list[Product]], weights: Weights, context: Context) -> Way:
    """By the matrices as they are kept, with the threads and the groups of rows of npblender's own passes."""

    def way(each: Pass) -> None:
        groups = groups_for(each, weights, context)
        limit = whose_threads(weights, len(groups))
        if each.part in ("layers", "vocabulary"):
            limit = packed_for(weights, each.rows, len(groups))

        def multiply(group: slice) -> None:
            inputs = inputs_for((group.stop - group.start) * each.tokens)
            for product in found[each.part]:
                product.multiply(inputs(product.inner))

        run(limit, each_group, multiply, groups)

    return way


def by_blas(stacks: dict[str, list[Array]]) -> Way:
    """By whole matrices [D, F], on the BLAS's own threads."""

    def way(each: Pass) -> None:
        inputs = inputs_for(each.rows)
        with BlasThreadLimit(num_threads()):
            for matrix in stacks[each.part]:
                np.matmul(inputs(len(matrix)), matrix)

    return way


def attend_as_npblender(weights: Weights, context: Context) -> Way:
    """By stacks of matrices with the threads and the groups of rows of npblender's own passes."""

    def way(each: Attention) -> None:
        groups = groups_of_rows(each.batch, each.queries, weights, context)
        limit = whose_threads(weights, len(groups))

        def multiply(group: slice) -> None:
            for _ in range(each.layers):
                for a, b in stacks_for(each):
                    products(a[group], b[group])

        run(limit, each_group, multiply, groups)

    return way


def attend_as_stacks(threads: int, each: Attention) -> None:
    """By one stack of matrices a product, on so many threads of the BLAS."""
    with BlasThreadLimit(threads):
        for _ in range(each.layers):
            for a, b in stacks_for(each):
                np.matmul(a, b)


@functools.cache
def stacks_for(attention: Attention) -> list[tuple[Array, Array]]:
    """What the products of a layer multiply; the keys lie as they are projected, [B, H, L, K], and are transposed."""
    (queries, (*stack, size, keys)), (weights, values) = attention.shapes()
    several = np.full((*stack, keys, size), 0.5, np.float32).swapaxes(-1, -2)
    return [
        (np.full(queries, 0.5, np.float32), several),
        (np.full(weights, 0.5, np.float32), np.full(values, 0.5, np.float32)),
    ]


def inputs_for(rows: int) -> Callable[[int], Array]:
    """A function that gives rows of a wanted length, always the same ones."""
    return functools.cache(lambda inner: np.full((rows, inner), 0.5, np.float32))
