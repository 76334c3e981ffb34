"""Seeded random searches in transformers' way: models, sources, prompts and options, in all eight kinds of search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from reference_tests.support.random_searches import (
    END,
    PAD,
    START,
    draw_contexts,
    draw_search_config,
    draw_search_weights,
)
from tools.originals.exchange import Case

WAYS = ("greedy", "sample", "beam", "beam sample", "group beam", "constrained beam", "contrastive", "lookup")
"""The searches of transformers; those from "group beam" to "contrastive" exist in 4.52.4 only."""
ONLY_IN_4 = ("group beam", "constrained beam", "contrastive")


class Options:
    """Options in the making: each is drawn with a chance."""

    def __init__(self, rng: np.random.Generator, config: dict[str, Any]) -> None:
        self.rng, self.config = rng, config
        self.drawn: dict[str, Any] = {}

    def chance(self, share: float) -> bool:
        return bool(self.rng.uniform() < share)

    def token(self) -> int:
        return int(self.rng.integers(3, self.config["vocab_size"]))

    def tokens(self, low: int, high: int) -> list[int]:
        return [self.token() for _ in range(int(self.rng.integers(low, high)))]

    def number(self, low: float, high: float) -> float:
        return float(np.round(self.rng.uniform(low, high), 3))

    def count(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high))

    def maybe(self, share: float, name: str, value: Any) -> None:
        """Set an option to `value()` with a chance."""
        if self.chance(share):
            self.drawn[name] = value()


def draw_transformers_options(rng: np.random.Generator, config: dict[str, Any], way: str) -> dict[str, Any]:
    """Options of a search in transformers' way, in combinations that both versions take."""
    o = Options(rng, config)
    _draw_lengths(o)
    o.maybe(0.15, "repetition_penalty", lambda: o.number(0.7, 1.8))
    o.maybe(0.12, "encoder_repetition_penalty", lambda: o.number(0.7, 1.8))
    o.maybe(0.3, "no_repeat_ngram_size", lambda: o.count(1, 5))
    o.maybe(0.3, "encoder_no_repeat_ngram_size", lambda: o.count(1, 4))
    o.maybe(0.15, "bad_words_ids", lambda: [o.tokens(1, 4) for _ in range(5)] + [[END]] * o.chance(0.3))
    o.maybe(0.12, "sequence_bias", lambda: [[o.tokens(1, 4), o.number(-4, 4)] for _ in range(4)])
    o.maybe(0.1, "suppress_tokens", lambda: o.tokens(1, 5))
    o.maybe(0.1, "begin_suppress_tokens", lambda: o.tokens(1, 5))
    o.maybe(0.08, "forced_bos_token_id", o.token)
    o.maybe(0.15, "forced_eos_token_id", lambda: [END, o.token()] if way == "greedy" and o.chance(0.3) else END)
    if o.chance(0.1):
        o.drawn["exponential_decay_length_penalty"] = (o.count(12, 18), o.number(1.01, 1.5))
        for name in ("no_repeat_ngram_size", "encoder_no_repeat_ngram_size"):
            o.drawn.pop(name, None)  # 4.52.4 makes NaN of an eos that is blocked
    forced = o.drawn.get("forced_bos_token_id")
    if forced in o.drawn.get("suppress_tokens", ()):
        del o.drawn["suppress_tokens"]  # refused by 5.23, and nothing would be left
    o.maybe(0.1, "renormalize_logits", lambda: True)
    o.maybe(0.05, "remove_invalid_values", lambda: True)
    if o.chance(0.15):
        o.drawn["eos_token_id"] = [END, o.token()]
    if way in ("sample", "beam sample"):
        _draw_shapes(o)
    if "beam" in way:
        _draw_beams(o, way)
    elif way == "sample":
        o.maybe(0.4, "num_return_sequences", lambda: o.count(1, 4))
    elif way == "contrastive":
        o.drawn.pop("forced_bos_token_id", None)  # with one token possible, the others of the k are any
        o.drawn.pop("forced_eos_token_id", None)
        o.drawn |= {"penalty_alpha": o.number(0.1, 0.9), "top_k": o.count(2, 7)}
    elif way == "lookup":
        o.drawn |= {"prompt_lookup_num_tokens": o.count(1, 6)}
        o.maybe(0.6, "max_matching_ngram_size", lambda: o.count(1, 4))
    if way == "constrained beam" and o.drawn.get("num_return_sequences", 1) > 1:
        o.drawn["output_scores"] = False  # 4.52.4 has no origins of hypotheses that lack a word, and crashes on them
    o.maybe(0.1, "use_cache", lambda: way in ("contrastive", "lookup"))
    if o.chance(0.7):
        o.drawn["return_dict_in_generate"] = True
        if "output_scores" not in o.drawn:
            o.maybe(0.7, "output_scores", lambda: True)
        if way != "lookup":
            o.maybe(0.3, "output_logits", lambda: True)
            o.maybe(0.2, "output_attentions", lambda: True)
            o.maybe(0.2, "output_hidden_states", lambda: True)
    return o.drawn


def _draw_lengths(o: Options) -> None:
    kind = o.rng.choice(["max_length", "max_new_tokens", "both", "neither"], p=[0.5, 0.3, 0.1, 0.1])
    if kind in ("max_length", "both"):
        o.drawn["max_length"] = o.count(6, o.config["max_position_embeddings"] - 1)
    if kind in ("max_new_tokens", "both"):
        o.drawn["max_new_tokens"] = o.count(1, 16)
    o.maybe(0.3, "min_length", lambda: o.count(0, 12))
    o.maybe(0.15, "min_new_tokens", lambda: o.count(0, 10))


