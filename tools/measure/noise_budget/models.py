"""The models on which float32 ports are measured, each as a folder of its own, and what they are given to read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from npblender.checkpoint import save
from npblender.config import BlenderbotSmallConfig
from npblender.transformer.parameters import from_arrays
from reference_tests.support.random_models import draw_config, draw_mask, draw_ordinary_ids, draw_weights
from tools import ROOT
from tools.differential.precision import PUBLISHED_SIZE

DEMO = ROOT / "npblender" / "demo"


@dataclass(frozen=True)
class Model:
    """A model's folder and one call: two rows, pads in source and target."""

    name: str
    about: str
    folder: Path
    inputs: Path  # a JSON file, as every port reads it
    tiny: bool = False


def write_inputs(config: dict[str, Any], rng: np.random.Generator, path: Path, source: int, target: int) -> Path:
    ids = draw_ordinary_ids(rng, config, 2, source)
    decoder_ids = draw_ordinary_ids(rng, config, 2, target)
    decoder_ids[:, 0] = config["decoder_start_token_id"]
    mask, decoder_mask = draw_mask(rng, 2, source, "right"), np.ones((2, target), np.int64)
    decoder_mask[1, target - 1] = 0
    arrays = {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": decoder_ids}
    arrays["decoder_attention_mask"] = decoder_mask
    path.write_text(json.dumps({name: array.tolist() for name, array in arrays.items()}))
    return path


def random_model(name: str, config: dict[str, Any], seed: int, place: Path, source: int, target: int) -> Model:
    """A model with the lively weights of the differential tests."""
    rng = np.random.default_rng([seed, 11])
    stored = draw_weights(rng, config, "float32")
    parsed = BlenderbotSmallConfig.from_dict(config)
    folder = place / name.replace(" ", "-")
    save(folder, parsed, from_arrays(parsed, {key.removeprefix("model."): value for key, value in stored.items()}))
    inputs = write_inputs(config, rng, place / f"{folder.name}.json", source, target)
    values = sum(math.prod(value.shape) for value in stored.values())
    layers = f"{config['encoder_layers']} + {config['decoder_layers']} layers"
    about = f"d = {config['d_model']}, {layers}, {config['activation_function']}, {values:,} random weights"
    return Model(name, about, folder, inputs, tiny=config["d_model"] < 100)


def demo(place: Path) -> Model:
    config = json.loads((DEMO / "config.json").read_text())
    rng = np.random.default_rng(5)
    inputs = write_inputs(config, rng, place / "demo.json", 17, 11)
    layers = f"{config['encoder_layers']} + {config['decoder_layers']} layers"
    return Model("the demo", f"d = {config['d_model']}, {layers}, trained, float16 weights widened", DEMO, inputs)


def models(place: Path, *, tiny: int, large: bool) -> Iterator[Model]:
    """The tiny ones, the demo and, with `large`, one of the published size; each written when it is its turn."""
    for seed in range(tiny):
        config = draw_config(np.random.default_rng([seed, 12]))
        longest = config["max_position_embeddings"]
        yield random_model(f"tiny {seed + 1}", config, seed, place, longest, longest - 2)
    yield demo(place)
    if large:
        yield random_model("the 90M's size", PUBLISHED_SIZE, 1, place, 33, 17)
