"""Every intermediate of the model has a name; a tap hears each of them as it is computed.

The forward pass is one piece of code, traced or not: it tells its `Tap` every named array, and a tap without a sink
drops them. This module also holds the catalogue: all the names with their shapes, in the order in which they are
computed. It computes none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from npblender.config import BlenderbotSmallConfig

Sink = Callable[[str, NDArray[Any]], None]


@dataclass(frozen=True)
class Tap:
    """Tells `sink(name, array)` what is computed under `path`. The sink gets a view that it can not write to.

    >>> import numpy as np
    >>> heard = []
    >>> tap = Tap(lambda name, array: heard.append((name, array.shape)))
    >>> tap.at("encoder").at("embed")("norm", np.zeros((1, 2)))
    >>> heard
    [('encoder.embed.norm', (1, 2))]
    """

    sink: Sink | None = None
    path: str = ""

    def __call__(self, name: str, array: NDArray[Any]) -> None:
        if self.sink is not None:
            view = array.view()
            view.flags.writeable = False
            self.sink(self.path + name, view)

    def at(self, name: str) -> Tap:
        """The same tap, one level further in.

        >>> Tap(print).at("encoder").at("embed").path
        'encoder.embed.'
        """
        return self if self.sink is None else Tap(self.sink, f"{self.path}{name}.")

    def __bool__(self) -> bool:
        """Whether anybody listens: what is computed only to be heard asks this first."""
        return self.sink is not None


SILENT = Tap()


@dataclass(frozen=True)
class Point:
    """A named intermediate: its name, its axes as letters, and what it is."""

    name: str
    axes: str
    meaning: str

    def shape(self, sizes: dict[str, int]) -> tuple[int, ...]:
        """The axes as numbers.

        >>> Point("logits", "B T V", "").shape({"B": 2, "T": 3, "V": 11})
        (2, 3, 11)
        """
        return tuple(sizes[axis] for axis in self.axes.split())


EMBEDDING = {
    "tokens": "rows of the shared matrix",
    "scaled": "times sqrt(d_model) where the dialect scales",
    "positions": "rows of the learned positions",
    "norm": "LayerNorm",
    "sum": "token part plus positions",
    "output": "what the first layer gets",
}
ENCODER_EMBEDDING = ("tokens", "scaled", "positions", "sum", "norm", "output")
DECODER_EMBEDDING = ("tokens", "scaled", "norm", "positions", "sum", "output")


def _attention(new: str, keys: str, *, project_keys: bool = True) -> Iterator[tuple[str, str, str]]:
    yield "q", f"B H {new} K", "queries, already divided by sqrt(K)"
    if project_keys:
        yield "k", f"B H {new} K", "keys of the new tokens"
        yield "v", f"B H {new} K", "values of the new tokens"
    yield "scores", f"B H {new} {keys}", "products of queries and keys"
    yield "masked_scores", f"B H {new} {keys}", "hidden keys replaced by the dialect's score"
    yield "weights", f"B H {new} {keys}", "softmax over the keys, times the head mask"
    yield "context", f"B {new} D", "weighted values, heads side by side"
    yield "output", f"B {new} D", "the output projection"
    yield "sum", f"B {new} D", "residual plus output"
    yield "norm", f"B {new} D", "LayerNorm of the sum"


def _feed_forward(new: str) -> Iterator[tuple[str, str, str]]:
    yield "hidden", f"B {new} F", "fc1, before the activation"
    yield "activation", f"B {new} F", "after the activation"
    yield "output", f"B {new} D", "fc2"
    yield "sum", f"B {new} D", "residual plus output"
    yield "norm", f"B {new} D", "LayerNorm of the sum"


def encoder_points(layers: int) -> Iterator[Point]:
    """The encoder's points in the order in which they are computed. H, K and F are the encoder's.

    >>> [point.name for point in encoder_points(1)][-2:]
    ['encoder.layers.0.output', 'encoder.states']
    """
    for name in ENCODER_EMBEDDING:
        yield Point(f"encoder.embed.{name}", "B S D", EMBEDDING[name])
    for n in range(layers):
        for name, axes, meaning in _attention("S", "S"):
            yield Point(f"encoder.layers.{n}.self_attn.{name}", axes, meaning)
        for name, axes, meaning in _feed_forward("S"):
            yield Point(f"encoder.layers.{n}.ffn.{name}", axes, meaning)
        yield Point(
            f"encoder.layers.{n}.output",
            "B S D",
            "what the next layer gets: pads zeroed where the dialect does",
        )
    yield Point("encoder.states", "B S D", "the encoder's result")


def start_points(layers: int) -> Iterator[Point]:
    """What is computed once a source for the decoder: each layer's cross keys and values. H and K are the decoder's.

    >>> [point.name for point in start_points(1)]
    ['decoder.layers.0.encoder_attn.k', 'decoder.layers.0.encoder_attn.v']
    """
    for n in range(layers):
        yield Point(f"decoder.layers.{n}.encoder_attn.k", "B H S K", "keys of the source")
        yield Point(f"decoder.layers.{n}.encoder_attn.v", "B H S K", "values of the source")


def decoder_points(layers: int, *, cross: bool = True) -> Iterator[Point]:
    """The decoder's points for T new tokens over L keys. H, K and F are the decoder's.

    >>> len(list(decoder_points(1))), len(list(decoder_points(1, cross=False)))
    (31, 23)
    """
    for name in DECODER_EMBEDDING:
        yield Point(f"decoder.embed.{name}", "B T D", EMBEDDING[name])
    for n in range(layers):
        for name, axes, meaning in _attention("T", "L"):
            yield Point(f"decoder.layers.{n}.self_attn.{name}", axes, meaning)
        if cross:
            for name, axes, meaning in _attention("T", "S", project_keys=False):
                yield Point(f"decoder.layers.{n}.encoder_attn.{name}", axes, meaning)
        for name, axes, meaning in _feed_forward("T"):
            yield Point(f"decoder.layers.{n}.ffn.{name}", axes, meaning)
        yield Point(f"decoder.layers.{n}.output", "B T D", "what the next layer gets")
    yield Point("decoder.states", "B T D", "the decoder's result")


def head_points(*, labels: bool = False) -> Iterator[Point]:
    """The language-model head's points.

    >>> [point.name for point in head_points(labels=True)]
    ['logits', 'log_probabilities', 'loss']
    """
    yield Point("logits", "B T V", "products with the shared matrix, plus the final bias")
    yield Point("log_probabilities", "B T V", "log-softmax of the logits")
    if labels:
        yield Point("loss", "", "mean negative log-probability of the labels")


def catalogue(config: BlenderbotSmallConfig, *, labels: bool = False) -> list[Point]:
    """All points of one pass from source ids to logits, in causal order.

    >>> points = catalogue(BlenderbotSmallConfig(encoder_layers=1, decoder_layers=1))
    >>> [point.name for point in points[:3]], points[-1].name
    (['encoder.embed.tokens', 'encoder.embed.scaled', 'encoder.embed.positions'], 'log_probabilities')
    """
    return [
        *encoder_points(config.encoder_layers),
        *start_points(config.decoder_layers),
        *decoder_points(config.decoder_layers),
        *head_points(labels=labels),
    ]
