"""Golden files: what they hold and how they are read and written. Needs numpy and safetensors only.

A golden is two files. `NAME.json` holds the configuration, the calls and who answered; `NAME.safetensors` holds
`weights/...`, `inputs/...` and `answers/ORIGINAL/CALL/TENSOR`. The same content gives the same bytes. A golden of a
model that lies elsewhere (the demo) has no weights, but the sha256 of the file that has them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from tools.originals.exchange import Case


@dataclass(frozen=True)
class Answers:
    """One original's answers. `bound` is how far, relative to a tensor's largest entry, another program may lie off."""

    original: str
    dialect: str
    dtype: str
    version: str
    bound: float
    tensors: dict[str, np.ndarray]  # "CALL/TENSOR" -> array


@dataclass(frozen=True)
class Golden:
    case: Case
    answers: dict[str, Answers]
    model_sha256: str | None = None  # of the weights' own file, where the golden does not store them


def write_golden(golden: Golden, folder: Path) -> None:
    case = golden.case
    arrays = {f"weights/{name}": value for name, value in case.weights.items()}
    arrays |= {f"inputs/{name}": value for name, value in case.inputs.items()}
    records: dict[str, Any] = {}
    for original, answers in golden.answers.items():
        arrays |= {f"answers/{original}/{name}": value for name, value in answers.tensors.items()}
        keys = ("original", "dialect", "dtype", "version", "bound")
        records[original] = {key: getattr(answers, key) for key in keys}
    content = {"config": case.config, "calls": case.calls, "answers": records, "model_sha256": golden.model_sha256}
    folder.mkdir(parents=True, exist_ok=True)
    content_of_file = save({name: np.array(value, order="C") for name, value in arrays.items()})
    (folder / f"{case.name}.safetensors").write_bytes(content_of_file)
    (folder / f"{case.name}.json").write_text(json.dumps(content, indent=1) + "\n")


def read_golden(name: str, folder: Path) -> Golden:
    content = json.loads((folder / f"{name}.json").read_text())
    arrays = load_file(folder / f"{name}.safetensors")

    def under(prefix: str) -> dict[str, np.ndarray]:
        return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}

    case = Case(name, content["config"], "float64", under("weights/"), under("inputs/"), content["calls"])
    answers = {
        original: Answers(tensors=under(f"answers/{original}/"), **record)
        for original, record in content["answers"].items()
    }
    return Golden(case, answers, content["model_sha256"])


def stored(call: dict[str, Any], name: str) -> bool:
    """Whether a golden keeps this tensor of a call's answer: all, or those whose names begin as `keep` says."""
    return not call["keep"] or name.startswith(tuple(call["keep"]))


def columns(call: dict[str, Any], name: str, array: np.ndarray) -> np.ndarray:
    """The part of a tensor that a golden keeps: all of it, but of a large vocabulary's logits some columns."""
    return array[..., call["columns"]] if name == "logits" and "columns" in call else array
