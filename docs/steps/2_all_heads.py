"""Step 2: all heads at once, the map that mixes them, the residual sum and the norm: the attention block of a layer.

New: an axis H for the heads. [S, D] -> [S, H, K] -> [H, S, K], so that one product does all heads.
Run it: python docs/steps/2_all_heads.py
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

FOLDER = Path(__file__).resolve().parents[2] / "npblender" / "demo"
config = json.loads((FOLDER / "config.json").read_text("utf-8"))
vocabulary = json.loads((FOLDER / "vocab.json").read_text("utf-8"))
stored = load_file(FOLDER / "model.safetensors")
w = {name.removeprefix("model."): array.astype(np.float64) for name, array in stored.items()}


def linear(x, name):
    """A linear map: [S, in] -> [S, out]."""
    return x @ w[name + ".weight"].T + w[name + ".bias"]


def layer_norm(x, name):
    """Every row with mean 0 and variance 1, then a scale and a shift: [S, D] -> [S, D]."""
    normed = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    return normed * w[name + ".weight"] + w[name + ".bias"]


def embed(ids):
    """A vector for each word, which also says where the word stands: [S] -> [S, D]."""
    words = w["shared.weight"][ids] * np.sqrt(config["d_model"])
    return layer_norm(words + w["encoder.embed_positions.weight"][: len(ids)], "encoder.layernorm_embedding")


def softmax(scores):
    """Positive numbers that sum to 1 over the last axis."""
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def split(x, heads):
    """Cut D into heads: [S, D] -> [S, H, K] -> [H, S, K]."""
    return x.reshape(len(x), heads, -1).transpose(1, 0, 2)


def merge(x):
    """Put the heads side by side again: [H, S, K] -> [S, H, K] -> [S, D]."""
    return x.transpose(1, 0, 2).reshape(x.shape[1], -1)


def attention(x, name, heads):
    """Every word looks at all words with every head: [S, D] -> [S, D]."""
    q, k, v = (split(linear(x, f"{name}.{part}_proj"), heads) for part in "qkv")  # [S, D] -> [H, S, K] each
    weights = softmax(q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1]))  # [H, S, K] @ [H, K, S] -> [H, S, S]
    return linear(merge(weights @ v), f"{name}.out_proj")  # [H, S, S] @ [H, S, K] -> [H, S, K] -> [S, D]


def attention_block(x, layer, heads):
    """What attention adds, and the norm after the sum (post-LN): [S, D] -> [S, D]."""
    return layer_norm(x + attention(x, f"{layer}.self_attn", heads), f"{layer}.self_attn_layer_norm")


words = ["do", "you", "have", "any", "pets", "?"]
ids = [vocabulary.get(word, vocabulary["__unk__"]) for word in words]
x = embed(ids)
out = attention_block(x, "encoder.layers.0", config["encoder_attention_heads"])

if __name__ == "__main__":
    print("x", x.shape, "-> heads", split(x, config["encoder_attention_heads"]).shape, "-> out", out.shape)
    print("merge undoes split:", np.array_equal(merge(split(x, config["encoder_attention_heads"])), x))
    for word, before, after in zip(words, x, out, strict=True):
        print(f"{word:5} {before[:3].round(2)} -> {after[:3].round(2)}")
