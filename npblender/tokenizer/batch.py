"""What a tokenizer returns, and how its lists become arrays.

It does NOT pad: rows of unequal length can not become an array, and the error says so.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["BatchEncoding", "check_tensor_type"]


def check_tensor_type(return_tensors: Any) -> None:
    """Refuse every kind of tensor but NumPy's.

    >>> check_tensor_type("pt")
    Traceback (most recent call last):
    ValueError: return_tensors 'pt' is not available: npblender makes NumPy arrays ('np') or lists (None)
    """
    if return_tensors not in (None, "np"):
        raise ValueError(
            f"return_tensors {return_tensors!r} is not available: npblender makes NumPy arrays ('np') or lists (None)"
        )


class BatchEncoding(UserDict[str, Any]):
    """A mapping with the names of transformers, whose entries are attributes too.

    `input_ids` and `attention_mask` are lists of ints (one text), lists of lists (several), or with
    `return_tensors="np"` int64 arrays [B, S]. It can be passed on as `model(**encoding)`.

    >>> encoding = BatchEncoding({"input_ids": [[5, 6], [7, 8]]})
    >>> encoding.input_ids == encoding["input_ids"], encoding[:1]
    (True, {'input_ids': [[5, 6]]})
    >>> encoding.convert_to_tensors("np").input_ids.shape
    (2, 2)
    """

    def __init__(self, data: dict[str, Any] | None = None) -> None:
        self.data = {} if data is None else data

    def __getattr__(self, name: str) -> Any:
        if name != "data" and name in self.data:
            return self.data[name]
        raise AttributeError(f"this encoding has no {name!r}; it has {', '.join(self.__dict__.get('data', {}))}")

    def __getitem__(self, key: Any) -> Any:
        """An entry by its name, or by a slice the same rows of every entry."""
        if isinstance(key, str):
            return self.data[key]
        if isinstance(key, slice):
            return {name: value[key] for name, value in self.data.items()}
        raise KeyError(f"{key!r}: take an entry by its name, or rows by a slice")

    def convert_to_tensors(self, tensor_type: str | None = None, prepend_batch_axis: bool = False) -> BatchEncoding:
        """Turn every list into an int64 array, in place; None does nothing. Returns itself.

        Raises:
            ValueError: another kind of tensor than "np", or rows of unequal length.
        """
        check_tensor_type(tensor_type)
        if tensor_type is not None:
            for name, value in self.data.items():
                self.data[name] = _as_array(name, [value] if prepend_batch_axis else value)
        return self

    def to(self, device: Any) -> BatchEncoding:
        """transformers' habit `tokenizer(...).to(device)`: itself for the CPU, refused for anything else."""
        if str(device) != "cpu":
            raise ValueError(f"device {device!r} is not available: npblender computes on the CPU")
        return self


def _as_array(name: str, value: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, Sequence) and value and isinstance(value[0], Sequence | np.ndarray):
        lengths = {len(row) for row in value}
        if len(lengths) > 1:
            raise ValueError(
                f"{name} has rows of {min(lengths)} to {max(lengths)} tokens, which make no array: pass padding=True "
                f"(and truncation=True to shorten the longest)"
            )
    elif isinstance(value, Sequence) and not value:
        return np.zeros((0, 0), dtype=np.int64)  # a batch of no texts
    return np.array(value, dtype=np.int64)
