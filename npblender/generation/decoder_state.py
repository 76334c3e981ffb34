"""The arrays of a call of `generate`, checked and encoded; then `DecoderState`: rows of ids in, the next logits out.

`encode_source` makes the `EncodedSource` that every step of a search reads and none changes. One `DecoderState` serves
one search. It keeps the decoder's cache in step with the rows that the search keeps and, if the record is to hold them,
the attentions and hidden states of every step. Scores and stopping are the search's.

A row that a search keeps does not move in the cache. The order of the search's rows and that of the cache's differ, and
`_slots` says which is where; see `DecoderState.keep`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array, Ids, Mask
from npblender.common.checks import check_head_mask, check_ids, check_mask
from npblender.config.dialect import Dialect
from npblender.generation.plan import Plan
from npblender.generation.planning import lacks_start
from npblender.transformer.checks import check_encoder_outputs, check_past_key_values, check_source
from npblender.transformer.context import Context, Target
from npblender.transformer.forward import next_logits, run_encoder, start_decoder
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
    full_source_ids: Ids | None = None  # [B, M]: what the source was cut from, where the caller has it
    attention_mask: Mask | None = None  # [B, S]
    decoder_attention_mask: Mask | None = None  # [B, P]
    head_mask: Array | None = None  # [layers, H]
    cross_attn_head_mask: Array | None = None  # [layers, H]
    past: Cache | None = None  # of the first tokens of the prompt, where the caller has it


@dataclass(frozen=True)
class CallerArrays:
    """The arrays of a call, as they were passed."""

    input_ids: Any = None
    full_input_ids: Any = None
    attention_mask: Any = None
    inputs_embeds: Any = None
    encoder_outputs: Any = None
    decoder_input_ids: Any = None
    decoder_attention_mask: Any = None
    head_mask: Any = None
    decoder_head_mask: Any = None
    cross_attn_head_mask: Any = None
    position_ids: Any = None
    past_key_values: Any = None


def encode_source(weights: Weights, context: Context, plan: Plan, arrays: CallerArrays) -> EncodedSource:
    """Check the arrays and run the encoder, unless its states are given. `decoder_input_ids` are checked already."""
    config, dtype = context.config, weights.dtype
    context = replace(context, collect_states=plan.wants("hidden_states"), collect_attentions=plan.wants("attentions"))
    ids = arrays.input_ids
    if ids is None and arrays.inputs_embeds is None and arrays.encoder_outputs is None:
        ids = _no_source(plan, context)
    if arrays.encoder_outputs is None:
        source = check_source(
            config,
            dtype,
            mask_from_ids=False,
            input_ids=ids,
            attention_mask=arrays.attention_mask,
            inputs_embeds=arrays.inputs_embeds,
            head_mask=arrays.head_mask,
            position_ids=arrays.position_ids,
        )
        if source.attention_mask is None:
            source = replace(source, attention_mask=_mask_from_ids(plan, context.dialect, source.input_ids))
        encoder, source_ids, mask = run_encoder(weights, source, context), source.input_ids, source.attention_mask
    else:
        for name in ("inputs_embeds", "head_mask", "position_ids"):
            if getattr(arrays, name) is not None:
                raise ValueError(f"{name} would not be used: the source is encoded already; leave one of the two out")
        encoder = check_encoder_outputs(config, dtype, arrays.encoder_outputs)
        shape = encoder.last_hidden_state.shape[:2]
        source_ids = None if ids is None else check_ids("input_ids", ids, config.vocab_size)
        if source_ids is not None and source_ids.shape != shape:
            raise ValueError(f"input_ids have shape {source_ids.shape}, but encoder_outputs cover {shape}")
        if arrays.attention_mask is None:
            mask = _mask_from_ids(plan, context.dialect, source_ids)
        else:
            mask = check_mask("attention_mask", arrays.attention_mask, shape)
    batch = len(encoder.last_hidden_state)
    prompt, prompt_mask = _prompt(plan, batch, arrays.decoder_input_ids, arrays.decoder_attention_mask)
    layers, heads = config.decoder_layers, config.decoder_attention_heads
    given = {name: getattr(arrays, name) for name in ("decoder_head_mask", "cross_attn_head_mask")}
    head_masks = [None if m is None else check_head_mask(name, m, layers, heads, dtype) for name, m in given.items()]
    return EncodedSource(
        weights=weights,
        context=context,
        encoder=encoder,
        prompt=prompt,
        source_ids=source_ids,
        full_source_ids=_full_source(plan, context, arrays.full_input_ids, batch),
        attention_mask=mask,
        decoder_attention_mask=prompt_mask,
        head_mask=head_masks[0],
        cross_attn_head_mask=head_masks[1],
        past=_past(plan, context, encoder, arrays, prompt.shape[1], dtype),
    )


def _full_source(plan: Plan, context: Context, ids: Any, batch: int) -> Ids | None:
    """What the source was cut from, checked."""
    if ids is None:
        return None
    if not (plan.settings.beam_block_full_context and plan.settings.encoder_no_repeat_ngram_size):
        raise ValueError(
            "full_input_ids would not be used: a ParlAI-style search reads them with beam_block_full_context=True and "
            "encoder_no_repeat_ngram_size of 1 or more"
        )
    full = check_ids("full_input_ids", ids, context.config.vocab_size)
    if len(full) != batch:
        raise ValueError(f"full_input_ids have {len(full)} rows, and there are {batch} sources")
    return full


def _no_source(plan: Plan, context: Context) -> Ids:
    """The source of a call without one: transformers takes the token that begins a text; ParlAI has none."""
    begin = context.config.bos_token_id if plan.settings.bos_token_id is None else plan.settings.bos_token_id
    if context.dialect.search == "parlai" or begin is None:
        raise ValueError("there is no source: pass exactly one of input_ids, inputs_embeds and encoder_outputs")
    return np.array([[begin]])


def _past(
    plan: Plan,
    context: Context,
    encoder: BaseModelOutput,
    arrays: CallerArrays,
    prompt_length: int,
    dtype: np.dtype[Any],
) -> Cache | None:
    """The cache of the prompt's first tokens, checked against the source and the prompt."""
    if arrays.past_key_values is None:
        return None
    target, states = arrays.decoder_input_ids, encoder.last_hidden_state
    if target is None or lacks_start(target, plan.start):
        raise ValueError(
            "past_key_values hold the first tokens of decoder_input_ids: pass these too, the start token first"
        )
    if context.dialect.search == "parlai":
        raise ValueError("past_key_values: a ParlAI-style search reads decoder_input_ids itself; leave the cache out")
    if plan.settings.use_cache is False:
        raise ValueError("past_key_values would not be used: leave use_cache=False out")
    past = check_past_key_values(context.config, dtype, arrays.past_key_values, len(states))
    if not 0 < past.length < prompt_length:
        raise ValueError(
            f"past_key_values hold {past.length} tokens of the {prompt_length} in decoder_input_ids: "
            "one at least must be new"
        )
    if past.source_length != states.shape[1]:
        raise ValueError(
            f"past_key_values cover a source of {past.source_length} tokens, and this one has {states.shape[1]}"
        )
    return past


