"""Legitimate evaluations of the same run: other summation orders, other company, another layout of the source.

Each variant is equal to the original in exact arithmetic, at every point that it tells, and rounds otherwise. What
would change more than rounding for this model or these inputs is left out: that is decided here. Nothing here runs a
model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array
from npblender.groundtruth.noise.permuted_model import Labels, draw_labels, permuted, restore
from npblender.groundtruth.tracing.evaluate import Evaluation, laid_out, planned_points
from npblender.transformer.context import Context
from npblender.transformer.encoder import source_positions
from npblender.transformer.inputs import Source, Target

Restore = Callable[[str, Array], Array]

SURE_TO_HIDE = -1e4
"""A hidden score of this or less leaves a weight of exactly 0, in float32 and in float64, beside any other score."""

EXTRA_COLUMNS = 3
"""How many pads a longer source has more."""

MOST_ROWS_ALONE = 4
"""Of a large batch only so many rows are run alone: more would take long and tell nothing new."""

SEED = 20200428  # the day on which ParlAI's paper of this model appeared; any other would do


@dataclass(frozen=True, eq=False)
class Variant:
    """An evaluation, how its arrays become those of the original, and which of the original's rows it has."""

    name: str
    evaluation: Evaluation
    restore: Restore
    rows: slice | None = None  # None = all of them

    def tells(self, point: str) -> bool:
        """Whether a point of it is one of the original: a loss of some of the rows is not."""
        return point != "loss" or self.rows is None


def legitimate_variants(evaluation: Evaluation) -> Iterator[Variant]:
    """At least three variants of an evaluation, the same ones every time.

    >>> from npblender.models.example import example_model
    >>> from npblender.groundtruth.tracing.inputs import TraceInputs, check_inputs
    >>> model = example_model()
    >>> run = check_inputs(model.config, model.weights, model.dialect, TraceInputs([[5, 6], [7, 8]]))
    >>> original = Evaluation(model.config, model.dialect, model.weights, run)
    >>> [variant.name for variant in legitimate_variants(original)]
    ['as it is', 'permuted', 'permuted again', 'row 0 alone', 'row 1 alone', 'rows twice', 'longer source', \
'reordered source']
    """
    yield Variant("as it is", evaluation, _same)
    rng = np.random.default_rng(SEED)
    ways = (_alone, _again, rows_alone, rows_twice, longer_source, reordered_source)
    for number, make in enumerate(ways):
        labels = draw_labels(evaluation.config, rng)
        renamed = permuted(evaluation, labels)
        if number % 2:  # large matrices are multiplied in panels, or else as one: other blocks, other sums
            renamed = laid_out(renamed)
        for variant in make(renamed):
            yield replace(variant, restore=_in_turn(variant.restore, labels))


def _same(name: str, array: Array) -> Array:
    return array


def _in_turn(first: Restore, labels: Labels) -> Restore:
    return lambda name, array: restore(name, first(name, array), labels)


def _alone(evaluation: Evaluation) -> Iterator[Variant]:
    yield Variant("permuted", evaluation, _same)


def _again(evaluation: Evaluation) -> Iterator[Variant]:
    yield Variant("permuted again", evaluation, _same)


def _each_row(record: Any, take: Callable[[Array], Array], shared: tuple[str, ...]) -> Any:
    """A record of the forward pass with `take` done to every array whose first axis is the batch."""
    changed = {}
    for name, value in vars(record).items():
        if isinstance(value, np.ndarray) and name not in shared:
            changed[name] = take(value)
    return replace(record, **changed)


def _of_rows(evaluation: Evaluation, take: Callable[[Array], Array]) -> Evaluation:
    run, heads = evaluation.run, ("head_mask", "cross_attn_head_mask")
    return replace(
        evaluation,
        run=replace(
            run,
            source=None if run.source is None else _each_row(run.source, take, heads),
            target=_each_row(run.target, take, heads),
            labels=None if run.labels is None else take(run.labels),
        ),
    )


