"""Call adapters: accept the torch, Keras and Flax spellings of an argument; reject unknown names with a reason.

One decorator serves every public method. It translates Flax's names for arguments that exist here under torch's or
Keras's, unpacks arguments that are all given in the first position, and lists the existing names for an unknown one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from npblender.common.printable import shown
from npblender.transformer.outputs import ModelOutput

Method = TypeVar("Method", bound=Callable[..., Any])

KERAS_ORDER = (
    "input_ids",
    "attention_mask",
    "decoder_input_ids",
    "decoder_attention_mask",
    "decoder_position_ids",
    "head_mask",
    "decoder_head_mask",
    "cross_attn_head_mask",
    "encoder_outputs",
    "past_key_values",
    "inputs_embeds",
    "decoder_inputs_embeds",
)
"""transformers' order of a Keras model's inputs, for a list in the first position."""

ENCODER_ORDER = ("input_ids", "attention_mask", "head_mask", "inputs_embeds")
DECODER_ORDER = ("input_ids", "attention_mask", "encoder_hidden_states", "encoder_attention_mask")
"""The same of the encoder and of the decoder alone."""

ALIASES = {
    "train": "training",
    "dropout_rng": "generator",
    "pretrained_model_name_or_path": "folder",
    "save_directory": "folder",
}
"""Flax's names for Keras's `training` and for the source of its noise; transformers' names for a folder."""

REFUSED = {
    "params": "a model holds its weights; build another model from them: Model(config, weights)",
    "deterministic": "say training=True or leave it out",
    "torch_dtype": "say dtype='float32', 'float64' or 'longdouble', or for half the memory 'float16' or 'bfloat16'",
    "config": "it is read from the folder; another one makes another model: Model(config, weights)",
    "attn_implementation": "there is one implementation of attention here, transformers' eager one",
    "add_cross_attention": "leave it out: without encoder_hidden_states the causal model runs without cross-attention",
    "variant": "rename the file of that variant to model.safetensors, alone in a folder",
    "device_map": "NumPy computes on the CPU, and the whole model is there",
    "low_cpu_mem_usage": "weights are always read straight to where they stay",
    "load_in_8bit": "say dtype='float16' or 'bfloat16' for half the memory",
    "load_in_4bit": "say dtype='float16' or 'bfloat16' for half the memory",
    "quantization_config": "say dtype='float16' or 'bfloat16' for half the memory",
    "trust_remote_code": "no code is ever loaded with a model",
    "use_safetensors": "safetensors come first; pickles are read with allow_pickle=True",
    "from_tf": "tf_model.h5 is read where there is nothing else",
    "from_flax": "flax_model.msgpack is read where there is nothing else",
    "safe_serialization": "safetensors are always written, never a pickle",
    "use_auth_token": "say token=, as transformers does since 4.31",
    "resume_download": "a download that was cut off is always resumed",
    "proxies": "set HTTPS_PROXY in the environment",
    "push_to_hub": "nothing is uploaded from here; `hf upload` takes the folder",
    "state_dict": "make a model of the arrays first: Model(config, from_arrays(config, arrays))",
}


def is_packed(first: Any) -> bool:
    """Whether a first argument holds all the arguments, as Keras allows: a dict, or a list of arrays.

    A list holds arrays if it holds an array of two or more axes; nested lists of ints are ids.

    >>> is_packed([np.zeros((1, 2))]), is_packed([[5, 6]]), is_packed({"input_ids": [[5, 6]]})
    (True, False, True)
    """
    if isinstance(first, list | tuple):
        return any(isinstance(item, np.ndarray) and item.ndim > 1 for item in first)
    return isinstance(first, Mapping | ModelOutput)


