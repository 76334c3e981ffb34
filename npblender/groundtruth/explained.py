"""A trace as an `Explanation`, and a port's trace beside it: a page on which a porter sees where his numbers part.

A trace holds one pass, or one in steps over a cache, of a batch; a page shows one row of it. Steps are put together
again, what a mask hides is left out, and a port's arrays are read as `compare` reads them, under the port's own names
and axis orders. What a trace does not hold is not on the page: there is no search in it, and no text.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.chat.explanation.explanation import Explanation, PointCompared, PointsCompared
from npblender.chat.explanation.lens import logit_lens
from npblender.chat.explanation.next_tokens import next_tokens
from npblender.chat.explanation.passes import Pass, is_shown, pass_of_points
from npblender.chat.explanation.runs import Run, with_tokens
from npblender.common.array_types import Array
from npblender.common.checks import check_whole
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import resolve_dialect
from npblender.groundtruth.comparison.causes import likely_causes
from npblender.groundtruth.comparison.compare import Names, compare
from npblender.groundtruth.comparison.findings import PointReport, Report, readings
from npblender.groundtruth.comparison.reading import read_as
from npblender.groundtruth.tracing.points import axes_of, head_count, known_point, split_step, without_step
from npblender.groundtruth.tracing.trace_file import Trace
from npblender.models import BlenderbotSmallForConditionalGeneration
from npblender.tokenizer import BlenderbotSmallTokenizer

File = Trace | str | os.PathLike[str]


@dataclass(frozen=True)
class Row:
    """One row of a traced batch: its ids, and which of its places are no pads."""

    number: int
    source: tuple[int, ...]  # without pads; numbers below 0 stand for places without an id
    target: tuple[int, ...]
    source_places: NDArray[np.int64]
    target_places: NDArray[np.int64]


def explain_trace(
    trace: File,
    other: File | None = None,
    *,
    model: BlenderbotSmallForConditionalGeneration | None = None,
    tokenizer: BlenderbotSmallTokenizer | None = None,
    names: Names = None,
    row: int = 0,
) -> Explanation:
    """Explain what a trace recorded; with a second one, where that parts from the first.

    Args:
        trace: a `Trace`, or a file of one; any safetensors or NPZ file whose arrays have the names of points will do.
        other: the port's: a trace, or arrays under any names and in any axis orders that `compare` understands.
        model: the model of the trace, for the logit lens.
        tokenizer: its tokenizer, for words in place of numbers.
        names: a table of the port's names, as for `compare`.
        row: which row of the batch.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file is damaged, the trace holds no point that a page shows, or no such row; or the two ran
            other inputs.

    >>> from npblender.groundtruth import trace
    >>> found = trace(model, [[5, 6, 7]], decoder_input_ids=[[1, 9]], noise=False)
    >>> page = explain_trace(found)
    >>> page.runs[0].source, page.runs[0].target, page.runs[0].steps[0].chosen
    ((5, 6, 7), (1, 9), 9)
    """
    first, name = _opened(trace, "the trace")
    if model is not None and first.config is not None and dict(first.config) != model.config.to_dict():
        raise ValueError(f"{name} was recorded with another model than the one that is given")
    chosen = find_row(first, check_whole("row", row))
    runs = [_run(name, first, first.arrays, chosen, model, tokenizer)]
    if other is None and not is_something(runs[0].passed):
        raise ValueError(f"{name} holds no embedding, no attention weights and no logits, so there is nothing to show")
    compared = None
    if other is not None:
        second, other_name = _opened(other, "the other")
        report = compare(first, second, names=names, model=model)
        runs.append(_run(other_name, first, _as_read(report, first, second), chosen, model, tokenizer))
        compared = _points_compared(report)
    config = None if first.config is None else BlenderbotSmallConfig.from_dict(dict(first.config))
    said = "" if tokenizer is None or min(chosen.source, default=-1) < 0 else tokenizer.decode(list(chosen.source))
    return Explanation(said, tuple(runs), config, compared)


def _opened(given: File, otherwise: str) -> tuple[Trace, str]:
    return (given, otherwise) if isinstance(given, Trace) else (Trace.load(given), Path(given).name)


def find_row(trace: Trace, number: int) -> Row:
    """Find the ids of one row, and its places that no mask hides; lengths come from the arrays where ids are missing.

    >>> inputs = {"input_ids": [[5, 6, 7], [5, 0, 0]], "attention_mask": [[1, 1, 1], [1, 0, 0]]}
    >>> row = find_row(Trace({"encoder.embed.sum": np.zeros((2, 3, 4))}, inputs=inputs), 1)
    >>> row.source, row.target
    ((5,), ())
    """
    inputs = dict(trace.inputs or {})
    points = {name: point for name in trace.arrays if (point := known_point(name)) is not None and "B " in point.axes}
    if not points:
        raise ValueError("the trace holds no point of the model, so there is nothing to show; see docs/points.md")
    if (
        not any(without.startswith("encoder.") for without in map(without_step, points))
        and "decoder_input_ids" not in inputs
    ):
        inputs = {f"decoder_{name}": value for name, value in inputs.items()}  # of a decoder alone
    batch = {len(trace.arrays[name]) for name in points}
    if number >= max(batch):
        raise ValueError(f"there is no row {number}: the trace has {max(batch)}, counted from 0")
    source, source_places = _places(trace, points, inputs, "", "S", number)
    target, target_places = _places(trace, points, inputs, "decoder_", "T", number)
    return Row(number, source, target, source_places, target_places)


def _places(
    trace: Trace, points: Mapping[str, Any], inputs: Mapping[str, Any], prefix: str, axis: str, number: int
) -> tuple[tuple[int, ...], NDArray[np.int64]]:
    """The ids of a row's places that are no pads, and these places."""
    ids, mask = (inputs.get(f"{prefix}{name}") for name in ("input_ids", "attention_mask"))
    if ids is None:
        counts: dict[str, int] = {}  # of one point, over its steps
        for name, point in points.items():
            axes = point.axes.split()
            if axis in axes:
                before = counts.get(without_step(name), 0) if axis == "T" else 0
                counts[without_step(name)] = before + trace.arrays[name].shape[axes.index(axis)]
        row = [-1 - place for place in range(max(counts.values(), default=0))]
    else:
        row = [int(each) for each in ids[number]]
    places = np.arange(len(row))
    if mask is not None:
        places = places[np.asarray(mask[number], bool)]
    return tuple(row[place] for place in places), places


