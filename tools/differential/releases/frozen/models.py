"""Tiny models of odd sizes, and calls that use every argument of the forward pass.

Sizes are distinct wherever the model lets them be, so that two axes taken for each other do not fit by accident.
Names and shapes of the parameters are written out here, apart from the package's own list. Everything comes from a
NumPy generator; Hypothesis draws its seed. This module asserts nothing.
"""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from npblender import (
    PARLAI,
    TRANSFORMERS_4,
    TRANSFORMERS_5,
    BlenderbotSmallConfig,
    BlenderbotSmallForCausalLM,
    BlenderbotSmallForConditionalGeneration,
    Dialect,
)
from npblender import BlenderbotSmallModel as BaseModel

DIALECTS = (PARLAI, TRANSFORMERS_4, TRANSFORMERS_5)

CLASSES: dict[str, Any] = {
    "seq2seq": BlenderbotSmallForConditionalGeneration,
    "base": BaseModel,
    "causal": BlenderbotSmallForCausalLM,
}
ACTIVATIONS = ("gelu", "relu", "silu", "gelu_new")


def draw_config(rng: np.random.Generator, **fixed: Any) -> BlenderbotSmallConfig:
    """Sizes odd and, between encoder and decoder, distinct; special ids anywhere among the first seven."""
    encoder_heads, decoder_heads = (int(h) for h in rng.permutation([1, 3, 5])[:2])
    d_model = math.lcm(encoder_heads, decoder_heads)
    d_model *= int(rng.choice([1, 3])) if d_model < 9 else 1
    encoder_ffn, decoder_ffn = (int(n) for n in rng.permutation([5, 7, 11, 13])[:2])
    encoder_layers, decoder_layers = ((1, 2), (2, 1))[int(rng.integers(2))]
    pad, start, end = (int(n) for n in rng.permutation(7)[:3])
    sizes: dict[str, Any] = {
        "vocab_size": int(rng.choice([17, 19, 23])),
        "d_model": d_model,
        "encoder_layers": encoder_layers,
        "decoder_layers": decoder_layers,
        "encoder_attention_heads": encoder_heads,
        "decoder_attention_heads": decoder_heads,
        "encoder_ffn_dim": encoder_ffn,
        "decoder_ffn_dim": decoder_ffn,
        "max_position_embeddings": 9,
        "activation_function": str(rng.choice(ACTIVATIONS)),
        "scale_embedding": bool(rng.integers(2)),
        "pad_token_id": pad,
        "bos_token_id": start,
        "decoder_start_token_id": start,
        "eos_token_id": end,
        "forced_eos_token_id": end,
    }
    return BlenderbotSmallConfig(**{**sizes, **fixed})


def shapes_of(config: BlenderbotSmallConfig, kind: str) -> dict[str, tuple[int, ...]]:
    """Every parameter of a class of model, under transformers' name without `model.`."""
    d, vocabulary = config.d_model, config.vocab_size
    shapes: dict[str, tuple[int, ...]] = {"shared.weight": (vocabulary, d)}
    for side in ("encoder", "decoder")[kind == "causal" :]:
        ffn, layers = getattr(config, f"{side}_ffn_dim"), getattr(config, f"{side}_layers")
        shapes[f"{side}.embed_positions.weight"] = (config.max_position_embeddings, d)
        norms, linears = [f"{side}.layernorm_embedding"], {}
        for layer in (f"{side}.layers.{n}" for n in range(layers)):
            norms.append(f"{layer}.final_layer_norm")
            linears[f"{layer}.fc1"], linears[f"{layer}.fc2"] = (ffn, d), (d, ffn)
            for attention in ("self_attn", "encoder_attn")[: 1 + (side == "decoder")]:
                norms.append(f"{layer}.{attention}_layer_norm")
                linears |= {f"{layer}.{attention}.{part}_proj": (d, d) for part in ("q", "k", "v", "out")}
        shapes |= {f"{norm}.{part}": (d,) for norm in norms for part in ("weight", "bias")}
        for name, shape in linears.items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    if kind == "seq2seq":
        shapes["final_logits_bias"] = (1, vocabulary)
    return shapes


