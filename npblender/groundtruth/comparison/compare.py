"""Finds the first number that goes wrong: compares every array of a port with the reference's, in causal order.

`compare` pairs names (`point_names`), reads each array in the axis layout in which it agrees (`reading`), and finds
the first point whose error is more than rounding noise (`noise.units`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from npblender.common.array_types import Array
from npblender.common.printable import shown
from npblender.config.dialect import Dialect, resolve_dialect
from npblender.groundtruth.comparison.diagnose import diagnose
from npblender.groundtruth.comparison.findings import PointReport, Report, Side
from npblender.groundtruth.comparison.mistakes.operation import NOTHING, Weights
from npblender.groundtruth.comparison.name_patterns import NameTable, read_name_table
from npblender.groundtruth.comparison.point_names import Meaning, meaning_of
from npblender.groundtruth.comparison.reading import Reading, read_as
from npblender.groundtruth.single_ops.cases import Case, list_cases, run_arrays
from npblender.groundtruth.single_ops.refed import GIVEN, Refed
from npblender.groundtruth.tracing.evaluate import Evaluation, planned_points
from npblender.groundtruth.tracing.inputs import TraceInputs, check_inputs
from npblender.groundtruth.tracing.points import axes_of, causal_order, head_count, points_of_run
from npblender.groundtruth.tracing.record import select_points
from npblender.groundtruth.tracing.trace_file import Trace
from npblender.models.pretrained import PreTrainedModel
from npblender.transformer.parameters import to_arrays

Given = Trace | str | os.PathLike[str] | Mapping[str, ArrayLike]
Names = NameTable | Mapping[str, str] | str | os.PathLike[str] | None
Require = str | Sequence[str] | None


def compare(
    reference: Given,
    mine: Given,
    *,
    names: Names = None,
    require: Require = None,
    model: PreTrainedModel | None = None,
) -> Report:
    """Find where `mine` first leaves `reference`, and by how many units of float32 rounding noise.

    Args:
        reference: a `Trace`, a file of one, any safetensors or NPZ file, or arrays by name. Its points are compared in
            the order of the trace; where that is not known, in the model's, or else in the order given.
        mine: the same. Its names may be those of the points, of transformers' or ParlAI's modules, or those of
            `names`; its arrays may have another axis order, where their shape shows it.
        names: a table `{pattern: name}`, or a JSON file of one (`name_patterns`).
        require: "all", or globs: the points of the reference that `mine` must have. None asks for half of them. What
            lacks required points is "incomplete", unless it diverges.
        model: the model that the reference ran. With its parameters, mistakes are tried on the operation that diverges.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file is damaged, the two ran other inputs, or they have no point in common.
        TypeError: an argument is not a trace, or holds something other than real numbers.

    >>> from npblender.groundtruth.tracing.record import trace
    >>> reference = trace(model, [[5, 6, 7]], decoder_input_ids=[[1, 9]], dtype="float64")
    >>> mine = dict(trace(model, [[5, 6, 7]], decoder_input_ids=[[1, 9]], noise=False).arrays)
    >>> compare(reference, mine).first_divergence is None
    True
    >>> mine["encoder.layers.0.ffn.sum"] = mine["encoder.layers.0.ffn.sum"] + 1e-3
    >>> report = compare(reference, mine)
    >>> report.first_divergence, round(report.first.score.max_error, 5)
    ('encoder.layers.0.ffn.sum', 0.001)
    """
    expected, first = _opened("the reference", reference)
    found, second = _opened("what is compared", mine)
    if any(name.startswith(GIVEN) for name in expected.arrays):
        raise ValueError(f"{first.source} holds re-fed cases: compare answers with it by --refed, or compare_refed")
    _check_inputs(expected, found)
    known = None if model is None else partial(_known_of_run, expected, model)
    return _compared(expected, first, found, second, _table(names), {}, require, known)


def compare_refed(
    reference: Refed | str | os.PathLike[str],
    answers: Given,
    *,
    names: Names = None,
    require: Require = None,
    model: PreTrainedModel | None = None,
) -> Report:
    """Compare what each operation of a port gives from the reference's own inputs, in units of that operation's noise.

    Args:
        reference: `Refed` cases, or a file of them.
        answers: arrays by the names of the cases, in any of the forms that `compare` takes.
        names, require, model: as in `compare`.

    Raises: as `compare` does.

    >>> from npblender.groundtruth import TraceInputs, refed
    >>> cases = refed(model, TraceInputs([[5, 6, 7]]))
    >>> answers = dict(cases.outputs)
    >>> answers["encoder.layers.0.ffn.hidden"] = 2 * answers["encoder.layers.0.ffn.hidden"]
    >>> [(point.name, point.op, point.remarks) for point in compare_refed(cases, answers).diverged]
    [('encoder.layers.0.ffn.hidden', 'linear', ('it would agree times 0.5',))]
    """
    source = "cases"
    if isinstance(reference, str | os.PathLike):
        reference, source = Refed.load(reference), str(reference)
    if not isinstance(reference, Refed):
        raise TypeError(f"the reference is a {type(reference).__name__}; give re-fed cases or a file of them")
    about = (reference.about.get(key) for key in ("dialect", "config", "inputs"))
    expected = Trace(reference.outputs, reference.noise, "float64", *about)
    found, second = _opened("what is compared", answers)
    _, first = _opened("the reference", expected)
    ops = {case.name: case.op for case in reference.cases}
    parameters = {} if model is None else to_arrays(model.weights)
    known = Weights({case.name: case for case in reference.cases}, reference.given, parameters)
    first = replace(first, source=source)
    return _compared(expected, first, found, second, _table(names), ops, require, lambda: known)


def _known_of_run(expected: Trace, model: PreTrainedModel) -> Weights | None:
    """Gather what the operations of a trace can be recomputed from; None where the model cannot have run it."""
    if expected.inputs is None or (expected.config is not None and dict(expected.config) != model.config.to_dict()):
        return None
    dialect = model.dialect if expected.dialect is None else resolve_dialect(expected.dialect)
    run = check_inputs(model.config, model.weights, dialect, TraceInputs.from_json(expected.inputs))
    evaluation = Evaluation(model.config, dialect, model.weights, run)
    arrays = {**run_arrays(evaluation), **expected.arrays}
    before: str | None = None
    cases = {case.name: case for case in list_cases(evaluation)}
    for name in planned_points(evaluation):  # a point that is no operation repeats the one before it
        if name not in cases and before in arrays:
            arrays.setdefault(name, arrays[before])
            cases[name] = _nothing(name, before, arrays, dialect)
        before = name
    return Weights(cases, arrays, to_arrays(model.weights))


def _nothing(name: str, before: str, arrays: dict[str, Array], dialect: Dialect) -> Case:
    """Make the case of a point that repeats another: scores of which none is hidden, or nothing at all."""
    if not name.endswith(".masked_scores"):
        return Case(name, NOTHING, {"x": (before,)})
    shown = f"{name}.every_key"
    arrays[shown] = np.ones((1, 1, *arrays[before].shape[-2:]), bool)
    value = float(np.finfo(np.float32).min) if dialect.masked_score is None else dialect.masked_score
    return Case(name, "mask", {"x": (before,), "mask": (shown,)}, {}, {"value": value})


def _compared(
    expected: Trace,
    first: Side,
    found: Trace,
    second: Side,
    table: NameTable | None,
    ops: Mapping[str, str],
    require: Require,
    known: Callable[[], Weights | None] | None = None,
) -> Report:
    """Make the report of two traces; with `ops`, every diverging point is diagnosed and not the first alone."""
    order, noted = _order(expected)
    arrays = {name: expected.arrays[name] for name in order}
    pairs, surplus, used = _paired(arrays, found, table)
    if not pairs:
        raise ValueError(_nothing_common(first, second, list(arrays), list(found.arrays)))
    required = select_points(order, None if require is None or require == "all" else require)
    points: list[PointReport] = []
    is_first = True
    for name in order:
        reported = replace(
            _judged(name, arrays, expected, found, pairs.get(name, []), bool(ops), known, is_first), op=ops.get(name)
        )
        is_first &= reported.status != "diverged"
        points.append(reported)
    if first.dialect is not None and second.dialect is not None and first.dialect != second.dialect:
        noted.append(f"the dialects differ: the reference is {first.dialect}, the other {second.dialect}")
    lacking = [name for name in required if name not in pairs]
    if require is None and 2 * len(pairs) >= len(order):
        lacking = []
    report = Report(
        reference=first,
        mine=second,
        points=tuple(points),
        surplus=tuple(surplus),
        unmatched_patterns=tuple(left.text for left, _ in table.entries if left.text not in used) if table else (),
        noise_measured=all(point.score is None or point.score.measured for point in points),
        notes=tuple(noted),
        lacking=tuple(lacking),
        inputs=expected.inputs,
    )
    return report if ops else replace(report, thin=_thin(report, expected))


def _thin(report: Report, expected: Trace) -> tuple[str, ...]:
    """List the model's points between the last that agrees and the first that diverges which no reference shows."""
    every = points_of_run(expected.points, expected.config)
    if report.first_divergence not in every:
        return ()
    start = 0 if report.last_good is None or report.last_good.name not in every else every.index(report.last_good.name)
    between = every[start : every.index(report.first_divergence)]
    return tuple(name for name in between if name not in expected.arrays)


