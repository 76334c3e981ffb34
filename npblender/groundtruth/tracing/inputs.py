"""What a trace runs: ids, masks and whatever else the forward pass takes.

`TraceInputs` is what a caller or a JSON file gives; `check_inputs` turns it into a `Run`, which holds the records of
the forward pass and says, as JSON, how to run it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from npblender.common.array_types import IGNORED_LABEL, Array, Ids
from npblender.common.checks import as_array, check_ids, check_whole, closest_name, switch_or_default
from npblender.common.printable import shown
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import Dialect
from npblender.transformer.checks import check_source, check_target
from npblender.transformer.context import Source, Target
from npblender.transformer.forward import shift_right
from npblender.transformer.parameters import Weights


@dataclass(frozen=True, eq=False)
class TraceInputs:
    """The arguments of `forward` that a trace can be of, under its names, and whether to run them step by step."""

    input_ids: Any = None  # [B, S]; the causal head's own ids in a model without an encoder
    attention_mask: Any = None  # [B, S]
    decoder_input_ids: Any = None  # [B, T]; made from labels if absent, else the start token alone
    decoder_attention_mask: Any = None  # [B, T]
    labels: Any = None  # [B, T], -100 = ignored
    head_mask: Any = None  # [layers, H]
    decoder_head_mask: Any = None  # [layers, H]
    cross_attn_head_mask: Any = None  # [layers, H]
    inputs_embeds: Any = None  # [B, S, D] in place of input_ids
    decoder_inputs_embeds: Any = None  # [B, T, D] in place of decoder_input_ids
    position_ids: Any = None  # [B, S]
    decoder_position_ids: Any = None  # [B, T]
    steps: bool = False  # whether the target is run in steps over a cache
    prefill: int = 1  # how many target tokens the first step has; the others have one

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> TraceInputs:
        """Read a JSON object whose keys are fields of this record and whose values are (nested) lists of numbers.

        Raises TypeError for anything but an object, ValueError for a key that is not a field.

        >>> TraceInputs.from_json({"input_ids": [[5, 6]], "decoder_inputs_ids": [[1]]})
        Traceback (most recent call last):
        ValueError: there is no input 'decoder_inputs_ids'; did you mean 'decoder_input_ids'?
        """
        if not isinstance(content, Mapping):
            raise TypeError(f"inputs are an object of names and arrays, not a {type(content).__name__}")
        for wrong in unknown_inputs(content):
            raise ValueError(wrong)
        return TraceInputs(**content)

    def to_json(self) -> dict[str, Any]:
        """Write what is given as JSON, so that `from_json` reads it again.

        >>> TraceInputs(np.array([[5, 6]]), decoder_input_ids=[[1]], steps=True).to_json()
        {'input_ids': [[5, 6]], 'decoder_input_ids': [[1]], 'steps': True, 'prefill': 1}
        """
        return _as_json({name: getattr(self, name) for name in ARRAYS}, self.prefill if self.steps else None)


ARRAYS = tuple(field.name for field in fields(TraceInputs) if field.name not in ("steps", "prefill"))
OF_SOURCE = ("input_ids", "attention_mask", "inputs_embeds", "head_mask", "position_ids")
"""What the encoder reads; with `decoder_` in front, what the decoder reads. A causal head's names have no prefix."""


def unknown_inputs(names: Iterable[str]) -> list[str]:
    """Complain about each name that is not a field of `TraceInputs`.

    >>> unknown_inputs(["labels", "lables"])
    ["there is no input 'lables'; did you mean 'labels'?"]
    """
    known = [field.name for field in fields(TraceInputs)]
    complaints = []
    for name in names:
        if name not in known:
            close = closest_name(name, known)
            hint = f"did you mean {shown(close)}?" if close else f"inputs are {', '.join(known)}"
            complaints.append(f"there is no input {shown(name)}; {hint}")
    return complaints


def _as_json(arrays: Mapping[str, Any], prefill: int | None) -> dict[str, Any]:
    """The arrays that are there as lists, booleans as 0 and 1, in the order of `TraceInputs`."""
    given = {name: as_array(name, arrays[name]) for name in ARRAYS if arrays.get(name) is not None}
    wide = {"f": np.float64, "b": np.int64}
    lists = {name: array.astype(wide.get(array.dtype.kind, array.dtype)).tolist() for name, array in given.items()}
    return lists | ({} if prefill is None else {"steps": True, "prefill": prefill})


Inputs = TypeVar("Inputs", Source, Target)


def with_arrays(inputs: Inputs, change: Callable[[str, Array], Array]) -> Inputs:
    """Put `change(name, array)` in the place of every array that a source or a target has."""
    return replace(inputs, **{name: change(name, array) for name, array in vars(inputs).items() if array is not None})


