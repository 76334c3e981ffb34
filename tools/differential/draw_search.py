"""Seeded random models and calls for the comparison of searches with the originals.

The models are those of `draw`, with two changes that make a search worth comparing: the decoder's last norm is random
in sign, so that tied embeddings do not make every token repeat itself, and the embedding of the end token is enlarged,
so that hypotheses end at all sorts of lengths. Special ids are the checkpoint's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tools.differential.draw import ACTIVATIONS, draw_config, draw_weights
from tools.originals.exchange import Case

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
    weights["model.shared.weight"][END] *= rng.uniform(1.0, 2.5)
    last = f"model.decoder.layers.{config['decoder_layers'] - 1}.final_layer_norm.weight"
    weights[last] = rng.standard_normal(d)
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


def draw_parlai_options(rng: np.random.Generator, config: dict[str, Any]) -> dict[str, Any]:
    """Options of a search in ParlAI's way, each said or left to its default."""

    def maybe(chance: float) -> bool:
        return bool(rng.uniform() < chance)

    options: dict[str, Any] = {"max_length": int(rng.integers(1, min(24, config["max_position_embeddings"])))}
    if maybe(0.9):
        options["num_beams"] = int(rng.integers(1, 9))
    if maybe(0.7):
        options["min_length"] = int(rng.integers(0, 9))
    if maybe(0.7):
        options["length_penalty"] = float(np.round(rng.uniform(-0.5, 2.0), 2))
    if maybe(0.6):
        options["no_repeat_ngram_size"] = int(rng.integers(1, 5))
    if maybe(0.6):
        options["encoder_no_repeat_ngram_size"] = int(rng.integers(1, 5))
    if maybe(0.3):
        options["temperature"] = float(np.round(rng.uniform(0.3, 2.0), 2))
    if maybe(0.3):
        phrases = [rng.integers(4, config["vocab_size"], size=rng.integers(1, 4)).tolist() for _ in range(5)]
        options["bad_words_ids"] = phrases
    way = rng.choice(["beam", "sample", "delayed"], p=[0.7, 0.18, 0.12])
    if way != "beam":
        options |= {"top_k": int(rng.integers(1, 12))} if maybe(0.5) else {"top_p": float(rng.uniform(0.1, 0.99))}
        options |= {"do_sample": True} if way == "sample" else {"beam_delay": int(rng.integers(1, 6))}
    return options


def parlai_search_case(name: str, rng: np.random.Generator, calls: int) -> Case:
    """One agent and some calls to it."""
    config = draw_search_config(rng, one_sided=True)
    weights = draw_search_weights(rng, config, "float32", final_bias=False)
    case = Case(name, config, "float32", weights, {}, [])
    for number in range(calls):
        rows = draw_contexts(rng, config, int(rng.integers(1, 5)))
        case.inputs[f"rows{number}"] = rows
        options = draw_parlai_options(rng, config)
        prefix = None
        if rng.uniform() < 0.15 and options["max_length"] > 5:
            prefix = rng.integers(4, config["vocab_size"], size=int(rng.integers(1, 4))).tolist()
            # ParlAI blocks what the caller forces, and then nothing is left to choose: see docs/generation.md.
            for blocked in ("no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids"):
                options.pop(blocked, None)
        seed = int(rng.integers(2**31))
        case.calls.append({"rows": f"rows{number}", "options": options, "prefix": prefix, "seed": seed})
    return case
