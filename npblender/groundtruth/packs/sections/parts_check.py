"""Runs the package's parts with a pack's tensors and compares the outputs with the pack's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npblender import ops
from npblender.common.array_types import Array
from npblender.common.printable import shown
from npblender.groundtruth.packs.files import read_json
from npblender.groundtruth.packs.manifest import path_within
from npblender.groundtruth.packs.verdict import Subject, Tally, Verdict
from npblender.groundtruth.tracing.trace_file import Trace
from npblender.transformer.attention import attend, feed_forward, project_keys_values, project_queries
from npblender.transformer.context import Context, Tap
from npblender.transformer.decoder import decoder_layer, embed_target
from npblender.transformer.encoder import embed_source, encoder_layer, scale_embeddings
from npblender.transformer.execution import NO_LIMIT, run
from npblender.transformer.forward import logits_of
from npblender.transformer.kv_cache import LayerCache


def run_part(subject: Subject, part: Mapping[str, Any], tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Compute one part, by the names of `outputs`."""
    found: dict[str, Array] = {}

    def keep(name: str, array: Array) -> None:
        found[name] = array.copy()

    context = Context(subject.model.config, subject.model.dialect, Tap(keep))
    inputs = {role: _joined(names, tensors, subject.dtype) for role, names in part.get("inputs", {}).items()}
    masks = {role: part.get(role) for role in ("mask", "cross_mask", "head_mask", "cross_head_mask")}
    run(NO_LIMIT, RUN[part["part"]], subject, part, inputs, masks, context)
    return found


def _joined(names: Any, tensors: Mapping[str, Array], dtype: Any) -> Array:
    """Return a tensor, or several concatenated along the keys, [B, H, L, K]."""
    listed = [names] if isinstance(names, str) else names
    found = [tensors[name].astype(dtype) for name in listed]
    return found[0] if isinstance(names, str) else np.concatenate(found, axis=2)


def _at(subject: Subject, path: str) -> Any:
    """Look up the parameters below a path of the tree."""
    node: Any = subject.model.weights
    for name in path.split("."):
        if name.isdigit():
            node = node[int(name)]
        elif name in getattr(type(node), "__dataclass_fields__", ()):
            node = getattr(node, name)
        else:
            raise ValueError(f"{shown(path)} is no place in the tree of parameters")
    return node


def _allowed(mask: Any) -> Any:
    """Convert a mask for attention: [B, S] -> [B, 1, 1, S], [B, T, L] -> [B, 1, T, L]."""
    if mask is None:
        return None
    array = np.asarray(mask, bool)
    return array[:, None, None] if array.ndim == 2 else array[:, None]


def _heads(mask: Any, dtype: Any) -> Any:
    return None if mask is None else np.asarray(mask, dtype)


def _embed_source(subject: Subject, part: Any, x: Any, masks: Any, context: Context) -> None:
    tokens = _tokens(subject, part, context, scale=True)
    mask = None if masks["mask"] is None else np.asarray(masks["mask"], bool)
    embed_source(_at(subject, part["weights"]), tokens, mask, None, context)


def _embed_target(subject: Subject, part: Any, x: Any, masks: Any, context: Context) -> None:
    tokens = _tokens(subject, part, context, scale=subject.model.dialect.scale_decoder_embeddings)
    positions = np.broadcast_to(np.asarray(part["positions"]), tokens.shape[:2])
    embed_target(_at(subject, part["weights"]), tokens, positions, context)


def _tokens(subject: Subject, part: Any, context: Context, *, scale: bool) -> Array:
    tokens = ops.embed(np.asarray(part["ids"]), subject.model.weights.shared.weight)
    context.tap("tokens", tokens)
    scaled = scale_embeddings(tokens, context) if scale else tokens
    context.tap("scaled", scaled)
    return scaled


def _attention(subject: Subject, part: Any, x: Any, masks: Any, context: Context) -> None:
    w = _at(subject, part["weights"])
    config = subject.model.config
    decodes = part["weights"].startswith("decoder.")
    heads = config.decoder_attention_heads if decodes else config.encoder_attention_heads
    q = project_queries(w, x["x"], heads, context)
    k, v = (x["key"], x["value"]) if "key" in x else project_keys_values(w, x["x"], heads, context)
    if "past_key" in x:
        k, v = np.concatenate([x["past_key"], k], axis=2), np.concatenate([x["past_value"], v], axis=2)
    attend(w, q, k, v, _allowed(masks["mask"]), _heads(masks["head_mask"], subject.dtype), context)


def _encoder_layer(subject: Subject, part: Any, x: Any, masks: Any, context: Context) -> None:
    mask = None if masks["mask"] is None else np.asarray(masks["mask"], bool)
    encoder_layer(_at(subject, part["weights"]), x["x"], mask, _heads(masks["head_mask"], subject.dtype), context)


def _decoder_layer(subject: Subject, part: Any, x: Any, masks: Any, context: Context) -> None:
    cross = x["cross_key"], x["cross_value"]
    nothing = np.empty((*cross[0].shape[:2], 0, cross[0].shape[3]), subject.dtype)
    decoder_layer(
        _at(subject, part["weights"]),
        x["x"],
        LayerCache(x.get("past_key", nothing), x.get("past_value", nothing), *cross),
        _allowed(masks["mask"]),
        _allowed(masks["cross_mask"]),
        _heads(masks["head_mask"], subject.dtype),
        _heads(masks["cross_head_mask"], subject.dtype),
        context,
    )


def _feed_forward(subject: Subject, part: Any, x: Any, masks: Any, context: Context) -> None:
    feed_forward(_at(subject, part["weights"]), x["x"], context)


def _logits(subject: Subject, part: Any, x: Any, masks: Any, context: Context) -> None:
    logits_of(subject.model.weights, x["x"], context)


RUN: Mapping[str, Callable[[Subject, Any, Any, Any, Context], None]] = {
    "embed_source": _embed_source,
    "embed_target": _embed_target,
    "attention": _attention,
    "encoder_layer": _encoder_layer,
    "decoder_layer": _decoder_layer,
    "feed_forward": _feed_forward,
    "logits": _logits,
}


def check(path: Path, subject: Subject) -> Verdict:
    """Compare every part of the file with the traces beside it."""
    tally = Tally()
    opened: dict[str, Trace] = {}
    for part in read_json(path):
        file = path_within(path.parent.parent, part["file"], path)
        trace = opened.setdefault(part["file"], Trace.load(file))
        found = run_part(subject, part, trace.arrays)
        for name, tensor in part["outputs"].items():
            if name not in found:
                tally.problems.append(f"{part['name']}: npblender has nothing called {name}")
                continue
            tally.compare(f"{part['name']}.{name}", trace.arrays[tensor], found[name], trace.noise.get(tensor))
    return tally.verdict("outputs of parts")