def _mask_from_ids(plan: Plan, dialect: Dialect, ids: Ids | None) -> Mask | None:
    """The mask [B, S] that hides pads, in the dialects that make one where the caller gives none."""
    if ids is None or plan.pad is None:
        return None
    hides_pads = dialect.mask_from_ids or (dialect.mask_from_ids_in_generate and plan.pad not in plan.eos)
    return ids != plan.pad if hides_pads else None


def _prompt(plan: Plan, batch: int, target: Ids | None, mask: Any) -> tuple[Ids, Mask | None]:
    """The first ids of every target, [B, P], and which of them may be attended to."""
    start = np.full((batch, 1), plan.start, np.int64)
    if target is None:
        if mask is not None:
            raise ValueError("decoder_attention_mask masks decoder_input_ids, and none were given")
        return start, None
    if len(target) != batch:
        raise ValueError(f"decoder_input_ids have {len(target)} rows, the source {batch}: one target a source")
    kept = None if mask is None else check_mask("decoder_attention_mask", mask, (batch, target.shape[1]))
    if lacks_start(target, plan.start):
        target = np.concatenate([start, target], axis=1)
        kept = None if kept is None else np.concatenate([np.ones((batch, 1), np.bool_), kept], axis=1)
    return target, kept


class DecoderState:
    """The decoder of `copies` rows for each source; row r belongs to source r // copies."""

    def __init__(self, encoded: EncodedSource, copies: int, use_cache: bool) -> None:
        batch = len(encoded.prompt)
        self.encoded = encoded
        self.use_cache = use_cache
        self.sources = np.repeat(np.arange(batch), copies)  # [R]
        started = encoded.past
        if started is None:
            started = start_decoder(encoded.weights, batch, encoded.encoder.last_hidden_state, encoded.context)
        self.started = started.take(self.sources)
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
        mask = self.prompt_mask
        if mask is not None:  # ParlAI's search reads a prompt step by step, and ones follow: [R, P] -> [R, L]
            mask = np.pad(mask[:, :end], ((0, 0), (0, max(0, end - mask.shape[1]))), constant_values=True)
        target = Target(
            input_ids=new[slots.argsort()] if moved else new,
            attention_mask=mask,
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


def _present(layers: tuple[Array | None, ...], slots: NDArray[np.int64]) -> States:
    """The layers that there are, their rows in the search's order."""
    in_order = _in_order(slots)
    return tuple(layer if in_order else layer[slots] for layer in layers if layer is not None)
