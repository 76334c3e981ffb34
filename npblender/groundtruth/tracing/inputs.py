"""What a trace runs: ids, masks and whatever else the forward pass takes, as a file keeps it and as the model reads it.

`TraceInputs` is what a caller or a JSON file gives, and what a trace file says was run; `Run` is the same after all
checks, as the records of the forward pass. Nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from npblender.common.array_checks import as_array, check_ids
from npblender.common.array_types import IGNORED_LABEL, Array, Ids
from npblender.common.field_checks import check_whole, closest_name, switch_or_default
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import Dialect
from npblender.transformer.checks import check_source, check_target
from npblender.transformer.forward import shift_right
from npblender.transformer.inputs import Source, Target
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
        """The inputs that a JSON object describes: the fields of this record as (nested) lists of numbers.

        Raises TypeError for what is no object, ValueError for a key that is none of the fields.

        >>> TraceInputs.from_json({"input_ids": [[5, 6]], "decoder_inputs_ids": [[1]]})
        Traceback (most recent call last):
        ValueError: there is no input 'decoder_inputs_ids'; did you mean 'decoder_input_ids'?
        """
        if not isinstance(content, Mapping):
            raise TypeError(f"inputs are an object of names and arrays, not a {type(content).__name__}")
        names = [field.name for field in fields(TraceInputs)]
        for key in content:
            if key not in names:
                close = closest_name(key, names)
                hint = f"did you mean {close!r}?" if close else f"inputs are {', '.join(names)}"
                raise ValueError(f"there is no input {key!r}; {hint}")
        return TraceInputs(**content)

    def to_json(self) -> dict[str, Any]:
        """What is given, as JSON has it; `from_json` undoes it.

        >>> TraceInputs(np.array([[5, 6]]), decoder_input_ids=[[1]], steps=True).to_json()
        {'input_ids': [[5, 6]], 'decoder_input_ids': [[1]], 'steps': True, 'prefill': 1}
        """
        given: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("steps", "prefill"):
                if self.steps:
                    given[field.name] = value
            elif value is not None:
                given[field.name] = _plain(as_array(field.name, value))
        return given


def _plain(array: Array) -> Any:
    """An array as lists; booleans as 0 and 1."""
    if array.dtype.kind == "f":
        return array.astype(np.float64).tolist()
    return array.astype(np.int64).tolist() if array.dtype.kind == "b" else array.tolist()


@dataclass(frozen=True, eq=False)
class Run:
    """Checked inputs: what the encoder reads, what the decoder reads, and how."""

    source: Source | None  # None in a model without an encoder
    target: Target
    labels: Ids | None = None  # [B, T]
    prefill: int | None = None  # tokens of the first step; None = all in one pass, without names of steps

    @property
    def length(self) -> int:
        """T, the number of target tokens."""
        return int(self._tokens.shape[1])

    @property
    def batch(self) -> int:
        """B, the number of rows."""
        return int(self._tokens.shape[0])

    @property
    def _tokens(self) -> Array:
        tokens = self.target.inputs_embeds if self.target.input_ids is None else self.target.input_ids
        assert tokens is not None
        return tokens


def has_head(weights: Weights) -> bool:
    """Whether a model has logits: all but the base model do.

    >>> from npblender.models.example import example_model
    >>> has_head(example_model().weights)
    True
    """
    return weights.encoder is None or weights.final_logits_bias is not None


def check_inputs(config: BlenderbotSmallConfig, weights: Weights, dialect: Dialect, inputs: TraceInputs) -> Run:
    """The inputs as a run of this model.

    Raises:
        ValueError, TypeError: an input that does not fit the model or another input; the message names it.

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> run = check_inputs(model.config, model.weights, model.dialect, TraceInputs([[5, 6, 0]]))
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
    run = (_causal_run if weights.encoder is None else _whole_run)(config, weights, dialect, inputs, labels)
    if labels is not None and labels.shape != (run.batch, run.length):
        raise ValueError(f"labels have shape {labels.shape}, the target {(run.batch, run.length)}: one label a token")
    if prefill is not None and prefill > run.length:
        raise ValueError(f"prefill is {prefill}, but the target has {run.length} tokens")
    return Run(run.source, run.target, labels, prefill)


