"""Seeded random models and calls for the comparison of searches with the originals.

The models are those of `draw`, with two changes that make a search worth comparing: the decoder's last norm is random
in sign, so that tied embeddings do not make every token repeat itself, and the embedding of the end token leans towards
that norm's bias, more or less, so that hypotheses end at all sorts of lengths. Special ids are the checkpoint's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_tests.support.random_models import ACTIVATIONS, draw_config, draw_weights

PAD, START, END = 0, 1, 2


def draw_search_config(rng: np.random.Generator, *, one_sided: bool) -> dict[str, Any]:
    """A config.json's content; `one_sided` gives both sides the same heads and ffn, as ParlAI's agents have."""
    config = draw_config(rng, ("gelu", "relu") if one_sided else ACTIVATIONS)
    config |= {"pad_token_id": PAD, "bos_token_id": START, "decoder_start_token_id": START}
    config |= {"eos_token_id": END, "forced_eos_token_id": END, "use_cache": True}
    config |= {"encoder_layers": int(rng.integers(1, 3)), "decoder_layers": int(rng.integers(1, 3))}
    config |= {"max_position_embeddings": int(rng.integers(24, 41)), "vocab_size": int(rng.integers(20, 120))}
    if one_sided:
        config["encoder_attention_heads"] = config["decoder_attention_heads"]
        config["encoder_ffn_dim"] = config["decoder_ffn_dim"]
    return config


def draw_search_weights(
    rng: np.random.Generator, config: dict[str, Any], dtype: str, *, final_bias: bool
) -> dict[str, np.ndarray]:
    """Weights under which replies vary and end."""
    weights = draw_weights(rng, config, "float64", final_bias)
    d = config["d_model"]
    weights["model.shared.weight"] *= rng.uniform(0.7, 2.0) / (weights["model.shared.weight"].std() * np.sqrt(d))
    last = f"model.decoder.layers.{config['decoder_layers'] - 1}.final_layer_norm"
    weights[f"{last}.weight"] = rng.standard_normal(d)
    bias = weights[f"{last}.bias"]
    weights["model.shared.weight"][END] *= rng.uniform(1.0, 2.0)
    weights["model.shared.weight"][END] += rng.uniform(-1.0, 3.0) * bias / (bias @ bias)
    return {name: value.astype(dtype) for name, value in weights.items()}


def draw_contexts(rng: np.random.Generator, config: dict[str, Any], batch: int, special: bool = True) -> np.ndarray:
    """Ragged contexts, padded on the right; here and there a special id inside."""
    longest = int(rng.integers(3, 15))
    lengths = rng.integers(1, longest + 1, size=batch)
    lengths[rng.integers(batch)] = longest
    low = 1 if special and rng.uniform() < 0.2 else 3
    few = rng.integers(low, config["vocab_size"], size=6)  # words come back, so that n-grams do
    rows = np.where(
        rng.uniform(size=(batch, longest)) < 0.5,
        rng.choice(few, size=(batch, longest)),
        rng.integers(low, config["vocab_size"], size=(batch, longest)),
    )
    return np.where(np.arange(longest) < lengths[:, None], rows, PAD)
