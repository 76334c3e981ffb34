"""`DecoderState`: rows of ids in, the next token's logits out. What a search sees of the model.

One object lives as long as one search. It keeps the decoder's cache in step with the rows that the search keeps and,
where the record is to hold them, the attentions and hidden states of every step. Scores and stopping are the search's.

A row that a search keeps does not move in the cache. The order of the search's rows and that of the cache's differ, and
`_slots` says which is where; see `DecoderState.keep`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array, Ids, Mask
from npblender.transformer.context import Context
from npblender.transformer.forward import next_logits, start_decoder
from npblender.transformer.inputs import Target
from npblender.transformer.kv_cache import Cache
from npblender.transformer.outputs import BaseModelOutput
from npblender.transformer.parameters import Weights

States = tuple[Array, ...]


@dataclass(frozen=True)
class EncodedSource:
    """What every step of a search reads and none changes. B sources."""

    weights: Weights
    context: Context
    encoder: BaseModelOutput  # states [B, S, D]
    prompt: Ids  # [B, P]: the start token, and what the caller put after it
    source_ids: Ids | None = None  # [B, S]; None where embeddings or encoder outputs were given
    attention_mask: Mask | None = None  # [B, S]
    decoder_attention_mask: Mask | None = None  # [B, P]
    head_mask: Array | None = None  # [layers, H]
    cross_attn_head_mask: Array | None = None  # [layers, H]


class DecoderState:
    """The decoder of `copies` rows for each source; row r belongs to source r // copies."""

    def __init__(self, encoded: EncodedSource, copies: int, use_cache: bool) -> None:
        batch = len(encoded.prompt)
        self.encoded = encoded
        self.use_cache = use_cache
        self.sources = np.repeat(np.arange(batch), copies)  # [R]
        self.started = start_decoder(encoded.weights, batch, encoded.encoder.last_hidden_state, encoded.context).take(
            self.sources
        )
        self._stored = self.started  # the cache, its rows in the order of the slots
        self._slots = np.arange(batch * copies)  # [R]: where in it each row of the search is
        # [R, L]: the slot in which each token was read; longer than any target
        self._writers = np.zeros((batch * copies, encoded.context.config.max_position_embeddings + 2), np.int64)
        self.attention_mask = _rows(encoded.attention_mask, self.sources)
        self.prompt_mask = _rows(encoded.decoder_attention_mask, self.sources)
        self.attentions: list[States] = []
        self.cross_attentions: list[States] = []
        self.hidden_states: list[States] = []
        self.last_hidden_state: Array | None = None  # [R, T, D] of the newest step

    def prompts(self) -> Ids:
        """Return the first ids of every row, [R, P]."""
        return self.encoded.prompt[self.sources]

    def logits(self, ids: Ids, last: int = 1) -> Array:
        """Read what is new in `ids` [R, L], and return the logits [R, last, V] after each of the last tokens.

        The first call reads the prompt, later ones what has been appended since. Without a cache everything is read
        again each time.
        """
        encoded, slots = self.encoded, self._slots
        cache = self._stored if self.use_cache else self.started
        begin, end = cache.length, ids.shape[1]
        moved = not _in_order(slots)
        new = ids[:, begin:]
        target = Target(
            input_ids=new[slots.argsort()] if moved else new,
            attention_mask=None if self.prompt_mask is None else _grown(self.prompt_mask, end),
            encoder_attention_mask=self.attention_mask,
            head_mask=encoded.head_mask,
            cross_attn_head_mask=encoded.cross_attn_head_mask,
        )
        order = slots if moved else None
        logits, output = next_logits(encoded.weights, target, cache, encoded.context, order, last)
        assert output.past_key_values is not None
        self._stored = output.past_key_values
        self._writers[:, begin:end] = np.arange(len(slots))[:, None]
        states = output.last_hidden_state[slots] if moved else output.last_hidden_state
        self.last_hidden_state = states
        if output.attentions is not None and output.cross_attentions is not None:
            self.attentions.append(_present(output.attentions, slots))
            self.cross_attentions.append(_present(output.cross_attentions, slots))
        if output.hidden_states is not None:
            self.hidden_states.append(_present(output.hidden_states, slots))
        return logits.copy() if encoded.context.tap else logits  # a tap's arrays are not written to afterwards

    @property
    def cache(self) -> Cache:
        """The cache, its rows in the search's order."""
        return self._stored if _in_order(self._slots) else self._stored.take(self._slots)

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Go on with these rows, in this order, as many as before; each must come from a row of the same source.

        A row that goes on stays in its slot of the cache, whatever its place among the rows is now. One that goes on
        more than once is copied to slots that have become free, and of it only what the free slot does not hold
        already: two rows that parted five tokens ago share all before, so the cost does not grow with the length. The
        source's keys and values are the same for all of its rows, and are never copied.
        """
        if self.encoded.context.tap:  # a tap's arrays have the rows in the search's order
            self._move(rows)
            return
        if not self.use_cache or _in_order(rows):
            return
        origins = self._slots[rows]
        kept, first = np.unique(origins, return_index=True)
        slots = np.full(len(origins), -1)
        slots[first] = kept
        free = np.ones(len(origins), np.bool_)
        free[kept] = False
        again = np.flatnonzero(slots < 0)
        # Rows and slots of a source lie together, and there are as many of both: in their order they pair.
        slots[again] = np.flatnonzero(free)
        self._slots = slots
        length = self._stored.length
        for origin, target in zip(origins[again].tolist(), slots[again].tolist(), strict=True):
            parted = self._writers[origin, :length] != self._writers[target, :length]
            begin = int(parted.argmax()) if parted.any() else length
            self._stored.overwrite(target, origin, begin)
            self._writers[target] = self._writers[origin]

    def take(self, rows: NDArray[np.int64]) -> None:
        """Go on with these rows, in this order: any number of them, the sources' keys and masks with them."""
        self.started = self.started.take(rows)
        self._move(rows)
        self.sources = self.sources[rows]
        self.attention_mask = _rows(self.encoded.attention_mask, self.sources)
        self.prompt_mask = _rows(self.encoded.decoder_attention_mask, self.sources)

    def reorder_across_sources(self, rows: NDArray[np.int64]) -> None:
        """Give each row the cache of another one, even of another source; masks stay. 4.52.4 does so to idle rows."""
        if np.array_equal(self.sources[rows], self.sources):
            self.keep(rows)
        else:
            self._move(rows)

    def crop(self, length: int) -> None:
        """Forget the tokens after the first `length`."""
        if self.use_cache:
            self._stored = self._stored.crop(length)

    def _move(self, rows: NDArray[np.int64]) -> None:
        """Bring the cache of these rows into their order."""
        if not self.use_cache:
            return
        origins = self._slots[rows]
        self._stored, self._writers = self._stored.take(origins), self._writers[origins]
        self._slots = np.arange(len(rows))


def _in_order(slots: NDArray[np.int64]) -> bool:
    return bool(slots.tolist() == [*range(len(slots))])


def _rows(mask: Mask | None, rows: NDArray[np.int64]) -> Mask | None:
    return None if mask is None else mask[rows]


def _grown(prompt_mask: Mask, length: int) -> Mask:
    """The prompt's mask, followed by ones: [R, P] -> [R, L]."""
    new = np.ones((len(prompt_mask), length - prompt_mask.shape[1]), np.bool_)
    return np.concatenate([prompt_mask, new], axis=1)


def _present(layers: tuple[Array | None, ...], slots: NDArray[np.int64]) -> States:
    """The layers that there are, their rows in the search's order."""
    in_order = _in_order(slots)
    return tuple(layer if in_order else layer[slots] for layer in layers if layer is not None)
