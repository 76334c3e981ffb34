"""Runs the graphs and compares every named value with npblender in float64, with the same float32 weights.

    PYTHON tools/onnx_graph/check.py [--cases N]

PYTHON is the interpreter of the environment `onnxruntime` (python -m tools originals). Each case is a random small
model with padded rows, in one dialect: the whole graph point by point, then the same target token by token through the
graph with a cache. Exits with 1 if a point is further off than float32 explains.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
import onnx
import onnxruntime

from npblender import BlenderbotSmallForConditionalGeneration
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import DIALECTS
from npblender.groundtruth.tracing.points import catalogue
from npblender.transformer.parameters import from_arrays, to_arrays
from tools.onnx_graph.write import cross_names, decoder_graph, encoder_graph, past_names, whole_graph

MOST = 2e-5  # of a point's rms; seen: 3e-6
HUGE = 1e15  # the scores of what is hidden: the dtype's least number, or the dialect's


def random_config(rng: np.random.Generator) -> BlenderbotSmallConfig:
    """Small sizes, most of them different."""
    return BlenderbotSmallConfig(
        vocab_size=int(rng.integers(50, 300)),
        d_model=24,
        encoder_layers=int(rng.integers(1, 4)),
        decoder_layers=int(rng.integers(1, 4)),
        encoder_attention_heads=int(rng.choice([1, 2, 3, 4])),
        decoder_attention_heads=int(rng.choice([1, 2, 3, 4])),
        encoder_ffn_dim=int(rng.integers(5, 50)),
        decoder_ffn_dim=int(rng.integers(5, 50)),
        max_position_embeddings=32,
        scale_embedding=bool(rng.integers(2)),
        activation_function=str(rng.choice(["gelu", "gelu", "gelu_new", "relu", "silu"])),
    )


def session(graph: Any) -> Any:
    """The runtime's session of a checked graph."""
    onnx.checker.check_model(graph, full_check=True)
    return onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])


def distance(found: np.ndarray, truth: np.ndarray) -> float:
    """The largest error in units of the truth's rms; infinite where shapes or hidden places differ."""
    if found.shape != truth.shape:
        return float("inf")
    hidden = np.abs(truth) > HUGE
    if not np.array_equal(np.abs(found) > HUGE, hidden):
        return float("inf")
    if hidden.all():
        return 0.0
    error, size = np.abs(found - truth)[~hidden].max(), np.sqrt(np.mean(np.square(truth[~hidden])))
    return float(error / size) if size else float(error)


def check(seed: int) -> tuple[float, str]:
    """The worst point of one case, and how far off it is."""
    rng = np.random.default_rng(seed)
    config, dialect = random_config(rng), DIALECTS[seed % len(DIALECTS)]
    model = BlenderbotSmallForConditionalGeneration.from_config(config, seed=seed, dialect=dialect)
    weights = to_arrays(model.weights)
    exact = BlenderbotSmallForConditionalGeneration(
        config, from_arrays(config, {k: v.astype(np.float64) for k, v in weights.items()}), dialect=dialect
    )
    batch, source, target = (int(n) for n in rng.integers([1, 2, 2], [4, 9, 7]))
    inputs: dict[str, Any] = {
        "input_ids": rng.integers(3, config.vocab_size, (batch, source)),
        "attention_mask": np.arange(source) >= rng.integers(0, source, (batch, 1)),
        "decoder_input_ids": rng.integers(3, config.vocab_size, (batch, target)),
        "decoder_attention_mask": np.arange(target) >= rng.integers(0, 2, (batch, 1)),
    }
    truth: dict[str, np.ndarray] = {}
    exact.forward(**inputs, tap=lambda name, array: truth.__setitem__(name, array.copy()))
    names = [point.name for point in catalogue(config)]
    assert names == list(truth)
    found = session(whole_graph(config, weights, dialect)).run(names, inputs)
    worst = max((distance(array, truth[name]), name) for name, array in zip(names, found, strict=True))

    # without a mask over the target, which the graph of a step does not take
    inputs["decoder_attention_mask"] = np.ones((batch, target), bool)
    logits = exact.forward(**inputs).logits
    layers, step = config.decoder_layers, session(decoder_graph(config, weights, dialect, masked=True))
    cross = [name for pair in cross_names(layers) for name in pair]
    encoder = session(encoder_graph(config, weights, dialect, masked=True))
    given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    given = dict(zip(cross, encoder.run(cross, given), strict=True))
    past = [name for pair in past_names(layers) for name in pair]
    heads = config.decoder_attention_heads
    nothing = np.empty((batch, heads, 0, config.d_model // heads), np.float32)
    given |= dict.fromkeys(past, nothing) | {"encoder_attention_mask": inputs["attention_mask"]}
    first = int(rng.integers(1, target))  # tokens of the first call; the others follow one at a time
    for begin, end in [(0, first), *((n, n + 1) for n in range(first, target))]:
        given["input_ids"] = inputs["decoder_input_ids"][:, begin:end]
        values = step.run(["logits", *(name for pair in past_names(layers, "present") for name in pair)], given)
        given |= dict(zip(past, values[1:], strict=True))
        worst = max(worst, (distance(values[0], logits[:, begin:end]), f"logits of tokens {begin} to {end}, cached"))
    return worst


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Hold the ONNX graphs to npblender in float64.")
    parser.add_argument("--cases", type=int, default=30, help="random models (30)")
    options = parser.parse_args(arguments)
    worst = max((*check(seed), seed) for seed in range(options.cases))
    print(f"{options.cases} models: at most {worst[0]:.2g} of a point's rms, at {worst[1]} of case {worst[2]}")
    return int(not options.cases or worst[0] > MOST)


if __name__ == "__main__":
    sys.exit(main())