def _opened(what: str, given: Given) -> tuple[Trace, Side]:
    """Make a trace of any of the forms in which one is given."""
    source = "arrays"
    if isinstance(given, Mapping):
        trace = Trace({str(name): np.asarray(array) for name, array in given.items()})
    elif isinstance(given, Trace):
        trace = given
    elif isinstance(given, str | os.PathLike):
        trace, source = Trace.load(given), str(given)
    else:
        raise TypeError(f"{what} is a {type(given).__name__}; give a Trace, a file of one, or arrays by name")
    for name, array in trace.arrays.items():
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{what}: {shown(name)} is {array.dtype}, and real numbers are compared")
    dialect = trace.dialect
    dialect_name = None if dialect is None else resolve_dialect(dialect).name
    return trace, Side(source, trace.dtype, dialect_name, len(trace.arrays))


def _table(names: Names) -> NameTable | None:
    if names is None or isinstance(names, NameTable):
        return names
    if isinstance(names, Mapping):
        return NameTable.make(names)
    if not isinstance(names, str | os.PathLike):
        raise TypeError(f"names is a {type(names).__name__}; give a table {{pattern: name}} or a JSON file of one")
    return read_name_table(names)


def _check_inputs(expected: Trace, found: Trace) -> None:
    """Refuse traces of different inputs."""
    for key, value in (expected.inputs or {}).items():
        other = (found.inputs or {}).get(key, value)
        if other != value and not key.endswith("embeds"):
            raise ValueError(f"the two ran other inputs: {key} is {value} in the reference and {other} in the other")


