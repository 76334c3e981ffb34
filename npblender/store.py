"""The memory that a cache's keys and values lie in, with room behind the last token.

Several caches may be the beginning of one store: each is as long as it was made, and only one of them goes on in it.
Not here: what a cache is (see `cache`).
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SPARE = 32  # tokens of room at least behind the last


class Store:
    """Memory for keys and values [B, H, capacity, K], of which the first `filled` tokens are somebody's."""

    def __init__(self, keys: Array, values: Array, filled: int) -> None:
        self.keys, self.values, self.filled = keys, values, filled
        self._lock = threading.Lock()

    @classmethod
    def of(cls, key: Array, value: Array, capacity: int) -> Store:
        """Keys and values [B, H, L, K], copied to where there is room for `capacity` tokens.

        >>> Store.of(np.ones((1, 3, 5, 2)), np.ones((1, 3, 5, 2)), 8).keys.shape
        (1, 3, 8, 2)
        """
        batch, heads, length, size = key.shape
        keys, values = (np.empty((batch, heads, capacity, size), key.dtype) for _ in range(2))
        keys[:, :, :length], values[:, :, :length] = key, value
        return cls(keys, values, length)

    def claim(self, begin: int, end: int) -> bool:
        """Whether tokens `begin` to `end` are free and behind the last; if so they are the caller's from now on.

        >>> store = Store.of(np.ones((1, 3, 5, 2)), np.ones((1, 3, 5, 2)), 8)
        >>> store.claim(5, 7), store.claim(5, 6), store.claim(7, 9)
        (True, False, False)
        """
        with self._lock:
            free = self.filled == begin and end <= self.keys.shape[2]
            if free:
                self.filled = end
            return free

    def rows(self, group: slice) -> Store:
        """The same memory of some rows: what is put into it is in this one too.

        >>> store = Store.of(np.ones((3, 1, 0, 2)), np.ones((3, 1, 0, 2)), 8)
        >>> store.rows(slice(1, 3)).keys.shape, np.shares_memory(store.rows(slice(1, 3)).keys, store.keys)
        ((2, 1, 8, 2), True)
        """
        return Store(self.keys[group], self.values[group], self.filled)
