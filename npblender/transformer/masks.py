"""Boolean masks of attention, True = may attend.

Masks stay boolean until a score is replaced, so nothing is added to a score and no mask depends on a dtype. `hide`
decides what becomes of a row that may attend to nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Mask


def causal_mask(new: int, keys: int) -> Mask:
    """The causal mask [T, L], counted from the lower right corner.

    Token i of the `new` = T last ones attends to keys 0 .. L - T + i.

    >>> causal_mask(2, 4).astype(int)
    array([[1, 1, 1, 0],
           [1, 1, 1, 1]])
    """
    if new > keys:
        raise ValueError(f"{new} new tokens cannot attend among {keys} keys: the new ones are part of the keys")
    return np.tri(new, keys, keys - new, dtype=np.bool_)


def key_mask(attention_mask: Mask | None) -> Mask | None:
    """A padding mask as attention takes it: [B, L] -> [B, 1, 1, L], or None where it hides nothing.

    >>> key_mask(np.array([[True, False]])), key_mask(np.array([[True, True]]))
    (array([[[[ True, False]]]]), None)
    """
    if attention_mask is None or attention_mask.all():
        return None
    return attention_mask[:, None, None, :]


def self_attention_mask(new: int, keys: int, attention_mask: Mask | None) -> Mask | None:
    """The decoder's mask for T new tokens over L keys: causal, without keys that `attention_mask` [B, L] hides.

    It is [B, 1, T, L], [1, 1, T, L] or [B, 1, 1, L]; None where everything is allowed, as for one token at a time.

    >>> self_attention_mask(2, 3, np.array([[False, True, True]])).astype(int)[0, 0]
    array([[0, 1, 0],
           [0, 1, 1]])
    """
    padding = key_mask(attention_mask)  # [B, 1, 1, L]
    if new == 1:
        return padding
    causal = causal_mask(new, keys)[None, None]  # [1, 1, T, L]
    return causal if padding is None else causal & padding  # [B, 1, T, L]


def hide(scores: NDArray[Any], mask: Mask | None, masked_score: float | None) -> NDArray[Any]:
    """Scores [B, H, T, L] with the hidden ones replaced by `masked_score`; None stands for the dtype's minimum.

    Both are so negative that a hidden key's weight is exactly 0 beside any key that is not hidden. A row in which
    every key is hidden has equal scores, so its weights are uniform, 1/L each, future keys included: that is what
    ParlAI and both transformers compute (eager attention), and what this package defines as the value.

    >>> hide(np.array([[[[1.0, 2.0]]]]), np.array([True, False])[None, None, None], -1e20)
    array([[[[ 1.e+00, -1.e+20]]]])
    """
    if mask is None:
        return scores
    replacement = np.finfo(scores.dtype).min if masked_score is None else scores.dtype.type(masked_score)
    return np.where(mask, scores, replacement)
