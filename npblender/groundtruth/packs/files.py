"""The files of a pack: `PackFile`, and the two forms that most of them have, cases of arrays and JSON.

A file of cases is safetensors: the tensors `CASE/in/NAME` and `CASE/out/NAME`, and in the metadata key `cases` a JSON
object that gives each case its reason, its parameters and the noise of its outputs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from npblender.common.array_types import Array
from npblender.common.printable import cut
from npblender.groundtruth.noise.units import Noise
from npblender.groundtruth.tracing.tensor_file import below, compact_json, read_tensors, tensor_bytes


@dataclass(frozen=True)
class PackFile:
    """One file: its path, the kind that checks it, a description, its bytes, its tensors as the manifest lists them."""

    path: str
    kind: str
    about: str
    content: bytes
    tensors: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class PackCase:
    """Inputs and parameters of one case, and its true outputs with the float32 noise of each."""

    name: str
    why: str
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    noise: Mapping[str, Noise] = field(default_factory=dict)


def as_stored(array: Array, stored: str) -> Array:
    """Round a float64 array to the dtype in which a pack stores it; other arrays stay as they are.

    Finite values beyond the dtype's range, which only scores of hidden keys have, are clipped to it.

    >>> as_stored(np.array([0.1, -1.7e308]), "float32")
    array([ 1.0000000e-01, -3.4028235e+38], dtype=float32)
    """
    if array.dtype != np.float64:
        return array
    largest = np.finfo(stored).max
    bounded = np.where(np.isfinite(array), np.clip(array, -largest, largest), array)
    with np.errstate(under="ignore"):
        return np.asarray(bounded.astype(stored))


def tensor_records(arrays: Mapping[str, Array], noise: Mapping[str, Noise]) -> dict[str, Any]:
    """Describe tensors for the manifest: dtype, shape, and the noise where there is any."""
    return {
        name: {"dtype": str(array.dtype), "shape": list(array.shape)}
        | ({"noise": noise[name].numbers} if name in noise else {})
        for name, array in arrays.items()
    }


def case_file(path: str, kind: str, about: str, cases: Iterable[PackCase], stored: str) -> PackFile:
    """Make a file of cases. Outputs in float64 are stored as `stored`; inputs are stored as they are."""
    arrays: dict[str, Array] = {}
    noise: dict[str, Noise] = {}
    records: dict[str, Any] = {}
    for case in cases:
        arrays |= {f"{case.name}/in/{name}": value for name, value in case.inputs.items()}
        arrays |= {f"{case.name}/out/{name}": as_stored(value, stored) for name, value in case.outputs.items()}
        noise |= {f"{case.name}/out/{name}": each for name, each in case.noise.items()}
        records[case.name] = {
            "why": case.why,
            "parameters": dict(case.parameters),
            "noise": {name: each.numbers for name, each in case.noise.items()},
        }
    content = tensor_bytes(arrays, {"cases": compact_json(records)})
    return PackFile(path, kind, about, content, tensor_records(arrays, noise))


def read_cases(path: Path) -> list[PackCase]:
    """Read the cases of a file that `case_file` made. Raises ValueError if it is damaged, or not a file of cases."""
    arrays, metadata = read_tensors(path)
    if "cases" not in metadata:
        raise ValueError(f"{path} is not a file of cases: its metadata have no key 'cases'")
    try:
        return _cases(arrays, json.loads(metadata["cases"]))
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} holds cases that its metadata do not describe: {cut(repr(error))}") from error


def _cases(arrays: Mapping[str, Array], records: Any) -> list[PackCase]:
    cases = []
    for name, record in records.items():
        given, out = (below(f"{name}/{side}/", arrays) for side in ("in", "out"))
        noise = {key: Noise(**each) for key, each in record["noise"].items()}
        cases.append(PackCase(name, record["why"], given, out, record["parameters"], noise))
    return cases


def json_file(path: str, kind: str, about: str, content: list[Any]) -> PackFile:
    """Make a JSON file with one entry a line; the same content gives the same bytes."""
    lines = [json.dumps(each, separators=(",", ":"), ensure_ascii=True, allow_nan=False) for each in content]
    text = "[\n" + ",\n".join(lines) + "\n]\n"
    return PackFile(path, kind, about, text.encode("utf-8"))


def short(value: Any) -> float:
    """Convert a float32 number to the shortest decimal that rounds to it.

    >>> short(np.float32(0.1))
    0.1
    """
    return float(str(np.float32(value)))


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises ValueError if it is not JSON."""
    try:
        return json.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {cut(str(error))}") from error
