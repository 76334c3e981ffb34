"""Explains a wrong output by recomputing its operation with one mistake, from the reference's own inputs.

Each hypothesis is a mistake that ports make (`mistakes`): an operand in half precision, a bias left out, another
epsilon, another layer's weights. The one that reproduces the wrong array best is reported, if it leaves little of the
error; with it, those that this reference cannot tell from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from npblender import ops
from npblender.common.array_types import Array
from npblender.groundtruth.comparison.mistakes.norms import of_cross_entropy, of_layer_norm, of_log_softmax, of_softmax
from npblender.groundtruth.comparison.mistakes.operation import FIT, FITTED, NOTHING, Candidates, Operation, Weights
from npblender.groundtruth.comparison.mistakes.places import (
    of_activation,
    of_embedding,
    of_mask,
    of_nothing,
    of_pads,
    of_scale,
    of_sum,
)
from npblender.groundtruth.comparison.mistakes.products import of_attention, of_linear
from npblender.groundtruth.noise.units import STANDS_FOR_HIDDEN
from npblender.groundtruth.single_ops.compute import compute

EXPLAINS = "it would be right with"

EXPLAINED, OF_FEW = 0.15, 0.01
"""A hypothesis explains an error if it leaves at most this part of its rms; fewer than `FEW` wrong values agree with
one of many hypotheses by chance, so these must agree better."""

FEW = 40

IN_PART = 0.02
"""A hypothesis explains the wrong values of an array that is right elsewhere if it leaves at most this part of them."""

WHOLE = ("mask", "embed")
"""Operations that are not explained in part: where a mask is wrong it is turned round, and a wrong row is another."""

NEARER = 0.9
"""A later hypothesis must leave less than this part of what the best before it leaves."""

MOST_ALIKE = 2
"""The most other hypotheses that are named beside the best."""

OTHER_KIND = 100.0
"""How many times the largest value a difference counts at most, as that of a number to NaN or to a hidden score."""

ROUNDS = 3.0
"""How many times a point's noise a hypothesis may leave besides."""


@dataclass
class _Found:
    text: str
    distance: float
    output: Array


def explain(
    name: str, known: Weights, mine: Array, noise: float = 0.0, wrong: Array | None = None
) -> tuple[str, bool] | None:
    """Return the mistake that reproduces `mine` best at a point, and whether a number or function was fitted to it.

    None where no hypothesis does. `noise` is the rms of the point's noise, `wrong` marks the values that are off by
    more; without it, all are.

    >>> from npblender.groundtruth.single_ops.cases import Case
    >>> case = Case("y", "layer_norm", {"x": ("x",)}, {"weight": "w", "bias": "b"}, {"eps": 1e-5})
    >>> known = Weights({"y": case}, {"x": np.array([[[0.0, 1e-3, 2e-3]]])}, {"w": np.ones(3), "b": np.zeros(3)})
    >>> explain("y", known, ops.layer_norm(known.arrays["x"], np.ones(3), np.zeros(3), 1e-6))
    ('it would be right with eps 1e-06 in place of 1e-05', False)
    """
    case = known.cases.get(name)
    if case is None or any(each not in known.arrays for names in case.inputs.values() for each in names):
        return None
    if any(each not in known.parameters for each in case.parameters.values()):
        return None
    given = case.gather(known.arrays, np.float64)
    parameters = {role: known.parameters[each].astype(np.float64) for role, each in case.parameters.items()}
    with np.errstate(all="ignore"):
        right = given["x"] if case.op == NOTHING else compute(case, given, parameters)
        if right.shape != mine.shape:
            return None
        it = Operation(case, given, parameters, right, mine, known)
        everywhere = wrong is None or wrong.shape != mine.shape or not wrong.any()
        where = np.ones(mine.shape, bool) if everywhere or wrong is None else wrong
        found = _best(it, where, noise)
    return None if found is None else (f"{EXPLAINS} {found}", found.startswith(FITTED) or found.endswith(FIT))


