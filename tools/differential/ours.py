"""Answers a case with npblender, in one dialect, in the form in which the originals answer.

Calls are made as a user makes them: the public classes, NumPy arrays, arguments by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import npblender
from npblender.config import BlenderbotSmallConfig
from npblender.models.flax_params import params_of
from npblender.transformer.kv_cache import Cache
from npblender.transformer.outputs import BaseModelOutput
from npblender.transformer.parameters import expected_shapes, from_arrays
from tools.originals.exchange import ENCODER_OUTPUTS, Answer, Case, answer_calls, flatten, flatten_cache


def build(case: Case, class_name: str, dialect: str, dtype: str) -> Any:
    """The public model of one case."""
    model_class = getattr(npblender, class_name)
    config = BlenderbotSmallConfig.from_dict(case.config)
    arrays = {name.removeprefix("model."): value.astype(dtype) for name, value in case.weights.items()}
    flax = class_name.startswith("Flax")
    parts = (model_class.model_class if flax else model_class).parts
    weights = from_arrays(config, {name: arrays[name] for name in expected_shapes(config, parts)}, parts)
    if flax:
        return model_class(config, dtype=dtype, dialect=dialect, params=params_of(weights, parts))
    return model_class(config, weights, dialect=dialect)


def flat_output(output: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Every array of an output, whether it came as a record or as a bare tuple."""
    items = [(f"tuple/{i}", v) for i, v in enumerate(output)] if isinstance(output, tuple) else output.items()
    for name, value in items:
        if isinstance(value, Cache) and name == "past_key_values":
            yield from flatten_cache([tuple(layer) for layer in value], np.asarray)
        else:
            yield from flatten(name, tuple(map(tuple, value)) if isinstance(value, Cache) else value, np.asarray)


class Runner:
    """Answers the calls of one case; later calls may use what earlier ones gave back."""

    def __init__(self, case: Case, dialect: str) -> None:
        self.case, self.dialect = case, dialect
        self.models: dict[tuple[str, str], Any] = {}
        self.outputs: dict[int, Any] = {}

    def model(self, class_name: str, dtype: str) -> Any:
        if (class_name, dtype) not in self.models:
            self.models[class_name, dtype] = build(self.case, class_name, self.dialect, dtype)
        return self.models[class_name, dtype]

    def value(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        ((form, content),) = value.items()
        if form == "array":
            return self.case.inputs[content]
        if form == "arrays":
            return tuple(self.case.inputs[name] for name in content)
        if form == "encoder_of":
            return BaseModelOutput(*(self.outputs[content].get(name) for name in ENCODER_OUTPUTS))
        if form == "encoded_by":
            return self.outputs[content]
        if form == "past_of":
            return self.outputs[content]["past_key_values"]
        raise ValueError(f"a case holds an argument of the unknown form {form!r}")

    def call(self, number: int, call: dict[str, Any]) -> dict[str, np.ndarray]:
        method = getattr(self.model(call["class"], call.get("dtype", self.case.dtype)), call.get("method", "__call__"))
        arguments = {name: self.value(value) for name, value in call["arguments"].items()}
        if "packed" in call:
            switches = {name: arguments.pop(name) for name in list(arguments) if name.startswith(("output_", "use_"))}
            output = method(list(arguments.values()) if call["packed"] == "list" else arguments, **switches)
        else:
            output = method(**arguments)
        if isinstance(output, Cache):  # of init_cache
            self.outputs[number] = {"past_key_values": output}
            return {}
        self.outputs[number] = output
        return dict(flat_output(output))


def answer_case(case: Case, dialect: str, original: str | None = None) -> Answer:
    """npblender's answers to the calls meant for `original`, by default the one with the dialect's name.

    An error is an answer too: where the call is measured it counts as a failure, unless it ought to be refused.
    """
    return answer_calls(case, original or dialect, Runner(case, dialect).call)
