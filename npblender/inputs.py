"""The border of the forward pass: what a caller gives becomes checked arrays, or an error that says what would do.

Everything inside relies on it, so each rule stands here once: ids are whole numbers of the vocabulary, masks are 0
and 1, shapes agree, and nothing runs past the learned positions. It computes nothing of the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.cache import Cache
from npblender.masks import Mask
from npblender.outputs import ModelOutput

Array = NDArray[Any]
Ids = NDArray[np.int64]

IGNORED_LABEL = -100
"""Labels of this value do not count in a loss (torch's and transformers' convention)."""


def as_array(name: str, value: Any) -> Array:
    """The value as an array; lists of rows of unequal length are refused here, before NumPy says something obscure."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"{name} has rows of unequal length; pad them to one length and pass an attention mask, "
            "as tokenizer(texts, padding=True, return_tensors='np') does"
        ) from error
    if array.dtype == object:
        raise TypeError(f"{name} must hold numbers, not {type(value).__name__} of {type(array.flat[0]).__name__}")
    return array


def check_ids(name: str, value: Any, vocab_size: int, *, ignored: int | None = None) -> Ids:
    """Token ids [B, S] as int64: two axes, neither empty, whole numbers from 0 to V - 1 (or `ignored`).

    >>> check_ids("input_ids", [[3, 1]], 4)
    array([[3, 1]])
    >>> check_ids("input_ids", [[3, 9]], 4)
    Traceback (most recent call last):
    ValueError: input_ids hold 9 at [0, 1], outside the vocabulary of 4: ids run from 0 to 3
    """
    array = as_array(name, value)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name} must be whole numbers, not {array.dtype}; convert with .astype(np.int64) if they are")
    if array.ndim != 2:
        hint = f"; one row is [{name}]" if array.ndim == 1 else ""
        raise ValueError(f"{name} must be [batch, length], not of shape {array.shape}{hint}")
    if array.size == 0:
        raise ValueError(f"{name} is empty, of shape {array.shape}: at least one row of at least one id is needed")
    wrong = (array < 0) | (array >= vocab_size)
    if ignored is not None:
        wrong &= array != ignored
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        also = "" if ignored is None else f", and {ignored} is ignored"
        raise ValueError(
            f"{name} hold {array[row, column]} at [{row}, {column}], outside the vocabulary of {vocab_size}: "
            f"ids run from 0 to {vocab_size - 1}{also}"
        )
    return array.astype(np.int64, copy=False)


def check_length(name: str, length: int, positions: int, past: int = 0) -> None:
    """That the last token still has a learned position."""
    if past + length > positions:
        before = f" after {past} cached ones" if past else ""
        raise ValueError(
            f"{name} has {length} tokens{before}, but the model has {positions} positions; shorten the text"
        )


def check_mask(name: str, value: Any, shape: tuple[int, int]) -> Mask:
    """A mask [B, L] of 0 and 1 (any dtype) as booleans, True = may attend.

    >>> check_mask("attention_mask", [[1, 0]], (1, 2))
    array([[ True, False]])
    """
    array = as_array(name, value)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, one number a token, not {array.shape}")
    if array.dtype != np.bool_ and not np.isin(array, (0, 1)).all():
        wrong = array[~np.isin(array, (0, 1))].flat[0]
        raise ValueError(f"{name} holds {wrong}; it takes 1 for tokens that may be attended to and 0 for pads")
    return array.astype(np.bool_)


def check_embeddings(name: str, value: Any, d_model: int, dtype: np.dtype[Any]) -> Array:
    """Embeddings or states [B, S, D] in the model's dtype."""
    array = as_array(name, value)
    if not np.issubdtype(array.dtype, np.floating):
        raise TypeError(f"{name} must be floating point, not {array.dtype}")
    if array.ndim != 3 or array.shape[2] != d_model:
        raise ValueError(f"{name} must be [batch, length, {d_model}], not of shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} is empty, of shape {array.shape}: at least one row of at least one token is needed")
    return array.astype(dtype, copy=False)


