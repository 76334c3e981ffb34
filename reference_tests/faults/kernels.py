"""Faults of kernels: mistakes in one operation of a port, planted in a run of operations, and what is said of each.

A run is the list of its operations, each computed in float32 as a plain loop computes it (`noise.plain_loops`). A fault
changes the output of some operations; all later ones go on with it, as in a port.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from npblender import BlenderbotSmallForConditionalGeneration
from npblender.groundtruth.noise.plain_loops import Loops
from npblender.groundtruth.single_ops.cases import Case, list_cases, run_arrays
from npblender.groundtruth.single_ops.compute import compute
from npblender.groundtruth.single_ops.refed import Refed
from npblender.groundtruth.tracing.evaluate import Evaluation, planned_points
from npblender.groundtruth.tracing.inputs import TraceInputs, check_inputs
from npblender.transformer.parameters import to_arrays

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]
PLAIN = Loops(2)


@dataclass(frozen=True)
class KernelFault:
    """Which operations are wrong, what they give, and a part of what must be said; {} has the right output."""

    at: str  # the point; `*` stands for any step
    wrong: Callable[[Case, Arrays, Arrays, Array], Array]
    says: str
    large: bool = False  # whether it needs a model with large activations to show


def again(case: Case, given: Arrays, parameters: Arrays, **settings: float) -> Array:
    changed = Case(case.name, case.op, case.inputs, case.parameters, dict(case.settings) | settings)
    return compute(changed, given, parameters, PLAIN)


def to_half(x: Array) -> Array:
    return x.astype(np.float16).astype(np.float32)


def to_brain(x: Array) -> Array:
    return ((x.view(np.uint32) + 0x8000) & np.uint32(0xFFFF0000)).view(np.float32)


def to_int8(x: Array) -> Array:
    step = np.abs(x).max(axis=-1, keepdims=True) / np.float32(127)
    return (np.round(x / step) * step).astype(np.float32)


def rough_exp(x: Array) -> Array:
    """exp by squaring 1 + x/256 eight times, as fast kernels do."""
    return np.asarray((1 + np.maximum(x, -200) / np.float32(256)) ** 256, np.float32)


def softmax_with(exp: Callable[[Array], Array]) -> Callable[[Case, Arrays, Arrays, Array], Array]:
    def wrong(case: Case, given: Arrays, parameters: Arrays, right: Array) -> Array:
        powers = exp(given["x"] - given["x"].max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)

    return wrong


def quick_root(case: Case, given: Arrays, parameters: Arrays, right: Array) -> Array:
    """1 / sqrt by the magic constant and one step of Newton, off by up to 0.2 %."""
    x = given["x"] - given["x"].mean(axis=-1, keepdims=True)
    variance = np.square(x).mean(axis=-1, keepdims=True, dtype=np.float32) + np.float32(1e-5)
    bits = np.uint32(0x5F3759DF) - (variance.view(np.uint32) >> np.uint32(1))
    y = bits.view(np.float32)
    y = y * (np.float32(1.5) - np.float32(0.5) * variance * y * y)
    return np.asarray(x * y * parameters["weight"] + parameters["bias"], np.float32)


def without_last_term(case: Case, given: Arrays, parameters: Arrays, right: Array) -> Array:
    x = given["x"].copy()
    x[..., -1] = 0
    return again(case, {**given, "x": x}, parameters)


def raced(case: Case, given: Arrays, parameters: Arrays, right: Array) -> Array:
    """A few sums read before they were complete."""
    wrong = right.copy()
    places = np.random.default_rng(0).choice(right.size, 3, replace=False)
    wrong.reshape(-1)[places] *= np.float32(0.4)
    return wrong


def last_row_left(case: Case, given: Arrays, parameters: Arrays, right: Array) -> Array:
    wrong = right.copy()
    wrong[:, -1] = given["x"][:, -1]
    return wrong


def row_of_cache(case: Case, given: Arrays, parameters: Arrays, right: Array) -> Array:
    keys = given["k"].copy()
    keys[1] = keys[0]
    return again(case, {**given, "k": keys}, parameters)


def mask_of_row_0(case: Case, given: Arrays, parameters: Arrays, right: Array) -> Array:
    return again(case, {**given, "mask": np.broadcast_to(given["mask"][:1], given["mask"].shape)}, parameters)


def hidden_left_out(case: Case, given: Arrays, parameters: Arrays, right: Array) -> Array:
    return np.where(np.abs(right) > 1e18, np.float32(0), right)


def weight_as(to: Callable[[Array], Array]) -> Callable[[Case, Arrays, Arrays, Array], Array]:
    return lambda case, given, p, right: again(case, given, {**p, "weight": to(p["weight"])})


ENC, DEC = "encoder.layers.0", "prefill.decoder.layers.0"
KERNELS: Mapping[str, KernelFault] = {
    "rows rolled by one": KernelFault(f"{ENC}.ffn.hidden", lambda c, g, p, y: np.roll(y, 1, 1), "rolled by -1 along S"),
    "a stride off by one": KernelFault(
        f"{ENC}.self_attn.v", lambda c, g, p, y: np.roll(y.reshape(-1), 1).reshape(y.shape), "rolled by -1 in memory"
    ),
    "a norm skipped": KernelFault(f"{DEC}.ffn.norm", lambda c, g, p, y: g["x"], "no norm: its input as it is"),
    "another row's cache": KernelFault("*.decoder.layers.0.self_attn.scores", row_of_cache, "the k of row 0 in row 1"),
    "clipped at 6": KernelFault(
        f"{ENC}.ffn.activation", lambda c, g, p, y: np.minimum(y, np.float32(6)), "places are exactly 6", large=True
    ),
    "eps of 1e-6": KernelFault("encoder.embed.norm", lambda c, g, p, y: again(c, g, p, eps=1e-6), "eps 1e-06"),
    "positions off after the prompt": KernelFault(
        "step*.decoder.embed.positions",
        lambda c, g, p, y: again(c, {"ids": g["ids"] + 1}, p),
        "positions moved by +1",
    ),
    "bias twice": KernelFault(f"{ENC}.self_attn.k", lambda c, g, p, y: y + split(c, p["bias"], y), "bias added twice"),
    "bias once a head": KernelFault(
        f"{ENC}.self_attn.output", lambda c, g, p, y: y + np.float32(3) * p["bias"], "bias added 4 times"
    ),
    "exp approximated": KernelFault(f"{ENC}.self_attn.weights", softmax_with(rough_exp), "an approximated exp"),
    "rsqrt approximated": KernelFault("encoder.embed.norm", quick_root, "an approximated 1 / sqrt"),
    "int8 weights, a scale a row": KernelFault(f"{ENC}.ffn.hidden", weight_as(to_int8), "int8, a scale a row"),
    "a matrix in float16": KernelFault(f"{ENC}.ffn.output", weight_as(to_half), "float16"),
    "a matrix in bfloat16": KernelFault(f"{DEC}.ffn.hidden", weight_as(to_brain), "bfloat16"),
    "one term left out": KernelFault(f"{ENC}.ffn.output", without_last_term, "the last term of its sum left out"),
    "mask of row 0 for all": KernelFault(f"{ENC}.self_attn.masked_scores", mask_of_row_0, "the mask of row 0"),
    "a race": KernelFault(f"{ENC}.ffn.hidden", raced, "here and there: a race"),
    "bytes swapped": KernelFault(
        "encoder.embed.tokens", lambda c, g, p, y: np.ascontiguousarray(y).byteswap(), "bytes swapped"
    ),
    "the last token left out": KernelFault(f"{ENC}.ffn.norm", last_row_left, "the last token only"),
    "hidden scores left out": KernelFault(f"{ENC}.self_attn.masked_scores", hidden_left_out, "hidden scores of 0"),
}
"""Twenty mistakes of kernels, each with a part of what the comparison must say of it."""


def split(case: Case, bias: Array, like: Array) -> Array:
    """A bias [D] as heads have it, [H, 1, K]."""
    heads = int(case.settings["heads"])
    return bias.reshape(heads, 1, -1)


def run_with(fault: KernelFault | None, model: BlenderbotSmallForConditionalGeneration, inputs: TraceInputs) -> Arrays:
    """What a float32 port with this fault records."""
    checked = check_inputs(model.config, model.weights, model.dialect, inputs)
    evaluation = Evaluation(model.config, model.dialect, model.weights, checked).in_dtype(np.dtype(np.float32))
    cases = {case.name: case for case in list_cases(evaluation)}
    known, parameters = run_arrays(evaluation), to_arrays(evaluation.weights)
    recorded: Arrays = {}
    previous: Array | None = None
    for name in planned_points(evaluation):
        if name in cases:
            previous = _computed(fault, cases[name], cases[name].gather(known, np.float32), parameters)
        assert previous is not None
        recorded[name] = known[name] = previous
    return recorded


def answers_with(fault: KernelFault | None, cases: Refed, parameters: Mapping[str, Array]) -> Arrays:
    """What the same port answers to re-fed cases."""
    narrow = {name: array.astype(np.float32) for name, array in parameters.items()}
    return {case.name: _computed(fault, case, cases.inputs_of(case), narrow) for case in cases.cases}


def _computed(fault: KernelFault | None, case: Case, given: Arrays, parameters: Mapping[str, Array]) -> Array:
    named = {role: parameters[each] for role, each in case.parameters.items()}
    with np.errstate(all="ignore"):
        right = compute(case, given, named, PLAIN)
        return right if fault is None or not _is_at(fault.at, case.name) else fault.wrong(case, given, named, right)


def _is_at(at: str, name: str) -> bool:
    head, star, tail = at.partition("*")
    return name == at if not star else name.startswith(head or "step") and name.endswith(tail)