def joined_steps(arrays: Mapping[str, Array], row: Row) -> dict[str, Array]:
    """Put the steps of a trace together, of one row and without its pads; of the points that a page shows.

    What a step's attention could not see yet has the weight 0, as in one pass.

    >>> row = Row(0, (), (1, 9), np.arange(0), np.arange(2))
    >>> steps = {"prefill.decoder.layers.0.self_attn.weights": np.ones((1, 1, 1, 1))}
    >>> steps["step1.decoder.layers.0.self_attn.weights"] = np.full((1, 1, 1, 2), 0.5)
    >>> joined_steps(steps, row)["decoder.layers.0.self_attn.weights"].tolist()
    [[[1.0, 0.0], [0.5, 0.5]]]
    """
    parts: dict[str, list[tuple[int, Array]]] = {}
    for name, array in arrays.items():
        step, bare = split_step(name)
        point = known_point(bare)
        if point is not None and is_shown(bare) and array.ndim == len(point.axes.split()) and len(array) > row.number:
            order = int(step[4:-1]) if step.startswith("step") else 0
            parts.setdefault(bare, []).append((order, array[row.number]))
    found = {}
    for bare, steps in parts.items():
        point = known_point(bare)
        assert point is not None
        axes = point.axes.split()[1:]
        whole = _concatenated([array for _, array in sorted(steps, key=lambda each: each[0])], axes)
        lengths = {"S": row.source_places, "T": row.target_places, "L": row.target_places}
        if all(not len(lengths[a]) or whole.shape[at] > lengths[a].max() for at, a in enumerate(axes) if a in lengths):
            for at, axis in enumerate(axes):
                whole = np.take(whole, lengths[axis], axis=at) if axis in lengths else whole
            found[bare] = whole
    return found


def _concatenated(steps: Sequence[Array], axes: Sequence[str]) -> Array:
    """Join steps along T; their keys, which grow, are filled up with zeros."""
    if len(steps) == 1:
        return steps[0]
    if axes[-1] == "L":
        longest = max(step.shape[-1] for step in steps)
        steps = [np.pad(each, [*[(0, 0)] * (each.ndim - 1), (0, longest - each.shape[-1])]) for each in steps]
    return np.concatenate(steps, axis=axes.index("T"))