@dataclass(frozen=True, eq=False)
class Run:
    """Checked inputs: what the encoder reads, what the decoder reads, and how."""

    source: Source | None  # None in a model without an encoder
    target: Target
    labels: Ids | None = None  # [B, T]
    prefill: int | None = None  # tokens of the first step; None = all in one pass, without names of steps

    @property
    def batch(self) -> int:
        """B, the number of rows."""
        return self.target.size[0]

    @property
    def length(self) -> int:
        """T, the number of target tokens."""
        return self.target.size[1]

    def with_arrays(self, change: Callable[[str, Array], Array]) -> Run:
        """Change the arrays of source and target, as `with_arrays` does."""
        source = None if self.source is None else with_arrays(self.source, change)
        return replace(self, source=source, target=with_arrays(self.target, change))

    def to_json(self) -> dict[str, Any]:
        """Write the `TraceInputs` that repeat this run: what was given, and what the model added (mask, target ids).

        >>> Run(Source(np.array([[5, 0]]), attention_mask=np.array([[True, False]])), Target(np.array([[1]]))).to_json()
        {'input_ids': [[5, 0]], 'attention_mask': [[1, 0]], 'decoder_input_ids': [[1]]}
        """
        prefix = "" if self.source is None else "decoder_"
        arrays = {} if self.source is None else dict(vars(self.source))
        arrays |= {f"{prefix}{name}": getattr(self.target, name) for name in OF_SOURCE}
        arrays |= {"cross_attn_head_mask": self.target.cross_attn_head_mask, "labels": self.labels}
        return _as_json(arrays, self.prefill)


def has_head(weights: Weights) -> bool:
    """Whether the model has a language-model head, and so logits: the causal head has, the base model has not."""
    return weights.encoder is None or weights.final_logits_bias is not None


def check_inputs(config: BlenderbotSmallConfig, weights: Weights, dialect: Dialect, inputs: TraceInputs) -> Run:
    """Check the inputs as `forward` does and add what is missing: the mask and the target of this model.

    Raises:
        ValueError, TypeError: an input that does not fit the model or another input; the message names it.

    >>> run = check_inputs(config, weights, context.dialect, TraceInputs([[5, 6, 0]]))
    >>> run.source.attention_mask, run.target.input_ids
    (array([[ True,  True, False]]), array([[1]]))
    """
    prefill = _check_steps(inputs)
    labels = None
    if inputs.labels is not None:
        if not has_head(weights):
            raise TypeError("labels need a head: use BlenderbotSmallForConditionalGeneration")
        if inputs.steps:
            raise ValueError("labels make the loss of a whole pass; leave them out of a trace in steps")
        labels = check_ids("labels", inputs.labels, config.vocab_size, ignored=IGNORED_LABEL)
    if weights.encoder is None:
        source, target = None, _causal_target(config, weights, inputs)
    else:
        source, target = _source_and_target(config, weights, dialect, inputs, labels)
    if labels is not None and labels.shape != target.size:
        raise ValueError(f"labels have shape {labels.shape}, the target {target.size}: one label a token")
    if prefill is not None and prefill > target.size[1]:
        raise ValueError(f"prefill is {prefill}, but the target has {target.size[1]} tokens")
    return Run(source, target, labels, prefill)


def _check_steps(inputs: TraceInputs) -> int | None:
    prefill = check_whole("prefill", inputs.prefill, at_least=1)
    if switch_or_default("steps", inputs.steps, False):
        return prefill
    if prefill != 1:
        raise ValueError("prefill is how many tokens the first step has: say steps=True, too, or leave it out")
    return None


def _causal_target(config: BlenderbotSmallConfig, weights: Weights, inputs: TraceInputs) -> Target:
    """Check the inputs of the decoder alone, whose arguments have no prefix."""
    for name in ARRAYS:
        if name not in (*OF_SOURCE, "labels") and getattr(inputs, name) is not None:
            raise ValueError(f"{name} is of a model with an encoder; this one takes {', '.join(OF_SOURCE)} and labels")
    given = {name: getattr(inputs, name) for name in OF_SOURCE}
    return check_target(config, weights.dtype, None, None, prefix="", **given)[0]


def _source_and_target(
    config: BlenderbotSmallConfig, weights: Weights, dialect: Dialect, inputs: TraceInputs, labels: Ids | None
) -> tuple[Source, Target]:
    """Check the inputs of encoder and decoder."""
    given = {name: getattr(inputs, name) for name in OF_SOURCE}
    source = check_source(config, weights.dtype, mask_from_ids=dialect.mask_from_ids, **given)
    given = {name: getattr(inputs, f"decoder_{name}") for name in OF_SOURCE}
    if given["input_ids"] is None and given["inputs_embeds"] is None:
        given["input_ids"] = _target_ids(config, labels, source.size[0])
    states: Array = np.broadcast_to(weights.dtype.type(0), (*source.size, config.d_model))  # only their shape counts
    target, _ = check_target(
        config,
        weights.dtype,
        None,
        states,
        prefix="decoder_",
        source_mask_name="attention_mask",
        encoder_attention_mask=source.attention_mask,
        cross_attn_head_mask=inputs.cross_attn_head_mask,
        **given,
    )
    return source, target


def _target_ids(config: BlenderbotSmallConfig, labels: Ids | None, batch: int) -> Ids:
    """Make decoder ids where none are given: the labels shifted, or the token that every reply starts with."""
    start, pad = config.decoder_start_token_id, config.pad_token_id
    if start is None or (labels is not None and pad is None):
        raise ValueError("decoder_input_ids is missing, and the config has no start token (and pad) to make it from")
    if labels is None:
        return np.full((batch, 1), start, np.int64)
    assert pad is not None
    return shift_right(labels, start, pad)
