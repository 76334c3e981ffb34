"""Step 4: the decoder: a reply's tokens look at those before them and at the question; states become logits.

New: the causal mask, cross-attention (`states` other than x), and the embedding matrix as the last layer.
Run it: python docs/steps/4_decoder.py
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
    """A linear map: [T, in] -> [T, out]."""
    return x @ w[name + ".weight"].T + w[name + ".bias"]


def layer_norm(x, name):
    """Every row with mean 0 and variance 1, then a scale and a shift: [T, D] -> [T, D]."""
    normed = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    return normed * w[name + ".weight"] + w[name + ".bias"]


def attention(x, states, name, heads, mask):
    """x [T, D] looks at states [L, D] where mask [T, L] allows it -> [T, D]."""
    parts = (linear(x, f"{name}.q_proj"), linear(states, f"{name}.k_proj"), linear(states, f"{name}.v_proj"))
    q, k, v = (part.reshape(len(part), heads, -1).transpose(1, 0, 2) for part in parts)  # [L, D] -> [H, L, K]
    scores = np.where(mask, q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1]), -1e20)  # [H, T, L]
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return linear((weights @ v).transpose(1, 0, 2).reshape(x.shape), f"{name}.out_proj")  # [H, T, K] -> [T, D]


def feed_forward(x, at):
    """Each token alone: [T, D] -> [T, F] -> [T, D]."""
    hidden = linear(x, f"{at}.fc1")
    return linear(hidden * (1 + np.vectorize(math.erf)(hidden / np.sqrt(2))) / 2, f"{at}.fc2")


def encoder(ids):
    """[S] ids -> states [S, D]."""
    x = w["shared.weight"][ids] * np.sqrt(config["d_model"]) + w["encoder.embed_positions.weight"][: len(ids)]
    x, heads = layer_norm(x, "encoder.layernorm_embedding"), config["encoder_attention_heads"]
    for at in (f"encoder.layers.{n}" for n in range(config["encoder_layers"])):
        x = layer_norm(x + attention(x, x, f"{at}.self_attn", heads, True), f"{at}.self_attn_layer_norm")
        x = layer_norm(x + feed_forward(x, at), f"{at}.final_layer_norm")
    return x


def decoder(ids, source):
    """[T] ids of the reply so far, and the source's states [S, D] -> logits [T, V] of what comes after each."""
    x = layer_norm(w["shared.weight"][ids] * np.sqrt(config["d_model"]), "decoder.layernorm_embedding")
    x, heads = x + w["decoder.embed_positions.weight"][: len(ids)], config["decoder_attention_heads"]
    causal = np.tri(len(ids), dtype=bool)  # [T, T]: token t may look at tokens 0 .. t
    for at in (f"decoder.layers.{n}" for n in range(config["decoder_layers"])):
        x = layer_norm(x + attention(x, x, f"{at}.self_attn", heads, causal), f"{at}.self_attn_layer_norm")
        x = layer_norm(x + attention(x, source, f"{at}.encoder_attn", heads, True), f"{at}.encoder_attn_layer_norm")
        x = layer_norm(x + feed_forward(x, at), f"{at}.final_layer_norm")
    return x @ w["shared.weight"].T + w["final_logits_bias"][0]  # [T, D] @ [D, V] -> [T, V]


words = ["do", "you", "have", "any", "pets", "?"]
ids = [vocabulary.get(word, vocabulary["__unk__"]) for word in words]
source, reply = encoder(ids), [config["decoder_start_token_id"]]
while reply[-1] != config["eos_token_id"] and len(reply) < 40:
    logits = decoder(reply, source)  # everything again for each token; step 6 does better
    logits[:, config["decoder_start_token_id"]] = -1e20  # never said
    reply.append(int(logits[-1].argmax()))

if __name__ == "__main__":
    tokens = {number: token for token, number in vocabulary.items()}
    print(logits.shape, " ".join(tokens[number] for number in reply))
