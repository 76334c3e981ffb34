"""Runs to trace: random models of odd sizes with random inputs, in one pass and in steps. Asserts nothing."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from npblender.config.dialect import Dialect
from npblender.groundtruth import TraceInputs
from npblender.groundtruth.tracing.evaluate import Evaluation
from npblender.groundtruth.tracing.inputs import check_inputs
from reference_tests.support.model_cases import Case, draw_case

NAMES = {field.name for field in fields(TraceInputs)}


@dataclass(frozen=True)
class TraceCase:
    """A model's numbers, all of which float32 can hold, and what to run."""

    case: Case
    inputs: TraceInputs

    def model(self, dtype: Any = np.float64) -> Any:
        return self.case.model(dtype)

    def evaluation(self, dtype: Any = np.float64) -> Evaluation:
        model = self.model(dtype)
        run = check_inputs(model.config, model.weights, model.dialect, self.inputs)
        return Evaluation(model.config, model.dialect, model.weights, run)


def draw_trace_case(rng: np.random.Generator, dialect: Dialect | None = None, steps: bool | None = None) -> TraceCase:
    """A random run: every input that a trace can have is there in some of them. `steps` None leaves that to chance."""
    while True:
        case = draw_case(rng, dialect).in_float32()
        if set(case.arguments) <= NAMES:
            break
    arguments = dict(case.arguments)
    if steps or (steps is None and rng.random() < 0.4):
        arguments.pop("labels", None)
        prefix = "" if case.kind == "causal" else "decoder_"
        length = arguments.get(f"{prefix}input_ids", arguments.get(f"{prefix}inputs_embeds", np.empty(0))).shape[1]
        arguments |= {"steps": True, "prefill": int(rng.integers(1, length + 1))}
    return TraceCase(case, TraceInputs(**arguments))
