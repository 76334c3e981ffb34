"""The records that models return, as transformers has them: fields by attribute, by key and by index.

Fields that were not asked for are None; as in transformers, keys and indices count only those that are there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from npblender.common.array_types import Array
from npblender.common.printable import shown
from npblender.transformer.kv_cache import Cache

States = tuple[Array, ...]
Attentions = tuple[Array | None, ...]  # None where LayerDrop left an encoder layer out


@dataclass(frozen=True, eq=False)
class ModelOutput:
    """Base of all outputs.

    >>> out = BaseModelOutput(last_hidden_state="x", attentions=("a",))
    >>> out.last_hidden_state, out["attentions"], out[1], list(out.keys()), len(out)
    ('x', ('a',), ('a',), ['last_hidden_state', 'attentions'], 2)
    """

    def keys(self) -> tuple[str, ...]:
        """The names of what is there."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) is not None)

    def values(self) -> tuple[Any, ...]:
        """The values that are not None, in order."""
        return tuple(getattr(self, name) for name in self.keys())

    def items(self) -> tuple[tuple[str, Any], ...]:
        """Names and what they name."""
        return tuple(zip(self.keys(), self.values(), strict=True))

    def to_tuple(self) -> tuple[Any, ...]:
        """All values that are there, in order: what `return_dict=False` gives."""
        return self.values()

    def get(self, key: str, default: Any = None) -> Any:
        """What is there under a name, else the default.

        >>> BaseModelOutput(last_hidden_state="x").get("attentions", "none")
        'none'
        """
        return self[key] if key in self.keys() else default

    def __getitem__(self, key: str | int | slice) -> Any:
        if isinstance(key, str):
            if key not in self.keys():
                raise KeyError(f"{shown(key)} is not in this output; it has {', '.join(self.keys())}")
            return getattr(self, key)
        return self.to_tuple()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def __len__(self) -> int:
        return len(self.keys())


@dataclass(frozen=True, eq=False)
class BaseModelOutput(ModelOutput):
    """An encoder's result."""

    last_hidden_state: Array  # [B, S, D]
    hidden_states: States | None = None  # layers + 1 of [B, S, D]
    attentions: Attentions | None = None  # a layer: [B, H, S, S]


@dataclass(frozen=True, eq=False)
class BaseModelOutputWithPastAndCrossAttentions(ModelOutput):
    """A decoder's result."""

    last_hidden_state: Array  # [B, T, D]
    past_key_values: Cache | None = None
    hidden_states: States | None = None  # layers + 1 of [B, T, D]
    attentions: Attentions | None = None  # a layer: [B, H, T, L]
    cross_attentions: Attentions | None = None  # a layer: [B, H, T, S]


@dataclass(frozen=True, eq=False)
class Seq2SeqModelOutput(ModelOutput):
    """The result of the model without a head."""

    last_hidden_state: Array  # [B, T, D]
    past_key_values: Cache | None = None
    decoder_hidden_states: States | None = None
    decoder_attentions: Attentions | None = None
    cross_attentions: Attentions | None = None
    encoder_last_hidden_state: Array | None = None  # [B, S, D]
    encoder_hidden_states: States | None = None
    encoder_attentions: Attentions | None = None


@dataclass(frozen=True, eq=False)
class Seq2SeqLMOutput(ModelOutput):
    """The result of the model with its language-model head."""

    loss: Array | None = None  # []
    logits: Array = None  # type: ignore[assignment]  # [B, T, V], always there; as in transformers it follows the loss
    past_key_values: Cache | None = None
    decoder_hidden_states: States | None = None
    decoder_attentions: Attentions | None = None
    cross_attentions: Attentions | None = None
    encoder_last_hidden_state: Array | None = None  # [B, S, D]
    encoder_hidden_states: States | None = None
    encoder_attentions: Attentions | None = None


@dataclass(frozen=True, eq=False)
class CausalLMOutputWithCrossAttentions(ModelOutput):
    """The result of the decoder alone, read as a language model."""

    loss: Array | None = None  # []
    logits: Array = None  # type: ignore[assignment]  # [B, T, V], always there; as in transformers it follows the loss
    past_key_values: Cache | None = None
    hidden_states: States | None = None
    attentions: Attentions | None = None
    cross_attentions: Attentions | None = None
