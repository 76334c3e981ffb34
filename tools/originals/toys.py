"""Small functions that a caller may give to `generate`, described by data, so that both sides get the same ones.

They work on torch tensors and on NumPy arrays alike. This module needs neither.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def allowed_tokens(vocabulary: int, modulus: int) -> Callable[[int, Any], list[int]]:
    """A `prefix_allowed_tokens_fn` that leaves out every `modulus`-th token, others in every row and step.

    >>> allowed_tokens(5, 2)(0, [1])
    [0, 2, 4]
    """

    def allowed(source: int, ids: Any) -> list[int]:
        shift = source + len(ids)
        return [token for token in range(vocabulary) if (token + shift) % modulus]

    return allowed


def stop_after(token: int) -> Callable[..., Any]:
    """A stopping criterion: a row ends with this token."""
    return lambda ids, scores, **_: ids[:, -1] == token


def favour(token: int, bonus: float) -> Callable[[Any, Any], Any]:
    """A logits processor: this token scores more wherever the row's last id is even."""

    def process(ids: Any, scores: Any) -> Any:
        # transformers fetches the signature of __call__, which a function has as well
        changed = scores + 0
        changed[:, token] += bonus * (ids[:, -1] % 2 == 0)
        return changed

    return process
