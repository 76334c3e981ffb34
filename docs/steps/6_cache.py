"""Step 6: the cache. A step computes one new token; keys and values of earlier ones are kept.

New: `start` projects the source's keys and values once, and `decode` takes one id a row and a cache, and returns the
logits and a longer cache. Run it: python docs/steps/6_cache.py
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
START, END, PAD = config["decoder_start_token_id"], config["eos_token_id"], config["pad_token_id"]
ENCODER = [f"encoder.layers.{n}" for n in range(config["encoder_layers"])]
DECODER = [f"decoder.layers.{n}" for n in range(config["decoder_layers"])]


def linear(x, name):
    """[B, T, in] -> [B, T, out]."""
    return x @ w[name + ".weight"].T + w[name + ".bias"]


def layer_norm(x, name):
    """[B, T, D] -> [B, T, D]."""
    normed = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    return normed * w[name + ".weight"] + w[name + ".bias"]


def split(x, name, heads):
    """A projection, cut into heads: [B, L, D] -> [B, H, L, K]."""
    return linear(x, name).reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)


def attend(x, k, v, name, mask):
    """x [B, T, D] looks at keys and values [B, H, L, K] -> [B, T, D]."""
    q = split(x, f"{name}.q_proj", k.shape[1])
    scores = np.where(mask, q @ k.transpose(0, 1, 3, 2) / np.sqrt(q.shape[-1]), -1e20)  # [B, H, T, L]
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return linear((weights @ v).transpose(0, 2, 1, 3).reshape(x.shape), f"{name}.out_proj")


def feed_forward(x, at):
    """[B, T, D] -> [B, T, F] -> [B, T, D], the sum and the norm."""
    hidden = linear(x, f"{at}.fc1")
    hidden = hidden * (1 + np.vectorize(math.erf)(hidden / np.sqrt(2))) / 2
    return layer_norm(x + linear(hidden, f"{at}.fc2"), f"{at}.final_layer_norm")


def start(ids, mask):
    """Sources [B, S] -> the cache before the first token: (keys, values, source keys, source values) a layer."""
    x = w["shared.weight"][ids] * np.sqrt(config["d_model"]) + w["encoder.embed_positions.weight"][: ids.shape[1]]
    x, heads = layer_norm(x, "encoder.layernorm_embedding"), config["encoder_attention_heads"]
    for at in ENCODER:
        k, v = (split(x, f"{at}.self_attn.{part}_proj", heads) for part in "kv")
        x = layer_norm(x + attend(x, k, v, f"{at}.self_attn", mask[:, None, None]), f"{at}.self_attn_layer_norm")
        x = feed_forward(x, at)
    heads = config["decoder_attention_heads"]
    empty = np.zeros((len(ids), heads, 0, config["d_model"] // heads))  # [B, H, 0, K]: no token yet
    return [(empty, empty, *(split(x, f"{at}.encoder_attn.{part}_proj", heads) for part in "kv")) for at in DECODER]


def decode(ids, cache, mask):
    """One new id a row [B] and the cache of L tokens -> logits [B, V] and the cache of L + 1."""
    x = layer_norm(w["shared.weight"][ids[:, None]] * np.sqrt(config["d_model"]), "decoder.layernorm_embedding")
    x, longer = x + w["decoder.embed_positions.weight"][cache[0][0].shape[2]], []  # the cache's length is the position
    for at, (keys, values, source_keys, source_values) in zip(DECODER, cache, strict=True):
        new = (split(x, f"{at}.self_attn.{part}_proj", keys.shape[1]) for part in "kv")  # [B, H, 1, K] each
        keys, values = (np.concatenate(pair, axis=2) for pair in zip((keys, values), new, strict=True))
        longer.append((keys, values, source_keys, source_values))
        x = layer_norm(x + attend(x, keys, values, f"{at}.self_attn", True), f"{at}.self_attn_layer_norm")
        seen = attend(x, source_keys, source_values, f"{at}.encoder_attn", mask[:, None, None])
        x = feed_forward(layer_norm(x + seen, f"{at}.encoder_attn_layer_norm"), at)
    logits = x[:, 0] @ w["shared.weight"].T + w["final_logits_bias"][0]  # [B, D] @ [D, V] -> [B, V]
    logits[:, START] = -1e20
    return logits, longer


rows = [
    [vocabulary.get(word, vocabulary["__unk__"]) for word in said.split()] for said in ("hi !", "do you like dogs ?")
]
ids = np.array([row + [PAD] * (max(map(len, rows)) - len(row)) for row in rows])
mask, replies, steps = ids != PAD, np.full((len(ids), 1), START), []
cache, ended = start(ids, mask), np.zeros(len(ids), dtype=bool)
while not ended.all() and replies.shape[1] < 40:
    logits, cache = decode(replies[:, -1], cache, mask)
    steps.append(logits)
    replies = np.concatenate([replies, np.where(ended, PAD, logits.argmax(axis=-1))[:, None]], axis=1)
    ended |= replies[:, -1] == END

if __name__ == "__main__":
    tokens = {number: token for token, number in vocabulary.items()}
    print("keys after the last step:", cache[0][0].shape)
    for row in replies:
        print(" ".join(tokens[int(number)] for number in row))
