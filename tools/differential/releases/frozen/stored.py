"""safetensors files written here from the format's description, so that what reads them is tested by something else.

Names are written out once more, from the originals' own state dicts, and not taken from the package.
"""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npblender import BlenderbotSmallConfig

FORMATS = {"float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64", "int64": "I64"}

TINY = BlenderbotSmallConfig(
    vocab_size=11,
    max_position_embeddings=7,
    d_model=6,
    encoder_layers=2,
    decoder_layers=1,
    encoder_ffn_dim=5,
    decoder_ffn_dim=13,
    encoder_attention_heads=2,
    decoder_attention_heads=3,
)


def content(header: Any, data: bytes) -> bytes:
    """A file's bytes, of any header, right or wrong."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def bfloat16_bits(values: np.ndarray) -> np.ndarray:
    """Round to nearest, ties to even, in whole numbers: the upper half of a float32."""
    bits = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def as_bytes(values: np.ndarray, dtype: str) -> bytes:
    if dtype == "bfloat16":
        return bfloat16_bits(values).tobytes()
    return np.ascontiguousarray(values).astype(np.dtype(dtype).newbyteorder("<")).tobytes()


def write(path: Path, tensors: Mapping[str, np.ndarray], dtype: str | Mapping[str, str] = "float32") -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, values in tensors.items():
        stored = dtype if isinstance(dtype, str) else dtype[name]
        bytes_of = as_bytes(values, stored)
        header[name] = entry(FORMATS[stored], list(values.shape), len(data), len(data) + len(bytes_of))
        data += bytes_of
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content(header, data))


def split(folder: Path, tensors: Mapping[str, np.ndarray], shards: int) -> None:
    """The same over several files, dealt out in turn, with the index."""
    names = [f"model-{n + 1:05}-of-{shards:05}.safetensors" for n in range(shards)]
    weight_map = {name: names[n % shards] for n, name in enumerate(tensors)}
    for file in names:
        write(folder / file, {name: tensors[name] for name in tensors if weight_map[name] == file})
    index = {"metadata": {"total_size": sum(4 * t.size for t in tensors.values())}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def layer_names(side: str, transformers: bool) -> dict[str, str]:
    """The names inside one layer: the tree's own on the left, transformers' or ParlAI's on the right."""
    own = "attention" if side == "encoder" else "self_attention"
    pairs = [("fc1", "ffn.lin1"), ("fc2", "ffn.lin2"), ("self_attn_layer_norm", "norm1")]
    attentions = [("self_attn", own)]
    if side == "encoder":
        pairs += [("final_layer_norm", "norm2")]
    else:
        pairs += [("encoder_attn_layer_norm", "norm2"), ("final_layer_norm", "norm3")]
        attentions += [("encoder_attn", "encoder_attention")]
    pairs += [(f"{tree}.{p}_proj", f"{parlai}.{p}_lin") for tree, parlai in attentions for p in ("q", "k", "v", "out")]
    return {
        f"{tree}.{kind}": f"{tree if transformers else parlai}.{kind}"
        for tree, parlai in pairs
        for kind in ("weight", "bias")
    }


def names_of(config: BlenderbotSmallConfig, original: str) -> dict[str, str]:
    """Every name of the full model: the tree's own, and the original's ("full", "base", "causal" or "parlai")."""
    parlai = original == "parlai"
    prefix = "model." if original in ("full", "causal") else ""
    out = {"shared.weight": "embeddings.weight" if parlai else f"{prefix}shared.weight"}
    if original == "causal":
        out["shared.weight"] = "model.decoder.embed_tokens.weight"
    for side, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        if original == "causal" and side == "encoder":
            continue
        for tree, theirs in (("embed_positions", "position_embeddings"), ("layernorm_embedding", "norm_embeddings")):
            for kind in ("weight", "bias") if tree == "layernorm_embedding" else ("weight",):
                out[f"{side}.{tree}.{kind}"] = f"{prefix}{side}.{theirs if parlai else tree}.{kind}"
        for layer in range(layers):
            for tree, theirs in layer_names(side, not parlai).items():
                out[f"{side}.layers.{layer}.{tree}"] = f"{prefix}{side}.layers.{layer}.{theirs}"
    if original == "full":
        out["final_logits_bias"] = "final_logits_bias"
    return out


def tensors_of(config: BlenderbotSmallConfig, original: str, seed: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Random tensors under the tree's names, and the same ones under the original's."""
    rng = np.random.default_rng(seed)
    d = config.d_model

    def shape(name: str) -> tuple[int, ...]:
        inner = config.encoder_ffn_dim if name.startswith("encoder") else config.decoder_ffn_dim
        if name == "final_logits_bias":
            return (1, config.vocab_size)
        if "fc1" in name:
            return (inner, d) if name.endswith("weight") else (inner,)
        if "norm" in name or name.endswith("bias"):
            return (d,)
        rows = {"shared": config.vocab_size, "embed_positions": config.max_position_embeddings, "fc2": d}
        named = [size for key, size in rows.items() if key in name]
        return (named[0] if named else d, inner if "fc2" in name else d)

    names = names_of(config, original)
    tree = {name: rng.standard_normal(shape(name)).astype(np.float32) for name in names}
    return tree, {names[name]: values for name, values in tree.items()}
