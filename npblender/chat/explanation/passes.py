"""One pass over a source and the reply to it, with everything kept that a page shows of it.

All target tokens go through the decoder at once. Attention is causal, so every row of the logits is what the step by
step search computed, up to rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from npblender.common.array_types import Array
from npblender.models import BlenderbotSmallForConditionalGeneration

EMBEDDED = ("tokens", "scaled", "positions", "sum", "norm", "output")
"""The points of an embedding, in the encoder's order; the decoder normalises before it adds positions."""
STACKS = ("encoder", "decoder")


@dataclass(frozen=True)
class Embedded:
    """One point of a stack's embedding."""

    point: str
    rows: Array  # [S, D] or [T, D]

    @property
    def lengths(self) -> Array:
        """The length of every row, [S] or [T], in float64.

        >>> Embedded("encoder.embed.sum", np.array([[3.0, 4.0]])).lengths
        array([5.])
        """
        lengths: Array = np.sqrt(np.square(self.rows.astype(np.float64)).sum(axis=-1))
        return lengths


@dataclass(frozen=True)
class Pass:
    """What one row of a batch went through. What is missing was not recorded: a trace may hold a few points only."""

    embedded: tuple[Embedded, ...] = ()
    attentions: Mapping[str, Array] | None = None
    """By "encoder", "decoder" and "cross": weights [N, H, S, S], [N, H, T, T] and [N, H, T, S] of all N layers."""
    states: tuple[Array, ...] = ()  # the decoder's states [T, D]: the embedding's output, then every layer's
    logits: Array | None = None  # [T, V]


def run_pass(model: BlenderbotSmallForConditionalGeneration, source: Sequence[int], target: Sequence[int]) -> Pass:
    """Run encoder and decoder over a source [S] and what the decoder reads [T], its start token first.

    >>> found = run_pass(model, [5, 6, 7], [1, 9])
    >>> found.logits.shape, found.attentions["cross"].shape, len(found.states)
    ((2, 11), (2, 3, 2, 3), 3)
    """
    points: dict[str, Array] = {}
    model.forward(
        input_ids=[list(source)],
        attention_mask=[[1] * len(source)],
        decoder_input_ids=[list(target)],
        tap=lambda name, array: points.__setitem__(name, array[0].copy()) if is_shown(name) else None,
    )
    return pass_of_points(points, model.config.encoder_layers, model.config.decoder_layers)


def is_shown(name: str) -> bool:
    """Whether a page shows a point of one pass.

    >>> is_shown("encoder.layers.0.self_attn.weights"), is_shown("encoder.layers.0.ffn.hidden")
    (True, False)
    """
    return (
        name == "logits"
        or ".embed." in name
        or name.endswith("attn.weights")
        or (name.startswith("decoder.layers.") and name.endswith(".output") and name.count(".") == 3)
    )


def pass_of_points(points: Mapping[str, Array], encoder_layers: int, decoder_layers: int) -> Pass:
    """Order the points of one row, each without its batch axis, as a `Pass`.

    >>> pass_of_points({"logits": np.zeros((2, 11))}, 1, 2).attentions is None
    True
    """
    embedded = [f"{stack}.embed.{name}" for stack in STACKS for name in EMBEDDED]
    states = ["decoder.embed.output", *(f"decoder.layers.{n}.output" for n in range(decoder_layers))]
    kinds = {
        "encoder": [f"encoder.layers.{n}.self_attn.weights" for n in range(encoder_layers)],
        "decoder": [f"decoder.layers.{n}.self_attn.weights" for n in range(decoder_layers)],
        "cross": [f"decoder.layers.{n}.encoder_attn.weights" for n in range(decoder_layers)],
    }
    found: dict[str, Any] = {
        kind: np.stack([points[name] for name in names])
        for kind, names in kinds.items()
        if names and all(name in points for name in names)
    }
    return Pass(
        embedded=tuple(Embedded(name, points[name]) for name in embedded if name in points),
        attentions=found or None,
        states=tuple(points[name] for name in states) if all(name in points for name in states) else (),
        logits=points.get("logits"),
    )