def _check_steps(inputs: TraceInputs) -> int | None:
    prefill = check_whole("prefill", inputs.prefill, at_least=1, or_numpy=True)
    if switch_or_default("steps", inputs.steps, False):
        return prefill
    if prefill != 1:
        raise ValueError("prefill is how many tokens the first step has: say steps=True, too, or leave it out")
    return None


def _causal_run(
    config: BlenderbotSmallConfig, weights: Weights, dialect: Dialect, inputs: TraceInputs, labels: Ids | None
) -> Run:
    """The decoder alone, whose arguments have no prefix."""
    own = ("input_ids", "attention_mask", "head_mask", "inputs_embeds", "position_ids")
    for field in fields(inputs):
        if field.name not in (*own, "labels", "steps", "prefill") and getattr(inputs, field.name) is not None:
            raise ValueError(f"{field.name} is of a model with an encoder; this one takes {', '.join(own)} and labels")
    given = {name: getattr(inputs, name) for name in own}
    target, _ = check_target(config, weights.dtype, None, None, prefix="", **given)
    return Run(None, target)


def _whole_run(
    config: BlenderbotSmallConfig, weights: Weights, dialect: Dialect, inputs: TraceInputs, labels: Ids | None
) -> Run:
    """Encoder and decoder."""
    source = check_source(
        config,
        weights.dtype,
        mask_from_ids=dialect.mask_from_ids,
        input_ids=inputs.input_ids,
        attention_mask=inputs.attention_mask,
        inputs_embeds=inputs.inputs_embeds,
        head_mask=inputs.head_mask,
        position_ids=inputs.position_ids,
    )
    tokens = source.inputs_embeds if source.input_ids is None else source.input_ids
    assert tokens is not None
    decoder_ids = inputs.decoder_input_ids
    if decoder_ids is None and inputs.decoder_inputs_embeds is None:
        decoder_ids = _target_ids(config, labels, len(tokens))
    states = np.broadcast_to(
        weights.dtype.type(0), (*tokens.shape[:2], config.d_model)
    )  # their shape is all that counts
    target, _ = check_target(
        config,
        weights.dtype,
        None,
        states,
        prefix="decoder_",
        source_mask_name="attention_mask",
        input_ids=decoder_ids,
        inputs_embeds=inputs.decoder_inputs_embeds,
        attention_mask=inputs.decoder_attention_mask,
        encoder_attention_mask=source.attention_mask,
        head_mask=inputs.decoder_head_mask,
        cross_attn_head_mask=inputs.cross_attn_head_mask,
        position_ids=inputs.decoder_position_ids,
    )
    return Run(source, target)


def _target_ids(config: BlenderbotSmallConfig, labels: Ids | None, batch: int) -> Ids:
    """Decoder ids where none are given: the labels shifted, or the token that every reply starts with."""
    start, pad = config.decoder_start_token_id, config.pad_token_id
    if start is None or (labels is not None and pad is None):
        raise ValueError("decoder_input_ids is missing, and the config has no start token (and pad) to make it from")
    if labels is None:
        return np.full((batch, 1), start, np.int64)
    assert pad is not None
    return shift_right(labels, start, pad)


def described(run: Run) -> TraceInputs:
    """The inputs that make this run again: what was given, and what the model made of it (a mask, the target's ids).

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> described(check_inputs(model.config, model.weights, model.dialect, TraceInputs([[5, 0]]))).to_json()
    {'input_ids': [[5, 0]], 'attention_mask': [[1, 0]], 'decoder_input_ids': [[1]]}
    """
    source, target = run.source, run.target
    given: dict[str, Any] = {
        "input_ids": target.input_ids,
        "attention_mask": target.attention_mask,
        "head_mask": target.head_mask,
        "inputs_embeds": target.inputs_embeds,
        "position_ids": target.position_ids,
    }
    if source is not None:
        given = {f"decoder_{name}": value for name, value in given.items()}
        given |= vars(source)
        given["cross_attn_head_mask"] = target.cross_attn_head_mask
    return TraceInputs(**given, labels=run.labels, steps=run.prefill is not None, prefill=run.prefill or 1)
