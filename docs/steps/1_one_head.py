"""Step 1: one attention head, over the words of a question, with the first head of the demo's first layer.

Shapes: S words, D numbers a word, K numbers a head. Run it: python docs/steps/1_one_head.py
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
    """A linear map: [S, in] -> [S, out]. A file stores its matrix as [out, in]."""
    return x @ w[name + ".weight"].T + w[name + ".bias"]


def layer_norm(x, name):
    """Every row with mean 0 and variance 1, then a scale and a shift: [S, D] -> [S, D]."""
    normed = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    return normed * w[name + ".weight"] + w[name + ".bias"]


def embed(ids):
    """A vector for each word, which also says where the word stands: [S] -> [S, D]."""
    words = w["shared.weight"][ids] * np.sqrt(config["d_model"])  # [V, D] -> [S, D]
    return layer_norm(words + w["encoder.embed_positions.weight"][: len(ids)], "encoder.layernorm_embedding")


def softmax(scores):
    """Positive numbers that sum to 1 in every row: [S, S] -> [S, S]."""
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))  # minus the largest: nothing overflows
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def head(x, name, number, size):
    """What one head makes of x: [S, D] -> the weights [S, S] and the mixed values [S, K]."""
    columns = slice(number * size, (number + 1) * size)  # the head's share of D
    q, k, v = (linear(x, f"{name}.{part}_proj")[:, columns] for part in "qkv")  # [S, D] -> [S, K] each
    weights = softmax(q @ k.T / np.sqrt(size))  # [S, K] @ [K, S] -> [S, S]
    return weights, weights @ v  # [S, S] @ [S, K] -> [S, K]


words = ["do", "you", "have", "any", "pets", "?"]
ids = [vocabulary.get(word, vocabulary["__unk__"]) for word in words]
x = embed(ids)
weights, mixed = head(x, "encoder.layers.0.self_attn", 0, config["d_model"] // config["encoder_attention_heads"])

if __name__ == "__main__":
    print("x", x.shape, "-> weights", weights.shape, "-> mixed values", mixed.shape)
    for word, row in zip(words, weights, strict=True):
        print(f"{word:5} looks at", ", ".join(f"{words[n]} {row[n]:.2f}" for n in np.argsort(-row)[:2]))
