"""Measures the float32 noise of every point: how far correct float32 evaluations lie from the float64 one.

The truth is the float64 run of the model's own weights. Each of the `legitimate_variants` is run in float32 and
returned to the original's order, and the original is run with each of the `plain_loops`; their deviations from the
truth count towards the rms and the max of each point. Values that are set and not computed (hidden scores, a logit that
is never chosen) do not count.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array
from npblender.common.printable import shown
from npblender.groundtruth.noise.plain_loops import LOOPS, run_plainly
from npblender.groundtruth.noise.units import Noise, short
from npblender.groundtruth.noise.variants import Variant, legitimate_variants
from npblender.groundtruth.tracing.evaluate import Evaluation, evaluate
from npblender.groundtruth.tracing.points import without_step

FLOAT32 = np.dtype(np.float32)


@dataclass
class _Deviations:
    """The deviations of one point so far."""

    squares: float = 0.0
    values: int = 0
    largest: float = 0.0

    def add(self, deviation: NDArray[np.float64]) -> None:
        self.squares += float(np.square(deviation).sum())
        self.values += deviation.size
        self.largest = max(self.largest, float(deviation.max(initial=0.0)))

    def noise(self) -> Noise:
        rms = (self.squares / self.values) ** 0.5 if self.values else 0.0
        return Noise(short(rms), short(self.largest))


def record_arrays(evaluation: Evaluation, wanted: Collection[str]) -> dict[str, Array]:
    """Run an evaluation and copy the arrays of the wanted points, in causal order."""
    arrays: dict[str, Array] = {}

    def keep(name: str, array: Array) -> None:
        assert name not in arrays, f"{name} was recorded twice"
        if name in wanted:
            arrays[name] = np.array(array, order="C")

    evaluate(evaluation, keep)
    return arrays


def measure_noise(evaluation: Evaluation, truth: Mapping[str, Array]) -> dict[str, Noise]:
    """Measure the noise of every point in `truth`, which holds the float64 arrays of the evaluation.

    Raises ValueError where a float32 evaluation is not finite and the truth is: such a point has no float32 noise.

    >>> from npblender.groundtruth.tracing.inputs import TraceInputs, check_inputs
    >>> run = check_inputs(config, weights, context.dialect, TraceInputs([[5, 6]]))
    >>> evaluation = Evaluation(config, context.dialect, weights, run)
    >>> truth = record_arrays(evaluation.in_dtype(np.dtype("float64")), {"logits"})
    >>> 1e-8 < measure_noise(evaluation, truth)["logits"].rms < 1e-6
    True
    """
    computed = {name: _computed(evaluation, name, array) for name, array in truth.items()}
    seen = {name: _Deviations() for name in truth}
    narrow = evaluation.in_dtype(FLOAT32)
    for variant in legitimate_variants(narrow):
        _add_deviations(variant, truth, computed, seen)
    with np.errstate(all="ignore"):
        for loops in LOOPS:
            for name, array in run_plainly(narrow, loops):
                if name in truth:
                    seen[name].add(_deviation(name, array, truth[name], computed[name]))
    return {name: each.noise() for name, each in seen.items()}


def _add_deviations(
    variant: Variant, truth: Mapping[str, Array], computed: Mapping[str, Array], seen: Mapping[str, _Deviations]
) -> None:
    def compare(name: str, array: Array) -> None:
        if name not in truth or not variant.covers(name):
            return
        rows = ... if variant.rows is None else variant.rows
        expected, counts = truth[name][rows], computed[name][rows]
        found = variant.restore(name, array)
        assert found.shape == expected.shape, f"{name} of {shown(variant.name)} is {found.shape}, not {expected.shape}"
        seen[name].add(_deviation(name, found, expected, counts))

    evaluate(variant.evaluation, compare)


def _deviation(name: str, found: Array, truth: Array, counts: NDArray[np.bool_]) -> NDArray[np.float64]:
    deviation = np.abs(found.astype(np.float64)[counts] - truth[counts])
    if not np.isfinite(deviation).all():
        raise ValueError(
            f"{name} is not finite when it is computed in float32, so it has no float32 noise; "
            "trace without noise, or another model"
        )
    return deviation


def _computed(evaluation: Evaluation, name: str, truth: Array) -> NDArray[np.bool_]:
    """Mark the values of a point that are computed: neither NaN by definition nor set by the dialect."""
    point, dialect = without_step(name), evaluation.dialect
    computed: NDArray[np.bool_] = np.isfinite(truth)  # a loss of no labels is NaN
    if point.endswith(".masked_scores"):
        hidden = np.finfo(truth.dtype).min if dialect.masked_score is None else dialect.masked_score
        computed &= truth != hidden
    start = evaluation.config.decoder_start_token_id
    if point in ("logits", "log_probabilities") and dialect.start_logit is not None and start is not None:
        computed[..., start] = False
    return computed
