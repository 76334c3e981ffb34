"""The keys and values of the tokens so far, as a value: in as an argument, out as a result.

In reading order: `Cache` is what a decoder remembers, a `LayerCache` a layer; `LayerCache.append` is how it grows; a
`KVBuffer` is the memory behind it, which makes growing cheap.

A step never changes the cache it was given; it returns a longer one. Both share a buffer with space behind the last
token, so a step writes what is new and copies nothing. The position of the next token IS the cache's length, so the
two cannot disagree. Cross keys and values are computed once a source and only handed along.

Several caches may share a buffer as prefixes of it. Only the longest may append in place; appending to any other
copies.
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
class Cache(Sequence["LayerCache"]):
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
            raise ValueError(f"a cache of {self.length} tokens cannot be cropped to {length}")
        shorter = tuple(replace(c, key=c.key[:, :, :length], value=c.value[:, :, :length]) for c in self.layers)
        return replace(self, layers=shorter)

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

    def extended(self, new: int) -> Cache:
        """The cache with `new` more tokens, whose keys and values are still to be written: see `rows_before`.

        >>> empty_cache(3, 2, 4, 1, np.float32).extended(1).length
        1
        """
        return replace(self, layers=tuple(layer.extended(new) for layer in self.layers))

    def rows_before(self, group: slice, length: int) -> Cache:
        """Some rows of an `extended` cache as they were at `length`: what is appended to them is written into it.

        >>> longer = empty_cache(3, 2, 4, 1, np.float32).extended(1)
        >>> for n, group in enumerate([slice(0, 1), slice(1, 3)]):
        ...     new = np.full((group.stop - group.start, 2, 1, 4), n, np.float32)
        ...     _ = longer.rows_before(group, 0)[0].append(new, new)
        >>> longer[0].key[:, 0, 0, 0]
        array([0., 1., 1.], dtype=float32)
        """
        return replace(self, layers=tuple(layer.rows_before(group, length) for layer in self.layers))

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


@dataclass(frozen=True, eq=False)
class LayerCache:
    """What one decoder layer remembers. Unpacks as transformers' tuple (key, value, cross key, cross value)."""

    key: Array  # [B, H, L, K]
    value: Array  # [B, H, L, K]
    cross_key: Array | None = None  # [B, H, S, K]; None in a decoder that sees no encoder
    cross_value: Array | None = None  # [B, H, S, K]
    buffer: KVBuffer | None = field(default=None, repr=False, kw_only=True)  # of which key and value are the beginning

    def __post_init__(self) -> None:
        if (self.cross_key is None) != (self.cross_value is None):
            raise ValueError("a layer of a cache has cross keys and cross values, or neither")

    def append(self, key: Array, value: Array) -> LayerCache:
        """The layer's memory with T more tokens: [B, H, L, K] and [B, H, T, K] -> [B, H, L + T, K].

        >>> one = LayerCache(np.array([[[[1.0]]]]), np.array([[[[5.0]]]]))
        >>> two = one.append(np.array([[[[2.0]]]]), np.array([[[[6.0]]]]))
        >>> two.key.ravel(), two.value.ravel(), one.key.ravel()
        (array([1., 2.]), array([5., 6.]), array([1.]))
        """
        begin = self.key.shape[2]
        if begin == 0 and self.buffer is None:
            return LayerCache(key, value, self.cross_key, self.cross_value)
        longer = self.extended(key.shape[2])
        longer.key[:, :, begin:], longer.value[:, :, begin:] = key, value
        return longer

    def extended(self, new: int) -> LayerCache:
        """The layer's memory with `new` more tokens, still to be written: the next ones of the buffer.

        Where another memory went on from the same token before, or the buffer is full, it is copied to a new buffer.

        >>> five = LayerCache(np.ones((1, 3, 5, 2)), np.ones((1, 3, 5, 2)))
        >>> seven = five.extended(2)
        >>> seven.key.shape, seven.extended(2).buffer is seven.buffer, seven.extended(2).buffer is seven.buffer
        ((1, 3, 7, 2), True, False)
        """
        begin = self.key.shape[2]
        end, buffer = begin + new, self.buffer
        if buffer is None or not buffer.claim(begin, end):
            buffer = KVBuffer.of(self.key, self.value, end + max(SPARE, end // 2))
            buffer.used = end
        keys, values = buffer.keys[:, :, :end], buffer.values[:, :, :end]
        return LayerCache(keys, values, self.cross_key, self.cross_value, buffer=buffer)

    def rows_before(self, group: slice, length: int) -> LayerCache:
        """Some rows of an `extended` memory as they were at `length`; see `Cache.rows_before`."""
        assert self.buffer is not None, "an extended memory has a buffer"
        buffer = KVBuffer(self.buffer.keys[group], self.buffer.values[group], length)
        cross = [None if array is None else array[group] for array in (self.cross_key, self.cross_value)]
        return LayerCache(self.key[group, :, :length], self.value[group, :, :length], *cross, buffer=buffer)

    def take(self, rows: NDArray[np.int64]) -> LayerCache:
        """The memory of the given rows, in that order.

        Where all of them are one row, as at the start of a search with several beams, its cross keys and values are
        not copied: they are never written to, and one source's can be read by all of its rows.

        >>> LayerCache(np.array([[[[1.0]]], [[[2.0]]]]), np.zeros((2, 1, 1, 1))).take(np.array([1, 1, 0])).key.ravel()
        array([2., 2., 1.])
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


SPARE = 32  # tokens of space at least behind the last


class KVBuffer:
    """Memory for keys and values [B, H, capacity, K], of which the first `used` tokens belong to some cache."""

    def __init__(self, keys: Array, values: Array, used: int) -> None:
        self.keys, self.values, self.used = keys, values, used
        self._lock = threading.Lock()

    @classmethod
    def of(cls, key: Array, value: Array, capacity: int) -> KVBuffer:
        """Keys and values [B, H, L, K], copied to where there is space for `capacity` tokens.

        >>> buffer = KVBuffer.of(np.ones((1, 3, 5, 2)), np.ones((1, 3, 5, 2)), 8)
        >>> buffer.keys.shape, buffer.used
        ((1, 3, 8, 2), 5)
        """
        batch, heads, length, size = key.shape
        keys, values = (np.empty((batch, heads, capacity, size), key.dtype) for _ in range(2))
        keys[:, :, :length], values[:, :, :length] = key, value
        return cls(keys, values, length)

    def claim(self, begin: int, end: int) -> bool:
        """Whether tokens `begin` to `end` are free and next; if so they are the caller's from now on.

        >>> buffer = KVBuffer.of(np.ones((1, 3, 5, 2)), np.ones((1, 3, 5, 2)), 8)
        >>> buffer.claim(5, 7), buffer.claim(5, 6), buffer.claim(7, 9)
        (True, False, False)
        """
        with self._lock:
            free = self.used == begin and end <= self.keys.shape[2]
            if free:
                self.used = end
            return free