def check_head_mask(name: str, value: Any, layers: int, heads: int, dtype: np.dtype[Any]) -> Array:
    """A head mask [layers, H] with values from 0 (the head is silenced) to 1 (it is not)."""
    array = as_array(name, value)
    if array.shape != (layers, heads):
        raise ValueError(f"{name} must have shape {(layers, heads)}, layers and heads, not {array.shape}")
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError(f"{name} takes values from 0, a silenced head, to 1; it holds {array.min()} to {array.max()}")
    return array.astype(dtype)


def check_positions(name: str, value: Any, shape: tuple[int, int], positions: int) -> Ids:
    """Position ids [B, S] (or [S], [1, S], the same for every row) as int64, each below the number of positions."""
    array = as_array(name, value)
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name} must be whole numbers, not {array.dtype}")
    if array.shape not in (shape, shape[1:], (1, shape[1])):
        raise ValueError(f"{name} must have shape {shape}, one position a token, not {array.shape}")
    if array.min() < 0 or array.max() >= positions:
        raise ValueError(
            f"{name} runs from {array.min()} to {array.max()}; the model has positions 0 to {positions - 1}"
        )
    return np.broadcast_to(array.astype(np.int64), shape)


def check_cache(cache: Cache, layers: int, heads: int, head_size: int, batch: int, dtype: np.dtype[Any]) -> Cache:
    """That past keys and values fit the decoder and this call's batch."""
    if len(cache) != layers:
        raise ValueError(f"past_key_values has {len(cache)} layers; the decoder has {layers}")
    for n, layer in enumerate(cache):
        for part, array in zip(("key", "value", "cross key", "cross value"), layer, strict=False):
            if array.ndim != 4 or array.shape[:2] != (batch, heads) or array.shape[3] != head_size:
                raise ValueError(
                    f"past_key_values: the {part} of layer {n} has shape {array.shape}; "
                    f"needed is [{batch}, {heads}, length, {head_size}]"
                )
            if array.dtype != dtype:
                raise TypeError(f"past_key_values: the {part} of layer {n} is {array.dtype}, the model {dtype}")
        if layer.value.shape != layer.key.shape or layer.key.shape[2] != cache.length:
            raise ValueError(
                f"past_key_values: layer {n} does not remember the {cache.length} tokens that layer 0 does"
            )
    return cache


def encoder_states_of(value: Any) -> tuple[Any, Any, Any]:
    """States, hidden states and attentions of `encoder_outputs`: a record, a mapping, a tuple, or states alone."""
    if isinstance(value, ModelOutput | Mapping):
        if "last_hidden_state" not in value:
            raise ValueError("encoder_outputs has no last_hidden_state")
        return value["last_hidden_state"], value.get("hidden_states"), value.get("attentions")
    if isinstance(value, tuple | list):
        if not value or len(value) > 3:
            raise ValueError("encoder_outputs takes (states,), (states, hidden states) or those with attentions")
        return (*value, *(None,) * (3 - len(value)))
    return value, None, None


def is_packed(first: Any) -> bool:
    """Whether a first argument holds all the arguments, as Keras allows: a dict, or a list of arrays.

    A list counts as one of arrays if it holds an array of two or more axes; nested lists of ints are ids.
    """
    if isinstance(first, list | tuple):
        return any(isinstance(item, np.ndarray) and item.ndim > 1 for item in first)
    return isinstance(first, Mapping | ModelOutput)


def unpack(packed: Any, names: Sequence[str]) -> dict[str, Any]:
    """Arguments by name, from a dict or from a list or tuple of arrays in the order of `names`.

    >>> unpack([np.zeros((1, 2)), None, np.ones((1, 3))], ["input_ids", "attention_mask", "decoder_input_ids"])
    {'input_ids': array([[0., 0.]]), 'decoder_input_ids': array([[1., 1., 1.]])}
    """
    if isinstance(packed, list | tuple):
        if len(packed) > len(names):
            raise ValueError(f"{len(packed)} arrays were given; in this order they are {', '.join(names)}")
        packed = dict(zip(names, packed, strict=False))
    return {name: value for name, value in packed.items() if value is not None}
