"""How the public methods are called: transformers' habits from torch, Keras and Flax, or a refusal that says why.

One decorator serves all of them. It translates Flax's names for arguments that exist here under torch's or Keras's,
unpacks arguments given all in the first position, and refuses unknown names with the names that exist.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

from npblender.inputs import is_packed, unpack

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

ALIASES = {"train": "training", "dropout_rng": "generator"}
"""Flax's names for what Keras calls training, and for its source of noise."""

REFUSED = {
    "params": "a model holds its weights; build another model from them: Model(config, weights)",
    "deterministic": "say training=True or leave it out",
    "attn_implementation": "there is one implementation of attention here, transformers' eager one",
}


def public_call(packed_order: Sequence[str] = ()) -> Callable[[Method], Method]:
    """Decorate a method so that it takes Flax's names, packed arguments if an order is given, and nothing unknown."""

    def decorate(method: Method) -> Method:
        names = [name for name in inspect.signature(method).parameters if name != "self"]

        @wraps(method)
        def call(self: Any, *args: Any, **given: Any) -> Any:
            for alias, name in ALIASES.items():
                if alias in given and name in names:
                    if name in given:
                        raise TypeError(f"{alias!r} is another name for {name!r}; both were given")
                    given[name] = given.pop(alias)
            if packed_order and args and is_packed(args[0]):
                if len(args) > 1:
                    raise TypeError(
                        "with all arguments in the first position, name the others: model(inputs, use_cache=True)"
                    )
                packed = unpack(args[0], packed_order)
                twice = sorted(packed.keys() & given.keys())
                if twice:
                    raise TypeError(f"{twice[0]!r} is given twice, in the first argument and by name")
                args, given = (), packed | given
            for name in given:
                if name in REFUSED and name not in names:
                    raise TypeError(f"{name!r} is not taken: {REFUSED[name]}")
                if name not in names:
                    raise TypeError(f"{method.__name__}() has no argument {name!r}; it takes {', '.join(names)}")
            return method(self, *args, **given)

        return call  # type: ignore[return-value]

    return decorate
