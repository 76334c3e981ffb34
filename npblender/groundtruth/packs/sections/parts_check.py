"""Runs the package's parts with a pack's tensors and compares the outputs with the pack's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npblender import ops
from npblender.common.array_types import Array
from npblender.common.printable import shown
from npblender.groundtruth.packs.files import read_json
from npblender.groundtruth.packs.manifest import path_within
from npblender.groundtruth.packs.sections.parts import KIND as KIND
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
    run(NO_LIMIT, _compute, subject, part, inputs, context)
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


def _compute(subject: Subject, part: Mapping[str, Any], x: Mapping[str, Array], context: Context) -> None:
    """Compute a part with its inputs by role; its outputs go to the context's tap."""
    kind, w, config = part["part"], _at(subject, part["weights"]), subject.model.config
    mask, cross_mask = (_array(part.get(name), np.bool_) for name in ("mask", "cross_mask"))
    heads, cross_heads = (_array(part.get(name), subject.dtype) for name in ("head_mask", "cross_head_mask"))
    if kind == "embed_source":
        embed_source(w, _tokens(subject, part, context, scale=True), mask, None, context)
    elif kind == "embed_target":
        tokens = _tokens(subject, part, context, scale=subject.model.dialect.scale_decoder_embeddings)
        embed_target(w, tokens, np.broadcast_to(np.asarray(part["positions"]), tokens.shape[:2]), context)
    elif kind == "attention":
        decodes = part["weights"].startswith("decoder.")
        number = config.decoder_attention_heads if decodes else config.encoder_attention_heads
        q = project_queries(w, x["x"], number, context)
        k, v = (x["key"], x["value"]) if "key" in x else project_keys_values(w, x["x"], number, context)
        if "past_key" in x:
            k, v = np.concatenate([x["past_key"], k], axis=2), np.concatenate([x["past_value"], v], axis=2)
        attend(w, q, k, v, _allowed(mask), heads, context)
    elif kind == "encoder_layer":
        encoder_layer(w, x["x"], mask, heads, context)
    elif kind == "decoder_layer":
        cross = x["cross_key"], x["cross_value"]
        nothing = np.empty((*cross[0].shape[:2], 0, cross[0].shape[3]), subject.dtype)
        cache = LayerCache(x.get("past_key", nothing), x.get("past_value", nothing), *cross)
        decoder_layer(w, x["x"], cache, _allowed(mask), _allowed(cross_mask), heads, cross_heads, context)
    elif kind == "feed_forward":
        feed_forward(w, x["x"], context)
    elif kind == "logits":
        logits_of(subject.model.weights, x["x"], context)
    else:
        raise ValueError(f"{shown(kind)} is no part of the model")


def _array(listed: Any, dtype: Any) -> Array | None:
    return None if listed is None else np.asarray(listed, dtype)


def _allowed(mask: Array | None) -> Array | None:
    """Convert a mask for attention: [B, S] -> [B, 1, 1, S], [B, T, L] -> [B, 1, T, L]."""
    return None if mask is None else mask[:, None, None] if mask.ndim == 2 else mask[:, None]


def _tokens(subject: Subject, part: Mapping[str, Any], context: Context, *, scale: bool) -> Array:
    tokens = ops.embed(np.asarray(part["ids"]), subject.model.weights.shared.weight)
    context.tap("tokens", tokens)
    scaled = scale_embeddings(tokens, context) if scale else tokens
    context.tap("scaled", scaled)
    return scaled


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
