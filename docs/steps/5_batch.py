"""Step 5: several questions at once. Shorter ones are filled up with pads, and a mask hides the pads.

New: an axis B before all others, [B, S, D] and [B, H, S, K], and masks [B, 1, 1, S] of what may be looked at.
Run it: python docs/steps/5_batch.py
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


def linear(x, name):
    """[B, T, in] -> [B, T, out]."""
    return x @ w[name + ".weight"].T + w[name + ".bias"]


def layer_norm(x, name):
    """[B, T, D] -> [B, T, D]."""
    normed = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    return normed * w[name + ".weight"] + w[name + ".bias"]


def attention(x, states, name, heads, mask):
    """x [B, T, D] looks at states [B, L, D] where mask [B or 1, 1, T or 1, L] allows it -> [B, T, D]."""
    parts = (linear(x, f"{name}.q_proj"), linear(states, f"{name}.k_proj"), linear(states, f"{name}.v_proj"))
    q, k, v = (part.reshape(*part.shape[:2], heads, -1).transpose(0, 2, 1, 3) for part in parts)  # [B, H, L, K]
    scores = np.where(mask, q @ k.transpose(0, 1, 3, 2) / np.sqrt(q.shape[-1]), -1e20)  # [B, H, T, L]
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return linear((weights @ v).transpose(0, 2, 1, 3).reshape(x.shape), f"{name}.out_proj")


def feed_forward(x, at):
    """[B, T, D] -> [B, T, F] -> [B, T, D]."""
    hidden = linear(x, f"{at}.fc1")
    return linear(hidden * (1 + np.vectorize(math.erf)(hidden / np.sqrt(2))) / 2, f"{at}.fc2")


def encoder(ids, mask):
    """[B, S] ids and the mask of what is no pad [B, S] -> states [B, S, D]."""
    x = w["shared.weight"][ids] * np.sqrt(config["d_model"]) + w["encoder.embed_positions.weight"][: ids.shape[1]]
    x, heads, mask = (
        layer_norm(x, "encoder.layernorm_embedding"),
        config["encoder_attention_heads"],
        mask[:, None, None],
    )
    for at in (f"encoder.layers.{n}" for n in range(config["encoder_layers"])):
        x = layer_norm(x + attention(x, x, f"{at}.self_attn", heads, mask), f"{at}.self_attn_layer_norm")
        x = layer_norm(x + feed_forward(x, at), f"{at}.final_layer_norm")
    return x


def decoder(ids, source, mask):
    """[B, T] ids, the sources' states [B, S, D] and their mask [B, S] -> logits [B, T, V]."""
    x = layer_norm(w["shared.weight"][ids] * np.sqrt(config["d_model"]), "decoder.layernorm_embedding")
    x, heads = x + w["decoder.embed_positions.weight"][: ids.shape[1]], config["decoder_attention_heads"]
    causal, mask = np.tri(ids.shape[1], dtype=bool), mask[:, None, None]  # [T, T], [B, 1, 1, S]
    for at in (f"decoder.layers.{n}" for n in range(config["decoder_layers"])):
        x = layer_norm(x + attention(x, x, f"{at}.self_attn", heads, causal), f"{at}.self_attn_layer_norm")
        x = layer_norm(x + attention(x, source, f"{at}.encoder_attn", heads, mask), f"{at}.encoder_attn_layer_norm")
        x = layer_norm(x + feed_forward(x, at), f"{at}.final_layer_norm")
    logits = x @ w["shared.weight"].T + w["final_logits_bias"][0]
    logits[..., START] = -1e20
    return logits


def padded(texts):
    """Texts of known words -> ids [B, S], the shorter ones filled up, and the mask [B, S] of what is no pad."""
    rows = [[vocabulary.get(word, vocabulary["__unk__"]) for word in text.split()] for text in texts]
    ids = np.array([row + [PAD] * (max(map(len, rows)) - len(row)) for row in rows])
    return ids, ids != PAD


ids, mask = padded(["do you have any pets ?", "hi !"])
source, replies = encoder(ids, mask), np.full((len(ids), 1), START)
ended = np.zeros(len(ids), dtype=bool)
while not ended.all() and replies.shape[1] < 40:
    best = decoder(replies, source, mask)[:, -1].argmax(axis=-1)  # [B, V] -> [B]
    replies = np.concatenate([replies, np.where(ended, PAD, best)[:, None]], axis=1)  # [B, T] -> [B, T + 1]
    ended |= best == END

if __name__ == "__main__":
    tokens = {number: token for token, number in vocabulary.items()}
    for row in replies:
        print(" ".join(tokens[int(number)] for number in row))
