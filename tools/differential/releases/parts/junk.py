"""Seeded junk for any argument of any public call: an error with its message, or a result."""

from __future__ import annotations

# ruff: noqa: B023  (what `attempt` is given it calls at once)
from collections.abc import Callable
from typing import Any

import numpy as np

from ..book import Book
from ..frozen.bad_calls import BASE, CAUSAL, IDS, MODEL, OUT, PAST, STATES, TARGET, D
from ..frozen.bad_values import Stubborn
from ..places import find
from . import Place

CALLS = 6000
SWITCHES = ("use_cache", "output_attentions", "output_hidden_states", "return_dict", "training")
GOOD: dict[str, list[Any]] = {
    "input_ids": [IDS, np.array(IDS), np.array(IDS, np.uint8)],
    "attention_mask": [np.ones((2, 3)), [[1, 0, 0], [0, 0, 0]], np.ones((2, 3), bool)],
    "decoder_input_ids": [TARGET, np.array(TARGET)],
    "decoder_attention_mask": [np.ones((2, 2)), np.zeros((2, 2), int)],
    "encoder_attention_mask": [np.ones((2, 3))],
    "head_mask": [np.ones((2, 5)), np.ones((2, 3)), np.zeros((2, 5))],
    "decoder_head_mask": [np.ones((2, 3), int)],
    "cross_attn_head_mask": [np.ones((2, 3))],
    "encoder_outputs": [STATES, (STATES,), {"last_hidden_state": STATES}],
    "encoder_hidden_states": [STATES, STATES.astype(np.float32)],
    "past_key_values": [PAST, tuple(tuple(layer) for layer in PAST), tuple(tuple(layer)[:2] for layer in PAST)],
    "inputs_embeds": [STATES, np.ones((2, 3, D), np.float16)],
    "decoder_inputs_embeds": [np.ones((2, 2, D))],
    "position_ids": [[0, 1, 2], [[8, 8, 8]]],
    "decoder_position_ids": [[0, 0]],
    "labels": [TARGET, [[-100, -100], [-100, -100]], [[3], [4]]],
    "cache_position": [[0, 1], np.arange(2, 4)],
    "logits_to_keep": [0, 1, [0]],
    "generator": [0, 5],
    "tap": [lambda name, array: None],
    "batch_size": [2, np.int32(2)],
    "max_length": [2, 9],
    **{name: [True, False, None] for name in SWITCHES},
}
DTYPES = ("i8", "u1", "f4", "f8", "f2", "g", "?", "c16", "O", "U2", "M8[D]", ">i4", ">f8")
SIZES = (0, 1, 2, 2, 3, 3, 5, D)
FILLS = (0, 1, 2, 5, -1, np.nan, np.inf, 1e30, 1e300)
SCALARS: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        -3,
        0,
        1,
        12,
        2**63,
        2**70,
        0.0,
        0.5,
        -1.5,
        float("nan"),
        float("inf"),
        1 + 2j,
        "",
        "ab",
        b"x",
    ),
    *(np.int64(3), np.float32(np.nan), np.bool_(True), np.array(3), Stubborn(), OUT, IDS, {}, {"x": 1}, [], (), [[]]),
    *({"last_hidden_state": STATES}, {"input_ids": IDS}, [[None]], [1, [2]], (1, 2), {1: 2}, range(3), {5}),
)


def some_array(rng: np.random.Generator) -> Any:
    """Any dtype and small shape, filled with one value or with small whole numbers."""
    shape = tuple(int(size) for size in rng.choice(SIZES, int(rng.integers(0, 5))))
    values = np.arange(int(np.prod(shape))).reshape(shape) % 7
    if rng.random() < 0.5:
        values = np.full(shape, FILLS[int(rng.integers(len(FILLS)))])
    with np.errstate(all="ignore"):
        try:
            return values.astype(DTYPES[int(rng.integers(len(DTYPES)))])
        except (ValueError, TypeError):
            return values


def some_value(rng: np.random.Generator, depth: int = 0) -> Any:
    """Junk: a scalar, an array, or a list or tuple of junk."""
    kind = rng.random()
    if kind < 0.4 or depth > 2:
        return SCALARS[int(rng.integers(len(SCALARS)))]
    if kind < 0.75:
        return some_array(rng)
    inner = [some_value(rng, depth + 1) for _ in range(int(rng.integers(0, 4)))]
    return tuple(inner) if rng.random() < 0.5 else inner


def record(book: Book, place: Place) -> None:
    """Good calls in which a few arguments are replaced by junk, or by what is good elsewhere."""
    methods: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "seq2seq": (MODEL.forward, {"input_ids": IDS, "decoder_input_ids": TARGET}),
        "base": (BASE.forward, {"input_ids": IDS, "decoder_input_ids": TARGET}),
        "causal": (CAUSAL.forward, {"input_ids": TARGET}),
        "encoder": (MODEL.get_encoder().forward, {"input_ids": IDS}),
        "decoder": (MODEL.get_decoder().forward, {"input_ids": TARGET}),
        "decode": (MODEL.decode, {"decoder_input_ids": TARGET, "encoder_outputs": STATES}),
        "init_cache": (MODEL.init_cache, {"batch_size": 2, "max_length": 3, "encoder_outputs": STATES}),
        "generate": (MODEL.generate, {"inputs": IDS, "max_length": 5}),
    }
    names = {name: list(find("argument_names")(method)) for name, (method, _) in methods.items() if name != "generate"}
    names["generate"] = [
        *GOOD,
        "num_beams",
        "min_length",
        "top_k",
        "bad_words_ids",
        "eos_token_id",
        "seed",
        "do_sample",
    ]
    for name, each in names.items():
        book.put(f"{name}/arguments", sorted(each))
        names[name] = sorted(each)
    for number in range(CALLS):
        rng = np.random.default_rng([61, number])
        name = sorted(methods)[int(rng.integers(len(methods)))]
        method, start = methods[name]
        given = dict(start)
        for argument in rng.choice(names[name], int(rng.integers(1, 4)), replace=False):
            good = GOOD.get(str(argument), [None])
            junk = rng.random() < 0.45
            given[str(argument)] = some_value(rng) if junk else good[int(rng.integers(len(good)))]
        book.put(f"{number} {name}/given", sorted(given))
        book.attempt(f"{number} {name}", lambda: method(**given), samples=False)