def _draw_shapes(o: Options) -> None:
    o.drawn["do_sample"] = True
    o.maybe(0.5, "temperature", lambda: o.number(0.3, 2.0))
    o.maybe(0.5, "top_k", lambda: o.count(0, 30))
    o.maybe(0.35, "top_p", lambda: o.number(0.3, 1.0))
    o.maybe(0.2, "min_p", lambda: o.number(0.0, 0.3))
    o.maybe(0.2, "typical_p", lambda: o.number(0.3, 0.99))
    o.maybe(0.2, "epsilon_cutoff", lambda: o.number(0.001, 0.1))
    o.maybe(0.2, "eta_cutoff", lambda: o.number(0.001, 0.1))


def _draw_beams(o: Options, way: str) -> None:
    beams = o.count(2, 6)
    if way == "group beam":
        groups = o.count(2, 4)
        beams = groups * o.count(1, 3)
        o.drawn |= {"num_beam_groups": groups, "diversity_penalty": o.number(0.1, 2.0)}
    if way == "constrained beam":
        words: list[Any] = [o.tokens(1, 4)]
        if o.chance(0.4):
            words.append([[token, *o.tokens(0, 2)] for token in {o.token() for _ in range(3)}])
        o.drawn["force_words_ids"] = words
        o.drawn.pop("forced_eos_token_id", None)  # where words are missing then, all that is left is impossible
    o.drawn["num_beams"] = beams
    o.maybe(0.6, "length_penalty", lambda: o.number(-1.0, 2.0))
    o.maybe(0.6, "early_stopping", lambda: [True, False, "never"][o.count(0, 3)])
    o.maybe(0.5, "num_return_sequences", lambda: o.count(1, beams + 1))


def transformers_search_case(
    name: str, rng: np.random.Generator, calls: int, sizes: Mapping[str, Any] | None = None
) -> Case:
    """One model and some calls to its `generate`; its sizes are drawn where `sizes` does not give them."""
    config = draw_search_config(rng, one_sided=False) | dict(sizes or {})
    case = Case(name, config, "float64", draw_search_weights(rng, config, "float64", final_bias=True), {}, [])
    special = {f"{which}_token_id": config[f"{which}_token_id"] for which in ("pad", "bos", "eos", "decoder_start")}
    for number in range(calls):
        way = str(rng.choice(WAYS, p=[0.17, 0.2, 0.28, 0.1, 0.08, 0.06, 0.06, 0.05]))
        options = draw_transformers_options(rng, config, way)
        batch = 1 if way == "lookup" else int(rng.integers(1, 4))
        rows = draw_contexts(rng, config, batch, special=False)
        arguments = _draw_arguments(case, rng, rows, options, way)
        toys: dict[str, Any] = {}
        if way in ("greedy", "sample", "beam", "beam sample"):
            if rng.uniform() < 0.08 and "exponential_decay_length_penalty" not in options:
                toys["allowed"] = int(rng.integers(2, 5))
            if rng.uniform() < 0.1:
                toys["stop"] = int(rng.integers(3, config["vocab_size"]))
            if rng.uniform() < 0.1:
                toys["favour"] = int(rng.integers(3, config["vocab_size"]))
        own = dict(special)
        if rng.uniform() < 0.2:
            own |= {"length_penalty": 0.65, "min_length": 4, "max_length": int(rng.choice([17, 20]))}
        case.calls.append(
            {
                "way": way,
                "arguments": {key: _store(case, f"{key}{number}", value) for key, value in arguments.items()},
                "options": options,
                "own": own,
                "toys": toys,
                "seed": int(rng.integers(2**31)),
                # Group beams of 4.52.4 crash in float64.
                "dtype": "float32" if way == "group beam" else "float64",
                "originals": ["transformers-4"] if way in ONLY_IN_4 else ["transformers-4", "transformers-5"],
            }
        )
    return case


def _store(case: Case, name: str, value: np.ndarray) -> str:
    case.inputs[name] = value
    return name


def _draw_arguments(
    case: Case, rng: np.random.Generator, rows: np.ndarray, options: dict[str, Any], way: str
) -> dict[str, np.ndarray]:
    """The source as ids, as embeddings or encoded; with a mask or without; a prompt here and there."""
    arguments: dict[str, np.ndarray] = {}
    form = rng.choice(["ids", "embeddings", "encoded"], p=[0.8, 0.1, 0.1]) if way != "lookup" else "ids"
    if form == "ids":
        arguments["input_ids"] = rows
    else:
        arguments["inputs_embeds" if form == "embeddings" else "encoder_outputs"] = rng.standard_normal(
            (*rows.shape, case.config["d_model"])
        )
        for name in ("encoder_repetition_penalty", "encoder_no_repeat_ngram_size"):
            options.pop(name, None)
    if rng.uniform() < 0.6:
        arguments["attention_mask"] = (rows != PAD).astype(np.int64)
    if rng.uniform() < 0.25:
        prompt = rng.integers(3, case.config["vocab_size"], size=(len(rows), int(rng.integers(1, 4))))
        if rng.uniform() < 0.5:
            prompt[:, 0] = START
        arguments["decoder_input_ids"] = prompt
    return arguments
