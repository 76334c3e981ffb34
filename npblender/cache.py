"""The keys and values of the tokens so far, as a value: in as an argument, out as a result.

A step never changes the cache it was given; it returns a longer one. Both share one store with room behind the last
token, so a step writes what is new and copies nothing. The position of the next token IS the cache's length, so the
two can not disagree. Cross keys and values are computed once a source and only handed along.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.layercache import LayerCache

__all__ = ["Cache", "LayerCache", "empty_cache"]

Array = NDArray[Any]


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
