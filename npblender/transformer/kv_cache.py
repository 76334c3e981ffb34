"""The keys and values of the tokens so far, as a value: in as an argument, out as a result.

A step never changes the cache it was given; it returns a longer one. Both share one store with room behind the last
token, so a step writes what is new and copies nothing. The position of the next token IS the cache's length, so the
two can not disagree. Cross keys and values are computed once a source and only handed along.

What one decoder layer remembers: its own keys and values so far, and those of the source.

It grows by `append`, which changes nothing that anybody sees; or, row by row, by `with_room`, `rows` and `filled`.
Not here: the memory of all layers (see `cache`), and where the numbers lie (see `store`).

The memory that a cache's keys and values lie in, with room behind the last token.

Several caches may be the beginning of one store: each is as long as it was made, and only one of them goes on in it.
Not here: what a cache is (see `cache`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array


@dataclass(frozen=True, eq=False)
class LayerCache:
    """What one decoder layer remembers. Unpacks as transformers' tuple (key, value, cross key, cross value)."""

    key: Array  # [B, H, L, K]
    value: Array  # [B, H, L, K]
    cross_key: Array | None = None  # [B, H, S, K]; None in a decoder that sees no encoder
    cross_value: Array | None = None  # [B, H, S, K]
    store: KVBuffer | None = field(
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

    def _claimed(self, begin: int, end: int) -> KVBuffer:
        """A store that holds this memory and has room for tokens `begin` to `end`, which are the caller's."""
        store = self.store
        if store is None or not store.claim(begin, end):
            store = KVBuffer.of(self.key, self.value, end + max(SPARE, end // 2))
            store.filled = end
        return store

    def _beginning(self, store: KVBuffer, end: int) -> LayerCache:
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


@dataclass(frozen=True, eq=False)
class Cache(Sequence[LayerCache]):
    """One `LayerCache` a decoder layer: transformers' `past_key_values`, which indexes and iterates the same way."""

    layers: tuple[LayerCache, ...]
    max_length: int | None = None  # how many tokens `init_cache` was asked to make room for

    @property
    def length(self) -> int:
        """How many target tokens are remembered; the position of the next one."""
        return int(self.layers[0].key.shape[2])

    @property
    def batch(self) -> int:
        """How many rows are remembered."""
        return int(self.layers[0].key.shape[0])

    @property
    def sees_source(self) -> bool:
        """Whether there are cross keys."""
        return bool(self.layers) and self.layers[0].cross_key is not None

    @property
    def source_length(self) -> int | None:
        """How many source tokens the cross keys cover; None in a decoder that sees no encoder."""
        cross = self.layers[0].cross_key
        return None if cross is None else int(cross.shape[2])

    def get_seq_length(self) -> int:
        """transformers' name for `length`."""
        return self.length

    def take(self, rows: NDArray[np.int64]) -> Cache:
        """The cache of the given rows, in that order: how a beam search keeps and copies its beams.

        Raises ValueError for a row that is not there.

        >>> empty_cache(2, 3, 2, 4, np.float32).take(np.array([1, 1, 0])).batch
        3
        """
        rows = np.asarray(rows)
        if rows.size and not (rows.min() >= 0 and rows.max() < self.batch):
            raise ValueError(f"rows {rows.tolist()} are not all among the cache's 0 to {self.batch - 1}")
        return replace(self, layers=tuple(layer.take(rows) for layer in self.layers))

    def overwrite(self, target: int, origin: int, begin: int) -> None:
        """Give row `target` what row `origin` remembers from token `begin` on, in place; the source's keys stay.

        Only for the sole owner of a cache, such as a search: it is the one thing here that changes a cache.

        >>> cache = Cache((LayerCache(np.arange(4.0).reshape(2, 1, 2, 1), np.zeros((2, 1, 2, 1))),))
        >>> cache.overwrite(1, 0, 0)
        >>> cache[0].key.ravel()
        array([0., 1., 0., 1.])
        """
        for layer in self.layers:
            layer.overwrite(target, origin, begin)

    def crop(self, length: int) -> Cache:
        """The cache as it was after the first `length` tokens.

        >>> layer = LayerCache(np.ones((1, 3, 5, 2)), np.ones((1, 3, 5, 2)))
        >>> Cache((layer,)).crop(2).length
        2
        """
        if not 0 <= length <= self.length:
            raise ValueError(f"a cache of {self.length} tokens can not be cropped to {length}")
        shorter = tuple(replace(c, key=c.key[:, :, :length], value=c.value[:, :, :length]) for c in self.layers)
        return replace(self, layers=shorter)

    def with_room(self, new: int) -> Cache:
        """The same cache with room for `new` tokens, which are appended to its `rows`, some at a time.

        >>> roomy = empty_cache(3, 2, 4, 1, np.float32).with_room(1)
        >>> for group in (slice(0, 1), slice(1, 3)):
        ...     _ = roomy.rows(group)[0].append(*[np.ones((group.stop - group.start, 2, 1, 4), np.float32)] * 2)
        >>> roomy.length, roomy.filled(1).length, roomy.filled(1)[0].key[:, 0, 0, 0]
        (0, 1, array([1., 1., 1.], dtype=float32))
        """
        return replace(self, layers=tuple(layer.with_room(new) for layer in self.layers))

    def rows(self, group: slice) -> Cache:
        """Some rows of a cache with room.

        >>> empty_cache(3, 2, 4, 1, np.float32).with_room(1).rows(slice(1, 3)).batch
        2
        """
        return replace(self, layers=tuple(layer.rows(group) for layer in self.layers))

    def filled(self, new: int) -> Cache:
        """The cache after `new` tokens have been appended to all its rows.

        >>> empty_cache(3, 2, 4, 1, np.float32).with_room(1).filled(1).length
        1
        """
        return replace(self, layers=tuple(layer.filled(new) for layer in self.layers))

    def allot(self, max_length: int) -> Cache:
        """This cache, with the number of tokens it is meant to hold in the end.

        >>> empty_cache(1, 3, 2, 4, np.float32).allot(9).max_length
        9
        """
        return replace(self, max_length=max_length)

    def with_cross(self, started: Cache) -> Cache:
        """This cache's own keys with the cross keys of `started`: a source added to past keys that lacked one.

        >>> source = np.ones((1, 3, 7, 2))
        >>> started = Cache((LayerCache(source[:, :, :0], source[:, :, :0], source, source),))
        >>> Cache((LayerCache(source, source),)).with_cross(started).source_length
        7
        """
        pairs = zip(self.layers, started.layers, strict=True)
        layers = tuple(replace(a, cross_key=b.cross_key, cross_value=b.cross_value) for a, b in pairs)
        return replace(self, layers=layers)

    def __getitem__(self, index: Any) -> Any:
        return self.layers[index]

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[LayerCache]:
        return iter(self.layers)


def empty_cache(
    batch: int, heads: int, head_size: int, cross: Sequence[tuple[Array, Array]] | int, dtype: Any
) -> Cache:
    """A cache of no tokens. `cross` gives each layer's cross key and value, or the number of layers without them.

    >>> cache = empty_cache(1, 3, 2, 4, np.float32)  # four layers that see no source
    >>> len(cache), cache.length, cache[0].key.shape, cache.source_length
    (4, 0, (1, 3, 0, 2), None)
    """
    nothing = np.empty((batch, heads, 0, head_size), dtype)
    if isinstance(cross, int):
        return Cache(tuple(LayerCache(nothing, nothing) for _ in range(cross)))
    return Cache(tuple(LayerCache(nothing, nothing, key, value) for key, value in cross))


SPARE = 32  # tokens of room at least behind the last


class KVBuffer:
    """Memory for keys and values [B, H, capacity, K], of which the first `filled` tokens are somebody's."""

    def __init__(self, keys: Array, values: Array, filled: int) -> None:
        self.keys, self.values, self.filled = keys, values, filled
        self._lock = threading.Lock()

    @classmethod
    def of(cls, key: Array, value: Array, capacity: int) -> KVBuffer:
        """Keys and values [B, H, L, K], copied to where there is room for `capacity` tokens.

        >>> KVBuffer.of(np.ones((1, 3, 5, 2)), np.ones((1, 3, 5, 2)), 8).keys.shape
        (1, 3, 8, 2)
        """
        batch, heads, length, size = key.shape
        keys, values = (np.empty((batch, heads, capacity, size), key.dtype) for _ in range(2))
        keys[:, :, :length], values[:, :, :length] = key, value
        return cls(keys, values, length)

    def claim(self, begin: int, end: int) -> bool:
        """Whether tokens `begin` to `end` are free and behind the last; if so they are the caller's from now on.

        >>> store = KVBuffer.of(np.ones((1, 3, 5, 2)), np.ones((1, 3, 5, 2)), 8)
        >>> store.claim(5, 7), store.claim(5, 6), store.claim(7, 9)
        (True, False, False)
        """
        with self._lock:
            free = self.filled == begin and end <= self.keys.shape[2]
            if free:
                self.filled = end
            return free

    def rows(self, group: slice) -> KVBuffer:
        """The same memory of some rows: what is put into it is in this one too.

        >>> store = KVBuffer.of(np.ones((3, 1, 0, 2)), np.ones((3, 1, 0, 2)), 8)
        >>> store.rows(slice(1, 3)).keys.shape, np.shares_memory(store.rows(slice(1, 3)).keys, store.keys)
        ((2, 1, 8, 2), True)
        """
        return KVBuffer(self.keys[group], self.values[group], self.filled)
