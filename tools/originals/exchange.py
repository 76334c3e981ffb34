"""The files through which cases go to an original and its answers come back.

A folder of cases holds one folder a case:

    case.json            {"config": ..., "dtype": "float64", "calls": [call, ...]}
    weights.safetensors  the parameters of the full model under transformers' names
    inputs.safetensors   the arrays that the calls name

A call is `{"class": one of transformers' three, "arguments": {name: value}}`. It may also say `"originals":
[names]`, the originals it is meant for (all, when it says nothing); `"dtype"`, if not the case's; and
`"refused": true` when it is a caller's mistake. A value is a plain bool, int or null, or one of

    {"array": NAME}        an array of inputs.safetensors
    {"arrays": [NAME...]}  a tuple of them
    {"past_of": N}         the `past_key_values` that call N gave back
    {"encoder_of": N}      the encoder outputs of call N, as a record (states, every hidden state, attentions)

The answers are one safetensors file a case with names `N/logits`, `N/decoder_hidden_states/2` (N is the
call), and beside it a JSON file: for each call null, `"skipped"`, or the error it raised.

This module runs in the originals' environments as well, so it needs numpy and safetensors only, and it does
NOT know any model.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

CACHE_PARTS = ("self_key", "self_value", "cross_key", "cross_value")
ENCODER_OUTPUTS = ("encoder_last_hidden_state", "encoder_hidden_states", "encoder_attentions")


@dataclass
class Case:
    """One model and the calls made to it."""

    name: str
    config: dict[str, Any]
    dtype: str
    weights: dict[str, np.ndarray]
    inputs: dict[str, np.ndarray]
    calls: list[dict[str, Any]]


@dataclass
class Answer:
    """What came back: flat tensors under `N/...`, and for each call how it ended."""

    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    endings: list[Any] = field(default_factory=list)

    def of_call(self, number: int) -> dict[str, np.ndarray]:
        """The tensors of one call, without its number in front."""
        prefix = f"{number}/"
        return {name.removeprefix(prefix): value for name, value in self.tensors.items() if name.startswith(prefix)}


def write_case(case: Case, parent: Path) -> None:
    folder = parent / case.name
    folder.mkdir(parents=True)
    save_file(
        {name: np.array(value, order="C") for name, value in case.weights.items()},
        folder / "weights.safetensors",
    )
    save_file(
        {name: np.array(value, order="C") for name, value in case.inputs.items()},
        folder / "inputs.safetensors",
    )
    text = json.dumps({"config": case.config, "dtype": case.dtype, "calls": case.calls}, indent=1)
    (folder / "case.json").write_text(text + "\n")


def read_cases(parent: Path) -> Iterator[Case]:
    """The cases of a folder in the order of their names, each read when it is its turn."""
    for path in sorted(parent.glob("*/case.json")):
        folder = path.parent
        record = json.loads(path.read_text())
        yield Case(
            name=folder.name,
            config=record["config"],
            dtype=record["dtype"],
            weights=load_file(folder / "weights.safetensors"),
            inputs=load_file(folder / "inputs.safetensors"),
            calls=record["calls"],
        )


def write_answer(name: str, answer: Answer, parent: Path) -> None:
    parent.mkdir(parents=True, exist_ok=True)
    # A safetensors file wants contiguous arrays; a copy keeps the zero dimensions of a scalar.
    save_file(
        {key: np.array(value, order="C") for key, value in answer.tensors.items()},
        parent / f"{name}.safetensors",
    )
    (parent / f"{name}.json").write_text(json.dumps(answer.endings) + "\n")


def read_answer(name: str, parent: Path) -> Answer:
    return Answer(load_file(parent / f"{name}.safetensors"), json.loads((parent / f"{name}.json").read_text()))


def flatten(name: str, value: Any, leaf: Callable[[Any], np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of a nest of tuples and lists under slash-joined names; None gives nothing.

    >>> [name for name, _ in flatten("a", (1, (2, None)), np.asarray)]
    ['a/0', 'a/1/0']
    """
    if value is None:
        return
    if isinstance(value, tuple | list):
        for index, item in enumerate(value):
            yield from flatten(f"{name}/{index}", item, leaf)
    else:
        yield name, leaf(value)


def flatten_cache(
    layers: Sequence[Sequence[Any]], leaf: Callable[[Any], np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    """A cache as per-layer (self key, self value[, cross key, cross value])."""
    for index, layer in enumerate(layers):
        for part, value in zip(CACHE_PARTS, layer, strict=False):
            yield f"past_key_values/{index}/{part}", leaf(value)


def kind_of(name: str) -> str:
    """What kind of tensor an answer's name stands for.

    >>> kind_of("decoder_hidden_states/2"), kind_of("past_key_values/0/self_key"), kind_of("loss")
    ('hidden', 'caches', 'loss')
    """
    first = name.split("/")[0]
    if first in ("logits", "loss"):
        return first
    if first == "tuple":  # an output asked for without names
        return "tuples"
    return "caches" if first == "past_key_values" else "attentions" if first.endswith("attentions") else "hidden"


def wanted(call: Mapping[str, Any], original: str) -> bool:
    """Whether a call is meant for this original."""
    return "originals" not in call or original in call["originals"]


def describe_error(error: Exception) -> dict[str, str]:
    return {"type": type(error).__name__, "message": str(error)[:2000]}


def answer_calls(case: Case, original: str, run: Callable[[int, dict[str, Any]], dict[str, np.ndarray]]) -> Answer:
    """The answers of `run(number, call)` to the calls meant for `original`; an error is an answer too."""
    answer = Answer()
    for number, call in enumerate(case.calls):
        if not wanted(call, original):
            answer.endings.append("skipped")
            continue
        try:
            tensors = run(number, call)
        except Exception as error:
            answer.endings.append(describe_error(error))
        else:
            answer.endings.append(None)
            answer.tensors.update({f"{number}/{name}": value for name, value in tensors.items()})
    return answer


def serve(
    about: str,
    answer: Callable[[Case, str], Answer],
    set_threads: Callable[[int], object],
    original: str | None = None,
) -> int:
    """The command of a program that answers cases: `CASES ANSWERS [--original NAME] [--threads N]`; returns its status.

    `original` is the name under which calls are meant for the program, if there is only one.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("cases", type=Path)
    parser.add_argument("answers", type=Path)
    name = "the name under which calls are meant for this program"
    parser.add_argument("--original", default=original, required=original is None, help=name)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    set_threads(options.threads)
    for case in read_cases(options.cases):
        write_answer(case.name, answer(case, options.original), options.answers)
    return 0
