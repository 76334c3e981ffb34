"""Whether the forward pass does what the oracle does: shared by the test of the oracle and by the planted faults."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_tests.oracles import model as naive
from reference_tests.support import asserts
from reference_tests.support.model_cases import Case, rows_of
from reference_tests.support.tolerances import TOLERANCES, Tolerance

HIDDEN = -1e19  # scores and logits at or below this stand for "never" and are compared exactly


def traced(model: Any, **arguments: Any) -> tuple[dict[str, np.ndarray], Any]:
    """Every point of one call, copied, in the order in which they came, and the call's result."""
    points: dict[str, np.ndarray] = {}

    def tap(name: str, array: np.ndarray) -> None:
        assert name not in points, f"{name} was traced twice"
        points[name] = np.array(array)

    return points, model(**arguments, tap=tap)


def assert_near(name: str, found: Any, expected: Any, tolerance: Tolerance) -> None:
    """Equal within the tolerance, entries that stand for "never" exactly, and those apart from the tensor's max."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, f"{name}: shape {found.shape}, expected {expected.shape}"
    never = (expected <= HIDDEN) | (found <= HIDDEN)
    assert np.array_equal(found[never], expected[never].astype(found.dtype)), f"{name}: hidden entries differ"
    found, expected = found[~never], expected[~never]
    assert np.isfinite(found).all(), f"{name}: not finite"
    assert np.isfinite(expected).all(), f"{name}: not expected to be finite"
    error, bound = asserts.error_and_bound(found, expected, tolerance)
    assert (error <= bound).all(), (
        f"{name}: off by {(error - bound).max() + bound.max():.3g}, {bound.max():.3g} allowed"
    )


def assert_like_oracle(case: Case, tolerance: Tolerance = TOLERANCES["float64 against the oracle"]) -> dict[str, Any]:
    """Every point that either of the two computes, and the loss."""
    found, output = traced(case.model(), **case.arguments)
    rows = rows_of(case)
    parameters = case.plain_parameters()
    expected = [naive.forward(case.config, case.dialect, parameters, row, head=case.kind != "base") for row in rows]
    loss = found.pop("loss", None)
    assert found.keys() == expected[0].keys()
    for name, value in found.items():
        assert_near(name, value, [row[name] for row in expected], tolerance)
    if "labels" in case.arguments:
        wanted = naive.loss(expected, case.arguments["labels"].tolist())
        assert loss is not None
        assert float(loss) == float(output.loss) or np.isnan(output.loss)
        assert np.isnan(loss) == np.isnan(wanted)
        if not np.isnan(wanted):
            assert_near("loss", loss, wanted, tolerance)
    return found
