"""Whole graphs of a model, and the command that writes one beside its folder's weights.

    python -m tools onnx whole FOLDER FILE [--dialect parlai] [--no-points]

`whole` has the inputs input_ids [B, S], attention_mask [B, S], decoder_input_ids [B, T] and decoder_attention_mask [B,
T] (masks are bool), and as outputs every point of `npblender.groundtruth.tracing.points.catalogue`, in that order.
`encoder` gives the source's keys and values for each decoder layer, `decoder` one step over them and over its own
earlier ones.

Needs `onnx`: `python -m tools originals onnxruntime` makes an environment that has it, and the runtime. It does NOT run
what it writes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from npblender import BlenderbotSmallForConditionalGeneration
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import Dialect
from npblender.groundtruth.tracing.points import Point, catalogue
from npblender.transformer.parameters import to_arrays
from tools.onnx_graph.graph import Graph
from tools.onnx_graph.model import Model

Arrays = Mapping[str, np.ndarray]
KINDS = ("whole", "encoder", "decoder")
HEADS = ("logits", "greedy", "beam")


def past_names(layers: int, when: str = "past") -> list[tuple[str, str]]:
    """The names under which a step takes (`past`) or gives (`present`) its own keys and values.

    >>> past_names(1)
    [('past.0.key', 'past.0.value')]
    """
    return [(f"{when}.{n}.key", f"{when}.{n}.value") for n in range(layers)]


def cross_names(layers: int) -> list[tuple[str, str]]:
    """The points under which the encoder gives, and a step takes, the source's keys and values.

    >>> cross_names(1)
    [('decoder.layers.0.encoder_attn.k', 'decoder.layers.0.encoder_attn.v')]
    """
    return [(f"decoder.layers.{n}.encoder_attn.k", f"decoder.layers.{n}.encoder_attn.v") for n in range(layers)]


def axes_of(point: Point, config: BlenderbotSmallConfig) -> str:
    """A point's axes with the sizes that the config fixes as numbers. A whole target has as many keys as tokens.

    >>> from npblender.models.example import EXAMPLE_CONFIG
    >>> axes_of(Point("encoder.layers.0.self_attn.q", "B H S K", ""), EXAMPLE_CONFIG)
    'B 2 S 3'
    """
    side = "encoder" if point.name.startswith("encoder.") else "decoder"
    heads = getattr(config, f"{side}_attention_heads")
    sizes = {"D": config.d_model, "V": config.vocab_size, "H": heads, "K": config.d_model // heads, "L": "T"}
    sizes["F"] = getattr(config, f"{side}_ffn_dim")
    return " ".join(str(sizes.get(axis, axis)) for axis in point.axes.split())


def whole_graph(
    config: BlenderbotSmallConfig, weights: Arrays, dialect: Dialect, points: Sequence[str] | None = None
) -> onnx.ModelProto:
    """Source and target to logits, without a cache; `points` are the outputs (None: all, in causal order)."""
    g = Graph()
    model = Model(g, config, weights, dialect)
    ids, mask = g.input("input_ids", "int64", "B S"), g.input("attention_mask", "bool", "B S")
    target, target_mask = g.input("decoder_input_ids", "int64", "B T"), g.input("decoder_attention_mask", "bool", "B T")
    cross = model.cross(model.encode(ids, mask))
    states, _ = model.decode(target, cross, None, model.self_mask(target, g.int(0), target_mask), mask)
    g.op("LogSoftmax", model.logits(states), name="log_probabilities", axis=-1)
    known = {point.name: point for point in catalogue(config)}
    outputs = [(name, "float32", axes_of(known[name], config)) for name in (known if points is None else points)]
    return g.model(outputs, "whole")


def encoder_graph(
    config: BlenderbotSmallConfig, weights: Arrays, dialect: Dialect, *, masked: bool, cross: bool = True
) -> onnx.ModelProto:
    """Source to states, and to the keys and values of the source for each decoder layer.

    Without `masked` there is no attention_mask and every token is one: the work of npblender on rows without pads.
    """
    g = Graph()
    model = Model(g, config, weights, dialect)
    ids = g.input("input_ids", "int64", "B S")
    states = model.encode(ids, g.input("attention_mask", "bool", "B S") if masked else None)
    outputs = [(states, "float32", f"B S {config.d_model}")]
    if cross:
        axes = f"B {config.decoder_attention_heads} S {config.d_model // config.decoder_attention_heads}"
        outputs += [(name, "float32", axes) for pair in model.cross(states) for name in pair]
    return g.model(outputs, "encoder")


def decoder_graph(
    config: BlenderbotSmallConfig, weights: Arrays, dialect: Dialect, *, masked: bool, head: str = "logits"
) -> onnx.ModelProto:
    """New target tokens over the source's keys and over earlier ones, by the names above.

    `head` says what comes out besides the longer keys and values:

    - `logits`: logits [B, T, V]. Any T.
    - `greedy`: next_ids [B, 1], the most probable. One token at a time (as `beam`).
    - `beam`: for the R beams of one source. `rows` [R] says which earlier beams go on, `scores` [R] are theirs,
      `blocked` [N, 2] are pairs of beam and token that may not follow; out come best_scores and best_ids, the 2 R best
      of all beams' continuations, counted through as beam * V + token.
    """
    g = Graph()
    model = Model(g, config, weights, dialect)
    layers, heads = config.decoder_layers, config.decoder_attention_heads
    size = config.d_model // heads
    ids = g.input("input_ids", "int64", "B T" if head == "logits" else "B 1")
    mask = g.input("encoder_attention_mask", "bool", "B S") if masked else None
    cross = [
        (g.input(k, "float32", f"B {heads} S {size}"), g.input(v, "float32", f"B {heads} S {size}"))
        for k, v in cross_names(layers)
    ]
    axes = f"B {heads} P {size}"
    past = [(g.input(k, "float32", axes), g.input(v, "float32", axes)) for k, v in past_names(layers)]
    if head == "beam":
        rows = g.input("rows", "int64", "R")
        past = [(g.op("Gather", k, rows, axis=0), g.op("Gather", v, rows, axis=0)) for k, v in past]
    so_far = g.size(past[0][0], 2)
    own_mask = model.self_mask(ids, so_far, None) if head == "logits" else None
    states, present = model.decode(ids, cross, past, own_mask, mask)
    logits = model.logits(states)
    outputs = [("logits", "float32", f"B T {config.vocab_size}")]
    if head == "greedy":
        outputs = [(g.op("ArgMax", logits, name="next_ids", axis=-1, keepdims=0), "int64", "B 1")]
    elif head == "beam":
        outputs = list(_beam_head(g, logits))
    for pair, names in zip(present, past_names(layers, "present"), strict=True):
        kept = [g.op("Identity", value, name=name) for value, name in zip(pair, names, strict=True)]
        outputs += [(name, "float32", f"B {heads} L {size}") for name in kept]
    return g.model(outputs, "decoder")


def _beam_head(g: Graph, logits: str) -> list[tuple[str, str, str]]:
    """Logits [R, 1, V] -> the 2 R best continuations."""
    scores, blocked = g.input("scores", "float32", "R"), g.input("blocked", "int64", "N 2")
    steps = g.op("LogSoftmax", g.op("Squeeze", logits, g.ints(1)), axis=-1)  # [R, V]
    count = g.op("Unsqueeze", g.size(blocked, 0), g.ints(0))
    steps = g.op("ScatterND", steps, blocked, g.op("Expand", g.float(-np.inf), count))
    totals = g.op("Reshape", g.op("Add", steps, g.op("Unsqueeze", scores, g.ints(1))), g.ints(-1))
    width = g.op("Mul", g.op("Unsqueeze", g.size(scores, 0), g.ints(0)), g.ints(2))
    best = g.ops("TopK", totals, width, names=["best_scores", "best_ids"], axis=0)
    return [(best[0], "float32", "N"), (best[1], "int64", "N")]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write a folder's model as an ONNX graph.")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("folder", type=Path, help="a folder that npblender reads")
    parser.add_argument("file", type=Path, help="the .onnx file to write")
    parser.add_argument("--dialect", help="whose behaviour (default: the folder's)")
    parser.add_argument("--no-points", action="store_true", help="a whole graph with the logits alone")
    options = parser.parse_args(arguments)
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(options.folder, dialect=options.dialect)
    parts = model.config, to_arrays(model.weights), model.dialect
    if options.kind == "whole":
        graph = whole_graph(*parts, ["logits"] if options.no_points else None)
    elif options.no_points:
        parser.error(f"--no-points is for the kind 'whole'; {options.kind} has no inner points")
    else:
        graph = (encoder_graph if options.kind == "encoder" else decoder_graph)(*parts, masked=True)
    onnx.checker.check_model(graph)
    onnx.save(graph, str(options.file))
    print(f"{options.file}: {len(graph.graph.node)} nodes, {len(graph.graph.output)} outputs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
