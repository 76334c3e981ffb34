"""The model as a search sees it: rows of ids in, the next token's logits out.

One object lives as long as one search. It keeps the decoder's cache in step with the rows that the search keeps, and,
where they are asked for, the attentions and hidden states of every step. It knows nothing of scores or of stopping.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.context import Context
from npblender.forward import Target, logits_of, run_decoder, start_decoder
from npblender.inputs import Ids
from npblender.masks import Mask
from npblender.outputs import BaseModelOutput
from npblender.weights import Weights

Array = NDArray[Any]
States = tuple[Array, ...]


@dataclass(frozen=True)
class Prepared:
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


class Decoding:
    """The decoder at work on `copies` rows a source; row r belongs to source r // copies."""

    def __init__(self, prepared: Prepared, copies: int, use_cache: bool) -> None:
        self.prepared = prepared
        self.use_cache = use_cache
        self.sources = np.repeat(np.arange(len(prepared.prompt)), copies)  # [R]
        batch = len(prepared.prompt)
        self.started = start_decoder(
            prepared.weights, batch, prepared.encoder.last_hidden_state, prepared.context
        ).take(self.sources)
        self.cache = self.started
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
        prepared = self.prepared
        cache = self.cache if self.use_cache else self.started
        target = Target(
            input_ids=ids[:, cache.length :],
            attention_mask=self._target_mask(ids.shape[1]),
            encoder_attention_mask=self.attention_mask,
            head_mask=prepared.head_mask,
            cross_attn_head_mask=prepared.cross_attn_head_mask,
        )
        output = run_decoder(prepared.weights, target, cache, prepared.context)
        assert output.past_key_values is not None
        self.cache = output.past_key_values
        self.last_hidden_state = output.last_hidden_state
        if output.attentions is not None and output.cross_attentions is not None:
            self.attentions.append(_present(output.attentions))
            self.cross_attentions.append(_present(output.cross_attentions))
        if output.hidden_states is not None:
            self.hidden_states.append(output.hidden_states)
        return logits_of(prepared.weights, output.last_hidden_state[:, -last:], prepared.context)

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Go on with these rows, in this order, as many as before; each must come from a row of the same source.

        The source's own keys and values are the same for all of its rows, so they stay where they are.
        """
        if np.array_equal(rows, np.arange(len(self.sources))):
            return
        layers = tuple(replace(layer, key=layer.key[rows], value=layer.value[rows]) for layer in self.cache)
        self.cache = replace(self.cache, layers=layers)

    def take(self, rows: NDArray[np.int64]) -> None:
        """Go on with these rows, in this order: any number of them, the sources' keys and masks with them."""
        self.cache, self.started = self.cache.take(rows), self.started.take(rows)
        self.sources = self.sources[rows]
        self.attention_mask = _rows(self.prepared.attention_mask, self.sources)
        self.prompt_mask = _rows(self.prepared.decoder_attention_mask, self.sources)

    def mix(self, rows: NDArray[np.int64]) -> None:
        """Give each row the cache of another, be it one of another source; masks stay. 4.52.4 does so to idle rows."""
        if np.array_equal(self.sources[rows], self.sources):
            self.keep(rows)
        else:
            self.cache = self.cache.take(rows)

    def crop(self, length: int) -> None:
        """Forget the tokens after the first `length`."""
        if self.use_cache:
            self.cache = self.cache.crop(length)

    def _target_mask(self, length: int) -> Mask | None:
        """The prompt's mask, followed by ones: [R, P] -> [R, L]."""
        mask = self.prompt_mask
        if mask is None:
            return None
        new = np.ones((len(mask), length - mask.shape[1]), np.bool_)
        return np.concatenate([mask, new], axis=1)


def _rows(mask: Mask | None, rows: NDArray[np.int64]) -> Mask | None:
    return None if mask is None else mask[rows]


def _present(layers: tuple[Array | None, ...]) -> States:
    return tuple(layer for layer in layers if layer is not None)
