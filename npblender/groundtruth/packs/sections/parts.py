"""The parts of a model one by one: which tensors of the traces go into each part, and which come out.

`parts.json` holds no numbers of its own. For embeddings, attentions, feed-forward blocks, layers and the head it lists
the tensors of a trace that are the inputs, the masks, the parameters, and the tensors that are the outputs, so that a
port can be tested part by part, each with true inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.config import BlenderbotSmallConfig
from npblender.groundtruth.packs.files import PackFile, json_file
from npblender.groundtruth.packs.sections.forward import OTHER_WEIGHTS
from npblender.groundtruth.tracing.points import without_step
from npblender.groundtruth.tracing.tensor_file import below
from npblender.groundtruth.tracing.trace_file import Trace
from npblender.transformer.masks import causal_mask

KIND = "parts"
PATH = "forward/parts.json"
ATTENTION = ("q", "k", "v", "scores", "masked_scores", "weights", "context", "output")
Mask = NDArray[np.bool_] | None


@dataclass(frozen=True)
class Part:
    """One part at one place: names of tensors in the trace `file`, by their role."""

    name: str
    part: str  # which function; docs/golden-packs.md describes them
    weights: str  # the parameters' path
    file: str
    inputs: Mapping[
        str, Any
    ]  # role -> tensor; for `past_key` and `past_value` tensors to be concatenated along the keys
    outputs: Mapping[str, str]
    ids: Any = None  # [B, T] of embeddings
    positions: Any = None  # [B, T] of embeddings
    mask: Any = None  # [B, T, L] or [B, S], 1 = may attend; None = everything
    cross_mask: Any = None  # [B, S]
    head_mask: Any = None  # [H]
    cross_head_mask: Any = None  # [H]

    def to_json(self) -> dict[str, Any]:
        """Convert the part for the file, without the fields that are None."""
        return {name: value for name, value in vars(self).items() if value is not None and value != {}}


@dataclass(frozen=True)
class _Place:
    """A trace and one of its decoder passes: the whole target, its prompt, or a step."""

    path: str
    trace: Trace
    step: str  # "", "prefill." or "stepN."
    first: int  # of the target's tokens
    new: int

    def name(self, point: str) -> str:
        once = point.startswith("encoder.") or point.endswith((".encoder_attn.k", ".encoder_attn.v"))
        return point if once else self.step + point

    def has(self, point: str) -> bool:
        return self.name(point) in self.trace.arrays

    def under(self, prefix: str, names: tuple[str, ...] | None = None) -> dict[str, str]:
        """List the outputs below a path of the trace, by what follows that path."""
        points = {without_step(name): name for name in self.trace.points if name == self.name(without_step(name))}
        return {rest: name for rest, name in below(f"{prefix}.", points).items() if names is None or rest in names}

    def given(self, name: str) -> Any:
        return (self.trace.inputs or {}).get(name)

    def self_mask(self) -> Any:
        """Make the mask [B, T, L] of the decoder's self-attention."""
        keys = self.first + self.new
        allowed = causal_mask(self.new, keys)[None]
        own = self.given("decoder_attention_mask")
        if own is not None:
            allowed = allowed & np.asarray(own, bool)[:, None, :keys]
        return None if allowed.all() else allowed.astype(int).tolist()

    def past(self, layer: str) -> dict[str, list[str]]:
        """List the keys and values of the passes before this one."""
        if not self.step or self.step == "prefill.":
            return {}
        before = ["prefill.", *(f"step{n}." for n in range(1, int(self.step[4:-1])))]
        return {
            role: [f"{step}{layer}.self_attn.{letter}" for step in before]
            for role, letter in (("past_key", "k"), ("past_value", "v"))
        }


def _passes(path: str, trace: Trace) -> Iterator[_Place]:
    inputs = trace.inputs or {}
    length = len(inputs["decoder_input_ids"][0])
    if not inputs.get("steps"):
        yield _Place(path, trace, "", 0, length)
        return
    prefill = int(inputs["prefill"])
    yield _Place(path, trace, "prefill.", 0, prefill)
    for n in range(1, length - prefill + 1):
        yield _Place(path, trace, f"step{n}.", prefill + n - 1, 1)


def _embeddings(place: _Place) -> Iterator[Part]:
    if place.step in ("", "prefill.") and place.has("encoder.embed.output"):
        outputs = place.under("encoder.embed")
        ids, mask = place.given("input_ids"), place.given("attention_mask")
        yield Part("source", "embed_source", "encoder", place.path, {}, outputs, ids=ids, mask=mask)
    if place.has("decoder.embed.output"):
        ids = [row[place.first : place.first + place.new] for row in place.given("decoder_input_ids")]
        positions = list(range(place.first, place.first + place.new))
        outputs = place.under("decoder.embed")
        yield Part("target", "embed_target", "decoder", place.path, {}, outputs, ids=ids, positions=positions)


