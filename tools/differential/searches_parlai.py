"""Seeded random ParlAI-style searches: agents, contexts and options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from reference_tests.support.random_searches import draw_contexts, draw_search_config, draw_search_weights
from tools.originals.exchange import Case


def draw_parlai_options(rng: np.random.Generator, config: dict[str, Any]) -> dict[str, Any]:
    """Options of a ParlAI-style search, each said or left to its default."""

    def maybe(chance: float) -> bool:
        return bool(rng.uniform() < chance)

    options: dict[str, Any] = {"max_length": int(rng.integers(1, config["max_position_embeddings"]))}
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


def parlai_search_case(name: str, rng: np.random.Generator, calls: int, sizes: Mapping[str, Any] | None = None) -> Case:
    """One agent and some calls to it; its sizes are drawn where `sizes` does not give them."""
    config = draw_search_config(rng, one_sided=True) | dict(sizes or {})
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


def full_context_case(name: str, rng: np.random.Generator, calls: int, sizes: Mapping[str, Any] | None = None) -> Case:
    """The same where ParlAI reads the end of longer contexts and blocks the n-grams of these, or of that end."""
    case = parlai_search_case(name, rng, calls, sizes)
    for number, call in enumerate(case.calls):
        full = draw_contexts(rng, case.config, int(rng.integers(1, 5)))
        kept = int(rng.integers(1, full.shape[1]))
        rows = np.zeros((len(full), kept), full.dtype)
        for row, each in zip(rows, full, strict=True):
            last = each[: np.flatnonzero(each)[-1] + 1][-kept:]
            row[: len(last)] = last
        case.inputs |= {f"rows{number}": rows, f"full{number}": full}
        call |= {"full": f"full{number}", "prefix": None}
        call["options"] |= {
            "beam_block_full_context": bool(rng.uniform() < 0.8),
            "encoder_no_repeat_ngram_size": int(rng.integers(1, 4)),
        }
    return case
