"""Checks of one array from a caller: the result has the right dtype and shape, or an error says what to do.

Everything inside relies on these rules: ids are whole numbers of the vocabulary, masks are 0 and 1, floats are finite,
shapes agree, and nothing runs past the learned positions. What several arguments must be together is checked in
`npblender.transformer.checks`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from npblender.common.array_types import Array, Ids, Mask


def as_array(name: str, value: Any) -> Array:
    """Converts a value to an array of booleans, whole or real numbers; refuses anything else with a clear error.

    >>> as_array("input_ids", [[1, 2], [3]])
    Traceback (most recent call last):
    ValueError: input_ids has rows of unequal length; pad them to one length and pass an attention mask, as \
tokenizer(texts, padding=True, return_tensors='np') does
    """
    # Only a subclass can be a masked array. Asking about plain arrays would import numpy.ma, 10 ms of a start.
    if type(value) is not np.ndarray and isinstance(value, np.ndarray) and isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be lost: pass {name}.filled(value), or .data")
    try:
        array = np.asarray(value)
    except Exception as error:  # an object of another library may raise anything when asked to be an array
        if isinstance(value, list | tuple):
            raise ValueError(
                f"{name} has rows of unequal length; pad them to one length and pass an attention mask, "
                "as tokenizer(texts, padding=True, return_tensors='np') does"
            ) from error
        raise TypeError(f"{name} cannot be read as an array: {error}") from error
    if array.dtype.kind in "US":
        raise TypeError(f"{name} must hold numbers, not text: a tokenizer makes ids of text")
    if array.dtype.kind == "O":
        strange = [type(item).__name__ for item in array.ravel() if not isinstance(item, int)]
        if array.size and not strange:
            raise ValueError(f"{name} holds whole numbers too large for 64 bits")
        raise TypeError(f"{name} must hold numbers, not {strange[0] if strange else 'objects'}")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold whole or real numbers, not {array.dtype}")
    return array


def check_ids(name: str, value: Any, vocab_size: int, *, ignored: int | None = None) -> Ids:
    """Returns token ids [B, S] as int64 if they have two axes, neither empty, and lie in 0 to V - 1 (or are `ignored`).

    >>> check_ids("input_ids", [[3, 1]], 4)
    array([[3, 1]])
    >>> check_ids("input_ids", [[3, 9]], 4)
    Traceback (most recent call last):
    ValueError: input_ids hold 9 at [0, 1], outside the vocabulary of 4: ids run from 0 to 3
    """
    array = as_array(name, value)
    if array.size == 0:
        raise ValueError(f"{name} is empty, of shape {array.shape}: at least one row of at least one id is needed")
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name} must be whole numbers, not {array.dtype}; convert with .astype(np.int64) if they are")
    if array.ndim != 2:
        hint = f"; one row is [{name}]" if array.ndim == 1 else ""
        raise ValueError(f"{name} must be [batch, length], not of shape {array.shape}{hint}")
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
    """Refuses a length whose last token has no learned position.

    >>> check_length("decoder_input_ids", 3, positions=4, past=2)
    Traceback (most recent call last):
    ValueError: decoder_input_ids has 3 tokens after 2 cached ones, but the model has 4 positions; shorten the text
    """
    if past + length > positions:
        before = f" after {past} cached ones" if past else ""
        raise ValueError(
            f"{name} has {length} tokens{before}, but the model has {positions} positions; shorten the text"
        )


def check_mask(name: str, value: Any, shape: tuple[int, int]) -> Mask:
    """Converts a mask [B, L] of 0 and 1 (any dtype) to booleans, True = may attend.

    >>> check_mask("attention_mask", [[1, 0]], (1, 2))
    array([[ True, False]])
    """
    array = as_array(name, value)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, one number a token, not {array.shape}")
    wrong = (array != 0) & (array != 1)  # NaN is neither
    if wrong.any():
        raise ValueError(
            f"{name} holds {array[wrong][0]}; it takes 1 for tokens that may be attended to and 0 for pads"
        )
    return array.astype(np.bool_)


def check_magnitude(name: str, array: Array, dtype: np.dtype[Any]) -> None:
    """Refuses values that are not finite, or so large that products in `dtype` would overflow.

    >>> check_magnitude("inputs_embeds", np.array([1e30]), np.dtype("float32"))
    Traceback (most recent call last):
    ValueError: inputs_embeds holds values up to 1e+30, too large to compute with: float32 takes 4.29e+09
    """
    largest = np.abs(array).max(initial=0)
    room = np.finfo(dtype).max ** dtype.type(0.25)
    if not np.isfinite(largest):
        raise ValueError(f"{name} holds {array[~np.isfinite(array)][0]}; only finite numbers can be computed with")
    if largest > room:
        raise ValueError(
            f"{name} holds values up to {largest:.3g}, too large to compute with: {dtype} takes {room:.3g}"
        )


def check_embeddings(name: str, value: Any, d_model: int, dtype: np.dtype[Any]) -> Array:
    """Converts embeddings or states [B, S, D] to the model's dtype, if they are finite floats.

    >>> check_embeddings("inputs_embeds", [[[0.5, 1.0]]], 2, np.dtype("float32"))
    array([[[0.5, 1. ]]], dtype=float32)
    """
    array = as_array(name, value)
    if array.size == 0:
        raise ValueError(f"{name} is empty, of shape {array.shape}: at least one row of at least one token is needed")
    if not np.issubdtype(array.dtype, np.floating):
        raise TypeError(f"{name} must be floating point, not {array.dtype}")
    if array.ndim != 3 or array.shape[2] != d_model:
        raise ValueError(f"{name} must be [batch, length, {d_model}], not of shape {array.shape}")
    check_magnitude(name, array, dtype)
    return array.astype(dtype, copy=False)


def check_head_mask(name: str, value: Any, layers: int, heads: int, dtype: np.dtype[Any]) -> Array:
    """Converts a head mask [layers, H], from 0 (the head is silenced) to 1 (it is not), to `dtype`.

    >>> check_head_mask("head_mask", [[1, 0]], 1, 2, np.dtype("float64"))
    array([[1., 0.]])
    """
    array = as_array(name, value)
    if array.shape != (layers, heads):
        raise ValueError(f"{name} must have shape {(layers, heads)}, layers and heads, not {array.shape}")
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError(f"{name} takes values from 0, a silenced head, to 1; it holds {array.min()} to {array.max()}")
    return array.astype(dtype)


def check_positions(name: str, value: Any, shape: tuple[int, int], positions: int) -> Ids:
    """Converts position ids [B, S] (or [S], [1, S], the same for every row) to int64, if the model has these positions.

    >>> check_positions("position_ids", [0, 1], (2, 2), positions=5)
    array([[0, 1],
           [0, 1]])
    """
    array = as_array(name, value)
    if array.shape not in (shape, shape[1:], (1, shape[1])):
        raise ValueError(f"{name} must have shape {shape}, one position a token, not {array.shape}")
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name} must be whole numbers, not {array.dtype}")
    if array.min() < 0 or array.max() >= positions:
        raise ValueError(
            f"{name} runs from {array.min()} to {array.max()}; the model has positions 0 to {positions - 1}"
        )
    return np.broadcast_to(array.astype(np.int64), shape)
