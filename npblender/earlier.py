"""What an earlier call returned, handed in again: the encoder's outputs, and past keys and values.

Both come in several forms, as in transformers: the records of this package, or tuples of arrays. Here they become the
records, checked against the model; nothing is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.cache import Cache, LayerCache
from npblender.config import BlenderbotSmallConfig
from npblender.inputs import as_array, check_embeddings, check_size
from npblender.outputs import BaseModelOutput, ModelOutput

Array = NDArray[Any]

PAST_FORMS = "past_key_values takes what an earlier call returned, or a tuple of 2 or 4 arrays a decoder layer"


def encoder_states_of(value: Any) -> tuple[Any, Any, Any]:
    """States, hidden states and attentions of `encoder_outputs`: a record, a mapping, a tuple, or states alone.

    >>> encoder_states_of(("states",))
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
    """Given encoder outputs, in any of the forms transformers takes, as a record.

    >>> from npblender.example import EXAMPLE_CONFIG
    >>> check_encoder_outputs(EXAMPLE_CONFIG, np.dtype("float32"), np.ones((1, 4, 6))).last_hidden_state.shape
    (1, 4, 6)
    """
    states, hidden_states, attentions = encoder_states_of(value)
    states = check_embeddings("encoder_outputs", states, config.d_model, dtype)
    batch, length = states.shape[:2]
    heads = config.encoder_attention_heads
    _check_layers("hidden states", hidden_states, states.shape)
    _check_layers("attentions", attentions, (batch, heads, length, length))
    return BaseModelOutput(states, hidden_states, attentions)


def _check_layers(name: str, given: Any, shape: tuple[int, ...]) -> None:
    """What is handed along with the states: nothing, or an array a layer (None where LayerDrop left one out)."""
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
            check_size(f"past_key_values[{n}]", array, dtype)
        layers.append(LayerCache(*arrays))
    return Cache(tuple(layers))


def check_past(config: BlenderbotSmallConfig, dtype: np.dtype[Any], value: Any, batch: int) -> Cache:
    """Given past keys and values as a cache that fits the decoder and this call's batch.

    >>> from npblender.example import EXAMPLE_CONFIG
    >>> check_past(EXAMPLE_CONFIG, np.dtype("float32"), (), batch=1)
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