def _run(
    name: str,
    trace: Trace,
    arrays: Mapping[str, Array],
    row: Row,
    model: BlenderbotSmallForConditionalGeneration | None,
    tokenizer: BlenderbotSmallTokenizer | None,
) -> Run:
    """One row of a trace as a run: the token that follows each is the next one that was read, or the label."""
    points = joined_steps(arrays, row)
    passed = pass_of_points(points, _layers(trace, "encoder"), _layers(trace, "decoder"))
    chosen: tuple[int | None, ...] = (*row.target[1:], None)[: len(row.target)]
    labels = (trace.inputs or {}).get("labels")
    if labels is not None:
        following = [int(labels[row.number][place]) for place in row.target_places]
        chosen = tuple(None if label < 0 else label for label in following)
    chosen = tuple(None if each is None or each < 0 else each for each in chosen)
    said = [index for index in row.target if index >= 0]
    lens: tuple[Any, ...] = ()
    if model is not None and passed.states:
        in_its_dialect = copy.copy(model)
        in_its_dialect.dialect = model.dialect if trace.dialect is None else resolve_dialect(trace.dialect)
        lens = logit_lens(in_its_dialect, passed.states, chosen)
    run = Run(
        name=name,
        source=row.source,
        target=row.target,
        chosen=chosen,
        tokens={},
        passed=passed,
        reply="" if tokenizer is None else tokenizer.decode(said, skip_special_tokens=True),
        steps=() if passed.logits is None else next_tokens(passed.logits, chosen),
        lens=lens,
        notes=() if is_something(passed) else (f"{name} holds nothing that is drawn: only its points are compared.",),
    )
    if tokenizer is not None:
        run = with_tokens(run, tokenizer)
    without = {index: f"place {-index}" for index in (*row.source, *row.target) if index < 0}
    return replace(run, tokens={**run.tokens, **without})


def is_something(passed: Pass) -> bool:
    """Whether there is anything in a pass that a page draws."""
    return bool(passed.embedded or passed.attentions or passed.logits is not None)


def _layers(trace: Trace, stack: str) -> int:
    """How many layers a stack has: by the configuration, or by the names of the points."""
    number = (trace.config or {}).get(f"{stack}_layers")
    if isinstance(number, int):
        return number
    named = [without_step(name).split(".") for name in trace.arrays]
    found = [int(parts[2]) for parts in named if parts[:2] == [stack, "layers"] and known_point(".".join(parts))]
    return max(found, default=-1) + 1


def _as_read(report: Report, expected: Trace, found: Trace) -> dict[str, Array]:
    """The port's arrays under the names and in the axis order of the reference, where they fit."""
    arrays = {}
    for point in report.points:
        if point.mine_name is None or point.score is None:
            continue
        reference = expected.arrays[point.name]
        reading = read_as(
            reference,
            found.arrays[point.mine_name],
            expected.noise.get(point.name),
            axes=axes_of(point.name, reference),
            heads=head_count(point.name, expected.arrays, expected.config),
            factors=(1.0,) if point.factor == 1.0 else (point.factor, 1.0),
        )
        assert reading.values is not None
        arrays[point.name] = reading.values
    return arrays


def _points_compared(report: Report) -> PointsCompared:
    first = report.first_divergence
    verdicts = {
        "diverged": f"They part at {first}.",
        "borderline": f"Within what a plain float32 loop may be off, {len(report.borderline)} points more than usual.",
        "incomplete": f"Nothing diverges, but {len(report.lacking)} points that had to be compared are missing.",
        "within noise": f"They agree within float32 noise at all {len(report.compared)} points that both have.",
    }
    return PointsCompared(
        " ".join([verdicts[report.verdict], *(f"{note[0].upper()}{note[1:]}." for note in report.notes)]),
        first,
        tuple(map(_point_compared, report.points)),
        likely_causes(report.first),
    )


def _point_compared(point: PointReport) -> PointCompared:
    status = "ok" if point.status == "within noise" else point.status
    said = [*point.remarks, *reversed(readings(point))]
    if point.status == "diverged" and point.score is None:
        said.append("another shape")
    score = point.score
    units, worst = (None, None) if score is None else (score.units, score.worst)
    return PointCompared(point.name, status, units, worst, "; ".join(said))
