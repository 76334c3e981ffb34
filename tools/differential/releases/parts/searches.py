"""Random searches of tiny models under which replies vary and end: every search, every option, every dialect."""

from __future__ import annotations

# ruff: noqa: B023  (what `attempt` is given it calls at once)
from typing import Any

import numpy as np

from ..book import Book
from ..frozen import searches as drawn
from ..frozen.models import from_folder
from . import Place

MODELS, CALLS = 40, 12


def favouring(token: int) -> Any:
    """A caller's filter that likes one token."""

    def favour(ids: Any, scores: Any) -> Any:
        changed = scores.copy()
        changed[:, token] += 1.5
        return changed

    return favour


def stopping_at(token: int) -> Any:
    """A caller's criterion: a row ends where one token has come."""
    return lambda ids, scores: (ids[:, 1:] == token).any(axis=1)


def transformers_call(rng: np.random.Generator, config: dict[str, Any]) -> dict[str, Any]:
    """The arguments of one call in transformers' way, in any of its searches."""
    way = str(rng.choice(drawn.WAYS, p=[0.17, 0.2, 0.23, 0.1, 0.1, 0.08, 0.06, 0.06]))
    options = drawn.draw_transformers_options(rng, config, way)
    rows = drawn.draw_contexts(rng, config, 1 if way == "lookup" else int(rng.integers(1, 4)), special=False)
    given = {**drawn.draw_arguments(rng, config, rows, options, way), **options}
    if way in ("sample", "beam sample"):
        given["seed"] = int(rng.integers(2**31))
    if way in ("greedy", "sample", "beam", "beam sample"):
        if rng.uniform() < 0.1:
            size, few = config["vocab_size"], int(rng.integers(2, 5))
            given["prefix_allowed_tokens_fn"] = lambda row, ids: [
                2,
                *((int(ids[-1]) * 7 + row + n) % size for n in range(few)),
            ]
        if rng.uniform() < 0.1:
            given["stopping_criteria"] = [stopping_at(int(rng.integers(3, config["vocab_size"])))]
        if rng.uniform() < 0.1:
            given["logits_processor"] = [favouring(int(rng.integers(3, config["vocab_size"])))]
    return given


def parlai_call(rng: np.random.Generator, config: dict[str, Any]) -> dict[str, Any]:
    """The arguments of one call in ParlAI's way."""
    rows = drawn.draw_contexts(rng, config, int(rng.integers(1, 5)))
    given = {"input_ids": rows, **drawn.draw_parlai_options(rng, config)}
    if given.get("do_sample") or "beam_delay" in given:
        given["seed"] = int(rng.integers(2**31))
    if rng.uniform() < 0.5:
        given |= {"return_dict_in_generate": True}
        for name in ("output_scores", "output_logits", "output_attentions", "output_hidden_states"):
            if rng.uniform() < 0.4:
                given[name] = True
    if rng.uniform() < 0.15 and given["max_length"] > 5:
        size = (len(rows), int(rng.integers(1, 4)))
        given["decoder_input_ids"] = np.insert(rng.integers(4, config["vocab_size"], size), 0, drawn.START, axis=1)
    return given


def plain(given: dict[str, Any]) -> dict[str, Any]:
    """Arguments as the book can hold them: functions by their names."""
    return {name: "a function" if "function" in repr(value) else value for name, value in given.items()}


def record(book: Book, place: Place) -> None:
    """Calls, and streams of the same where a search can be streamed."""
    from npblender import GenerationConfig

    for number in range(MODELS):
        for dialect in ("parlai", "transformers-4", "transformers-5"):
            rng = np.random.default_rng([31, number])
            config = drawn.draw_search_config(rng, one_sided=False)
            dtype = ("float64", "float32")[number % 2]
            weights = drawn.draw_search_weights(rng, config, dtype, final_bias=number % 3 > 0)
            model = from_folder(config, weights, dialect, "seq2seq", dtype)
            if number % 5 == 0:
                own: dict[str, Any] = {"length_penalty": 0.65, "min_length": 4, "max_length": 17, "num_beams": 3}
                own |= {name: config[name] for name in ("pad_token_id", "eos_token_id", "decoder_start_token_id")}
                model.generation_config = GenerationConfig(**own, top_k=5)
            for at in range(CALLS):
                rng = np.random.default_rng([32, number, at])
                given = (parlai_call if dialect == "parlai" else transformers_call)(rng, config)
                name = f"{dialect}/{number}/{at}"
                book.put(f"{name}/given", plain(given), samples=False)
                book.attempt(f"{name}/generate", lambda: model.generate(**given))
                if at % 3 == 0:
                    streamed = {key: value for key, value in given.items() if not key.startswith(("output", "return"))}
                    book.attempt(f"{name}/stream", lambda: list(model.stream(**streamed)), samples=False)
