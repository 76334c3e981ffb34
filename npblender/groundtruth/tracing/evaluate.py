"""One evaluation of a model, from ids to logits, with every named array told to a sink.

A run in steps names its points `prefill.decoder...` and `prefill.logits`, then `step1.decoder...` and so on; what is
computed once a source (the encoder, the cross keys and values) keeps its plain name and comes first. This is the one
way in which a trace, and every evaluation that its noise is measured by, is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from npblender.common.array_types import Array
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import Dialect
from npblender.groundtruth.comparison.point_names import split_step
from npblender.groundtruth.tracing.inputs import Run, has_head
from npblender.groundtruth.tracing.points import Point, decoder_points, encoder_points, head_points, start_points
from npblender.transformer.checks import make_context
from npblender.transformer.context import Sink
from npblender.transformer.forward import logits_of, loss_of, run_decoder, run_encoder, start_decoder
from npblender.transformer.inputs import Target
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
    """Everything that decides the numbers: configuration, dialect, weights, and what is run."""

    config: BlenderbotSmallConfig
    dialect: Dialect
    weights: Weights
    run: Run

    def in_dtype(self, dtype: np.dtype[Any]) -> Evaluation:
        """The same evaluation with every number, of weights and of inputs, rounded to `dtype`."""

        def cast(value: Any) -> Any:
            return value.astype(dtype) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value

        source, target = self.run.source, self.run.target
        if source is not None:
            source = replace(source, inputs_embeds=cast(source.inputs_embeds), head_mask=cast(source.head_mask))
        target = replace(
            target,
            inputs_embeds=cast(target.inputs_embeds),
            head_mask=cast(target.head_mask),
            cross_attn_head_mask=cast(target.cross_attn_head_mask),
        )
        run = replace(self.run, source=source, target=target)
        return replace(self, weights=cast_weights(self.config, self.weights, dtype), run=run)


def cast_weights(config: BlenderbotSmallConfig, weights: Weights, dtype: np.dtype[Any]) -> Weights:
    """The weights in another dtype, laid out as a model's own are; the very same ones if they have it already.

    >>> from npblender.models.example import example_model
    >>> model = example_model()
    >>> cast_weights(model.config, model.weights, np.dtype("float64")).dtype
    dtype('float64')
    """
    if weights.dtype == dtype:
        return weights
    arrays = {name: array.astype(dtype) for name, array in to_arrays(weights).items()}
    return lay_out(config, from_arrays(config, arrays, _parts(weights)), _parts(weights))


def laid_out(evaluation: Evaluation) -> Evaluation:
    """The same evaluation with its matrices laid out as those of a model are."""
    weights = lay_out(evaluation.config, evaluation.weights, _parts(evaluation.weights))
    return replace(evaluation, weights=weights)


def _parts(weights: Weights) -> Parts:
    if weights.encoder is None:
        return CAUSAL_MODEL
    return BASE_MODEL if weights.final_logits_bias is None else FULL_MODEL


def without_step(name: str) -> str:
    """The name of a point in the catalogue, without the step it is of.

    >>> without_step("step12.decoder.states"), without_step("encoder.states")
    ('decoder.states', 'encoder.states')
    """
    return split_step(name)[1]


def pieces(run: Run) -> Iterator[tuple[str, int, int]]:
    """Name, first and last-but-one target token of every piece in which the target is run; one pass has no name.

    >>> from npblender.transformer.forward import Target
    >>> list(pieces(Run(None, Target(np.zeros((1, 4), np.int64)), prefill=2)))
    [('prefill', 0, 2), ('step1', 2, 3), ('step2', 3, 4)]
    """
    if run.prefill is None:
        yield "", 0, run.length
        return
    yield "prefill", 0, run.prefill
    for number, at in enumerate(range(run.prefill, run.length), 1):
        yield f"step{number}", at, at + 1


def planned_points(evaluation: Evaluation) -> dict[str, Point]:
    """Every point that the evaluation will tell, by the name it will have, in causal order.

    >>> from npblender.models.example import example_model
    >>> from npblender.groundtruth.tracing.inputs import TraceInputs, check_inputs
    >>> model = example_model()
    >>> run = check_inputs(model.config, model.weights, model.dialect, TraceInputs([[5, 6]], labels=[[9, 2]]))
    >>> list(planned_points(Evaluation(model.config, model.dialect, model.weights, run)))[-1]
    'loss'
    """
    config, run = evaluation.config, evaluation.run
    planned: list[tuple[str, Point]] = []
    if run.source is not None:
        once = [*encoder_points(config.encoder_layers), *start_points(config.decoder_layers)]
        planned += [(point.name, point) for point in once]
    each = list(decoder_points(config.decoder_layers, cross=run.source is not None))
    if has_head(evaluation.weights):
        each += head_points(labels=run.labels is not None)
    for piece, _, _ in pieces(run):
        planned += [(f"{piece}.{point.name}" if piece else point.name, point) for point in each]
    untold = set()  # embeddings that are given are not looked up
    if run.source is not None and run.source.input_ids is None:
        untold.add("encoder.embed.tokens")
    if run.target.input_ids is None:
        untold.add("decoder.embed.tokens")
    return {name: point for name, point in planned if point.name not in untold}


def _piece(target: Target, start: int, stop: int) -> Target:
    """The target's tokens `start` to `stop` - 1; its mask covers all before them, too."""

    def columns(array: Array | None, first: int = start) -> Any:
        return None if array is None else array[:, first:stop]

    return replace(
        target,
        input_ids=columns(target.input_ids),
        inputs_embeds=columns(target.inputs_embeds),
        attention_mask=columns(target.attention_mask, 0),
        position_ids=columns(target.position_ids),
    )


def evaluate(evaluation: Evaluation, sink: Sink) -> None:
    """Run it, telling `sink(name, array)` every planned point in order. The arrays are views that may change later.

    >>> from npblender.models.example import example_model
    >>> from npblender.groundtruth.tracing.inputs import TraceInputs, check_inputs
    >>> model, heard = example_model(), []
    >>> run = check_inputs(model.config, model.weights, model.dialect, TraceInputs([[5, 6]]))
    >>> evaluate(Evaluation(model.config, model.dialect, model.weights, run), lambda name, array: heard.append(name))
    >>> heard[0], heard[-1], len(heard)
    ('encoder.embed.tokens', 'log_probabilities', 84)
    """
    weights, run = evaluation.weights, evaluation.run
    context = make_context(evaluation.config, evaluation.dialect, sink)
    states = None if run.source is None else run_encoder(weights, run.source, context).last_hidden_state
    cache = start_decoder(weights, run.batch, states, context)
    for name, start, stop in pieces(run):
        here = replace(context, tap=context.tap.at(name)) if name else context
        output = run_decoder(weights, _piece(run.target, start, stop), cache, here)
        assert output.past_key_values is not None
        cache = output.past_key_values
        if has_head(weights):
            logits = logits_of(weights, output.last_hidden_state, here)
            if run.labels is not None:
                loss_of(logits, run.labels, here)