def draw_parameters(rng: np.random.Generator, config: BlenderbotSmallConfig, kind: str) -> dict[str, np.ndarray]:
    """Lively parameters. Small embeddings leave LayerNorm's epsilon, and so every lost factor, to be seen."""
    embedding = float(rng.choice([0.01, 0.3, 1.0]))

    def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
        noise = rng.standard_normal(shape)
        if "norm" in name:
            return 0.3 * noise + (1.0 if name.endswith("weight") else 0.0)
        if name == "shared.weight":
            return embedding * noise
        if "embed_positions" in name:
            return 0.5 * noise
        return 0.3 * noise if name.endswith("bias") else 1.5 * noise / math.sqrt(shape[-1])

    return {name: draw(name, shape) for name, shape in shapes_of(config, kind).items()}


def build(
    config: BlenderbotSmallConfig,
    dialect: Dialect,
    parameters: dict[str, np.ndarray],
    kind: str,
    dtype: Any = np.float64,
) -> Any:
    """The public model over these parameters, rounded to `dtype`, by way of a folder."""
    names = {name: name if name == "final_logits_bias" else f"model.{name}" for name in parameters}
    arrays = {names[name]: np.ascontiguousarray(value, dtype) for name, value in parameters.items()}
    return from_folder(config.to_dict(), arrays, dialect, kind, np.dtype(dtype).name)


def from_folder(
    config: dict[str, Any], arrays: dict[str, np.ndarray], dialect: Any, kind: str = "seq2seq", dtype: str = "float64"
) -> Any:
    """The public model of a folder that holds this config.json and these tensors and nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config))
        save_file(arrays, Path(folder) / "model.safetensors", metadata={"format": "pt"})
        return CLASSES[kind].from_pretrained(folder, dialect=dialect, dtype=dtype)


def draw_model(
    rng: np.random.Generator, dialect: Dialect, kind: str = "seq2seq", dtype: Any = np.float64, **fixed: Any
) -> Any:
    """A model of odd sizes in a dialect; `fixed` are fields of its configuration."""
    config = draw_config(rng, **fixed)
    return build(config, dialect, draw_parameters(rng, config, kind), kind, dtype)


def draw_dialect(rng: np.random.Generator) -> Dialect:
    """One of the three, or one of the user's own that mixes them in the forward pass."""
    if rng.integers(3):
        return DIALECTS[int(rng.integers(3))]
    return replace(
        DIALECTS[int(rng.integers(3))],
        name="mixed",
        scale_decoder_embeddings=bool(rng.integers(2)),
        scale_decoder_inputs_embeds=bool(rng.integers(2)),
        positions_follow_mask=bool(rng.integers(2)),
        mask_from_ids=bool(rng.integers(2)),
        masked_score=(None, -1e20, -1e4)[int(rng.integers(3))],
        zero_padded_states=bool(rng.integers(2)),
        start_logit=(None, -1e20, -7.0)[int(rng.integers(3))],
    )


def draw_mask(rng: np.random.Generator, batch: int, length: int) -> np.ndarray:
    """Right, left, holes, everything, and now and then a row of nothing."""
    columns = np.arange(length)
    kinds = [
        columns < rng.integers(1, length + 1),
        columns >= rng.integers(length),
        rng.integers(2, size=length) == 1,
        columns >= 0,
        columns < 0,
    ]
    return np.stack([kinds[k] for k in rng.choice(5, size=batch, p=[0.3, 0.25, 0.3, 0.05, 0.1])]).astype(np.int64)


def draw_head_mask(rng: np.random.Generator, layers: int, heads: int) -> np.ndarray:
    return rng.choice([0.0, 1.0, 0.25], size=(layers, heads))


