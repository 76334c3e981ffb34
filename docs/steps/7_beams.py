"""Step 7: ParlAI's beam search: the batch is W beginnings of one reply, and the cache's rows follow them.

New: `take`, which copies rows of the cache, and `search`. Run it: python docs/steps/7_beams.py
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
START, END = config["decoder_start_token_id"], config["eos_token_id"]
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


def softmax(scores):
    """Positive numbers that sum to 1 over the last axis."""
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def attend(x, k, v, name):
    """x [B, T, D] looks at keys and values [B, H, L, K] -> [B, T, D]. There is one source, so there are no pads."""
    q = split(x, f"{name}.q_proj", k.shape[1]) / np.sqrt(k.shape[-1])
    mixed = softmax(q @ k.transpose(0, 1, 3, 2)) @ v  # [B, H, T, L] @ [B, H, L, K] -> [B, H, T, K]
    return linear(mixed.transpose(0, 2, 1, 3).reshape(x.shape), f"{name}.out_proj")


def feed_forward(x, at):
    """[B, T, D] -> [B, T, F] -> [B, T, D], the sum and the norm."""
    hidden = linear(x, f"{at}.fc1")
    hidden = hidden * (1 + np.vectorize(math.erf)(hidden / np.sqrt(2))) / 2
    return layer_norm(x + linear(hidden, f"{at}.fc2"), f"{at}.final_layer_norm")


def start(ids):
    """One source [S] -> the cache before the first token: (keys, values, source keys, source values) a layer."""
    x = w["shared.weight"][ids] * np.sqrt(config["d_model"]) + w["encoder.embed_positions.weight"][: len(ids)]
    x, heads = layer_norm(x[None], "encoder.layernorm_embedding"), config["encoder_attention_heads"]  # [1, S, D]
    for at in ENCODER:
        k, v = (split(x, f"{at}.self_attn.{part}_proj", heads) for part in "kv")
        x = feed_forward(layer_norm(x + attend(x, k, v, f"{at}.self_attn"), f"{at}.self_attn_layer_norm"), at)
    heads = config["decoder_attention_heads"]
    empty = np.zeros((1, heads, 0, config["d_model"] // heads))
    return [(empty, empty, *(split(x, f"{at}.encoder_attn.{part}_proj", heads) for part in "kv")) for at in DECODER]


def decode(ids, cache):
    """One new id a row [W] and the cache of L tokens -> log-probabilities [W, V] and the cache of L + 1."""
    x = layer_norm(w["shared.weight"][ids[:, None]] * np.sqrt(config["d_model"]), "decoder.layernorm_embedding")
    x, longer = x + w["decoder.embed_positions.weight"][cache[0][0].shape[2]], []
    for at, (keys, values, *source) in zip(DECODER, cache, strict=True):
        new = (split(x, f"{at}.self_attn.{part}_proj", keys.shape[1]) for part in "kv")  # [W, H, 1, K] each
        keys, values = (np.concatenate(pair, axis=2) for pair in zip((keys, values), new, strict=True))
        longer.append((keys, values, *source))
        x = layer_norm(x + attend(x, keys, values, f"{at}.self_attn"), f"{at}.self_attn_layer_norm")
        x = layer_norm(x + attend(x, *source, f"{at}.encoder_attn"), f"{at}.encoder_attn_layer_norm")
        x = feed_forward(x, at)
    logits = x[:, 0] @ w["shared.weight"].T + w["final_logits_bias"][0]  # [W, D] @ [D, V] -> [W, V]
    logits[:, START] = -1e20
    return np.log(np.maximum(softmax(logits), 1e-300)), longer


def take(cache, rows):
    """The cache of the given rows, in that order: a beam with two children is copied, one without is dropped."""
    return [tuple(array[rows] for array in layer) for layer in cache]


def search(ids, width, penalty=0.65, limit=40):
    """One source [S] -> every finished reply as (score, ids), best first."""
    cache, paths, sums, finished, top_has_ended = start(ids), np.array([[START]]), np.zeros(1), [], False
    while not (top_has_ended and len(finished) >= width) and paths.shape[1] <= limit:
        log_p, cache = decode(paths[:, -1], cache)
        totals = np.where(paths[:, -1] == END, -1e20, sums)[:, None] + log_p  # [W, V]; an ended path cannot go on
        best = np.argsort(-totals, axis=None, kind="stable")[:width]  # the best of all continuations, [W]
        rows, tokens = np.divmod(best, totals.shape[1])  # whose child each is, and its new token
        paths, sums = np.concatenate([paths[rows], tokens[:, None]], axis=1), totals[rows, tokens]
        cache = take(cache, rows)
        for n in np.flatnonzero(tokens == END):
            finished.append((sums[n] / ((1 + paths.shape[1]) / 6) ** penalty, paths[n].tolist()))
        top_has_ended |= bool(tokens[0] == END)
    return sorted(finished, reverse=True)


words = ["do", "you", "have", "any", "pets", "?"]
ids = [vocabulary.get(word, vocabulary["__unk__"]) for word in words]
replies = search(ids, width=4)

if __name__ == "__main__":
    spelt = {number: token for token, number in vocabulary.items()}
    for score, reply in replies:
        print(f"{score:7.3f}  {' '.join(spelt[number] for number in reply)}")
