"""Seeded random configurations, weights and arrays for the comparison with the originals.

Sizes are odd and distinct, so that two axes taken for each other cannot fit by accident, and they differ
between encoder and decoder wherever the model lets them. Weights are lively: transformers' own start, N(0,
0.02), would leave attention all but uniform and hide differences. This module draws; it does NOT decide
which calls are made.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

ACTIVATIONS = ("gelu", "relu", "silu", "gelu_new")
HEADS = (1, 3, 5, 7)
MASK_KINDS = ("right", "left", "holes", "ragged", "with an empty row")


def draw_config(rng: np.random.Generator, activations: tuple[str, ...] = ACTIVATIONS) -> dict[str, Any]:
    """The content of a config.json of odd sizes; its three special ids are anywhere among the first seven."""
    while True:
        encoder_heads, decoder_heads = (int(h) for h in rng.choice(HEADS, size=2, replace=False))
        d_model = math.lcm(encoder_heads, decoder_heads) * int(rng.choice([1, 3, 5, 7]))
        if 9 <= d_model <= 63:
            break
    encoder_ffn, decoder_ffn = (int(n) for n in rng.choice(np.arange(9, 73, 2), size=2, replace=False))
    encoder_layers, decoder_layers = (int(n) for n in rng.choice([1, 2, 3, 4], size=2, replace=False))
    pad, start, end = (int(n) for n in rng.choice(7, size=3, replace=False))
    return {
        "model_type": "blenderbot-small",
        "activation_function": str(rng.choice(activations)),
        "bos_token_id": start,
        "d_model": d_model,
        "decoder_attention_heads": decoder_heads,
        "decoder_ffn_dim": decoder_ffn,
        "decoder_layers": decoder_layers,
        "decoder_start_token_id": start,
        "encoder_attention_heads": encoder_heads,
        "encoder_ffn_dim": encoder_ffn,
        "encoder_layers": encoder_layers,
        "eos_token_id": end,
        "forced_eos_token_id": end,
        "max_position_embeddings": int(rng.integers(4, 13)) * 2 + 1,
        "pad_token_id": pad,
        "scale_embedding": bool(rng.uniform() < 0.7),  # the published checkpoint scales
        "use_cache": bool(rng.uniform() < 0.8),
        "vocab_size": int(rng.integers(11, 66)) * 2 + 1,
    }


def weight_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Every parameter of the full model under transformers' name.

    Written out here, apart from the package's own list, so that a name or shape wrong in one shows in the
    other.
    """
    d, vocabulary = config["d_model"], config["vocab_size"]
    shapes: dict[str, tuple[int, ...]] = {"model.shared.weight": (vocabulary, d)}

    def norm(name: str) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (d,)

    def linear(name: str, out: int, inner: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (out, inner), (out,)

    for side in ("encoder", "decoder"):
        shapes[f"model.{side}.embed_positions.weight"] = (config["max_position_embeddings"], d)
        norm(f"model.{side}.layernorm_embedding")
        ffn = config[f"{side}_ffn_dim"]
        for n in range(config[f"{side}_layers"]):
            layer = f"model.{side}.layers.{n}"
            for attention in ("self_attn", "encoder_attn")[: 1 if side == "encoder" else 2]:
                for part in ("q", "k", "v", "out"):
                    linear(f"{layer}.{attention}.{part}_proj", d, d)
                norm(f"{layer}.{attention}_layer_norm")
            linear(f"{layer}.fc1", ffn, d)
            linear(f"{layer}.fc2", d, ffn)
            norm(f"{layer}.final_layer_norm")
    shapes["final_logits_bias"] = (1, vocabulary)
    return shapes


def draw_weights(
    rng: np.random.Generator,
    config: dict[str, Any],
    dtype: str = "float64",
    final_bias: bool = True,
    gain: tuple[float, float] = (0.7, 2.0),
) -> dict[str, np.ndarray]:
    """Parameters under which every part of the model shows in its output.

    The embedding's size varies over two orders of magnitude from model to model: where it is small,
    LayerNorm's epsilon no longer hides whether the embedding was scaled. Matrices have variance gain^2 / inner
    dimension, the gain drawn from a range.
    """
    embedding = float(rng.choice([0.01, 0.1, 1.0]))
    matrices = float(rng.uniform(*gain))

    def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
        noise = rng.standard_normal(shape)
        if "norm" in name:
            return noise * 0.2 + (1.0 if name.endswith("weight") else 0.0)
        if name == "model.shared.weight":
            return noise * embedding / math.sqrt(shape[1])
        if name == "final_logits_bias":
            return noise if final_bias else np.zeros(shape)
        if "embed_positions" in name:
            return noise * 0.5
        if name.endswith("bias"):
            return noise * 0.3
        return noise * matrices / math.sqrt(shape[1])

    return {name: draw(name, shape).astype(dtype) for name, shape in weight_shapes(config).items()}


def draw_ids(rng: np.random.Generator, config: dict[str, Any], batch: int, length: int) -> np.ndarray:
    """Ids from the whole vocabulary, special ones included."""
    return rng.integers(config["vocab_size"], size=(batch, length), dtype=np.int64)


def draw_ordinary_ids(rng: np.random.Generator, config: dict[str, Any], batch: int, length: int) -> np.ndarray:
    """Ids without the pad."""
    ids = draw_ids(rng, config, batch, length)
    return np.where(ids == config["pad_token_id"], config["vocab_size"] - 1, ids)


def draw_mask(rng: np.random.Generator, batch: int, length: int, kind: str | None = None) -> np.ndarray:
    """A mask [batch, length] of ones and zeros: padding on either side, holes, all three, or an empty row."""
    kind = kind or str(rng.choice(MASK_KINDS))
    columns = np.arange(length)

    def row(kind: str) -> np.ndarray:
        kept = int(rng.integers(1, length + 1))
        if kind == "right":
            return columns < kept
        if kind == "left":
            return columns >= length - kept
        mask = rng.integers(2, size=length).astype(bool)
        mask[rng.integers(length)] = True
        return mask

    if kind == "with an empty row":
        mask = np.stack([row("holes") for _ in range(batch)])
        mask[rng.integers(batch)] = False
        return mask.astype(np.int64)
    kinds = MASK_KINDS[:3]
    return np.stack([row(str(rng.choice(kinds)) if kind == "ragged" else kind) for _ in range(batch)]).astype(np.int64)


def draw_head_mask(rng: np.random.Generator, layers: int, heads: int) -> np.ndarray:
    """A mask [layers, heads]: heads off or on, and at times in part, since the original multiplies it in."""
    if rng.integers(2):
        return rng.integers(2, size=(layers, heads)).astype(np.float64)
    return np.round(rng.uniform(0, 1, size=(layers, heads)), 3)


def draw_labels(rng: np.random.Generator, config: dict[str, Any], batch: int, length: int) -> np.ndarray:
    """Labels with -100 here and there, and once in a while nothing else."""
    labels = draw_ids(rng, config, batch, length)
    share = rng.choice([0.0, 0.3, 0.8, 1.0], p=[0.2, 0.5, 0.25, 0.05])
    return np.where(rng.uniform(size=labels.shape) < share, -100, labels)
