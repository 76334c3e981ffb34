"""The float32 noise of every point, measured: how far legitimate float32 evaluations lie from the float64 one.

The truth is the float64 run of the model's own weights. Each variant (see `variants`) is run in float32 and put back
in the original's order; its deviation from the truth counts towards the rms and the max of its point. Values that
stand for "hidden" or "never" are not computed and do not count.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array
from npblender.groundtruth.noise.units import Noise
from npblender.groundtruth.noise.variants import Variant, legitimate_variants
from npblender.groundtruth.tracing.evaluate import Evaluation, evaluate, without_step

FLOAT32 = np.dtype(np.float32)
DIGITS = 3  # noise is no more exact than that, and files stay small


@dataclass
class _Deviations:
    """What has been seen of one point."""

    squares: float = 0.0
    values: int = 0
    largest: float = 0.0

    def add(self, deviation: NDArray[np.float64]) -> None:
        self.squares += float(np.square(deviation).sum())
        self.values += deviation.size
        self.largest = max(self.largest, float(deviation.max(initial=0.0)))

    def noise(self) -> Noise:
        rms = (self.squares / self.values) ** 0.5 if self.values else 0.0
        return Noise(_short(rms), _short(self.largest))


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS - 1}e}")


def record_arrays(evaluation: Evaluation, wanted: Collection[str]) -> dict[str, Array]:
    """The arrays of the wanted points, copied, in causal order.

    >>> from npblender.models.example import example_model
    >>> from npblender.groundtruth.tracing.inputs import TraceInputs, check_inputs
    >>> model = example_model()
    >>> run = check_inputs(model.config, model.weights, model.dialect, TraceInputs([[5, 6]]))
    >>> record_arrays(Evaluation(model.config, model.dialect, model.weights, run), {"logits"})["logits"].shape
    (1, 1, 11)
    """
    arrays: dict[str, Array] = {}

    def keep(name: str, array: Array) -> None:
        assert name not in arrays, f"{name} was told twice"
        if name in wanted:
            arrays[name] = np.array(array, order="C")

    evaluate(evaluation, keep)
    return arrays


def measure_noise(evaluation: Evaluation, truth: Mapping[str, Array]) -> dict[str, Noise]:
    """The noise of every point in `truth`, which holds the float64 arrays of the evaluation.

    Raises ValueError where a float32 evaluation is not finite and the truth is: then there is no noise to speak of.

    >>> from npblender.models.example import example_model
    >>> from npblender.groundtruth.tracing.inputs import TraceInputs, check_inputs
    >>> model = example_model()
    >>> run = check_inputs(model.config, model.weights, model.dialect, TraceInputs([[5, 6]]))
    >>> evaluation = Evaluation(model.config, model.dialect, model.weights, run)
    >>> truth = record_arrays(evaluation.in_dtype(np.dtype("float64")), {"logits"})
    >>> 1e-8 < measure_noise(evaluation, truth)["logits"].rms < 1e-6
    True
    """
    computed = {name: _computed(evaluation, name, array) for name, array in truth.items()}
    seen = {name: _Deviations() for name in truth}
    for variant in legitimate_variants(evaluation.in_dtype(FLOAT32)):
        _add_deviations(variant, truth, computed, seen)
    return {name: each.noise() for name, each in seen.items()}


def _add_deviations(
    variant: Variant, truth: Mapping[str, Array], computed: Mapping[str, Array], seen: Mapping[str, _Deviations]
) -> None:
    def compare(name: str, array: Array) -> None:
        if name not in truth or not variant.tells(name):
            return
        rows = ... if variant.rows is None else variant.rows
        expected, counts = truth[name][rows], computed[name][rows]
        found = variant.restore(name, array)
        assert found.shape == expected.shape, f"{name} of {variant.name!r} is {found.shape}, not {expected.shape}"
        deviation = np.abs(found.astype(np.float64)[counts] - expected[counts])
        if not np.isfinite(deviation).all():
            raise ValueError(
                f"{name} is not finite when it is computed in float32, so it has no float32 noise; "
                "trace without noise, or another model"
            )
        seen[name].add(deviation)

    evaluate(variant.evaluation, compare)


def _computed(evaluation: Evaluation, name: str, truth: Array) -> NDArray[np.bool_]:
    """Which values of a point are results of arithmetic: not NaN by definition, nor a value that the dialect sets."""
    point, dialect = without_step(name), evaluation.dialect
    computed: NDArray[np.bool_] = np.isfinite(truth)  # a loss of no labels is NaN
    if point.endswith(".masked_scores"):
        hidden = np.finfo(truth.dtype).min if dialect.masked_score is None else dialect.masked_score
        computed &= truth != hidden
    start = evaluation.config.decoder_start_token_id
    if point in ("logits", "log_probabilities") and dialect.start_logit is not None and start is not None:
        computed[..., start] = False
    return computed
