"""Tiny models whose replies vary and end, and slow ways to find the replies that a search ought to find.

The slow ways run the public forward pass over whole targets, without a cache, row by row, and compare every sequence
there is. This module asserts nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from npblender import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration
from npblender.transformer.parameters import from_arrays
from reference_tests.support.random_searches import draw_contexts, draw_search_config, draw_search_weights

PAD, START, END = 0, 1, 2


def lively_model(seed: int, dialect: str = "transformers-5", dtype: str = "float64", **fixed: Any) -> Any:
    """A tiny model under which searches differ from one another; no setting but the special ids."""
    rng = np.random.default_rng([7, seed])
    sizes = draw_search_config(rng, one_sided=False) | fixed
    sizes["forced_eos_token_id"] = None
    config = BlenderbotSmallConfig.from_dict(sizes)
    arrays = draw_search_weights(rng, sizes, dtype, final_bias=True)
    weights = from_arrays(config, {name.removeprefix("model."): value for name, value in arrays.items()})
    return BlenderbotSmallForConditionalGeneration(config, weights, dialect=dialect)


def contexts(seed: int, model: Any, batch: int) -> np.ndarray:
    """Ragged sources [B, S], padded on the right."""
    rng = np.random.default_rng([8, seed])
    return draw_contexts(rng, {"vocab_size": model.config.vocab_size}, batch, special=False)


def log_probabilities(model: Any, source: Sequence[int], targets: Any, **arguments: Any) -> np.ndarray:
    """Of every next token after each of the targets [N, T], by whole forward passes in float64: [N, T, V]."""
    targets = np.asarray(targets)
    ids = np.tile(np.asarray(source), (len(targets), 1))
    logits = model(ids, decoder_input_ids=targets, use_cache=False, **arguments).logits.astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def sum_of(model: Any, source: Sequence[int], target: Sequence[int]) -> float:
    """The log-probability of a target's tokens after its first."""
    log_probs = log_probabilities(model, source, [list(target)])[0]
    return float(sum(log_probs[n, token] for n, token in enumerate(target[1:])))


def every_reply(vocabulary: int, longest: int) -> Iterator[tuple[int, ...]]:
    """Every target up to `longest` generated tokens: all that end in eos, and the unfinished ones of full length."""
    others = [token for token in range(vocabulary) if token != END]
    for length in range(longest):
        for middle in itertools.product(others, repeat=length):
            yield (START, *middle, END)
    for middle in itertools.product(others, repeat=longest):
        yield (START, *middle)


def greedy_by_hand(model: Any, source: Sequence[int], longest: int, shortest: int = 0) -> tuple[int, ...]:
    """The most probable token each time, until eos or `longest` tokens; no eos in a target below `shortest`."""
    target = [START]
    while len(target) < longest:
        scores = log_probabilities(model, source, [target])[0, -1].astype(np.float32)
        if len(target) < shortest:
            scores[END] = -np.inf
        target.append(int(scores.argmax()))
        if target[-1] == END:
            break
    return tuple(target)


def stripped(row: Any, fill: int = PAD) -> tuple[int, ...]:
    """A returned row without what fills it up behind its eos."""
    ids = [int(token) for token in row]
    return tuple(ids[: ids.index(END, 1) + 1]) if END in ids[1:] else tuple(ids)
