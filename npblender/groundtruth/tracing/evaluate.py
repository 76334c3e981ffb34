"""Evaluates a model from ids to logits and passes every named array to a sink.

A run in steps names its points `prefill.decoder...` and `prefill.logits`, then `step1.decoder...` and so on; what is
computed once a source (the encoder, the cross keys and values) keeps its plain name and comes first. Traces, and all
evaluations from which their noise is measured, run through `evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from npblender.common.array_types import Array
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import Dialect
from npblender.groundtruth.tracing.inputs import Run, has_head, with_arrays
from npblender.groundtruth.tracing.points import Point, run_points
from npblender.transformer.checks import make_context
from npblender.transformer.context import Sink, Target
from npblender.transformer.forward import logits_of, loss_of, run_decoder, run_encoder, start_decoder
from npblender.transformer.packing import lay_out
from npblender.transformer.parameters import (
    BASE_MODEL,
    CAUSAL_MODEL,
    FULL_MODEL,
    Parts,
    Weights,
    from_arrays,
    to_arrays,
)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything that determines the numbers: configuration, dialect, weights, and what is run."""

    config: BlenderbotSmallConfig
    dialect: Dialect
    weights: Weights
    run: Run

    def in_dtype(self, dtype: np.dtype[Any]) -> Evaluation:
        """Round every number of the weights and of the inputs to `dtype`."""

        def cast(name: str, array: Array) -> Array:
            return array.astype(dtype) if array.dtype.kind == "f" else array

        weights = cast_weights(self.config, self.weights, dtype)
        return replace(self, weights=weights, run=self.run.with_arrays(cast))


def changed_weights(config: BlenderbotSmallConfig, weights: Weights, change: Callable[[str, Array], Array]) -> Weights:
    """Put `change(name, array)` in the place of every parameter; the matrices of the result are not packed."""
    arrays = {name: change(name, array) for name, array in to_arrays(weights).items()}
    return from_arrays(config, arrays, _parts(weights))


def cast_weights(config: BlenderbotSmallConfig, weights: Weights, dtype: np.dtype[Any]) -> Weights:
    """Cast weights to another dtype and pack them as a model's own; return the same object if they have it already."""
    if weights.dtype == dtype:
        return weights
    return packed(config, changed_weights(config, weights, lambda name, array: array.astype(dtype)))


def packed(config: BlenderbotSmallConfig, weights: Weights) -> Weights:
    """Pack matrices as those of a model are."""
    return lay_out(config, weights, _parts(weights))


def _parts(weights: Weights) -> Parts:
    if weights.encoder is None:
        return CAUSAL_MODEL
    return BASE_MODEL if weights.final_logits_bias is None else FULL_MODEL


def decoder_passes(run: Run) -> Iterator[tuple[str, int, int]]:
    """Yield name, first target token and the token behind the last of every decoder pass. A single pass has no name.

    >>> list(decoder_passes(Run(None, Target(np.zeros((1, 4), np.int64)), prefill=2)))
    [('prefill', 0, 2), ('step1', 2, 3), ('step2', 3, 4)]
    """
    if run.prefill is None:
        yield "", 0, run.length
        return
    yield "prefill", 0, run.prefill
    for number, at in enumerate(range(run.prefill, run.length), 1):
        yield f"step{number}", at, at + 1


def planned_points(evaluation: Evaluation) -> dict[str, Point]:
    """List every point of an evaluation in causal order, by the name that `evaluate` gives it.

    >>> run = Run(None, Target(np.array([[1, 9, 4]])), prefill=2)
    >>> list(planned_points(Evaluation(config, context.dialect, weights, run)))[-1]
    'step1.log_probabilities'
    """
    config, run = evaluation.config, evaluation.run
    planned = run_points(
        None if run.source is None else config.encoder_layers,
        config.decoder_layers,
        (f"{step}." if step else "" for step, _, _ in decoder_passes(run)),
        head=has_head(evaluation.weights),
        labels=run.labels is not None,
    )
    skipped = set()  # embeddings that are given are not looked up
    if run.source is not None and run.source.input_ids is None:
        skipped.add("encoder.embed.tokens")
    if run.target.input_ids is None:
        skipped.add("decoder.embed.tokens")
    return {name: point for name, point in planned.items() if point.name not in skipped}


def _target_slice(target: Target, start: int, stop: int) -> Target:
    """Cut out the target's tokens `start` to `stop` - 1; the mask keeps the columns of all tokens before them."""

    first = {"input_ids": start, "inputs_embeds": start, "position_ids": start, "attention_mask": 0}
    return with_arrays(target, lambda name, array: array[:, first[name] : stop] if name in first else array)


def evaluate(evaluation: Evaluation, sink: Sink) -> None:
    """Run the model and call `sink(name, array)` for every planned point, in order.

    The arrays are views of buffers that may change after the call.

    >>> run, found = Run(None, Target(np.array([[1, 9]]))), {}
    >>> evaluate(Evaluation(config, context.dialect, weights, run), found.__setitem__)
    >>> found["decoder.layers.0.self_attn.weights"][0, 0].round(2)  # causal: token 0 attends to itself alone
    array([[1.  , 0.  ],
           [0.37, 0.63]], dtype=float32)
    """
    weights, run = evaluation.weights, evaluation.run
    context = make_context(evaluation.config, evaluation.dialect, sink)
    states = None if run.source is None else run_encoder(weights, run.source, context).last_hidden_state
    cache = start_decoder(weights, run.batch, states, context)
    for name, start, stop in decoder_passes(run):
        here = replace(context, tap=context.tap.at(name)) if name else context
        output = run_decoder(weights, _target_slice(run.target, start, stop), cache, here)
        assert output.past_key_values is not None
        cache = output.past_key_values
        if has_head(weights):
            logits = logits_of(weights, output.last_hidden_state, here)
            if run.labels is not None:
                loss_of(logits, run.labels, here)
