"""Solutions of the exercises: one way to write each of the eight functions. Try yourself before you read on.

npblender exercises check docs/solutions/solutions.py
"""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np


def merge_word(word: str, ranks: dict[tuple[str, str], int]) -> list[str]:
    """The pair with the lowest rank is merged wherever it stands, then again."""
    symbols = [*word[:-1], word[-1] + "</w>"]
    while pairs := [pair for pair in pairwise(symbols) if pair in ranks]:
        best, merged, at = min(pairs, key=ranks.__getitem__), [], 0
        while at < len(symbols):
            both = tuple(symbols[at : at + 2]) == best
            merged.append("".join(best) if both else symbols[at])
            at += 2 if both else 1
        symbols = merged
    return symbols


def softmax(x: np.ndarray) -> np.ndarray:
    """The row's largest number is taken off first: it cancels in the quotient, and exp never overflows."""
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Each token by its own mean and variance."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)  # divided by D, not by D - 1
    return centred / np.sqrt(variance + 1e-5) * weight + bias


def gelu(x: np.ndarray) -> np.ndarray:
    """The distribution function of the standard normal distribution is (1 + erf(x / sqrt(2))) / 2."""
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def split_heads(x: np.ndarray, heads: int) -> np.ndarray:
    """[T, D] -> [T, H, K], which cuts each row in pieces; then [H, T, K]."""
    return x.reshape(len(x), heads, -1).transpose(1, 0, 2)


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """exp(-1e20) is exactly 0, and a row always has a key that it may look at."""
    scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])  # [H, T, K] @ [H, K, L] -> [H, T, L]
    return softmax(np.where(mask, scores, -1e20)) @ v  # [H, T, L] @ [H, L, K] -> [H, T, K]


def greedy_reply(next_logits: Callable[[list[int]], np.ndarray], start: int, end: int, limit: int) -> list[int]:
    """argmax takes the first of equal numbers."""
    ids = [start]
    while ids[-1] != end and len(ids) < limit:
        ids.append(int(next_logits(ids).argmax()))
    return ids


def beam_step(log_probs: np.ndarray, sums: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All W * V continuations in one row, sorted; a stable sort leaves equals in the order of beam and token."""
    totals = sums[:, None] + log_probs  # [W, V]
    best = np.argsort(-totals, axis=None, kind="stable")[:width]
    beams, tokens = np.divmod(best, log_probs.shape[1])  # place n of the row is beam n // V, token n % V
    return beams, tokens, totals[beams, tokens]
