"""Tensor operations in a pack: softmax, log_softmax, layer_norm, linear, embed, cross_entropy and argmax, a file each.

The truth is computed number by number (`truth.operations`); the noise of an output is how far the package's float32
results lie from it over several orders of summation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from npblender import ops
from npblender.common.array_types import Array
from npblender.common.printable import shown
from npblender.groundtruth.noise.units import Noise
from npblender.groundtruth.packs.files import PackCase, PackFile, case_file, read_cases
from npblender.groundtruth.packs.truth import operations
from npblender.groundtruth.packs.truth.arithmetic import LIBM, Arithmetic
from npblender.groundtruth.packs.verdict import Subject, Tally, Verdict

KIND = "tensor operation"
ORDERS = 8  # how many orders of summation the noise is measured over
AGREE = 1e-13  # of the largest value: how far mpmath, float64 and npblender in float64 may lie apart


def _numbers(a: Arithmetic, array: Array) -> Any:
    """Convert an array to nested lists of the arithmetic's numbers; infinities stay floats."""
    if array.ndim:
        return [_numbers(a, each) for each in array]
    value = float(array)
    return value if np.isinf(value) else a.number(value)


def _by_row(name: str, a: Arithmetic, x: Mapping[str, Array], p: Mapping[str, Any]) -> Array:
    """Apply an operation of `truth.operations` to every row of x."""
    others = {key: _numbers(a, array) for key, array in x.items() if key != "x"}
    others |= {key: a.number(value) for key, value in p.items()}
    rows = (getattr(operations, name)(a, row, **others) for row in _numbers(a, x["x"]))
    return np.array([[float(value) for value in row] for row in rows], np.float64)


OPERATIONS: Mapping[str, Callable[[Arithmetic, Mapping[str, Array], Mapping[str, Any]], Array]] = {
    **{name: partial(_by_row, name) for name in ("softmax", "log_softmax", "layer_norm", "linear")},
    "embed": lambda a, x, p: np.array(operations.embed(x["ids"].tolist(), x["table"].astype(np.float64).tolist())),
    "cross_entropy": lambda a, x, p: np.array(
        float(operations.cross_entropy(a, _numbers(a, x["logits"]), x["labels"].tolist(), p["ignore_index"]))
    ),
    "argmax": lambda a, x, p: np.array([row.index(max(row)) for row in x["x"].tolist()]),
}


def _run(name: str, x: Mapping[str, Array], p: Mapping[str, Any], dtype: Any) -> Array:
    """Compute the package's own result in a dtype."""
    given = {key: array.astype(dtype) if array.dtype.kind == "f" else array for key, array in x.items()}
    if name == "argmax":
        return np.asarray(np.argmax(given["x"], axis=-1))
    if name not in OPERATIONS:
        raise ValueError(f"{shown(name)} is no operation of a pack; there are {', '.join(OPERATIONS)}")
    return np.asarray(getattr(ops, name)(**given, **p))


def _reordered(name: str, x: Mapping[str, Array], order: Array) -> tuple[dict[str, Array], Callable[[Array], Array]]:
    """Reorder the axis that is summed over; return the inputs and a function that restores the result's order."""
    if name in ("softmax", "log_softmax"):
        return {"x": x["x"][:, order]}, lambda y: y[:, np.argsort(order)]
    if name == "layer_norm":
        return {k: v[..., order] for k, v in x.items()}, lambda y: y[:, np.argsort(order)]
    if name == "linear":
        return {"x": x["x"][:, order], "weight": x["weight"][:, order], "bias": x["bias"]}, lambda y: y
    if name == "cross_entropy":
        places = np.argsort(order)
        labels = np.where(x["labels"] < 0, x["labels"], places[np.maximum(x["labels"], 0)])
        return {"logits": x["logits"][:, order], "labels": labels}, lambda y: y
    return dict(x), lambda y: y


def _noise(name: str, case: PackCase, truth: Array, rng: np.random.Generator) -> Noise:
    width = next(array for array in case.inputs.values() if array.dtype.kind == "f").shape[-1]
    squares, largest = [0.0], 0.0
    for _ in range(ORDERS):
        inputs, back = _reordered(name, case.inputs, rng.permutation(width))
        mine = back(_run(name, inputs, case.parameters, np.float32)).astype(np.float64)
        finite = np.isfinite(truth)
        errors = np.abs(mine[finite] - truth[finite])
        squares.append(float(np.mean(np.square(errors))))
        largest = max(largest, float(errors.max()))
    return Noise(float(np.sqrt(np.sum(squares) / ORDERS)), largest)


