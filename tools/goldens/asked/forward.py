"""Compares the forward passes of a pack with an original's, in float64."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from npblender.checkpoint.parameter_names import stored_name
from npblender.groundtruth import Trace
from npblender.transformer.parameters import FULL_MODEL, Weights, to_arrays
from tools.differential.draft import SEQ2SEQ
from tools.differential.measure import relative_difference
from tools.differential.originals import answers_of, version_of
from tools.originals.exchange import Answer, Case

BOUND = 1e-12
"""Of a tensor's largest value: two float64 programs over a whole model."""
UNKNOWN = {
    "parlai": {"decoder_attention_mask", "head_mask", "decoder_head_mask", "cross_attn_head_mask"},
    "transformers-5": {"head_mask", "decoder_head_mask", "cross_attn_head_mask"},
    "transformers-4": set(),
}
"""What an original does not take, or accepts and leaves aside."""


@dataclass
class Found:
    """One original's answer to one file of a pack."""

    tensors: int = 0
    worst: float = 0.0
    at: str = ""
    problem: str | None = None


def case_of(name: str, config: dict[str, Any], weights: Weights, trace: Trace, original: str) -> Case:
    """The calls that a trace stands for: one pass, or a prompt and then one call a step."""
    case = Case(name, dict(config), "float64", {}, {}, [])
    case.weights = {stored_name(key, FULL_MODEL): array.astype(np.float64) for key, array in to_arrays(weights).items()}
    given = dict(trace.inputs or {})
    steps, prefill = given.pop("steps", False), given.pop("prefill", 1)
    if original == "parlai":
        given.pop("labels", None)
    arrays = {key: np.array(value) for key, value in given.items()}
    target = arrays.pop("decoder_input_ids")
    own_mask = arrays.pop("decoder_attention_mask", None)
    first = target[:, :prefill] if steps else target
    if own_mask is not None:
        arrays["decoder_attention_mask"] = own_mask[:, : first.shape[1]]
    flags = {"use_cache": True, "output_attentions": True, "output_hidden_states": True}
    if "labels" in arrays:
        flags.pop("use_cache")
    _add(case, {**arrays, "decoder_input_ids": first}, flags)
    if steps:
        for n in range(prefill, target.shape[1]):
            over = {"encoder_outputs": {"encoder_of": 0}, "past_key_values": {"past_of": len(case.calls) - 1}}
            masks = {key: arrays[key] for key in ("attention_mask",) if key in arrays}
            if own_mask is not None:
                masks["decoder_attention_mask"] = own_mask[:, : n + 1]
            _add(case, {**masks, "decoder_input_ids": target[:, n : n + 1]}, {**flags, **over})
    return case


def _add(case: Case, arrays: dict[str, np.ndarray], plain: dict[str, Any]) -> None:
    number = len(case.calls)
    arguments = dict(plain)
    for name, array in arrays.items():
        case.inputs[f"{number}/{name}"] = array
        arguments[name] = {"array": f"{number}/{name}"}
    case.calls.append({"class": SEQ2SEQ, "arguments": arguments})


def pairs(trace: Trace, answer: Answer, layers: tuple[int, int]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Point by point what the trace has and what the original answered, where it shows it."""
    steps = bool((trace.inputs or {}).get("steps"))
    for number in range(len(answer.endings)):
        prefix = "" if not steps else "prefill." if number == 0 else f"step{number}."
        tensors = answer.of_call(number)
        names = {f"{prefix}logits": "logits", "loss": "loss"}
        if number == 0:
            names |= {"encoder.states": "encoder_last_hidden_state", "encoder.embed.output": "encoder_hidden_states/0"}
            for n in range(layers[0]):
                names[f"encoder.layers.{n}.output"] = f"encoder_hidden_states/{n + 1}"
                names[f"encoder.layers.{n}.self_attn.weights"] = f"encoder_attentions/{n}"
        names[f"{prefix}decoder.embed.output"] = "decoder_hidden_states/0"
        for n in range(layers[1]):
            names[f"{prefix}decoder.layers.{n}.output"] = f"decoder_hidden_states/{n + 1}"
            names[f"{prefix}decoder.layers.{n}.self_attn.weights"] = f"decoder_attentions/{n}"
            names[f"{prefix}decoder.layers.{n}.encoder_attn.weights"] = f"cross_attentions/{n}"
            for letter, word in (("k", "key"), ("v", "value")):
                new = f"{prefix}decoder.layers.{n}.self_attn.{letter}"
                cached = f"past_key_values/{n}/self_{word}"
                if new in trace.arrays and cached in tensors:
                    count = trace.arrays[new].shape[2]
                    yield new, trace.arrays[new], tensors[cached][:, :, -count:]
                cross = f"decoder.layers.{n}.encoder_attn.{letter}"
                if number == 0 and cross in trace.arrays and f"past_key_values/{n}/cross_{word}" in tensors:
                    yield cross, trace.arrays[cross], tensors[f"past_key_values/{n}/cross_{word}"]
        for point, tensor in names.items():
            if point in trace.arrays and tensor in tensors:
                yield point, trace.arrays[point], tensors[tensor]


def ask_all(
    original: str, config: dict[str, Any], weights: Weights, traces: Mapping[str, Trace], start: int | None
) -> dict[str, Found | None]:
    """What an original makes of each trace's inputs, by the trace's path; None if it does not take them.

    `start` is the id whose logit the dialect replaces, which the original leaves alone until it searches.
    """
    found: dict[str, Found | None] = {}
    taken = {}
    bias = to_arrays(weights).get("final_logits_bias")
    if original == "parlai" and bias is not None and bias.any():
        return dict.fromkeys(traces)  # ParlAI's model has no such parameter
    for path, trace in traces.items():
        found[path] = None
        if not UNKNOWN[original] & set(trace.inputs or {}):
            taken[path.replace("/", "-")] = path
    cases = [case_of(name, config, weights, traces[path], original) for name, path in taken.items()]
    for case, answer in zip(sorted(cases, key=lambda case: case.name), answers_of(original, cases), strict=True):
        path = taken[case.name]
        found[path] = _compared(config, traces[path], answer, start)
    return found


def _compared(config: dict[str, Any], trace: Trace, answer: Answer, start: int | None) -> Found:
    found = Found()
    wrong = [ending for ending in answer.endings if ending is not None]
    if wrong:
        found.problem = f"it ended with {wrong[0]}"
        return found
    layers = (config["encoder_layers"], config["decoder_layers"])
    for point, ours, theirs in pairs(trace, answer, layers):
        if point.endswith("logits") and start is not None:
            ours, theirs = (np.delete(array, start, axis=-1) for array in (ours, theirs))
        difference, where = relative_difference(ours, theirs, nan_allowed=ours.ndim == 0)
        found.tensors += 1
        if difference > found.worst:
            found.worst, found.at = difference, point
        if not difference <= BOUND and found.problem is None:
            found.problem = f"{point}: {difference:.3g}, {where}"
    return found


def record_of(path: str, original: str, found: Found | None) -> dict[str, Any]:
    """What the manifest says of it."""
    note = ", its softmax in float64 too" if original == "parlai" else ""
    who = {"file": path, "by": version_of(original) + note}
    if found is None:
        return {**who, "asked": False, "why": "it does not take, or leaves aside, an input or a parameter"}
    return {**who, "asked": True, "tensors": found.tensors, "bound": BOUND, "within": found.problem is None}
