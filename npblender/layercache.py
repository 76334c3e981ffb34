"""What one decoder layer remembers: its own keys and values so far, and those of the source.

It grows by `append`, which changes nothing that anybody sees; or, row by row, by `with_room`, `rows` and `filled`.
Not here: the memory of all layers (see `cache`), and where the numbers lie (see `store`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.store import SPARE, Store

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class LayerCache:
    """What one decoder layer remembers. Unpacks as transformers' tuple (key, value, cross key, cross value)."""

    key: Array  # [B, H, L, K]
    value: Array  # [B, H, L, K]
    cross_key: Array | None = None  # [B, H, S, K]; None in a decoder that sees no encoder
    cross_value: Array | None = None  # [B, H, S, K]
    store: Store | None = field(
        default=None, repr=False, kw_only=True
    )  # what key and value are the beginning of, if anything

    def __post_init__(self) -> None:
        if (self.cross_key is None) != (self.cross_value is None):
            raise ValueError("a layer of a cache has cross keys and cross values, or neither")

    def append(self, key: Array, value: Array) -> LayerCache:
        """The layer's memory with T more tokens, [B, H, L, K] and [B, H, T, K] -> [B, H, L + T, K].

        They are written behind the last token of the store, where nobody looks yet. Another memory that went on from
        the same token before, or a full store, makes it a new store with a copy.

        >>> five, two = np.ones((1, 3, 5, 2)), np.ones((1, 3, 2, 2))
        >>> seven = LayerCache(five, five).append(two, two)
        >>> seven.key.shape, seven.append(two, two).store is seven.store, seven.append(two, two).store is seven.store
        ((1, 3, 7, 2), True, False)
        """
        begin = self.key.shape[2]
        end = begin + key.shape[2]
        if begin == 0 and self.store is None:
            return LayerCache(key, value, self.cross_key, self.cross_value)
        store = self._claimed(begin, end)
        store.keys[:, :, begin:end], store.values[:, :, begin:end] = key, value
        return self._beginning(store, end)

    def _claimed(self, begin: int, end: int) -> Store:
        """A store that holds this memory and has room for tokens `begin` to `end`, which are the caller's."""
        store = self.store
        if store is None or not store.claim(begin, end):
            store = Store.of(self.key, self.value, end + max(SPARE, end // 2))
            store.filled = end
        return store

    def _beginning(self, store: Store, end: int) -> LayerCache:
        """The first `end` tokens of a store, as a layer's memory."""
        longer = store.keys[:, :, :end], store.values[:, :, :end]
        return LayerCache(*longer, self.cross_key, self.cross_value, store=store)

    def with_room(self, new: int) -> LayerCache:
        """The same memory, and room for `new` tokens behind it that nobody else can have; see `Cache.with_room`.

        >>> LayerCache(np.ones((2, 3, 0, 2)), np.ones((2, 3, 0, 2))).with_room(1).key.shape
        (2, 3, 0, 2)
        """
        begin = self.key.shape[2]
        return self._beginning(self._claimed(begin, begin + new), begin)

    def rows(self, group: slice) -> LayerCache:
        """Some rows of a memory with room. What is appended to them is written into the same store.

        >>> LayerCache(np.ones((2, 3, 0, 2)), np.ones((2, 3, 0, 2))).with_room(1).rows(slice(1)).key.shape
        (1, 3, 0, 2)
        """
        assert self.store is not None, "rows are appended to a store that all of them share"
        part = self.store.rows(group)
        part.filled = self.key.shape[2]
        cross = [None if array is None else array[group] for array in (self.cross_key, self.cross_value)]
        return LayerCache(self.key[group], self.value[group], *cross, store=part)

    def filled(self, new: int) -> LayerCache:
        """The memory with the `new` tokens that have been appended to its rows.

        >>> LayerCache(np.ones((2, 3, 0, 2)), np.ones((2, 3, 0, 2))).with_room(1).filled(1).key.shape
        (2, 3, 1, 2)
        """
        assert self.store is not None
        return self._beginning(self.store, self.key.shape[2] + new)

    def take(self, rows: NDArray[np.int64]) -> LayerCache:
        """The memory of the given rows, in that order.

        Where all of them are one row, as at the start of a search with several beams, its cross keys and values are
        not copied: they are never written to, and one source's can be read by all of its rows.

        >>> LayerCache(np.ones((2, 3, 5, 2)), np.ones((2, 3, 5, 2))).take(np.array([1, 1, 0])).key.shape
        (3, 3, 5, 2)
        """
        key, value, *cross = self.arrays
        if len(rows) and (rows == rows[0]).all():
            cross = [np.broadcast_to(array[rows[0]], (len(rows), *array.shape[1:])) for array in cross]
        else:
            cross = [array[rows] for array in cross]
        return LayerCache(key[rows], value[rows], *cross)

    def overwrite(self, target: int, origin: int, begin: int) -> None:
        """Give row `target` what row `origin` remembers from token `begin` on. In place: this memory itself changes.

        >>> layer = LayerCache(np.arange(4.0).reshape(2, 1, 2, 1), np.zeros((2, 1, 2, 1)))
        >>> layer.overwrite(0, 1, 1)
        >>> layer.key.ravel()
        array([0., 3., 2., 3.])
        """
        self.key[target, :, begin:] = self.key[origin, :, begin:]
        self.value[target, :, begin:] = self.value[origin, :, begin:]

    @property
    def arrays(self) -> tuple[Array, ...]:
        """Two arrays, or four where the layer sees a source."""
        own = (self.key, self.value)
        return own if self.cross_key is None or self.cross_value is None else (*own, self.cross_key, self.cross_value)

    def __iter__(self) -> Iterator[Array]:
        return iter(self.arrays)

    def __getitem__(self, index: int | slice) -> Any:
        return self.arrays[index]

    def __len__(self) -> int:
        return len(self.arrays)
