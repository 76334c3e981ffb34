"""The model as a search sees it: rows of ids in, the next token's logits out.

One object lives as long as one search. It keeps the decoder's cache in step with the rows that the search keeps, and,
where they are asked for, the attentions and hidden states of every step. It knows nothing of scores or of stopping.

Rows that a search keeps do not move in the cache: the order of the search's rows and that of the cache's differ, and
`slots` says which is where. See `DecoderState.keep`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array, Ids, Mask
from npblender.transformer.context import Context
from npblender.transformer.forward import logits_of, run_decoder, start_decoder
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
    """The decoder at work on `copies` rows a source; row r belongs to source r // copies."""

    def __init__(self, prepared: EncodedSource, copies: int, use_cache: bool) -> None:
        self.prepared = prepared
        self.use_cache = use_cache
        self.sources = np.repeat(np.arange(len(prepared.prompt)), copies)  # [R]
        batch = len(prepared.prompt)
        self.started = start_decoder(
            prepared.weights, batch, prepared.encoder.last_hidden_state, prepared.context
        ).take(self.sources)
        self._stored = self.started  # the cache, its rows in the order of the slots
        self._slots = np.arange(len(self.sources))  # [R]: where in it each row of the search is
        self._writers = np.empty((len(self.sources), 0), np.int64)  # [R, L]: the slot that each token was read in
        self.attention_mask = _rows(prepared.attention_mask, self.sources)
        self.prompt_mask = _rows(prepared.decoder_attention_mask, self.sources)
        self.attentions: list[States] = []
        self.cross_attentions: list[States] = []
        self.hidden_states: list[States] = []
        self.last_hidden_state: Array | None = None  # [R, T, D] of the newest step

    def prompts(self) -> Ids:
        """The first ids of every row, [R, P]."""
        return self.prepared.prompt[self.sources]

    def logits(self, ids: Ids, last: int = 1) -> Array:
        """Read what is new in `ids` [R, L]; the logits [R, last, V] after each of the last tokens.

        The first call reads the prompt, later ones what has been appended since. Without a cache everything is read
        again each time.
        """
        prepared, slots = self.prepared, self._slots
        cache = self._stored if self.use_cache else self.started
        moved = not np.array_equal(slots, np.arange(len(slots)))
        new = ids[:, cache.length :]
        target = Target(
            input_ids=new[np.argsort(slots)] if moved else new,
            attention_mask=self._target_mask(ids.shape[1]),
            encoder_attention_mask=self.attention_mask,
            head_mask=prepared.head_mask,
            cross_attn_head_mask=prepared.cross_attn_head_mask,
        )
        output = run_decoder(prepared.weights, target, cache, prepared.context)
        assert output.past_key_values is not None
        self._stored = output.past_key_values
        written = np.broadcast_to(np.arange(len(slots))[:, None], new.shape)
        self._writers = np.concatenate([self._writers[:, : cache.length], written], axis=1)
        states = output.last_hidden_state[slots] if moved else output.last_hidden_state
        self.last_hidden_state = states
        if output.attentions is not None and output.cross_attentions is not None:
            self.attentions.append(_present(output.attentions, slots))
            self.cross_attentions.append(_present(output.cross_attentions, slots))
        if output.hidden_states is not None:
            self.hidden_states.append(_present(output.hidden_states, slots))
        logits = logits_of(prepared.weights, states[:, -last:], prepared.context)
        return logits.copy() if prepared.context.tap else logits  # what has been shown is not written to

    @property
    def cache(self) -> Cache:
        """The cache, its rows in the search's order."""
        slots = self._slots
        return self._stored if np.array_equal(slots, np.arange(len(slots))) else self._stored.take(slots)

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Go on with these rows, in this order, as many as before; each must come from a row of the same source.

        A row that goes on stays in its slot of the cache, whatever its place among the rows is now. One that goes on
        more than once is copied to slots that have become free, and of it only what the free slot does not hold
        already: two rows that parted five tokens ago share all before, so the cost does not grow with the length. The
        source's own keys and values are the same for all of its rows, and are never copied.
        """
        if self.prepared.context.tap:  # who listens hears the rows in the search's order, and keeps what was heard
            self._move(rows)
        if self.prepared.context.tap or not self.use_cache:
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
        for origin, target in zip(origins[again].tolist(), slots[again].tolist(), strict=True):
            parted = self._writers[origin] != self._writers[target]
            begin = int(parted.argmax()) if parted.any() else len(parted)
            self._stored.overwrite(target, origin, begin)
            self._writers[target] = self._writers[origin]

    def take(self, rows: NDArray[np.int64]) -> None:
        """Go on with these rows, in this order: any number of them, the sources' keys and masks with them."""
        self.started = self.started.take(rows)
        self._move(rows)
        self.sources = self.sources[rows]
        self.attention_mask = _rows(self.prepared.attention_mask, self.sources)
        self.prompt_mask = _rows(self.prepared.decoder_attention_mask, self.sources)

    def mix(self, rows: NDArray[np.int64]) -> None:
        """Give each row the cache of another, be it one of another source; masks stay. 4.52.4 does so to idle rows."""
        if np.array_equal(self.sources[rows], self.sources):
            self.keep(rows)
        else:
            self._move(rows)

    def _move(self, rows: NDArray[np.int64]) -> None:
        """Bring the cache of these rows into their order."""
        if not self.use_cache:
            return
        origins = self._slots[rows]
        self._stored, self._writers = self._stored.take(origins), self._writers[origins]
        self._slots = np.arange(len(rows))

    def crop(self, length: int) -> None:
        """Forget the tokens after the first `length`."""
        if self.use_cache:
            self._stored = self._stored.crop(length)

    def _target_mask(self, length: int) -> Mask | None:
        """The prompt's mask, followed by ones: [R, P] -> [R, L]."""
        mask = self.prompt_mask
        if mask is None:
            return None
        new = np.ones((len(mask), length - mask.shape[1]), np.bool_)
        return np.concatenate([mask, new], axis=1)


def _rows(mask: Mask | None, rows: NDArray[np.int64]) -> Mask | None:
    return None if mask is None else mask[rows]


def _present(layers: tuple[Array | None, ...], slots: NDArray[np.int64]) -> States:
    """What there is of the layers, rows in the search's order; `slots` says where they are."""
    in_order = np.array_equal(slots, np.arange(len(slots)))
    return tuple(layer if in_order else layer[slots] for layer in layers if layer is not None)
