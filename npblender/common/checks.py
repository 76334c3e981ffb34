"""Checks of one value from a caller: a setting, an argument, an array. Each raises an error that says what would do.

First single values: whole numbers, switches, names that may be misspelt. What a setting means, and how
two of them depend on one another, is no matter here.

Then arrays, which come out with the right dtype and shape. Everything inside relies on these rules: ids are whole
numbers of the vocabulary, masks are 0 and 1, floats are finite, shapes agree, and nothing runs past the learned
positions. What several arguments must be together is checked in `npblender.transformer.checks`.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from npblender.common.array_types import Array, Ids, Mask
from npblender.common.printable import shown

T = TypeVar("T")


def as_plain(value: Any) -> Any:
    """Turn NumPy's numbers, booleans and arrays into Python's own, at any depth; every other value stays as it is.

    Settings are written to JSON and compared with Python's values, and `lengths.max()` or `ids[0, -1]` is what a caller
    has at hand.

    >>> as_plain([np.int64(3), np.array([0.5, 1.0]), np.True_, "never"])
    [3, [0.5, 1.0], True, 'never']
    """
    if isinstance(value, np.generic):
        return float(value) if isinstance(value, np.floating) else value.item()
    if type(value) is np.ndarray:
        return as_plain(value.tolist())
    if type(value) in (list, tuple):
        return type(value)(map(as_plain, value))
    if type(value) is dict:
        return {as_plain(key): as_plain(each) for key, each in value.items()}
    return value


def check_mapping(what: str, content: Any) -> None:
    """Refuse what is no mapping, such as a list from a JSON file.

    >>> check_mapping("a configuration", [("d_model", 4)])
    Traceback (most recent call last):
    TypeError: a configuration must be a mapping from names to values, not a list
    """
    if not isinstance(content, Mapping):
        raise TypeError(f"{what} must be a mapping from names to values, not a {type(content).__name__}")


def check_whole(name: str, value: Any, at_least: int = 0, at_most: int | None = None) -> int:
    """Return a whole number between two bounds, Python's or NumPy's, as Python's int.

    >>> check_whole("max_length", np.int64(3), at_least=1)
    3
    >>> check_whole("d_model", 0, at_least=1)
    Traceback (most recent call last):
    ValueError: d_model must be at least 1, not 0
    """
    value = as_plain(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {shown(value)}")
    if value < at_least:
        raise ValueError(f"{name} must be at least {at_least}, not {shown(value)}")
    if at_most is not None and value > at_most:
        raise ValueError(f"{name} must be at most {at_most:,}, not {shown(value)}")
    return int(value)


_LARGEST = sys.float_info.max


def check_number(name: str, value: Any, at_least: float = 0.0, at_most: float = math.inf) -> float:
    """Return a finite number between two bounds, Python's or NumPy's, as Python's.

    >>> check_number("dropout", np.float32(0.5), at_most=1.0)
    0.5
    >>> check_number("dropout", 1.5, at_most=1.0)
    Traceback (most recent call last):
    ValueError: dropout must be between 0 and 1, not 1.5
    """
    value = as_plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {shown(value)}")
    if abs(value) > _LARGEST or not at_least <= value <= at_most:  # so NaN is refused, and a whole number of any length
        least = "" if at_least == -math.inf else f"at least {at_least:g} and "
        bound = f"{least}finite" if at_most == math.inf else ""
        raise ValueError(f"{name} must be {bound or f'between {at_least:g} and {at_most:g}'}, not {shown(value)}")
    return value


def check_switch(name: str, value: Any) -> bool:
    """Return true or false, Python's or NumPy's, as Python's; numbers that behave like them are refused.

    >>> check_switch("use_cache", np.True_)
    True
    >>> check_switch("use_cache", 1)
    Traceback (most recent call last):
    TypeError: use_cache must be true or false, not 1
    """
    value = as_plain(value)
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be true or false, not {shown(value)}")
    return value


def switch_or_default(name: str, value: Any, default: bool) -> bool:
    """Return True or False as given, by Python or NumPy, and the default for None.

    >>> switch_or_default("use_cache", None, True), switch_or_default("use_cache", False, True)
    (True, False)
    """
    value = as_plain(value)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True, False or None, not {shown(value)}")
    return value


def check_token_id(name: str, value: Any, vocab_size: int) -> None:
    """Refuse what is neither an id of the vocabulary nor None.

    >>> check_token_id("eos_token_id", 7, vocab_size=5)
    Traceback (most recent call last):
    ValueError: eos_token_id 7 is no token: vocab_size 5 leaves the ids 0 to 4; choose one of them, or None
    """
    value = as_plain(value)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a token id or None, not {shown(value)}")
    if not 0 <= value < vocab_size:
        raise ValueError(
            f"{name} {value} is no token: vocab_size {vocab_size} leaves the ids 0 to {vocab_size - 1}; "
            f"choose one of them, or None"
        )


def lines_of(name: str, value: Any) -> tuple[str, ...]:
    """Return a list of texts as a tuple; a single text is a list of one, and never one of its letters.

    >>> lines_of("persona", "i have a dog."), lines_of("persona", ["i sing.", "i am 30."])
    (('i have a dog.',), ('i sing.', 'i am 30.'))
    >>> lines_of("persona", [b"i sing."])
    Traceback (most recent call last):
    TypeError: persona must be a text or a list of texts, and its item 1 is bytes
    """
    if isinstance(value, str):
        return (value,)
    if isinstance(value, bytes | bytearray | Mapping) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a text or a list of texts, not {type(value).__name__}")
    lines = tuple(value)
    for number, line in enumerate(lines, start=1):
        if not isinstance(line, str):
            raise TypeError(f"{name} must be a text or a list of texts, and its item {number} is {type(line).__name__}")
    return lines


def says_how_to_change(how: str) -> Callable[[type[T]], type[T]]:
    """Decorate a frozen dataclass: an assignment to a field is refused with what would do, `{}` the field.

    >>> @says_how_to_change("record = record.replace({}=...)")
    ... @dataclasses.dataclass(frozen=True)
    ... class Record:
    ...     size: int = 1
    >>> Record().size = 2
    Traceback (most recent call last):
    dataclasses.FrozenInstanceError: a Record is never changed, so 'size' cannot be set; \