def cases_of(name: str, rng: np.random.Generator) -> Iterator[PackCase]:
    """Yield the cases without their outputs. All inputs are float32 numbers."""

    def normal(*shape: int, scale: float = 1.0) -> Array:
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    def case(name: str, why: str, parameters: Mapping[str, Any] | None = None, **inputs: Array) -> PackCase:
        return PackCase(name, why, inputs, {}, parameters or {})

    if name in ("softmax", "log_softmax"):
        yield case("ordinary", "scores of an attention", x=normal(3, 7))
        yield case("sharp", "scores that differ by tens", x=normal(3, 7, scale=25))
        yield case("large", "scores that overflow unless their maximum is taken off", x=normal(2, 5) + 300)
        yield case("equal", "all scores equal", x=np.full((1, 6), 2.5, np.float32))
        masked = normal(2, 7)
        masked[0, 3:], masked[1, 0] = -np.inf, -np.inf
        yield case("hidden", "scores of -inf weigh nothing", x=masked)
        yield case("replaced", "scores replaced by -1e20", x=np.where(masked < -9e9, np.float32(-1e20), masked))
        yield case("one", "a single key", x=normal(2, 1))
        above = normal(2, 6, scale=2) + np.array([[95], [89]], np.float32)
        yield case("above 90", "scores whose exponential overflows in float32: exp(88.73) is infinite", x=above)
    elif name == "layer_norm":
        eps = {"eps": 1e-5}
        for width, scale, offset, label, why in (
            (13, 1.0, 0.0, "ordinary", "an embedding"),
            (13, 1e-3, 0.0, "small", "eps weighs as much as the variance"),
            (13, 1.0, 100.0, "offset", "a mean much larger than the deviation"),
            (96, 1.0, 0.0, "wide", "many values to be summed"),
        ):
            x, weight = normal(3, width, scale=scale) + np.float32(offset), 1 + normal(width, scale=0.2)
            yield case(label, why, eps, x=x, weight=weight, bias=normal(width, scale=0.1))
        constant = np.full((1, 8), 3.0, np.float32)
        why = "no deviation: what is left is the bias"
        yield case("constant", why, eps, x=constant, weight=normal(8), bias=normal(8))
    elif name == "linear":
        why = "x [N, D] @ weight [F, D].T + bias [F]"
        for rows, inner, out, label in ((3, 13, 5, "small"), (2, 96, 7, "deep"), (1, 4, 11, "one row")):
            yield case(label, why, x=normal(rows, inner), weight=normal(out, inner), bias=normal(out))
        why = "logits: states, the shared matrix, and a final_logits_bias that is not zero"
        x, weight = normal(3, 13), normal(17, 13, scale=0.3)
        yield case("final bias", why, x=x, weight=weight, bias=normal(17, scale=2))
    elif name == "embed":
        yield case("rows", "a row twice, the first and the last one", ids=np.array([4, 0, 6, 4]), table=normal(7, 5))
    elif name == "argmax":
        ties = normal(4, 9)
        ties[3] = -np.abs(ties[3])
        ties[0, [2, 7]], ties[1, [0, 8]], ties[2], ties[3, [3, 4, 5]] = 3.0, 3.0, 1.5, -0.0
        ties[3, [4, 6]] = 0.0
        yield case("ties", "the first of several largest scores; -0 and 0 are equal", x=np.minimum(ties, 3))
        equal = np.array([[-np.inf, 1, 1, -np.inf], [-1e20, -1e20, -1e20, -1e20]], np.float32)
        yield case("blocked", "ties beside scores that are never chosen, and nothing else", x=equal)
    else:
        for labels, label, why in (
            ([3, 0, 8, 2], "all", "every label counts"),
            ([3, -100, -100, 2], "ignored", "the mean is over labels that are not -100"),
        ):
            yield case(label, why, {"ignore_index": -100}, logits=normal(4, 9, scale=3), labels=np.array(labels))


def make(seed: int, a: Arithmetic, stored: str) -> Iterator[PackFile]:
    """Make the files of cases.

    Raises:
        ValueError: the arithmetic, Python's float64 or npblender's own float64 disagree about a value.
    """
    for number, (name, define) in enumerate(OPERATIONS.items()):
        rng = np.random.default_rng([seed, 10 + number])
        cases = []
        for case in cases_of(name, rng):
            truth = define(a, case.inputs, case.parameters)
            own = _run(name, case.inputs, case.parameters, np.float64)
            for other, value in ((LIBM.name, define(LIBM, case.inputs, case.parameters)), ("npblender", own)):
                _agree(f"{name}, {case.name}", truth, value, f"{a.name} and {other}")
            noise = {"y": _noise(name, case, truth, rng)}
            cases.append(replace(case, outputs={"y": truth}, noise=noise))
        yield case_file(f"ops/{name}.safetensors", KIND, f"{name}: inputs and outputs", cases, stored)


def _agree(what: str, truth: Array, value: Array, who: str) -> None:
    finite = np.isfinite(truth)
    scale = np.abs(truth[finite]).max(initial=1.0)
    difference = np.abs(truth[finite] - value[finite]).max(initial=0.0)
    if not np.array_equal(truth[~finite], value[~finite]) or not difference <= AGREE * scale:
        raise ValueError(f"{who} do not agree about {what}")


def check(path: Path, subject: Subject) -> Verdict:
    """Compare the package's operation of the file's name with the file."""
    tally = Tally()
    for case in read_cases(path):
        mine = _run(path.stem, case.inputs, case.parameters, subject.dtype)
        tally.compare(case.name, case.outputs["y"], mine, case.noise["y"])
    return tally.verdict("cases")
