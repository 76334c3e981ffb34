"""Exercises: eight functions of BlenderbotSmall, without their bodies. Write them, and check them with

    npblender exercises check FILE

docs/exercises.md has the ten tasks, with what to read first. Arrays are NumPy's, of float64. Change no argument in
place. Letters: T tokens, L keys, D numbers a token, H heads, K = D / H, V vocabulary, W beams.
"""

import math  # noqa: F401  (math.erf is useful for one of them)
from collections.abc import Callable

import numpy as np


def merge_word(word: str, ranks: dict[tuple[str, str], int]) -> list[str]:
    """Byte-pair encoding of one word: its symbols when no pair can be merged any more.

    Begin with the letters; the last one carries `</w>`. In each round take the pair of neighbours with the lowest rank,
    and merge it wherever it stands, from left to right.

    With the ranks {("l", "o"): 0, ("lo", "w"): 1, ("e", "r</w>"): 2}, "lower" is ["low", "er</w>"].
    """
    raise NotImplementedError


def softmax(x: np.ndarray) -> np.ndarray:
    """exp(x) divided by its sum, over the last axis: [..., L] -> [..., L]. Numbers of 1000 must not overflow.

    [0, log 3] gives [0.25, 0.75].
    """
    raise NotImplementedError


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(x - mean) / sqrt(variance + 1e-5) * weight + bias, over the last axis: [T, D] -> [T, D].

    The variance is the mean of the squared distances from the mean. [1, 3] with weight 1 and bias 0 is about [-1, 1].
    """
    raise NotImplementedError


def gelu(x: np.ndarray) -> np.ndarray:
    """x times the probability that a standard normal number is below x: any shape. `math.erf` helps.

    gelu(1) is 0.841345.
    """
    raise NotImplementedError


def split_heads(x: np.ndarray, heads: int) -> np.ndarray:
    """Cut the last axis into heads: [T, D] -> [H, T, K]. Head h gets columns h * K to (h + 1) * K.

    [[0, 1, 2, 3]] with two heads gives [[[0, 1]], [[2, 3]]].
    """
    raise NotImplementedError


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Queries [H, T, K] over keys and values [H, L, K]: softmax(q k^T / sqrt(K)) v -> [H, T, K].

    The mask [T, L] is True where a query may look at a key. A hidden key gets a weight of exactly 0.
    """
    raise NotImplementedError


def greedy_reply(next_logits: Callable[[list[int]], np.ndarray], start: int, end: int, limit: int) -> list[int]:
    """The ids of a greedy reply, start and end included; at most `limit` ids.

    `next_logits(ids)` gives the logits [V] of what follows all these ids. Among equal logits the lowest id wins.
    """
    raise NotImplementedError


def beam_step(log_probs: np.ndarray, sums: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best `width` continuations of all beams together, best first: which beam, which token, and the new sum.

    log_probs [W, V] are those of every next token behind every beam, sums [W] those of the beams so far. Returns three
    arrays [width]. Among equals the earlier beam comes first, then the lower token.
    """
    raise NotImplementedError
