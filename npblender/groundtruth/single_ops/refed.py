"""Makes re-fed cases: every operation of a run with its recorded inputs and the output that they should give.

In a trace each error is carried on to all later points. Here a port gets the inputs of every operation, rounded to
float32, and computes that operation alone, so that each answer can be judged by itself. A file of cases is one
safetensors file:

- `given.NAME`: the inputs, points of the run in float32, and its ids and masks;
- `noise.NAME`: the float32 noise of each value of the output `NAME`;
- `NAME`: the output of the operation, computed from just these inputs in float64;
- metadata `cases`, a JSON list of {name, op, inputs, parameters, settings}; `noise`, the float32 noise of each
  operation alone; and what was run. Parameters are named as in the checkpoint, without `model.`.

`compare_refed` compares a file of answers, arrays by the names of the outputs, with it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from npblender.common.array_types import Array
from npblender.common.printable import shown
from npblender.common.version import __version__
from npblender.config.dialect import Dialect, describe_dialect, resolve_dialect
from npblender.groundtruth.noise.measured import record_arrays
from npblender.groundtruth.noise.units import STANDS_FOR_HIDDEN, Noise, float32_ulp, short
from npblender.groundtruth.single_ops.cases import Case, list_cases, run_arrays
from npblender.groundtruth.single_ops.compute import compute
from npblender.groundtruth.single_ops.rounding import float32_results, typical_error
from npblender.groundtruth.tracing.evaluate import Evaluation, planned_points
from npblender.groundtruth.tracing.inputs import TraceInputs, check_inputs
from npblender.groundtruth.tracing.tensor_file import below, compact_json, read_tensors, write_tensors
from npblender.models.pretrained import PreTrainedModel
from npblender.transformer.parameters import to_arrays

FORMAT, VERSION = "npblender-refed", "2"
READ = ("1", "2")
"""The versions that are read; the first has one number for the noise of all values of an operation."""
GIVEN, NOISE = "given.", "noise."

LARGEST_OF_TYPICAL = 3.0
"""How many times its typical error a single value may be off where few values show how far they spread."""

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Refed:
    """Cases with their inputs, outputs and noise."""

    cases: tuple[Case, ...]
    given: Mapping[str, Array]  # inputs by name, in float32, integers and booleans
    outputs: Mapping[str, Array]  # by the case's name, in float64
    noise: Mapping[str, Noise]  # of each operation in float32, from these inputs
    about: Mapping[str, Any]  # dialect, config, inputs, producer

    def inputs_of(self, case: Case, dtype: Any = np.float32) -> dict[str, Array]:
        """Return the inputs of a case by role, numbers in `dtype`; keys of several steps are concatenated.

        >>> found = refed(model, TraceInputs([[5, 6, 7]]))
        >>> found.cases[0].name, found.inputs_of(found.cases[0])
        ('encoder.embed.tokens', {'ids': array([[5, 6, 7]])})
        """
        return case.gather(self.given, dtype)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one safetensors file; the same cases give the same bytes. Raises ValueError where that is refused."""
        arrays = {GIVEN + name: array for name, array in self.given.items()} | dict(self.outputs)
        arrays |= {NOISE + name: each.each for name, each in self.noise.items() if each.each is not None}
        said = {
            "cases": [asdict(case) for case in self.cases],
            "noise": {name: noise.numbers for name, noise in self.noise.items()},
            **self.about,
        }
        texts = {name: compact_json(value) for name, value in said.items()}
        write_tensors(path, arrays, {"format": FORMAT, "version": VERSION} | texts)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Refed:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is damaged, or holds something else.
        """
        arrays, metadata = read_tensors(path)
        if metadata.get("format") != FORMAT or metadata.get("version") not in READ:
            raise ValueError(
                f"{path} holds no re-fed cases of version {' or '.join(READ)}; `npblender trace --refed` writes them"
            )
        try:
            said = {name: json.loads(text) for name, text in metadata.items() if name not in ("format", "version")}
            fields = ("name", "op", "inputs", "parameters", "settings")
            cases = tuple(Case(*(entry[field] for field in fields)) for entry in said.pop("cases"))
            cases = tuple(replace(each, inputs={k: tuple(names) for k, names in each.inputs.items()}) for each in cases)
            noise = {name: Noise(**each, each=arrays.get(NOISE + name)) for name, each in said.pop("noise").items()}
            outputs = {case.name: arrays[case.name] for case in cases}
            assert set(noise) == set(outputs)
        except (ValueError, KeyError, TypeError, AssertionError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path}: its metadata do not describe its tensors ({shown(error)})") from error
        return Refed(cases, below(GIVEN, arrays), outputs, noise, said)


def refed(model: PreTrainedModel, inputs: TraceInputs, *, dialect: str | Dialect | None = None) -> Refed:
    """Make a case of every operation of one run of a model, with the inputs that it had there.

    The run is in float64. Its points are rounded to float32 to become inputs, and each output is computed from these in
    float64. Its noise, of every value by itself, is the deviation of the same operation in float32, in several orders
    of summation and in plain loops, and no less than the condition of that very sum lets a loop with one accumulator
    deviate.

    >>> found = refed(model, TraceInputs([[5, 6, 7]]))
    >>> len(found.cases), found.cases[0].op, found.cases[-1].op
    (74, 'embed', 'log_softmax')
    """
    chosen = model.dialect if dialect is None else resolve_dialect(dialect)
    run = check_inputs(model.config, model.weights, chosen, inputs)
    evaluation = Evaluation(model.config, chosen, model.weights, run).in_dtype(np.dtype(np.float64))
    points = record_arrays(evaluation, set(planned_points(evaluation)))
    cases = list_cases(evaluation)
    needed = dict.fromkeys(name for case in cases for names in case.inputs.values() for name in names)
    known = points | run_arrays(evaluation)
    given = {name: _rounded(known[name]) for name in needed}
    parameters = {name: _rounded(array) for name, array in to_arrays(model.weights).items()}
    outputs, noise = {}, {}
    for case in cases:
        outputs[case.name], noise[case.name] = _measured(case, given, parameters)
    return Refed(
        cases=tuple(cases),
        given=given,
        outputs=outputs,
        noise=noise,
        about={
            "dialect": describe_dialect(chosen),
            "config": model.config.to_dict(),
            "inputs": run.to_json(),
            "producer": {"npblender": __version__, "numpy": np.__version__},
        },
    )


def _rounded(array: Array) -> Array:
    """Round numbers to float32, clipped to its range; integers and booleans stay as they are."""
    return array.clip(-_LARGEST, _LARGEST).astype(np.float32) if array.dtype.kind == "f" else array


def _measured(case: Case, given: Mapping[str, Array], parameters: Mapping[str, Array]) -> tuple[Array, Noise]:
    """Compute a case in float64, and how far float32 results lie from each of its values."""
    single = {role: parameters[name] for role, name in case.parameters.items()}
    double = {role: array.astype(np.float64) for role, array in single.items()}
    wide, rows = case.gather(given, np.float64), case.gather(given, np.float32)
    truth = compute(case, wide, double)
    shown = np.isfinite(truth) & (np.abs(truth) < STANDS_FOR_HIDDEN)
    squares, largest, count = np.zeros(truth.shape), np.zeros(truth.shape), 0
    for found in float32_results(case, rows, single):
        deviation = np.where(shown, np.abs(found.astype(np.float64) - truth), 0.0)
        deviation = np.where(np.isfinite(deviation), deviation, 0.0)
        squares, largest, count = squares + np.square(deviation), np.maximum(largest, deviation), count + 1
    typical = np.where(shown, typical_error(case, wide, double), 0.0)
    each = np.maximum(np.sqrt(squares / count), np.where(np.isfinite(typical), typical, 0.0)).astype(np.float32)
    unit_of_each = np.maximum(each, float32_ulp(np.where(shown, truth, 0.0)) / 2)
    spread = float((largest / unit_of_each).max(initial=0.0))
    rms = float(np.sqrt(np.mean(np.square(each[shown], dtype=np.float64)))) if shown.any() else 0.0
    most = max(float(largest.max(initial=0.0)), LARGEST_OF_TYPICAL * float(each.max(initial=0.0)))
    return truth, Noise(min(short(rms), short(most)), short(most), each, short(spread))
