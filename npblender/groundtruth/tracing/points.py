"""The points: the names of all intermediates of the model, with their axes and their causal order.

First the catalogue, which lists the points of one model in the order in which they are computed; then functions that
tell what a name stands for, of any layer and with the prefix of a step (`prefill.`, `step2.`) in front.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from numpy.typing import NDArray

from npblender.config import BlenderbotSmallConfig


@dataclass(frozen=True)
class Point:
    """A named intermediate: its name, its axes as letters, and what it is."""

    name: str
    axes: str
    meaning: str

    def shape(self, sizes: dict[str, int]) -> tuple[int, ...]:
        """Replace the axes' letters by their sizes.

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
    "output": "input of the first layer",
}
ENCODER_EMBEDDING = ("tokens", "scaled", "positions", "sum", "norm", "output")
DECODER_EMBEDDING = ("tokens", "scaled", "norm", "positions", "sum", "output")


def _attention(under: str, new: str, keys: str, *, project_keys: bool = True) -> Iterator[Point]:
    yield Point(f"{under}.q", f"B H {new} K", "queries, already divided by sqrt(K)")
    if project_keys:
        yield Point(f"{under}.k", f"B H {new} K", "keys of the new tokens")
        yield Point(f"{under}.v", f"B H {new} K", "values of the new tokens")
    yield Point(f"{under}.scores", f"B H {new} {keys}", "products of queries and keys")
    yield Point(f"{under}.masked_scores", f"B H {new} {keys}", "hidden keys replaced by the dialect's score")
    yield Point(f"{under}.weights", f"B H {new} {keys}", "softmax over the keys, times the head mask")
    yield Point(f"{under}.context", f"B {new} D", "weighted values, heads side by side")
    yield from _block_end(under, new, "the output projection")


def _feed_forward(under: str, new: str) -> Iterator[Point]:
    yield Point(f"{under}.hidden", f"B {new} F", "fc1, before the activation")
    yield Point(f"{under}.activation", f"B {new} F", "after the activation")
    yield from _block_end(under, new, "fc2")


def _block_end(under: str, new: str, output: str) -> Iterator[Point]:
    yield Point(f"{under}.output", f"B {new} D", output)
    yield Point(f"{under}.sum", f"B {new} D", "residual plus output")
    yield Point(f"{under}.norm", f"B {new} D", "LayerNorm of the sum")


def encoder_points(layers: int) -> Iterator[Point]:
    """List the encoder's points in causal order. H, K and F are the encoder's."""
    for name in ENCODER_EMBEDDING:
        yield Point(f"encoder.embed.{name}", "B S D", EMBEDDING[name])
    for n in range(layers):
        layer = f"encoder.layers.{n}"
        yield from _attention(f"{layer}.self_attn", "S", "S")
        yield from _feed_forward(f"{layer}.ffn", "S")
        meaning = "input of the next layer: states of pads zeroed where the dialect does so"
        yield Point(f"{layer}.output", "B S D", meaning)
    yield Point("encoder.states", "B S D", "the encoder's result")


def start_points(layers: int) -> Iterator[Point]:
    """List what the decoder computes once a source: each layer's cross keys and values. H and K are the decoder's."""
    for n in range(layers):
        yield Point(f"decoder.layers.{n}.encoder_attn.k", "B H S K", "keys of the source")
        yield Point(f"decoder.layers.{n}.encoder_attn.v", "B H S K", "values of the source")


def decoder_points(layers: int, *, cross: bool = True) -> Iterator[Point]:
    """List the decoder's points for T new tokens over L keys. H, K and F are the decoder's.

    >>> len(list(decoder_points(1))), len(list(decoder_points(1, cross=False)))
    (31, 23)
    """
    for name in DECODER_EMBEDDING:
        yield Point(f"decoder.embed.{name}", "B T D", EMBEDDING[name])
    for n in range(layers):
        layer = f"decoder.layers.{n}"
        yield from _attention(f"{layer}.self_attn", "T", "L")
        if cross:
            yield from _attention(f"{layer}.encoder_attn", "T", "S", project_keys=False)
        yield from _feed_forward(f"{layer}.ffn", "T")
        yield Point(f"{layer}.output", "B T D", "input of the next layer")
    yield Point("decoder.states", "B T D", "the decoder's result")


def head_points(*, labels: bool = False) -> Iterator[Point]:
    """List the points of the language-model head."""
    yield Point("logits", "B T V", "products with the shared matrix, plus the final bias")
    yield Point("log_probabilities", "B T V", "log-softmax of the logits")
    if labels:
        yield Point("loss", "", "mean negative log-probability of the labels")


def run_points(
    encoder_layers: int | None,
    decoder_layers: int,
    steps: Iterable[str] = ("",),
    *,
    head: bool = True,
    labels: bool = False,
) -> dict[str, Point]:
    """List all points of a run by name, in causal order: what is computed once a source, then each step's.

    `steps` are the prefixes of the decoder's passes; `encoder_layers` is None without an encoder.

    >>> list(run_points(1, 1, ["prefill.", "step1."]))[-2:]
    ['step1.logits', 'step1.log_probabilities']
    """
    cross = encoder_layers is not None
    once = [*encoder_points(encoder_layers), *start_points(decoder_layers)] if encoder_layers is not None else []
    each = [*decoder_points(decoder_layers, cross=cross), *(head_points(labels=labels) if head else ())]
    return {point.name: point for point in once} | {step + point.name: point for step in steps for point in each}


