"""Check a call's arguments as a whole against a configuration, and make of them the records that a pass takes.

This is the border: behind it nothing is checked again. `common.checks` checks one value at a time; here is what
values must be together, and what every public model accepts is decided in this file alone.

It also validates outputs of earlier calls passed back in, `encoder_outputs` and `past_key_values`. Both come in several
forms, as in transformers: the records of this package, or tuples of arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from npblender.common.array_types import Array, Ids
from npblender.common.checks import (
    as_array,
    check_embeddings,
    check_head_mask,
    check_ids,
    check_length,
    check_magnitude,
    check_mask,
    check_positions,
    check_whole,
    switch_or_default,
)
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import Dialect
from npblender.transformer.context import Context, Sink, Source, Tap, Target, with_callers_warnings
from npblender.transformer.kv_cache import Cache, LayerCache
from npblender.transformer.outputs import BaseModelOutput, ModelOutput

PAST_FORMS = "past_key_values takes what an earlier call returned, or a tuple of 2 or 4 arrays a decoder layer"


def unpack_encoder_outputs(value: Any) -> tuple[Any, Any, Any]:
    """States, hidden states and attentions of `encoder_outputs`: a record, a mapping, a tuple, or states alone.

    >>> unpack_encoder_outputs(("states",))
    ('states', None, None)
    """
    if isinstance(value, BaseModelOutput):
        return value.last_hidden_state, value.hidden_states, value.attentions
    if isinstance(value, ModelOutput):
        raise TypeError(f"encoder_outputs takes what an encoder returned, not a {type(value).__name__}")
    if isinstance(value, Mapping):
        if "last_hidden_state" not in value:
            raise ValueError("encoder_outputs has no last_hidden_state")
        return value["last_hidden_state"], value.get("hidden_states"), value.get("attentions")
    if isinstance(value, tuple | list):
        if not value or len(value) > 3:
            raise ValueError("encoder_outputs takes (states,), (states, hidden states) or those with attentions")
        return (*value, *(None,) * (3 - len(value)))
    return value, None, None


def check_encoder_outputs(config: BlenderbotSmallConfig, dtype: np.dtype[Any], value: Any) -> BaseModelOutput:
    """`encoder_outputs` in any of the forms that transformers takes, as a record.

    >>> check_encoder_outputs(config, np.dtype("float32"), np.ones((1, 4, 5)))
    Traceback (most recent call last):
    ValueError: encoder_outputs must be [batch, length, 6], not of shape (1, 4, 5)
    """
    states, hidden_states, attentions = unpack_encoder_outputs(value)
    states = check_embeddings("encoder_outputs", states, config.d_model, dtype)
    batch, length = states.shape[:2]
    heads = config.encoder_attention_heads
    _check_layers("hidden states", hidden_states, states.shape)
    _check_layers("attentions", attentions, (batch, heads, length, length))
    return BaseModelOutput(states, hidden_states, attentions)


def _check_layers(name: str, given: Any, shape: tuple[int, ...]) -> None:
    """Refuse what comes with the states, unless it is an array a layer; None where LayerDrop left a layer out."""
    layers = () if given is None else given
    if not isinstance(layers, tuple | list):
        raise TypeError(f"the {name} of encoder_outputs must be a tuple of arrays, not {type(layers).__name__}")
    for layer in layers:
        if layer is not None and as_array("encoder_outputs", layer).shape != shape:
            raise ValueError(f"the {name} of encoder_outputs must have shape {shape} beside these states")


def as_cache(past_key_values: Any, dtype: np.dtype[Any]) -> Cache:
    """A `Cache` from itself or from transformers' nested tuples of 2 or 4 arrays a layer.

    The numbers of a `Cache` are those that the model computed; a tuple's might come from anywhere, and are checked.

    >>> key = value = np.ones((1, 3, 5, 2), np.float32)
    >>> as_cache(((key, value), (key, value)), np.dtype("float32")).length
    5
    """
    if isinstance(past_key_values, Cache):
        strange = [n for n, layer in enumerate(past_key_values) if not isinstance(layer, LayerCache)]
        if strange:
            raise TypeError(f"{PAST_FORMS}; layer {strange[0]} is something else")
        return past_key_values
    if not isinstance(past_key_values, tuple | list):
        raise TypeError(f"{PAST_FORMS}, not {type(past_key_values).__name__}")
    layers = []
    for n, layer in enumerate(past_key_values):
        if not isinstance(layer, tuple | list | LayerCache) or len(layer) not in (2, 4):
            raise TypeError(f"{PAST_FORMS}; layer {n} is something else")
        arrays = [as_array(f"past_key_values[{n}]", array) for array in layer]
        for array in arrays:
            check_magnitude(f"past_key_values[{n}]", array, dtype)
        layers.append(LayerCache(*arrays))
    return Cache(tuple(layers))


def check_past_key_values(config: BlenderbotSmallConfig, dtype: np.dtype[Any], value: Any, batch: int) -> Cache:
    """`past_key_values` as a cache that fits the decoder and this call's batch.

    >>> check_past_key_values(config, np.dtype("float32"), (), batch=1)
    Traceback (most recent call last):
    ValueError: past_key_values has 0 layers; the decoder has 2
    """
    cache = as_cache(value, dtype)
    layers, heads = config.decoder_layers, config.decoder_attention_heads
    if len(cache) != layers:
        raise ValueError(f"past_key_values has {len(cache)} layers; the decoder has {layers}")
    for n, layer in enumerate(cache):
        for part, array in zip(("key", "value", "cross key", "cross value"), layer, strict=False):
            if not isinstance(array, np.ndarray) or array.dtype != dtype:
                found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
                raise TypeError(f"past_key_values: the {part} of layer {n} is {found}, the model computes in {dtype}")
            if array.ndim != 4 or array.shape[:2] != (batch, heads) or array.shape[3] != config.d_model // heads:
                raise ValueError(
                    f"past_key_values: the {part} of layer {n} has shape {array.shape}; "
                    f"needed is [{batch}, {heads}, length, {config.d_model // heads}]"
                )
    lengths = (cache.length,) * 2 + (() if cache.source_length is None else (cache.source_length,) * 2)
    for n, layer in enumerate(cache):
        covered = tuple(array.shape[2] for array in layer)
        if covered != lengths:
            raise ValueError(f"past_key_values: layer {n} covers {covered} tokens, but the first layer {lengths}")
    if cache.source_length == 0:
        raise ValueError("past_key_values: the cross keys cover a source of no tokens")
    return cache


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

    >>> make_context(config, model.dialect, output_attentions=True).collect_attentions
    True
    """
    training = switch_or_default("training", training, False)
    if training and generator is None:
        raise ValueError("training=True draws dropout: pass generator=np.random.default_rng(seed), or a seed")
    if generator is not None and not isinstance(generator, np.random.Generator):
        generator = np.random.default_rng(
            check_whole("generator, if it is a seed and no numpy.random.Generator,", generator)
        )
    if generator is not None and not training:
        raise ValueError(
            "generator (dropout_rng in Flax) is used by dropout only: say training=True (train=True), or leave it out"
        )
    if tap is not None and not callable(tap):
        raise TypeError(f"tap must be callable as tap(name, array), and {type(tap).__name__} is not")
    return Context(
        config=config,
        dialect=dialect,
        tap=Tap(None if tap is None else with_callers_warnings(tap)),
        rng=generator,
        collect_states=switch_or_default("output_hidden_states", output_hidden_states, config.output_hidden_states),
        collect_attentions=switch_or_default("output_attentions", output_attentions, config.output_attentions),
    )


def check_tokens(
    config: BlenderbotSmallConfig, dtype: np.dtype[Any], prefix: str, input_ids: Any, inputs_embeds: Any
) -> tuple[Ids | None, Array | None, tuple[int, int]]:
    """Ids or embeddings, whichever of the two is given, and their batch and length.

    >>> check_tokens(config, np.dtype("float32"), "decoder_", [[1, 9]], None)
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

    >>> check_source(config, np.dtype("float32"), mask_from_ids=True, input_ids=[[5, 0]]).attention_mask
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

    >>> target, cache = check_target(config, np.dtype("float32"), None, None, prefix="", input_ids=[[1, 9]])
    >>> target.input_ids, cache
    (array([[1, 9]]), None)
    """
    ids, embeds, shape = check_tokens(config, dtype, prefix, input_ids, inputs_embeds)
    batch, new = shape
    name = f"{prefix}inputs_embeds" if ids is None else f"{prefix}input_ids"
    source = None if encoder_states is None else (encoder_states.shape[0], encoder_states.shape[1])
    if source is not None and source[0] != batch:
        raise ValueError(f"{name} has {batch} rows, the source {source[0]}: one target a source")
    cache = None if past_key_values is None else check_past_key_values(config, dtype, past_key_values, batch)
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