record = record.replace(size=...)
    """

    def decorate(cls: type[T]) -> type[T]:
        def refuse(self: Any, name: str, value: Any = None) -> None:
            raise dataclasses.FrozenInstanceError(
                f"a {cls.__name__} is never changed, so {shown(name)} cannot be set; {how.format(name)}"
            )

        cls.__setattr__ = refuse  # type: ignore[method-assign]
        cls.__delattr__ = refuse  # type: ignore[method-assign]
        return cls

    return decorate


def closest_name(name: Any, names: Iterable[str]) -> str | None:
    """Return the name that a misspelt one was probably meant to be, or None.

    >>> closest_name("tempreature", ["temperature", "top_k"])
    'temperature'
    """
    import difflib  # only for a refusal: an import of 10 ms

    near = difflib.get_close_matches(str(name), list(names), n=1)
    return near[0] if near else None


def as_array(name: str, value: Any) -> Array:
    """Convert a value to an array of booleans, whole or real numbers; refuse anything else with a clear error.

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
    if array.dtype.kind == "O" and array.size:  # as a table of mixed columns gives
        strange = [type(item).__name__ for item in map(as_plain, array.ravel()) if not isinstance(item, int)]
        if not strange:
            array = np.asarray(as_plain(array))
            if array.dtype.kind == "O":
                raise ValueError(f"{name} holds whole numbers too large for 64 bits")
    if array.dtype.kind == "O":
        raise TypeError(f"{name} must hold numbers, not {strange[0] if array.size else 'objects'}")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold whole or real numbers, not {array.dtype}")
    return array


def check_ids(name: str, value: Any, vocab_size: int, *, ignored: int | None = None) -> Ids:
    """Return token ids [B, S] as int64 if they have two axes, neither empty, and lie in 0 to V - 1 (or are `ignored`).

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
    """Refuse a length whose last token has no learned position.

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
    """Convert a mask [B, L] of 0 and 1 (any dtype) to booleans, True = may attend.

    >>> check_mask("attention_mask", [[1, 0]], (1, 2))
    array([[ True, False]])
    """
    array = as_array(name, value)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, one number a token, not {array.shape}")
    wrong = (array != 0) & (array != 1)  # NaN is neither
    if wrong.any():
        raise ValueError(f"{name} holds {array[wrong][0]}; it takes 1 for tokens that may be attended to, 0 for pads")
    return array.astype(np.bool_)


def check_magnitude(name: str, array: Array, dtype: np.dtype[Any]) -> None:
    """Refuse values that are not finite, or so large that products in `dtype` would overflow.

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
    """Convert embeddings or states [B, S, D] to the model's dtype, if they are finite floats.

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
    """Convert a head mask [layers, H], from 0 (the head is silenced) to 1 (it is not), to `dtype`.

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
    """Convert position ids [B, S] (or [S], [1, S], the same for every row) to int64, if the model has these positions.

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
