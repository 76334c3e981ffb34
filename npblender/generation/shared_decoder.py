"""One decoder for searches that come and go: their rows share every pass, whatever their lengths.

    column of the cache   0 1 2 3 4 5
    row of an early reply a b c d e f      begins at column 0, reads position 6 next
    row of a later one    - - - x y z      begins at column 3, reads position 3 next
A row that joins begins at the column where the others are now. What is left of it is hidden from it, and its positions
are counted from its own beginning, so it computes what it would alone, up to rounding. Columns that no row needs any
more are dropped when rows leave. Sources are padded to the longest, and the pads hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array, Ids, Mask
from npblender.transformer.context import Context, Source, Target
from npblender.transformer.forward import next_logits, run_encoder, start_decoder
from npblender.transformer.kv_cache import Cache, LayerCache
from npblender.transformer.parameters import Weights

Rows = NDArray[np.int64]


class SharedDecoder:
    """The decoder of R rows, each of a source and a beginning of its own. At first there are none."""

    def __init__(self, weights: Weights, context: Context) -> None:
        self.weights = weights
        self.context = context
        self.begins = np.empty(0, np.int64)  # [R]: the column at which each row begins
        self.source_mask: Mask = np.empty((0, 0), np.bool_)  # [R, S]
        self._cache: Cache | None = None  # None where there are no rows

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.begins)

    @property
    def columns(self) -> int:
        """How many columns the cache has."""
        return 0 if self._cache is None else self._cache.length

    def join(self, sources: Sequence[Sequence[int]], copies: Sequence[int]) -> None:
        """Add rows behind those there are, `copies` of each source (ids without pads, checked).

        >>> decoder = SharedDecoder(weights, context)
        >>> decoder.join([[5, 6, 7], [8]], copies=[2, 1])
        >>> decoder.rows, decoder.source_mask.sum(axis=1)
        (3, array([3, 3, 1]))
        """
        longest = max(map(len, sources))
        mask = np.arange(longest) < np.array([[len(source)] for source in sources])  # [B, S]
        ids = np.full(mask.shape, self.context.config.pad_token_id or 0, np.int64)
        ids[mask] = np.concatenate([np.asarray(source, np.int64) for source in sources])
        states = run_encoder(self.weights, Source(ids, attention_mask=mask), self.context).last_hidden_state
        started = start_decoder(self.weights, len(sources), states, self.context)
        rows = np.repeat(np.arange(len(sources)), copies)
        joined, mask = started.take(rows), mask[rows]
        if self._cache is None:
            self._cache, self.source_mask, self.begins = joined, mask, np.zeros(len(rows), np.int64)
            return
        width = max(self.source_mask.shape[1], longest)
        self._cache = _stacked(self._cache, joined, width)
        self.source_mask = np.concatenate([_widened(each, width, 1) for each in (self.source_mask, mask)])
        self.begins = np.concatenate([self.begins, np.full(len(rows), self._cache.length)])

    def logits(self, tokens: Ids) -> Array:
        """Read one token of every row, [R], and return the logits after it, [R, V].

        A row's second token comes after its first, whatever joined in between:

        >>> decoder = SharedDecoder(weights, context)
        >>> decoder.join([[5, 6, 7]], [1])
        >>> alone = [decoder.logits(np.array([token])) for token in (1, 8)][1]
        >>> late = SharedDecoder(weights, context)
        >>> late.join([[9]], [1])
        >>> _ = late.logits(np.array([1]))
        >>> late.join([[5, 6, 7]], [1])
        >>> together = [late.logits(np.array(tokens)) for tokens in ([4, 1], [4, 8])][1]
        >>> np.allclose(together[1], alone[0], atol=1e-6)
        True
        """
        cache = self._cache
        assert cache is not None, "a decoder without rows has nothing to read"
        length = cache.length
        mask = np.arange(length + 1) >= self.begins[:, None] if self.begins.any() else None  # [R, L]
        target = Target(
            input_ids=tokens[:, None],
            attention_mask=mask,
            encoder_attention_mask=self.source_mask,
            position_ids=(length - self.begins)[:, None],
        )
        logits, output = next_logits(self.weights, target, cache, self.context)
        self._cache = output.past_key_values
        return logits[:, 0]

    def keep(self, rows: Rows) -> None:
        """Go on from these rows, [R]: row r from rows[r], which must be of the same source. Only moved rows are copied.

        >>> decoder = SharedDecoder(weights, context)
        >>> decoder.join([[5]], [2])
        >>> _ = decoder.logits(np.array([1, 9]))
        >>> decoder.keep(np.array([1, 1]))
        >>> logits = decoder.logits(np.array([8, 8]))
        >>> bool((logits[0] == logits[1]).all())
        True
        """
        moved = np.flatnonzero(rows != np.arange(len(rows)))
        if self._cache is None or not len(moved):
            return
        for layer in self._cache:
            layer.key[moved] = layer.key[rows[moved]]  # in place: nothing else holds this cache
            layer.value[moved] = layer.value[rows[moved]]

    def leave(self, staying: NDArray[np.bool_]) -> None:
        """Remove all rows but these, [R], and the columns and pads that none of them needs.

        >>> decoder = SharedDecoder(weights, context)
        >>> decoder.join([[5, 6, 7]], [1])
        >>> _ = decoder.logits(np.array([1]))
        >>> decoder.join([[8]], [1])
        >>> decoder.leave(np.array([False, True]))
        >>> decoder.rows, decoder.columns, decoder.source_mask.shape
        (1, 0, (1, 1))
        """
        if staying.all():
            return
        self.begins, self.source_mask = self.begins[staying], self.source_mask[staying]
        if self._cache is None or not len(self.begins):
            self._cache = None
            return
        first, width = int(self.begins.min()), int(self.source_mask.sum(axis=1).max())
        layers = [_cut(layer, np.flatnonzero(staying), first, width) for layer in self._cache]
        self._cache = replace(self._cache, layers=tuple(layers))
        self.begins, self.source_mask = self.begins - first, self.source_mask[:, :width]


def _stacked(cache: Cache, joined: Cache, width: int) -> Cache:
    """The rows of two caches, those of the second without tokens; cross keys and values get `width` columns."""
    layers = []
    for old, new in zip(cache, joined, strict=True):
        nothing = np.zeros((len(new.key), *old.key.shape[1:]), old.key.dtype)  # hidden, but multiplied by 0: no NaN
        own = [np.concatenate([array, nothing]) for array in (old.key, old.value)]
        pairs = zip(old.arrays[2:], new.arrays[2:], strict=True)  # every row has a source
        cross = [np.concatenate([_widened(array, width, 2) for array in pair]) for pair in pairs]
        layers.append(LayerCache(*own, *cross))
    return replace(cache, layers=tuple(layers))


def _cut(layer: LayerCache, rows: Rows, first: int, width: int) -> LayerCache:
    """Some rows of a layer's memory from column `first` on, and the first `width` columns of its cross keys."""
    key, value, cross_key, cross_value = layer.arrays
    own = (key[rows, :, first:], value[rows, :, first:])
    return LayerCache(*own, cross_key[rows, :, :width], cross_value[rows, :, :width])


def _widened(array: Array, width: int, axis: int) -> Array:
    """Put zeros behind what an axis has: cross keys [R, H, S, K] -> [R, H, width, K], a mask [R, S] -> [R, width]."""
    padding = [(0, width - array.shape[axis] if each == axis else 0) for each in range(array.ndim)]
    return np.pad(array, padding) if array.shape[axis] < width else array
