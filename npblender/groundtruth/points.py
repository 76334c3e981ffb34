"""What is known of a point by its name alone: its axes, its place in causal order, how many heads it has.

`taps` lists the points of one model; here any name is understood, of any layer and with a step's prefix in front.
Nothing is computed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from npblender.groundtruth.names import split_step
from npblender.taps import Point, decoder_points, encoder_points, head_points, start_points

__all__ = ["causal_order", "head_count", "known_point", "pattern_of"]

_LAYER = re.compile(r"(?<=\.layers\.)\d+(?=\.)")
_STARTED = (".encoder_attn.k", ".encoder_attn.v")


@cache
def _templates() -> Mapping[str, tuple[int, Point]]:
    """Each point of a model of one layer a stack, with its place in causal order."""
    points = [*encoder_points(1), *start_points(1), *decoder_points(1), *head_points(labels=True)]
    return MappingProxyType({point.name: (place, point) for place, point in enumerate(points)})


def pattern_of(name: str) -> str:
    """A point's name without its step, and of layer 0: what all layers' points of this kind share.

    >>> pattern_of("step2.decoder.layers.7.ffn.sum")
    'decoder.layers.0.ffn.sum'
    """
    return _LAYER.sub("0", split_step(name)[1])


def known_point(name: str) -> Point | None:
    """Axes and meaning of a name, or None for one that no point has.

    >>> known_point("step2.decoder.layers.7.self_attn.scores").axes, known_point("enc.q")
    ('B H T L', None)
    """
    found = _templates().get(pattern_of(name))
    return None if found is None else found[1]


def _place(name: str) -> tuple[int, ...]:
    """Sorts known points: source, start, each step; inside a stack the embedding, layer by layer, and the rest."""
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
    """Names in the order in which the model computes them; None where a name is no point.

    >>> causal_order(["logits", "decoder.layers.1.ffn.sum", "decoder.layers.1.encoder_attn.v", "encoder.states"])
    ['encoder.states', 'decoder.layers.1.encoder_attn.v', 'decoder.layers.1.ffn.sum', 'logits']
    """
    if any(known_point(name) is None for name in names):
        return None
    return sorted(names, key=_place)


def head_count(name: str, arrays: Mapping[str, NDArray[Any]], config: Mapping[str, Any] | None) -> int | None:
    """The heads of the attention that a point belongs to, as its other points or the configuration tell.

    >>> import numpy as np
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
    stack = "encoder" if split_step(name)[1].startswith("encoder.") else "decoder"
    heads = (config or {}).get(f"{stack}_attention_heads")
    return heads if isinstance(heads, int) and heads > 0 else None
