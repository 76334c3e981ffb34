"""CTranslate2, with an encoder-decoder of the same sizes made by its own converter. The variant is the compute type.

Its layers are post-LN as this model's are, and the matrices are this model's own; but its decoder adds positions before
the norm of the embeddings, so its replies are others for the same work. It has no block of the source's trigrams: its
beam search blocks those of the reply alone.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from ctranslate2.specs import common_spec, transformer_spec
from safetensors.numpy import load_file

from tools.bench.peers.timing import timed


def _linear(spec: Any, weights: dict[str, np.ndarray], *names: str) -> None:
    """One product for several maps of the same input, as that engine's converter fuses them."""
    spec.weight = np.concatenate([weights[f"{name}.weight"] for name in names])
    spec.bias = np.concatenate([weights[f"{name}.bias"] for name in names])


def _norm(spec: Any, weights: dict[str, np.ndarray], name: str) -> None:
    spec.gamma, spec.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]


def _own_attention(spec: Any, weights: dict[str, np.ndarray], name: str) -> None:
    _linear(spec.linear[0], weights, *(f"{name}.{part}_proj" for part in "qkv"))
    _linear(spec.linear[1], weights, f"{name}.out_proj")
    _norm(spec.layer_norm, weights, f"{name}_layer_norm")


def _stack(spec: Any, weights: dict[str, np.ndarray], side: str, scale: float) -> None:
    spec.scale_embeddings = scale
    embeddings = spec.embeddings[0] if isinstance(spec.embeddings, list) else spec.embeddings
    embeddings.weight = weights["shared.weight"]
    spec.position_encodings.encodings = weights[f"{side}.embed_positions.weight"]
    _norm(spec.layernorm_embedding, weights, f"{side}.layernorm_embedding")
    for n, layer in enumerate(spec.layer):
        name = f"{side}.layers.{n}"
        _own_attention(layer.self_attention, weights, f"{name}.self_attn")
        if side == "decoder":
            cross = f"{name}.encoder_attn"
            _linear(layer.attention.linear[0], weights, f"{cross}.q_proj")
            _linear(layer.attention.linear[1], weights, f"{cross}.k_proj", f"{cross}.v_proj")
            _linear(layer.attention.linear[2], weights, f"{cross}.out_proj")
            _norm(layer.attention.layer_norm, weights, f"{cross}_layer_norm")
        _linear(layer.ffn.linear_0, weights, f"{name}.fc1")
        _linear(layer.ffn.linear_1, weights, f"{name}.fc2")
        _norm(layer.ffn.layer_norm, weights, f"{name}.final_layer_norm")


def convert(folder: Path, target: Path) -> None:
    """Write the engine's own folder, in float32."""
    config = json.loads((folder / "config.json").read_text())
    weights = {k.removeprefix("model."): v for k, v in load_file(folder / "model.safetensors").items()}
    spec = transformer_spec.TransformerSpec.from_config(
        (config["encoder_layers"], config["decoder_layers"]),
        config["encoder_attention_heads"],
        pre_norm=False,
        activation=common_spec.Activation.GELU,
        layernorm_embedding=True,
    )
    scale = float(config["d_model"]) ** 0.5
    _stack(spec.encoder, weights, "encoder", scale)
    _stack(spec.decoder, weights, "decoder", scale)
    spec.decoder.projection.weight = weights["shared.weight"]
    words = [f"t{n}" for n in range(config["vocab_size"])]
    words[:4] = ["<pad>", "<s>", "</s>", "<unk>"]
    spec.register_source_vocabulary(words)
    spec.register_target_vocabulary(words)
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = "<s>", "</s>", "<unk>"
    spec.config.decoder_start_token = "<s>"
    spec.config.add_source_bos = spec.config.add_source_eos = False
    spec.validate()
    spec.optimize(quantization=None)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    spec.save(str(target))
    (target / "complete").write_text("")


class Engine:
    """The converted model of a folder."""

    def __init__(self, folder: Path, threads: int, variant: str) -> None:
        own = folder / "ctranslate2"
        if not (own / "complete").exists():
            convert(folder, own)
        self.translator = ctranslate2.Translator(str(own), compute_type=variant, inter_threads=1, intra_threads=threads)

    def versions(self) -> dict[str, str]:
        return {"ctranslate2": ctranslate2.__version__}

    def generate(self, batches: list[Any], new: int, beams: int, blocks: bool) -> dict[str, Any]:
        def run(rows: list[list[str]]) -> Any:
            return self.translator.translate_batch(
                rows,
                beam_size=beams,
                min_decoding_length=new,
                max_decoding_length=new,
                no_repeat_ngram_size=3 if blocks else 0,
            )

        inputs = [[[f"t{number}" for number in row] for row in rows] for rows in batches]
        seconds, results = timed(run, inputs)
        lengths = {len(result.hypotheses[0]) for result in results[-1]}
        if lengths != {new}:
            raise ValueError(f"CTranslate2 made replies of {sorted(lengths)} tokens, not {new}")
        return {"seconds": seconds}