def _row(mask: Any, layer: int) -> Any:
    return None if mask is None else mask[layer]


def _encoder_layer(place: _Place, n: int) -> Iterator[Part]:
    before = "encoder.embed.output" if n == 0 else f"encoder.layers.{n - 1}.output"
    here = f"encoder.layers.{n}"
    if not (place.has(before) and place.has(f"{here}.output")) or place.step not in ("", "prefill."):
        return
    common = {"mask": place.given("attention_mask"), "head_mask": _row(place.given("head_mask"), n)}
    inputs, path = {"x": before}, place.path
    outputs = place.under(f"{here}.self_attn", ATTENTION)
    if outputs:
        yield Part(f"{here}.self_attn", "attention", f"{here}.self_attn", path, inputs, outputs, **common)
    yield Part(here, "encoder_layer", here, path, inputs, place.under(here), **common)


def _decoder_layer(place: _Place, n: int) -> Iterator[Part]:
    layer = f"decoder.layers.{n}"
    before = "decoder.embed.output" if n == 0 else f"decoder.layers.{n - 1}.output"
    own, cross = f"{layer}.self_attn", f"{layer}.encoder_attn"
    needed = (before, f"{own}.norm", f"{cross}.k", f"{cross}.v")
    if not all(place.has(point) for point in needed):
        return
    past, path = place.past(layer), place.path
    masks = {"mask": place.self_mask(), "head_mask": _row(place.given("decoder_head_mask"), n)}
    source = place.given("attention_mask")
    cross_heads = _row(place.given("cross_attn_head_mask"), n)
    x, keys = place.name(before), {"key": f"{cross}.k", "value": f"{cross}.v"}
    inputs: dict[str, Any]
    yield Part(own, "attention", own, path, {"x": x, **past}, place.under(own, ATTENTION), **masks)
    outputs = {name: tensor for name, tensor in place.under(cross, ATTENTION).items() if name not in "kv"}
    inputs = {"x": place.name(f"{own}.norm"), **keys}
    yield Part(cross, "attention", cross, path, inputs, outputs, mask=source, head_mask=cross_heads)
    if place.has(f"{layer}.output"):
        outputs = {k: v for k, v in place.under(layer).items() if k not in ("encoder_attn.k", "encoder_attn.v")}
        inputs = {"x": x, **past, **{f"cross_{role}": tensor for role, tensor in keys.items()}}
        crossed = {"cross_mask": source, "cross_head_mask": cross_heads}
        yield Part(layer, "decoder_layer", layer, path, inputs, outputs, **masks, **crossed)


def parts_of(path: str, trace: Trace, config: BlenderbotSmallConfig) -> Iterator[Part]:
    """Yield every part of which a trace holds all inputs and some output."""
    scenario = PurePosixPath(path).stem
    for place in _passes(path, trace):
        for part in _parts(place, config):
            if part.outputs:
                yield replace(part, name=f"{scenario}: {place.step}{part.name}")


def _parts(place: _Place, config: BlenderbotSmallConfig) -> Iterator[Part]:
    yield from _embeddings(place)
    for n in range(config.encoder_layers):
        layer = f"encoder.layers.{n}"
        yield from _encoder_layer(place, n)
        yield from _feed_forward(place, layer, f"{layer}.self_attn.norm")
    for n in range(config.decoder_layers):
        layer = f"decoder.layers.{n}"
        yield from _decoder_layer(place, n)
        yield from _feed_forward(place, layer, f"{layer}.encoder_attn.norm")
    if place.has("decoder.states") and place.has("logits"):
        states = {"x": place.name("decoder.states")}
        yield Part("logits", "logits", "shared", place.path, states, {"logits": place.name("logits")})


def _feed_forward(place: _Place, layer: str, before: str) -> Iterator[Part]:
    if layer.startswith("encoder.") and place.step not in ("", "prefill."):
        return
    if place.has(before) and place.has(f"{layer}.ffn.norm"):
        inputs = {"x": place.name(before)}
        yield Part(f"{layer}.ffn", "feed_forward", layer, place.path, inputs, place.under(f"{layer}.ffn"))


def make(found: Mapping[str, Trace], config: BlenderbotSmallConfig) -> PackFile:
    """Make the file: every part of every trace."""
    kept = {path: trace for path, trace in found.items() if PurePosixPath(path).stem not in OTHER_WEIGHTS}
    parts = [part.to_json() for path, trace in kept.items() for part in parts_of(path, trace, config)]
    return json_file(PATH, KIND, "which tensors go into each part of the model, and which come out", parts)