def unpack(packed: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return arguments by name, from a dict or from a list or tuple of arrays in the order of `names`.

    >>> unpack([np.zeros((1, 2)), None, np.ones((1, 3))], ["input_ids", "attention_mask", "decoder_input_ids"])
    {'input_ids': array([[0., 0.]]), 'decoder_input_ids': array([[1., 1., 1.]])}
    """
    if isinstance(packed, list | tuple):
        if len(packed) > len(names):
            raise ValueError(f"{len(packed)} arrays were given; in this order they are {', '.join(names)}")
        return {name: value for name, value in zip(names, packed, strict=False) if value is not None}
    return dict(packed)


def argument_names(method: Callable[..., Any]) -> list[str]:
    """List the names under which a public method takes arguments, Flax's included.

    >>> argument_names(lambda input_ids, training: None)
    ['input_ids', 'training', 'train']
    """
    names = [name for name in inspect.signature(method).parameters if name not in ("self", "cls")]
    return [*names, *(alias for alias, name in ALIASES.items() if name in names)]


def accepts_transformers_names(
    packed_order: Sequence[str] = (), *, like: Callable[..., Any] | None = None
) -> Callable[[Method], Method]:
    """Decorate a method so that it takes Flax's names, packed arguments if an order is given, and nothing unknown.

    With `like` the method takes that method's arguments besides its own keywords: by name, defaults filled in, as its
    `**given`.

    >>> class Model:
    ...     @accepts_transformers_names(["input_ids", "attention_mask"])
    ...     def forward(self, input_ids=None, attention_mask=None, *, training=False):
    ...         return input_ids, training
    >>> Model().forward({"input_ids": [[5]]}, train=True)
    ([[5]], True)
    >>> Model().forward(tempreature=1)
    Traceback (most recent call last):
    TypeError: forward() has no argument 'tempreature'; it takes input_ids, attention_mask, training
    """

    def decorate(method: Method) -> Method:
        signature = inspect.signature(method) if like is None else _joined(inspect.signature(like), method)
        parameters = [p for name, p in signature.parameters.items() if name not in ("self", "cls")]
        names = [p.name for p in parameters]
        by_position = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

        @wraps(method)
        def call(self: Any, *args: Any, **given: Any) -> Any:
            if packed_order and args and is_packed(args[0]):
                if len(args) > 1:
                    raise TypeError(
                        "with all arguments in the first position, name the others: model(inputs, use_cache=True)"
                    )
                packed = unpack(args[0], packed_order)
                twice = sorted(str(name) for name in packed.keys() & given.keys())
                if twice:
                    raise TypeError(f"{shown(twice[0])} is given twice, in the first argument and by name")
                args, given = (), packed | given
            if len(args) > len(by_position):
                raise TypeError(
                    f"{method.__name__}() takes {len(by_position)} arguments by position, {', '.join(by_position)}, "
                    f"and {len(args)} were given: pass the others by name"
                )
            for alias, name in ALIASES.items():
                if alias in given and name in names:
                    if name in given:
                        raise TypeError(f"{shown(alias)} is another name for {shown(name)}; both were given")
                    given[name] = given.pop(alias)
            for name in given:
                if name in REFUSED and name not in names:
                    raise TypeError(f"{shown(name)} is not taken: {REFUSED[name]}")
                if name in by_position[: len(args)]:
                    raise TypeError(f"{shown(name)} is given twice, by position and by name")
                if name not in names:
                    raise TypeError(f"{method.__name__}() has no argument {shown(name)}; it takes {', '.join(names)}")
            if like is not None:
                args, given = (), defaults | dict(zip(by_position, args, strict=False)) | given
            return method(self, *args, **given)

        defaults = {p.name: p.default for p in parameters}
        call.__signature__ = signature  # type: ignore[attr-defined]
        return call  # type: ignore[return-value]

    return decorate


def _joined(other: inspect.Signature, method: Callable[..., Any]) -> inspect.Signature:
    """The other signature, with the keywords of `method` behind it that it lacks."""
    own = [p for p in inspect.signature(method).parameters.values() if p.kind is p.KEYWORD_ONLY]
    return other.replace(parameters=[*other.parameters.values(), *(p for p in own if p.name not in other.parameters)])