def catalogue(config: BlenderbotSmallConfig, *, labels: bool = False) -> list[Point]:
    """List all points of one pass from source ids to logits, in causal order.

    >>> points = catalogue(BlenderbotSmallConfig(encoder_layers=1, decoder_layers=1))
    >>> [point.name for point in points[:3]], points[-1].name
    (['encoder.embed.tokens', 'encoder.embed.scaled', 'encoder.embed.positions'], 'log_probabilities')
    """
    return list(run_points(config.encoder_layers, config.decoder_layers, labels=labels).values())


_STEP = re.compile(r"(?:prefill|step[1-9]\d*)\.")
_LAYER = re.compile(r"(?<=\.layers\.)\d+(?=\.)")
_STARTED = (".encoder_attn.k", ".encoder_attn.v")


@cache
def _templates() -> Mapping[str, tuple[int, Point]]:
    """Each point of a model of one layer a stack, with its place in causal order."""
    points = run_points(1, 1, labels=True).items()
    return {name: (place, point) for place, (name, point) in enumerate(points)}


def split_step(name: str) -> tuple[str, str]:
    """Split a name into the prefix of its step, empty in a single pass, and its name in the catalogue.

    >>> split_step("step2.decoder.states"), split_step("encoder.states")
    (('step2.', 'decoder.states'), ('', 'encoder.states'))
    """
    step = _STEP.match(name)
    return ("", name) if step is None else (step[0], name[step.end() :])


def without_step(name: str) -> str:
    """Remove the prefix of a step, as `split_step` finds it."""
    return split_step(name)[1]


def pattern_of(name: str) -> str:
    """Remove the step and put layer 0 for any layer: the name that all points of one kind share.

    >>> pattern_of("step2.decoder.layers.7.ffn.sum")
    'decoder.layers.0.ffn.sum'
    """
    return _LAYER.sub("0", without_step(name))


def known_point(name: str) -> Point | None:
    """Look up axes and meaning of a name; None where it names no point.

    >>> known_point("step2.decoder.layers.7.self_attn.scores").axes, known_point("enc.q")
    ('B H T L', None)
    """
    found = _templates().get(pattern_of(name))
    return None if found is None else found[1]


def axes_of(name: str, array: NDArray[Any]) -> str | None:
    """Look up the axes of an array of that name; None where it names no point, or has another number of axes.

    >>> axes_of("logits", np.zeros((1, 2, 11))), axes_of("logits", np.zeros(11))
    ('B T V', None)
    """
    point = known_point(name)
    return None if point is None or len(point.axes.split()) != array.ndim else point.axes


def _place(name: str) -> tuple[int, ...]:
    """The sort key of known points: source, start, each step; inside a stack embedding, layers, and the rest."""
    step, bare = split_step(name)
    place = _templates()[pattern_of(name)][0]
    layer = _LAYER.search(bare)
    if bare.startswith("encoder."):
        part = 0
    elif bare.endswith(_STARTED):
        part = 1
    else:
        part = 2 + (int(step[4:-1]) if step.startswith("step") else 0)
    last = bare.split(".")[-1] == "states" or "." not in bare
    number = int(layer[0]) if layer is not None else 10**9 if last else -1
    return part, number, place


def causal_order(names: Sequence[str]) -> list[str] | None:
    """Sort names into the order in which the model computes them; None where a name is no point.

    >>> causal_order(["logits", "decoder.layers.1.ffn.sum", "decoder.layers.1.encoder_attn.v", "encoder.states"])
    ['encoder.states', 'decoder.layers.1.encoder_attn.v', 'decoder.layers.1.ffn.sum', 'logits']
    """
    if any(known_point(name) is None for name in names):
        return None
    return sorted(names, key=_place)


def points_of_run(names: Sequence[str], config: Mapping[str, Any] | None) -> list[str]:
    """List all points of the run that recorded `names`, in causal order; nothing where `config` lacks its layers.

    >>> names = points_of_run(["prefill.logits", "step1.logits"], {"encoder_layers": 1, "decoder_layers": 1})
    >>> names[0], names[-1], len(names)
    ('prefill.decoder.embed.tokens', 'step1.log_probabilities', 50)
    """
    encoder, decoder = ((config or {}).get(f"{stack}_layers") for stack in ("encoder", "decoder"))
    if not isinstance(encoder, int) or not isinstance(decoder, int):
        return []
    source = any(without_step(name).startswith("encoder.") or ".encoder_attn." in name for name in names)
    steps = list(dict.fromkeys(split_step(name)[0] for name in names if split_step(name)[0])) or [""]
    return list(run_points(encoder if source else None, decoder, steps, labels="loss" in names))


def head_count(name: str, arrays: Mapping[str, NDArray[Any]], config: Mapping[str, Any] | None) -> int | None:
    """Count the heads of the attention that a point belongs to, from its sibling points or the configuration.

    >>> arrays = {"encoder.layers.0.self_attn.k": np.zeros((1, 2, 4, 3))}
    >>> head_count("encoder.layers.0.self_attn.context", arrays, None), head_count("logits", arrays, None)
    (2, None)
    """
    before, _, own = name.rpartition(".")
    if not before.endswith("_attn"):
        return None
    for sibling in (own, "q", "k", "v", "scores", "masked_scores", "weights"):
        point = known_point(f"{before}.{sibling}")
        array = arrays.get(f"{before}.{sibling}")
        if point is not None and array is not None and point.axes.startswith("B H ") and array.ndim == 4:
            return int(array.shape[1])
    stack = "encoder" if without_step(name).startswith("encoder.") else "decoder"
    heads = (config or {}).get(f"{stack}_attention_heads")
    return heads if isinstance(heads, int) and heads > 0 else None
