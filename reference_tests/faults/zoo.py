"""The zoo of faults: mistakes that ports of this model make, each with the point at which it must show first.

A fault is planted for one run, by patching functions of the package, by changing the weights as a wrong loader would,
or by changing what is fed; there is no second forward pass here. The faults themselves are in `zoo_arithmetic`
(single operations), `zoo_wiring` (what goes where) and `zoo_border` (files, dialects and what is fed); all of them
together are `zoo_all.ZOO`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import pytest

import npblender
from npblender import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration, Dialect
from npblender.config.dialect import DIALECTS, PARLAI, TRANSFORMERS_4, TRANSFORMERS_5
from npblender.groundtruth.tracing.trace_file import Trace
from npblender.models.example import EXAMPLE_CONFIG
from npblender.transformer.parameters import from_arrays, random_weights, to_arrays

Array: TypeAlias = np.ndarray[Any, Any]
Patch: TypeAlias = pytest.MonkeyPatch
Arrays: TypeAlias = dict[str, Array]
Inputs: TypeAlias = dict[str, Any]

ALL, SCALED, TRANSFORMERS = DIALECTS, (PARLAI, TRANSFORMERS_4), (TRANSFORMERS_4, TRANSFORMERS_5)
PREFILL = 3
INPUTS: Mapping[str, list[list[int]]] = MappingProxyType(
    {
        "input_ids": [[5, 6, 7, 8, 9], [0, 4, 9, 3, 0]],
        "attention_mask": [[1, 1, 1, 1, 1], [0, 1, 1, 1, 0]],  # pads on the left and on the right
        "decoder_input_ids": [[1, 5, 9, 7, 4, 6], [0, 1, 6, 8, 10, 3]],
        "decoder_attention_mask": [[1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1]],  # token 0 of row 1 may attend to nothing
    }
)
RARE = 4  # the token whose embedding is small


@dataclass(frozen=True)
class Fault:
    """A mistake: where it must show first, why it happens, and what plants it. What is None is left alone."""

    point: str
    cause: str
    patch: Callable[[Patch], None] | None = None
    weights: Callable[[Arrays], None] | None = None  # changes the dictionary of parameters, not the arrays in it
    inputs: Callable[[Inputs], None] | None = None
    dialect: Callable[[Dialect], Dialect] | None = None
    dialects: tuple[Dialect, ...] = ALL  # those in which it is a mistake


def everywhere(function: Any, make: Callable[[Any], Any]) -> Callable[[Patch], None]:
    """A patch that puts `make(function)` in its place in every module of the package that has it by any name."""

    def plant(patch: Patch) -> None:
        faulty, found = make(function), 0
        for module_name, module in list(sys.modules.items()):
            if module_name.partition(".")[0] == "npblender":
                for name, value in list(vars(module).items()):
                    if value is function:
                        patch.setattr(module, name, faulty)
                        found += 1
        assert found, f"{function} has no user"

    return plant


def zoo_arrays() -> Arrays:
    """The tiny model's parameters, changed in what lets faults hide.

    One token's row is small, as those of rare tokens are in a trained model: that is where epsilon and a lost scale
    can be seen behind a LayerNorm. The final bias is as large as the logits.
    """
    arrays = to_arrays(random_weights(EXAMPLE_CONFIG, seed=0))
    shared = arrays["shared.weight"].copy()
    shared[RARE] *= np.float32(2.0**-6)
    changed = {"shared.weight": shared, "final_logits_bias": arrays["final_logits_bias"] * np.float32(8)}
    return {**arrays, **changed}


def zoo_model(dialect: Dialect) -> BlenderbotSmallForConditionalGeneration:
    """The tiny model in a dialect."""
    weights = from_arrays(EXAMPLE_CONFIG, zoo_arrays())
    return BlenderbotSmallForConditionalGeneration(EXAMPLE_CONFIG, weights, dialect=dialect)


def reference(dialect: Dialect) -> Trace:
    """The truth, with the noise of every point: what a porter is given."""
    given: Inputs = {**INPUTS, "steps": True, "prefill": PREFILL}
    return npblender.trace(zoo_model(dialect), **given, dtype="float64")


def harmed(fault: Fault | None, dialect: Dialect) -> dict[str, Array]:
    """What a float32 port with this fault records: arrays by name, and nothing said of what was run."""
    inputs = {**INPUTS, "steps": True, "prefill": PREFILL}
    return harmed_run(fault, EXAMPLE_CONFIG, zoo_arrays(), dialect, inputs, "float32")


def harmed_run(
    fault: Fault | None,
    config: BlenderbotSmallConfig,
    arrays: Mapping[str, Array],
    dialect: Dialect,
    inputs: Mapping[str, Any],
    dtype: str,
) -> dict[str, Array]:
    """The same for any model and any inputs of a trace."""
    arrays, given = dict(arrays), deepcopy(dict(inputs))
    with pytest.MonkeyPatch.context() as patch:
        if fault is not None:
            if fault.patch is not None:
                fault.patch(patch)
            if fault.weights is not None:
                fault.weights(arrays)
            if fault.inputs is not None:
                fault.inputs(given)
            if fault.dialect is not None:
                dialect = replace(fault.dialect(dialect), name="faulty")
        weights = from_arrays(config, arrays)
        model = BlenderbotSmallForConditionalGeneration(config, weights, dialect=dialect)
        return dict(npblender.trace(model, **given, dtype=dtype, noise=False).arrays)