def ids_of(rng: np.random.Generator, config: BlenderbotSmallConfig, batch: int, length: int) -> np.ndarray:
    """Ids of the whole vocabulary, with more pads than chance would give."""
    ids = rng.integers(config.vocab_size, size=(batch, length))
    pad: Any = config.pad_token_id
    return np.where(rng.random((batch, length)) < 0.2, pad, ids)


@dataclass(frozen=True)
class Case:
    """A model and one call of it."""

    kind: str
    config: BlenderbotSmallConfig
    dialect: Dialect
    parameters: dict[str, np.ndarray]
    arguments: dict[str, Any]

    def model(self, dtype: Any = np.float64) -> Any:
        return build(self.config, self.dialect, self.parameters, self.kind, dtype)

    def in_float32(self) -> Case:
        """The same call with every number rounded to one that float32 holds, so that all dtypes get the same."""

        def rounded(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(rounded(item) for item in value)
            is_float = value.dtype.kind == "f"
            return value.astype(np.float32).astype(np.float64) if is_float else value

        parameters = {name: rounded(value) for name, value in self.parameters.items()}
        return replace(
            self, parameters=parameters, arguments={name: rounded(value) for name, value in self.arguments.items()}
        )


def draw_case(rng: np.random.Generator, dialect: Dialect | None = None) -> Case:
    """A random call: every argument of the forward pass that changes a number is used in some of them."""
    kind = str(rng.choice(["seq2seq", "base", "causal"], p=[0.6, 0.15, 0.25]))
    config = draw_config(rng)
    dialect = draw_dialect(rng) if dialect is None else dialect
    parameters = draw_parameters(rng, config, kind)
    batch, source, target = int(rng.integers(1, 4)), int(rng.integers(1, 7)), int(rng.integers(1, 6))
    given: dict[str, Any] = {}

    def chance(p: float) -> bool:
        return bool(rng.random() < p)

    def embeds(length: int) -> Any:
        return rng.standard_normal((batch, length, config.d_model)) * rng.choice([0.01, 1.0])

    def positions(length: int) -> Any:
        shape = ((batch, length), (1, length), (length,))[int(rng.integers(3))]
        return rng.integers(config.max_position_embeddings, size=shape)

    causal = kind == "causal"
    prefix = "" if causal else "decoder_"
    has_source = not causal or chance(0.6)
    if has_source:
        if causal:
            given["encoder_hidden_states"] = embeds(source)
        elif chance(0.15):
            given["encoder_outputs"] = (embeds(source),)
        else:
            by_ids = chance(0.75)
            given |= {"input_ids": ids_of(rng, config, batch, source)} if by_ids else {"inputs_embeds": embeds(source)}
            if chance(0.2):
                given["position_ids"] = positions(source)
            if chance(0.4):
                given["head_mask"] = draw_head_mask(rng, config.encoder_layers, config.encoder_attention_heads)
        if chance(0.6):
            given["encoder_attention_mask" if causal else "attention_mask"] = draw_mask(rng, batch, source)
        if chance(0.4):
            heads = config.decoder_attention_heads
            given["cross_attn_head_mask"] = draw_head_mask(rng, config.decoder_layers, heads)
    if chance(0.75):
        given[f"{prefix}input_ids"] = ids_of(rng, config, batch, target)
    else:
        given[f"{prefix}inputs_embeds"] = embeds(target)
    if chance(0.5):
        given[f"{prefix}attention_mask"] = draw_mask(rng, batch, target)
    if chance(0.2):
        given[f"{prefix}position_ids"] = positions(target)
    if chance(0.4):
        heads = config.decoder_attention_heads
        given[f"{prefix}head_mask"] = draw_head_mask(rng, config.decoder_layers, heads)
    if kind != "base" and chance(0.4):
        labels = rng.integers(config.vocab_size, size=(batch, target))
        given["labels"] = np.where(rng.random(labels.shape) < rng.choice([0.3, 1.0], p=[0.9, 0.1]), -100, labels)
    return Case(kind, config, dialect, parameters, given)
