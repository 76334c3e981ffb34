"""Makes variants of a run: other summation orders, other rows beside a row, another order of the source's tokens.

Each variant equals the original in exact arithmetic, at every point that it covers, and rounds differently. A variant
that would change more than rounding for this model or these inputs is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array
from npblender.groundtruth.noise.permuted_model import Permutation, draw_permutation, permuted, restore
from npblender.groundtruth.tracing.evaluate import Evaluation, packed, planned_points
from npblender.groundtruth.tracing.inputs import with_arrays
from npblender.transformer.context import Context, Source
from npblender.transformer.encoder import source_positions

Restore = Callable[[str, Array], Array]

SURE_TO_HIDE = -1e4
"""A hidden score of this or less has a weight of exactly 0, in float32 and in float64, beside any other score."""

EXTRA_COLUMNS = 3
"""How many pads `longer_source` appends."""

MOST_ROWS_ALONE = 4
"""How many rows of a large batch are run alone: more would take long and show nothing new."""

SEED = 20200428  # the day on which ParlAI's paper of this model appeared; any other would do


@dataclass(frozen=True, eq=False)
class Variant:
    """An evaluation, how its arrays return to the original's order, and which of the original's rows it has."""

    name: str
    evaluation: Evaluation
    restore: Restore
    rows: slice | None = None  # None = all of them

    def covers(self, point: str) -> bool:
        """Whether a point of the variant is a point of the original: a loss of some of the rows is not."""
        return point != "loss" or self.rows is None


def legitimate_variants(evaluation: Evaluation) -> Iterator[Variant]:
    """Yield the variants of an evaluation, at least three, the same ones every time.

    >>> from npblender.groundtruth.tracing.inputs import TraceInputs, check_inputs
    >>> run = check_inputs(config, weights, context.dialect, TraceInputs([[5, 6], [7, 8]]))
    >>> [variant.name for variant in legitimate_variants(Evaluation(config, context.dialect, weights, run))]
    ['as it is', 'permuted', 'permuted again', 'row 0 alone', 'row 1 alone', 'rows twice', 'longer source', \
'reordered source']
    """
    yield Variant("as it is", evaluation, _same)
    rng = np.random.default_rng(SEED)
    ways = (_as("permuted"), _as("permuted again"), rows_alone, rows_twice, longer_source, reordered_source)
    for number, make in enumerate(ways):
        order = draw_permutation(evaluation.config, rng)
        other = permuted(evaluation, order)
        if number % 2:  # large matrices are multiplied in panels, or else as one: other blocks, other sums
            other = replace(other, weights=packed(other.config, other.weights))
        for variant in make(other):
            yield replace(variant, restore=_in_turn(variant.restore, order))


def _same(name: str, array: Array) -> Array:
    return array


def _in_turn(first: Restore, order: Permutation) -> Restore:
    return lambda name, array: restore(name, first(name, array), order)


def _as(name: str) -> Callable[[Evaluation], list[Variant]]:
    return lambda evaluation: [Variant(name, evaluation, _same)]


def _of_rows(evaluation: Evaluation, take: Callable[[Array], Array]) -> Evaluation:
    """Apply `take` to every array of a run whose first axis is the batch."""
    run = evaluation.run.with_arrays(lambda name, array: array if name.endswith("head_mask") else take(array))
    return replace(evaluation, run=replace(run, labels=None if run.labels is None else take(run.labels)))


def rows_alone(evaluation: Evaluation) -> Iterator[Variant]:
    """Run each of the first rows without the others, if there are others: products of other heights."""
    batch = evaluation.run.batch
    for row in range(min(batch, MOST_ROWS_ALONE) if batch > 1 else 0):
        rows = slice(row, row + 1)
        alone = _of_rows(evaluation, lambda array, rows=rows: array[rows])  # type: ignore[misc]
        yield Variant(f"row {row} alone", alone, _same, rows)


def rows_twice(evaluation: Evaluation) -> Iterator[Variant]:
    """Run every row twice: products of other heights."""
    batch = evaluation.run.batch
    twice = _of_rows(evaluation, lambda array: np.concatenate([array, array]))
    yield Variant("rows twice", twice, lambda name, array: array[:batch] if array.ndim else array)


def _source_axes(evaluation: Evaluation, change: Callable[[Array, int], Array]) -> Restore:
    """Make a function that applies `change(array, axis)` along every axis of the source's tokens."""
    axes = {
        name: [number for number, letter in enumerate(point.axes.split()) if letter == "S"]
        for name, point in planned_points(evaluation).items()
    }

    def back(name: str, array: Array) -> Array:
        for axis in axes[name]:
            array = change(array, axis)
        return array

    return back


def _explicit(evaluation: Evaluation) -> tuple[Source, NDArray[np.bool_]] | None:
    """Return the source with its mask [B, S] and positions [B, S] as arrays, and this mask; None without an encoder."""
    source = evaluation.run.source
    if source is None:
        return None
    mask = np.ones(source.size, np.bool_) if source.attention_mask is None else source.attention_mask
    positions = source.position_ids
    if positions is None:
        context = Context(evaluation.config, evaluation.dialect)
        positions = source_positions(*source.size, source.attention_mask, context)
    return replace(source, attention_mask=mask, position_ids=positions), mask


def _with_source(evaluation: Evaluation, source: Source, change: Callable[[Array, Any], Array]) -> Evaluation:
    """Apply `change(array, fill)` along the source's tokens of an evaluation."""
    fill = {"input_ids": evaluation.config.pad_token_id or 0}
    changed = with_arrays(
        source, lambda name, array: array if name == "head_mask" else change(array, fill.get(name, 0))
    )
    target = replace(evaluation.run.target, encoder_attention_mask=changed.attention_mask)
    return replace(evaluation, run=replace(evaluation.run, source=changed, target=target))


def longer_source(evaluation: Evaluation) -> Iterator[Variant]:
    """Append pads to the source, where they change nothing but rounding.

    They would change more where a row is all pads (its weights are uniform over all columns) and where hidden scores
    have a weight; they are not appended there, nor where the positions do not suffice.
    """
    found = _explicit(evaluation)
    hidden = evaluation.dialect.masked_score
    if found is None or not (hidden is None or hidden <= SURE_TO_HIDE):
        return
    source, mask = found
    length = mask.shape[1]
    if not mask.any(axis=1).all() or length + EXTRA_COLUMNS > evaluation.config.max_position_embeddings:
        return

    def longer(array: Array, fill: Any) -> Array:
        more = np.full((len(array), EXTRA_COLUMNS, *array.shape[2:]), fill, array.dtype)
        return np.concatenate([array, more], axis=1)

    back = _source_axes(evaluation, lambda array, axis: array[(slice(None),) * axis + (slice(0, length),)])
    yield Variant("longer source", _with_source(evaluation, source, longer), back)


def reordered_source(evaluation: Evaluation) -> Iterator[Variant]:
    """Reorder the source's tokens, each with the position it had: attention does not depend on their order."""
    found = _explicit(evaluation)
    if found is None or found[1].shape[1] < 2:
        return
    source, mask = found
    order = np.random.default_rng(SEED).permutation(mask.shape[1])
    back = _source_axes(evaluation, lambda array, axis: array.take(np.argsort(order), axis))
    changed = _with_source(evaluation, source, lambda array, fill: array[:, order])
    yield Variant("reordered source", changed, back)