def _order(expected: Trace) -> tuple[list[str], list[str]]:
    """Return the reference's names in causal order, and notes about that order."""
    if expected.producer is not None or expected.dtype is not None:
        return list(expected.points), []
    ordered = causal_order(expected.points)
    if ordered is not None:
        return ordered, []
    return list(expected.points), ["the reference does not say the order of its points: they are taken as they stand"]


def _paired(
    arrays: Mapping[str, Array], found: Trace, table: NameTable | None
) -> tuple[dict[str, list[tuple[str, Meaning]]], list[str], set[str]]:
    """Return the names of mine that belong to each point, those that belong to none, and the patterns used."""
    pairs: dict[str, list[tuple[str, Meaning]]] = {}
    surplus, used = [], set()
    for name in found.arrays:
        meaning = meaning_of(name, arrays, table)
        if meaning is not None and meaning.pattern is not None:
            used.add(meaning.pattern)
        if meaning is None or meaning.point not in arrays:
            surplus.append(name if meaning is None or meaning.point == name else f"{name} ({meaning.point})")
        else:
            pairs.setdefault(meaning.point, []).append((name, meaning))
    return pairs, surplus, used


def _judged(
    name: str,
    arrays: Mapping[str, Array],
    expected: Trace,
    found: Trace,
    candidates: list[tuple[str, Meaning]],
    alone: bool,
    known: Callable[[], Weights | None] | None,
    is_first: bool,
) -> PointReport:
    """Judge one point by the worst of the arrays that stand for it."""
    reference = arrays[name]
    if not candidates:
        return PointReport(name, "missing", reference.shape, str(reference.dtype))
    axes, heads = axes_of(name, reference), head_count(name, arrays, expected.config)
    readings = []
    for theirs, meaning in candidates:
        unscaled = meaning.unscaled and reference.ndim
        factors = (1.0 / float(np.sqrt(reference.shape[-1])), 1.0) if unscaled else (1.0,)
        mine, noise = found.arrays[theirs], expected.noise.get(name)
        reading = read_as(reference, mine, noise, axes=axes, heads=heads, factors=factors, alone=alone)
        readings.append((theirs, reading))
    theirs, reading = max(readings, key=lambda each: _badness(each[1]))
    mine = found.arrays[theirs]
    said: tuple[str, ...] = ()
    if reading.diverged and (is_first or alone):
        said = diagnose(name, arrays, expected.noise, mine, reading, heads, None if known is None else known())
    return PointReport(
        name=name,
        status=reading.verdict,
        reference_shape=reference.shape,
        reference_dtype=str(reference.dtype),
        mine_name=theirs,
        mine_shape=mine.shape,
        mine_dtype=str(mine.dtype),
        score=reading.score,
        layout=None if reading.layout is None else reading.layout.name,
        factor=reading.factor,
        hidden=reading.hidden,
        remarks=said,
    )


def _badness(reading: Reading) -> tuple[int, float]:
    return ("within noise", "borderline", "diverged").index(reading.verdict), reading.units


def _nothing_common(first: Side, second: Side, names: list[str], others: list[str]) -> str:
    def some(listed: list[str]) -> str:
        return (", ".join(listed[:3]) + (", ..." if len(listed) > 3 else "")) or "nothing"

    return (
        f"the two have no point in common: the reference ({first.source}) has {some(names)}; the other "
        f"({second.source}) has {some(others)}; a table of names can say which is which"
    )