def rows_alone(evaluation: Evaluation) -> Iterator[Variant]:
    """Each of the first rows without the others, if there are others: products of other heights."""
    batch = evaluation.run.batch
    for row in range(min(batch, MOST_ROWS_ALONE) if batch > 1 else 0):
        rows = slice(row, row + 1)
        alone = _of_rows(evaluation, lambda array, rows=rows: array[rows])  # type: ignore[misc]
        yield Variant(f"row {row} alone", alone, _same, rows)


def rows_twice(evaluation: Evaluation) -> Iterator[Variant]:
    """Every row twice: products of other heights."""
    batch = evaluation.run.batch
    twice = _of_rows(evaluation, lambda array: np.concatenate([array, array]))
    yield Variant("rows twice", twice, lambda name, array: array[:batch] if array.ndim else array)


def _source_axes(evaluation: Evaluation, change: Callable[[Array, int], Array]) -> Restore:
    """What does `change(array, axis)` along every axis that runs over the source's tokens."""
    axes = {
        name: [number for number, letter in enumerate(point.axes.split()) if letter == "S"]
        for name, point in planned_points(evaluation).items()
    }

    def back(name: str, array: Array) -> Array:
        for axis in axes[name]:
            array = change(array, axis)
        return array

    return back


def _explicit(evaluation: Evaluation) -> tuple[Source, NDArray[np.bool_], NDArray[np.int64]] | None:
    """The source with its mask [B, S] and its positions [B, S] as arrays; None without an encoder."""
    source = evaluation.run.source
    if source is None:
        return None
    tokens = source.inputs_embeds if source.input_ids is None else source.input_ids
    assert tokens is not None
    batch, length = tokens.shape[:2]
    mask = np.ones((batch, length), np.bool_) if source.attention_mask is None else source.attention_mask
    context = Context(evaluation.config, evaluation.dialect)
    positions = source.position_ids
    if positions is None:
        positions = source_positions(batch, length, source.attention_mask, context)
    return source, mask, positions


def _with_source(
    evaluation: Evaluation, source: Source, change: Callable[[Array, Any], Array], mask: Array, positions: Array
) -> Evaluation:
    """The evaluation with `change(array, fill)` done along the source's tokens."""
    tokens_id, embeds = source.input_ids, source.inputs_embeds
    pad = evaluation.config.pad_token_id or 0
    new_mask = change(mask, False)
    changed = replace(
        source,
        input_ids=None if tokens_id is None else change(tokens_id, pad),
        inputs_embeds=None if embeds is None else change(embeds, 0),
        attention_mask=new_mask,
        position_ids=change(positions, 0),
    )
    target: Target = replace(evaluation.run.target, encoder_attention_mask=new_mask)
    return replace(evaluation, run=replace(evaluation.run, source=changed, target=target))


def longer_source(evaluation: Evaluation) -> Iterator[Variant]:
    """More pads at the source's end, where they change nothing but rounding.

    They do change more where a row is all pads (its weights are uniform over the columns there are), where hidden
    scores leave a weight, and where there is no room for more columns.
    """
    found = _explicit(evaluation)
    hidden = evaluation.dialect.masked_score
    if found is None or not (hidden is None or hidden <= SURE_TO_HIDE):
        return
    source, mask, positions = found
    length = mask.shape[1]
    if not mask.any(axis=1).all() or length + EXTRA_COLUMNS > evaluation.config.max_position_embeddings:
        return

    def longer(array: Array, fill: Any) -> Array:
        more = np.full((len(array), EXTRA_COLUMNS, *array.shape[2:]), fill, array.dtype)
        return np.concatenate([array, more], axis=1)

    back = _source_axes(evaluation, lambda array, axis: array[(slice(None),) * axis + (slice(0, length),)])
    yield Variant("longer source", _with_source(evaluation, source, longer, mask, positions), back)


def reordered_source(evaluation: Evaluation) -> Iterator[Variant]:
    """The source's tokens in another order, each with the position it had: attention knows no order but that."""
    found = _explicit(evaluation)
    if found is None or found[1].shape[1] < 2:
        return
    source, mask, positions = found
    order = np.random.default_rng(SEED).permutation(mask.shape[1])
    back = _source_axes(evaluation, lambda array, axis: array.take(np.argsort(order), axis))
    changed = _with_source(evaluation, source, lambda array, fill: array[:, order], mask, positions)
    yield Variant("reordered source", changed, back)