def _best(it: Operation, wrong: Array, noise: float) -> str | None:
    """Try every hypothesis on the whole array and on its wrong values alone; describe the best."""
    scale = _scale(it.right)

    def distance(a: Array, b: Array) -> float:
        return _distance(a, b, scale)

    error, error_there = distance(it.right, it.mine), distance(it.right[wrong], it.mine[wrong])
    part = EXPLAINED if wrong.sum() >= FEW else OF_FEW
    limit = min(part * error + ROUNDS * noise, error / 2)
    some = 8 <= wrong.sum() < wrong.size and np.ptp(it.mine[wrong]) > 0  # one number agrees with too much
    limit_there = min(IN_PART * error_there + ROUNDS * noise, error_there / 2) if some else 0.0
    whole: dict[str, list[_Found]] = {"": [], FIT: [], FITTED: []}
    partly: list[_Found] = []
    finite = bool((np.isfinite(it.mine) | ~np.isfinite(it.right)).all())
    for text, output in candidates(it):
        if output.shape != it.mine.shape:
            continue
        kind = FITTED if text.startswith(FITTED) else FIT if text.endswith(FIT) else ""
        apart = distance(output, it.mine)
        if apart < limit and (finite or not kind):
            whole[kind].append(_Found(text, apart, output))
        elif limit_there and not kind and it.case.op not in WHOLE:
            there = distance(output[wrong], it.mine[wrong])
            if there < limit_there:
                partly.append(_Found(text, there, output[wrong]))
    if whole[""]:
        return _described(whole[""], ROUNDS * noise, scale)
    if partly:
        return f"{_described(partly, ROUNDS * noise, scale)}, where it is wrong"
    fitted = whole[FIT] or whole[FITTED]
    return min(fitted, key=lambda each: each.distance).text if fitted else None


def _described(found: list[_Found], noise: float, scale: float) -> str:
    """Name the best hypothesis, and others whose output is as near to it as the wrong array is."""
    best = found[0]
    for each in found[1:]:
        best = each if each.distance < NEARER * best.distance else best
    same = dict.fromkeys(
        each.text
        for each in found
        if each.text != best.text and _distance(each.output, best.output, scale) <= max(best.distance, noise)
    )
    if not same:
        return best.text
    return f"{best.text} (here the same as {' and as '.join(list(same)[:MOST_ALIKE])})"


def candidates(it: Operation) -> Candidates:
    """Yield every hypothesis for an operation with its output."""
    op = it.case.op
    by_op = {
        **{"linear": of_linear, "logits": of_linear, "scores": of_attention, "context": of_attention},
        **{"layer_norm": of_layer_norm, "softmax": of_softmax, "log_softmax": of_log_softmax},
        **{"cross_entropy": of_cross_entropy, "add": of_sum, "mask": of_mask, "embed": of_embedding},
        **{"scale": of_scale, "zero_pads": of_pads, NOTHING: of_nothing},
        **dict.fromkeys(ops.ACTIVATIONS, of_activation),
    }
    yield from by_op[op](it)
    yield from _clipped(it)
    yield "everything exactly 0: not computed, or not written", np.zeros_like(it.right)


def _clipped(it: Operation) -> Iterator[tuple[str, Array]]:
    """Yield the right output, no larger and no smaller than the wrong one ever is."""
    seen = np.isfinite(it.mine) & (np.abs(it.right) < STANDS_FOR_HIDDEN)
    if it.case.op in ("mask", "softmax", "embed") or not seen.any():
        return
    for limit, clip in ((it.mine[seen].max(), np.minimum), (it.mine[seen].min(), np.maximum)):
        stopped = int((seen & (it.mine == limit)).sum())
        if stopped >= 3:
            output = np.where(seen, clip(it.right, limit), it.right)
            yield f"its result clipped: {stopped:,} places are exactly {limit:g}", output


def _scale(right: Array) -> float:
    """Compute what values of another kind count as: NaN, infinity, or a hidden score that is not hidden."""
    shown = np.isfinite(right) & (np.abs(right) < STANDS_FOR_HIDDEN)
    return OTHER_KIND * max(float(np.abs(right[shown]).max(initial=0.0)), 1e-30)


def _distance(a: Array, b: Array, scale: float) -> float:
    """Compute the rms of a - b, no value counting more than `scale`; NaN and what is hidden agree with their like."""
    shown = (np.abs(a) < STANDS_FOR_HIDDEN) & (np.abs(b) < STANDS_FOR_HIDDEN) & np.isfinite(a) & np.isfinite(b)
    apart = np.where(shown, a - np.where(shown, b, 0), np.where(_same(a, b), 0.0, scale))
    return float(np.sqrt(np.mean(np.square(np.clip(apart, -scale, scale))))) if apart.size else 0.0


def _same(a: Array, b: Array) -> Array:
    hidden = (np.abs(a) >= STANDS_FOR_HIDDEN) & (np.abs(b) >= STANDS_FOR_HIDDEN) & (np.sign(a) == np.sign(b))
    return np.asarray(hidden | (a == b) | (np.isnan(a) & np.isnan(b)))
