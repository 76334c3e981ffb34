"""Check the arrays of a call of `generate` and encode its source: everything that the steps of a search read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from npblender.common.array_checks import check_head_mask, check_ids, check_mask
from npblender.common.array_types import Array, Ids, Mask
from npblender.config.dialect import Dialect
from npblender.generation.decoder_state import EncodedSource
from npblender.generation.plan import Plan
from npblender.generation.planning import lacks_start
from npblender.transformer.checks import check_encoder_outputs, check_source
from npblender.transformer.context import Context
from npblender.transformer.forward import run_encoder
from npblender.transformer.parameters import Weights


@dataclass(frozen=True)
class CallerArrays:
    """The arrays of a call, as they were passed."""

    input_ids: Any = None
    attention_mask: Any = None
    inputs_embeds: Any = None
    encoder_outputs: Any = None
    decoder_input_ids: Any = None
    decoder_attention_mask: Any = None
    head_mask: Any = None
    decoder_head_mask: Any = None
    cross_attn_head_mask: Any = None
    position_ids: Any = None


def encode_source(weights: Weights, context: Context, plan: Plan, arrays: CallerArrays) -> EncodedSource:
    """Check the arrays and run the encoder, unless its states are given. `decoder_input_ids` are checked already."""
    config, dtype = context.config, weights.dtype
    context = replace(context, collect_states=plan.wants("hidden_states"), collect_attentions=plan.wants("attentions"))
    ids = arrays.input_ids
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

    def checked_head_mask(name: str) -> Array | None:
        value = getattr(arrays, name)
        return None if value is None else check_head_mask(name, value, layers, heads, dtype)

    return EncodedSource(
        weights=weights,
        context=context,
        encoder=encoder,
        prompt=prompt,
        source_ids=source_ids,
        attention_mask=mask,
        decoder_attention_mask=prompt_mask,
        head_mask=checked_head_mask("decoder_head_mask"),
        cross_attn_head_mask=checked_head_mask("cross_attn_head_mask"),
    )


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
