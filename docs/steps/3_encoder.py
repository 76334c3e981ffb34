"""Step 3: the whole encoder: the feed-forward block, and all layers.

New: `feed_forward`, which works on each word alone, and the loop over the layers.
Run it: python docs/steps/3_encoder.py
"""

import json
import math
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


def softmax(scores):
    """Positive numbers that sum to 1 over the last axis."""
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def gelu(x):
    """x times the probability that a standard normal number is below x."""
    return x * (1 + np.vectorize(math.erf)(x / np.sqrt(2))) / 2


def split(x, heads):
    """Cut D into heads: [S, D] -> [S, H, K] -> [H, S, K]."""
    return x.reshape(len(x), heads, -1).transpose(1, 0, 2)


def attention(x, name, heads):
    """Every word looks at all words with every head: [S, D] -> [S, D]."""
    q, k, v = (split(linear(x, f"{name}.{part}_proj"), heads) for part in "qkv")  # [S, D] -> [H, S, K] each
    weights = softmax(q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1]))  # [H, S, K] @ [H, K, S] -> [H, S, S]
    return linear((weights @ v).transpose(1, 0, 2).reshape(x.shape), f"{name}.out_proj")  # [H, S, K] -> [S, D]


def feed_forward(x, layer):
    """Each word alone, through F inner numbers: [S, D] -> [S, F] -> [S, D]."""
    return linear(gelu(linear(x, f"{layer}.fc1")), f"{layer}.fc2")


def encoder(ids):
    """[S] ids -> every layer's result, [S, D] each; the last one is the encoder's."""
    x = w["shared.weight"][ids] * np.sqrt(config["d_model"]) + w["encoder.embed_positions.weight"][: len(ids)]
    states, heads = [layer_norm(x, "encoder.layernorm_embedding")], config["encoder_attention_heads"]
    for n in range(config["encoder_layers"]):
        layer, x = f"encoder.layers.{n}", states[-1]
        x = layer_norm(x + attention(x, f"{layer}.self_attn", heads), f"{layer}.self_attn_layer_norm")
        states.append(layer_norm(x + feed_forward(x, layer), f"{layer}.final_layer_norm"))
    return states


words = ["do", "you", "have", "any", "pets", "?"]
ids = [vocabulary.get(word, vocabulary["__unk__"]) for word in words]
states = encoder(ids)

if __name__ == "__main__":
    for n, x in enumerate(states):
        print(f"after {n} layers: {x.shape}, std {x.std():.2f}, first numbers of {words[0]!r}: {x[0, :3].round(2)}")
