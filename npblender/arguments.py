"""A call's arguments, checked as a whole against a configuration: the records that the forward pass takes.

`inputs` checks one value at a time; here is what they must be together. What every public model accepts is decided in
this file alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.cache import Cache, as_cache
from npblender.config import BlenderbotSmallConfig
from npblender.context import Context
from npblender.dialects import Dialect
from npblender.forward import Source, Target
from npblender.inputs import (
    check_cache,
    check_embeddings,
    check_head_mask,
    check_ids,
    check_length,
    check_mask,
    check_positions,
    encoder_states_of,
)
from npblender.outputs import BaseModelOutput
from npblender.taps import Sink, Tap

Array = NDArray[Any]
Seed = np.random.Generator | int | None


def make_context(
    config: BlenderbotSmallConfig,
    dialect: Dialect,
    tap: Sink | None = None,
    training: bool = False,
    generator: Seed = None,
    output_attentions: bool | None = None,
    output_hidden_states: bool | None = None,
) -> Context:
    """The record that one call's parts share, its switches filled in from the configuration."""
    if training and generator is None:
        raise ValueError("training=True draws dropout: pass generator=np.random.default_rng(seed), or a seed")
    if generator is not None and not training:
        raise ValueError("generator is used by dropout only: say training=True, or leave it out")
    if isinstance(generator, int):
        generator = np.random.default_rng(generator)
    if generator is not None and not isinstance(generator, np.random.Generator):
        raise TypeError(f"generator must be a numpy.random.Generator or a seed, not {type(generator).__name__}")
    return Context(
        config=config,
        dialect=dialect,
        tap=Tap(tap),
        rng=generator,
        collect_states=config.output_hidden_states if output_hidden_states is None else output_hidden_states,
        collect_attentions=config.output_attentions if output_attentions is None else output_attentions,
    )


def check_source(
    config: BlenderbotSmallConfig,
    dtype: np.dtype[Any],
    *,
    mask_from_ids: bool,
    input_ids: Any = None,
    attention_mask: Any = None,
    inputs_embeds: Any = None,
    head_mask: Any = None,
    position_ids: Any = None,
) -> Source:
    """The encoder's arguments. Without a mask it is made from the ids if `mask_from_ids` says so, else all ones."""
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError("pass exactly one of input_ids and inputs_embeds")
    shape: tuple[int, int]
    if input_ids is not None:
        input_ids = check_ids("input_ids", input_ids, config.vocab_size)
        shape = input_ids.shape
    else:
        inputs_embeds = check_embeddings("inputs_embeds", inputs_embeds, config.d_model, dtype)
        shape = inputs_embeds.shape[:2]
    check_length("the source", shape[1], config.max_position_embeddings)
    if attention_mask is not None:
        attention_mask = check_mask("attention_mask", attention_mask, shape)
    elif mask_from_ids and input_ids is not None and config.pad_token_id is not None:
        attention_mask = input_ids != config.pad_token_id
    if head_mask is not None:
        layers, heads = config.encoder_layers, config.encoder_attention_heads
        head_mask = check_head_mask("head_mask", head_mask, layers, heads, dtype)
    if position_ids is not None:
        position_ids = check_positions("position_ids", position_ids, shape, config.max_position_embeddings)
    return Source(input_ids, inputs_embeds, attention_mask, head_mask, position_ids)


def check_encoder_outputs(config: BlenderbotSmallConfig, dtype: np.dtype[Any], value: Any) -> BaseModelOutput:
    """Given encoder outputs, in any of the forms transformers takes, as a record."""
    states, hidden_states, attentions = encoder_states_of(value)
    states = check_embeddings("encoder_outputs", states, config.d_model, dtype)
    return BaseModelOutput(states, hidden_states, attentions)


def check_past(config: BlenderbotSmallConfig, dtype: np.dtype[Any], value: Any, batch: int) -> Cache:
    """Given past keys and values as a cache that fits the decoder."""
    heads = config.decoder_attention_heads
    return check_cache(as_cache(value), config.decoder_layers, heads, config.d_model // heads, batch, dtype)


def check_target(
    config: BlenderbotSmallConfig,
    dtype: np.dtype[Any],
    cache: Cache | None,
    source_shape: tuple[int, int] | None,
    *,
    prefix: str,
    input_ids: Any = None,
    inputs_embeds: Any = None,
    attention_mask: Any = None,
    encoder_attention_mask: Any = None,
    head_mask: Any = None,
    cross_attn_head_mask: Any = None,
    position_ids: Any = None,
    cache_position: Any = None,
) -> Target:
    """The decoder's arguments, over a cache and a source. The caller's names begin with `prefix`."""
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError(f"pass exactly one of {prefix}input_ids and {prefix}inputs_embeds")
    shape: tuple[int, int]
    if input_ids is not None:
        input_ids = check_ids(f"{prefix}input_ids", input_ids, config.vocab_size)
        shape = input_ids.shape
    else:
        inputs_embeds = check_embeddings(f"{prefix}inputs_embeds", inputs_embeds, config.d_model, dtype)
        shape = inputs_embeds.shape[:2]
    batch, new = shape
    past = 0 if cache is None else cache.length
    check_length("the target", new, config.max_position_embeddings, past)
    if source_shape is not None and source_shape[0] != batch:
        raise ValueError(f"the target has {batch} rows, the source {source_shape[0]}: one target a source")
    if attention_mask is not None:
        keys = past + new
        # Flax masks the whole cache it has allotted, and only the keys that are there count.
        width = cache.max_length if cache is not None and np.shape(attention_mask)[-1:] == (cache.max_length,) else None
        checked = check_mask(f"{prefix}attention_mask", attention_mask, (batch, keys if width is None else width))
        attention_mask = checked[:, :keys]
    if encoder_attention_mask is not None:
        if source_shape is None:
            raise ValueError("encoder_attention_mask masks encoder states, and none were given")
        encoder_attention_mask = check_mask("encoder_attention_mask", encoder_attention_mask, source_shape)
    layers, heads = config.decoder_layers, config.decoder_attention_heads
    if head_mask is not None:
        head_mask = check_head_mask(f"{prefix}head_mask", head_mask, layers, heads, dtype)
    if cross_attn_head_mask is not None:
        if source_shape is None:
            raise ValueError("cross_attn_head_mask masks cross-attention, and without encoder states there is none")
        cross_attn_head_mask = check_head_mask("cross_attn_head_mask", cross_attn_head_mask, layers, heads, dtype)
    if position_ids is not None:
        name = f"{prefix}position_ids"
        position_ids = check_positions(name, position_ids, shape, config.max_position_embeddings)
    if cache_position is not None and not np.array_equal(np.asarray(cache_position), np.arange(past, past + new)):
        due = f"{past} to {past + new - 1}"
        raise ValueError(
            f"cache_position must be {due}, where the cache ends; got {np.asarray(cache_position).tolist()}"
        )
    return Target(
        input_ids=input_ids,
        inputs_embeds=inputs_embeds,
        attention_mask=attention_mask,
        encoder_attention_mask=encoder_attention_mask,
        head_mask=head_mask,
        cross_attn_head_mask=cross_attn_head_mask,
        position_ids=position_ids,
    )
