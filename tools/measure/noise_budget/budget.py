"""The error budget of a model: how far float32 is off after every block, carried from the start and of one layer alone.

"Carried" is the shipped noise of a block's last point. "Alone" is the error of a layer that is given the float64 truth
for its input, rounded to float32, and computes in float32: what this layer adds. Both are relative, the rms of the
error over the rms of the point's values.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from npblender import BlenderbotSmallForConditionalGeneration
from npblender.groundtruth import Trace, TraceInputs, record
from npblender.groundtruth.tracing.inputs import check_inputs
from npblender.transformer.checks import make_context
from npblender.transformer.decoder import decoder_layer, start_cache
from npblender.transformer.encoder import encoder_layer
from npblender.transformer.masks import key_mask, self_attention_mask
from tools.measure.noise_budget.models import Model
from tools.measure.noise_budget.ports import PORTS

DIALECT = "transformers-5"
SHOWN = {"transformers 5": "transformers 5, 1 thread", "ONNX Runtime": "ONNX Runtime, 1 thread"}
BLOCKS = {"self_attn": "self-attention", "encoder_attn": "cross-attention", "ffn": "feed-forward"}


@dataclass(frozen=True)
class Stage:
    """One place of the plot: a point, where it is, and relative errors there by who made them."""

    point: str
    label: str
    carried: float
    largest: float  # the shipped noise's max, over the rms of the values
    alone: float | None  # None where there is no layer
    ports: dict[str, float]


@dataclass(frozen=True)
class Budget:
    """The stages of one model in causal order."""

    model: str
    about: str
    stages: tuple[Stage, ...]


def stage_points(config: Any) -> Iterator[tuple[str, str]]:
    """The last point of every block, and a short name."""
    yield "encoder.embed.output", "embedding"
    for n in range(config.encoder_layers):
        for block in ("self_attn", "ffn"):
            yield f"encoder.layers.{n}.{block}.norm", f"{n} {BLOCKS[block]}"
    yield "decoder.embed.output", "embedding"
    for n in range(config.decoder_layers):
        for block in BLOCKS:
            yield f"decoder.layers.{n}.{block}.norm", f"{n} {BLOCKS[block]}"
    yield "logits", "logits"


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def layers_alone(model: Any, inputs: TraceInputs, truth: Trace) -> dict[str, np.ndarray]:
    """Every point of every layer, each layer in float32 from the truth."""
    recorded: dict[str, np.ndarray] = {}
    config, weights, dialect = model.config, model.weights, model.dialect
    context = make_context(config, dialect, lambda name, array: recorded.__setitem__(name, np.array(array)))
    run = check_inputs(config, weights, dialect, inputs)
    assert run.source is not None
    mask, target_mask = run.source.attention_mask, run.target.attention_mask

    def exact(name: str) -> np.ndarray:
        return truth.arrays[name].astype(np.float32)

    before = "encoder.embed.output"
    for n, layer in enumerate(weights.encoder.layers):
        encoder_layer(layer, exact(before), mask, None, context.at(f"encoder.layers.{n}"))
        before = f"encoder.layers.{n}.output"
    cache = start_cache(weights, run.batch, exact("encoder.states"), context)
    masks = self_attention_mask(run.length, run.length, target_mask), key_mask(mask)
    before = "decoder.embed.output"
    for n, (layer, memory) in enumerate(zip(weights.decoder.layers, cache, strict=True)):
        decoder_layer(layer, exact(before), memory, *masks, None, None, context.at(f"decoder.layers.{n}"))
        before = f"decoder.layers.{n}.output"
    return recorded


def measure(model: Model, place: Path) -> Budget:
    """The budget of one model; needs the originals' environments for the ports."""
    loaded = BlenderbotSmallForConditionalGeneration.from_pretrained(model.folder, dtype="float32", dialect=DIALECT)
    inputs = TraceInputs.from_json(json.loads(model.inputs.read_text()))
    truth = record(loaded, inputs, dtype="float64")
    alone = layers_alone(loaded, inputs, truth)
    traces = {shown: port.run(model, place / "trace")[0] for shown, name in SHOWN.items()
              for port in PORTS if port.name == name}  # fmt: skip
    stages = []
    for point, label in stage_points(loaded.config):
        values, noise = truth.arrays[point], truth.noise[point]
        size = rms(values)

        def off(array: np.ndarray, values: np.ndarray = values, size: float = size) -> float:
            return float(f"{rms(array - values) / size:.3g}")

        own = off(alone[point]) if point in alone else None
        ports = {shown: off(trace.arrays[point]) for shown, trace in traces.items()}
        figures = [float(f"{each / size:.3g}") for each in (noise.rms, noise.max)]
        stages.append(Stage(point, label, figures[0], figures[1], own, ports))
    return Budget(model.name, model.about, tuple(stages))


def save(budgets: list[Budget], path: Path) -> None:
    path.write_text(json.dumps([asdict(budget) for budget in budgets], indent=1) + "\n")


def load(path: Path) -> list[Budget]:
    return [
        Budget(each["model"], each["about"], tuple(Stage(**stage) for stage in each["stages"]))
        for each in json.loads(path.read_text())
    ]
