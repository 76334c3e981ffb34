"""A call's arguments, checked as a whole against a configuration: the records that the forward pass takes.

`inputs` checks one value at a time; here is what they must be together. What every public model accepts is decided in
this file alone.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from npblender.cache import Cache
from npblender.config import BlenderbotSmallConfig
from npblender.context import Context
from npblender.dialects import Dialect
from npblender.earlier import check_encoder_outputs as check_encoder_outputs  # offered from here, too
from npblender.earlier import check_past
from npblender.forward import Source, Target
from npblender.inputs import (
    Ids,
    as_array,
    check_embeddings,
    check_head_mask,
    check_ids,
    check_length,
    check_mask,
    check_positions,
    switch,
    whole,
)
from npblender.taps import Sink, Tap

Array = NDArray[Any]
Seed: TypeAlias = "np.random.Generator | int | None"  # a text: numpy.random is slow to import, and few draw


def make_context(
    config: BlenderbotSmallConfig,
    dialect: Dialect,
    tap: Sink | None = None,
    training: bool | None = False,
    generator: Seed = None,
    output_attentions: bool | None = None,
    output_hidden_states: bool | None = None,
) -> Context:
    """The record that one call's parts share, its switches filled in from the configuration.

    >>> from npblender.example import EXAMPLE_CONFIG
    >>> from npblender.dialects import PARLAI
    >>> make_context(EXAMPLE_CONFIG, PARLAI, output_attentions=True).collect_attentions
    True
    """
    training = switch("training", training, False)
    if training and generator is None:
        raise ValueError("training=True draws dropout: pass generator=np.random.default_rng(seed), or a seed")
    if generator is not None and not isinstance(generator, np.random.Generator):
        generator = np.random.default_rng(whole("generator, if it is a seed and no numpy.random.Generator,", generator))
    if generator is not None and not training:
        raise ValueError(
            "generator (dropout_rng in Flax) is used by dropout only: say training=True (train=True), or leave it out"
        )
    if tap is not None and not callable(tap):
        raise TypeError(f"tap must be callable as tap(name, array), and {type(tap).__name__} is not")
    return Context(
        config=config,
        dialect=dialect,
        tap=Tap(tap),
        rng=generator,
        collect_states=switch("output_hidden_states", output_hidden_states, config.output_hidden_states),
        collect_attentions=switch("output_attentions", output_attentions, config.output_attentions),
    )


def check_tokens(
    config: BlenderbotSmallConfig, dtype: np.dtype[Any], prefix: str, input_ids: Any, inputs_embeds: Any
) -> tuple[Ids | None, Array | None, tuple[int, int]]:
    """Ids or embeddings, whichever of the two is given, and their batch and length.

    >>> from npblender.example import EXAMPLE_CONFIG
    >>> check_tokens(EXAMPLE_CONFIG, np.dtype("float32"), "decoder_", [[1, 9]], None)
    (array([[1, 9]]), None, (1, 2))
    """
    ids_name, embeds_name = f"{prefix}input_ids", f"{prefix}inputs_embeds"
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError(f"pass exactly one of {ids_name} and {embeds_name}")
    if input_ids is not None:
        ids = check_ids(ids_name, input_ids, config.vocab_size)
        return ids, None, (ids.shape[0], ids.shape[1])
    embeds = check_embeddings(embeds_name, inputs_embeds, config.d_model, dtype)
    return None, embeds, (embeds.shape[0], embeds.shape[1])


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
    """The encoder's arguments. Without a mask it is made from the ids if `mask_from_ids` says so, else all ones.

    >>> from npblender.example import EXAMPLE_CONFIG
    >>> check_source(EXAMPLE_CONFIG, np.dtype("float32"), mask_from_ids=True, input_ids=[[5, 0]]).attention_mask
    array([[ True, False]])
    """
    ids, embeds, shape = check_tokens(config, dtype, "", input_ids, inputs_embeds)
    check_length("inputs_embeds" if ids is None else "input_ids", shape[1], config.max_position_embeddings)
    if attention_mask is not None:
        attention_mask = check_mask("attention_mask", attention_mask, shape)
    elif mask_from_ids and ids is not None and config.pad_token_id is not None:
        attention_mask = ids != config.pad_token_id
    if head_mask is not None:
        layers, heads = config.encoder_layers, config.encoder_attention_heads
        head_mask = check_head_mask("head_mask", head_mask, layers, heads, dtype)
    if position_ids is not None:
        position_ids = check_positions("position_ids", position_ids, shape, config.max_position_embeddings)
    return Source(ids, embeds, attention_mask, head_mask, position_ids)


def check_target(
    config: BlenderbotSmallConfig,
    dtype: np.dtype[Any],
    past_key_values: Any,
    encoder_states: Array | None,
    *,
    prefix: str,
    source_mask_name: str = "encoder_attention_mask",
    input_ids: Any = None,
    inputs_embeds: Any = None,
    attention_mask: Any = None,
    encoder_attention_mask: Any = None,
    head_mask: Any = None,
    cross_attn_head_mask: Any = None,
    position_ids: Any = None,
    cache_position: Any = None,
) -> tuple[Target, Cache | None]:
    """The decoder's arguments, over a cache and over encoder states that are checked already.

    The caller calls most of them `prefix` and the name here, and the source's mask `source_mask_name`. Cross keys in
    the past win over `encoder_states`, from which they were made: so do they in transformers.

    >>> from npblender.example import EXAMPLE_CONFIG
    >>> target, cache = check_target(EXAMPLE_CONFIG, np.dtype("float32"), None, None, prefix="", input_ids=[[1, 9]])
    >>> target.input_ids, cache
    (array([[1, 9]]), None)
    """
    ids, embeds, shape = check_tokens(config, dtype, prefix, input_ids, inputs_embeds)
    batch, new = shape
    name = f"{prefix}inputs_embeds" if ids is None else f"{prefix}input_ids"
    source = None if encoder_states is None else (encoder_states.shape[0], encoder_states.shape[1])
    if source is not None and source[0] != batch:
        raise ValueError(f"{name} has {batch} rows, the source {source[0]}: one target a source")
    cache = None if past_key_values is None else check_past(config, dtype, past_key_values, batch)
    past = 0 if cache is None else cache.length
    if cache is not None and cache.source_length is not None:
        if source not in (None, (batch, cache.source_length)):
            raise ValueError(
                f"past_key_values covers a source of {cache.source_length} tokens, not this one of {source}"
            )
        source = (batch, cache.source_length)
    check_length(name, new, config.max_position_embeddings, past)
    room = None if cache is None else cache.max_length
    if room is not None and past + new > room:
        raise ValueError(f"{name} has {new} tokens after {past} cached ones; init_cache made room for {room}")
    if attention_mask is not None:
        mask_name, keys = f"{prefix}attention_mask", past + new
        attention_mask = as_array(mask_name, attention_mask)
        # Flax masks the whole cache that init_cache made room for, and only the keys that are there count.
        width = keys if room is None or attention_mask.shape[-1:] != (room,) else room
        attention_mask = check_mask(mask_name, attention_mask, (batch, width))[:, :keys]
    if encoder_attention_mask is not None:
        if source is None:
            raise ValueError(f"{source_mask_name} masks encoder states, and none were given")
        encoder_attention_mask = check_mask(source_mask_name, encoder_attention_mask, source)
    layers, heads = config.decoder_layers, config.decoder_attention_heads
    if head_mask is not None:
        head_mask = check_head_mask(f"{prefix}head_mask", head_mask, layers, heads, dtype)
    if cross_attn_head_mask is not None:
        if source is None:
            raise ValueError("cross_attn_head_mask masks cross-attention, and without encoder states there is none")
        cross_attn_head_mask = check_head_mask("cross_attn_head_mask", cross_attn_head_mask, layers, heads, dtype)
    if position_ids is not None:
        name = f"{prefix}position_ids"
        position_ids = check_positions(name, position_ids, shape, config.max_position_embeddings)
    if cache_position is not None:
        given = as_array("cache_position", cache_position)
        if not np.array_equal(given, np.arange(past, past + new)):
            due = f"{past} to {past + new - 1}"
            raise ValueError(f"cache_position must be {due}, where the cache ends; got {given.tolist()}")
    target = Target(
        input_ids=ids,
        inputs_embeds=embeds,
        attention_mask=attention_mask,
        encoder_attention_mask=encoder_attention_mask,
        head_mask=head_mask,
        cross_attn_head_mask=cross_attn_head_mask,
        position_ids=position_ids,
    )
    return target, cache
