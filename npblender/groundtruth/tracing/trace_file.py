"""`Trace`: every named array of one run of the model, with the noise of each point and what was run.

It is stored as one safetensors file, tensors by point name and everything else in the metadata (`Trace.metadata`).
Anything that reads safetensors reads it. NPZ files and safetensors files of other programs load as traces that hold
arrays only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from npblender.common.array_types import Array
from npblender.common.printable import shown
from npblender.groundtruth.noise.units import Noise
from npblender.groundtruth.tracing.tensor_file import compact_json, read_tensors, write_tensors

FORMAT, VERSION, READ = "npblender-trace", "2", ("1", "2")
INPUT = "inputs."
"""What the names of input tensors begin with; no point's name begins so. Version 1 of the format had none."""


@dataclass(frozen=True, eq=False)
class Trace:
    """The arrays of one run in causal order, and what is known about the run."""

    arrays: Mapping[str, Array]
    noise: Mapping[str, Noise] = field(default_factory=dict)  # by point; empty where none was measured
    dtype: str | None = None  # in which the model computed; None in a file that does not say
    dialect: str | Mapping[str, Any] | None = None  # as `describe_dialect` writes it
    config: Mapping[str, Any] | None = None  # the model's configuration, as config.json holds it
    inputs: Mapping[str, Any] | None = None  # what was run, as `TraceInputs.from_json` reads it again
    producer: Mapping[str, str] | None = None  # names and versions of what made it

    def __post_init__(self) -> None:
        unknown = [name for name in self.noise if name not in self.arrays]
        if unknown:
            raise ValueError(f"there is noise of {shown(unknown[0])}, which is no point of this trace")

    @property
    def points(self) -> tuple[str, ...]:
        """The names in causal order.

        >>> Trace({"encoder.states": np.zeros(1), "logits": np.ones(1)}).points
        ('encoder.states', 'logits')
        """
        return tuple(self.arrays)

    @property
    def tensors(self) -> dict[str, Array]:
        """The tensors of the file: the points, then the inputs, ids and masks as int32, so that no JSON need be read.

        >>> found = Trace({"logits": np.ones(1)}, inputs={"input_ids": [[5, 6]], "steps": True, "prefill": 1}).tensors
        >>> list(found), found["inputs.input_ids"]
        (['logits', 'inputs.input_ids', 'inputs.prefill'], array([[5, 6]], dtype=int32))
        """
        inputs = {INPUT + name: value for name, value in (self.inputs or {}).items() if name != "steps"}
        return {**self.arrays, **{name: _as_tensor(value) for name, value in inputs.items()}}

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of the file, as texts; what is not known is left out.

        >>> Trace({"logits": np.ones(1)}, {"logits": Noise(1e-7, 2e-7)}).metadata["noise"]
        '{"logits":{"rms":1e-07,"max":2e-07}}'
        """
        said = {
            "points": list(self.arrays),
            "noise": {name: {"rms": each.rms, "max": each.max} for name, each in self.noise.items()},
            "dialect": self.dialect,
            "config": self.config,
            "inputs": self.inputs,
            "producer": self.producer,
        }
        texts = {"format": FORMAT, "version": VERSION}
        if self.dtype is not None:
            texts["dtype"] = self.dtype
        plain = {name: dict(value) if isinstance(value, Mapping) else value for name, value in said.items()}
        return texts | {name: compact_json(value) for name, value in plain.items() if value is not None}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one safetensors file; the same trace gives the same bytes.

        Raises:
            TypeError: longdouble, which the format cannot store.
            ValueError: the system refuses to write there.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Trace({"logits": np.ones(3)}, dtype="float64").save(f"{folder}/t.safetensors")
        ...     Trace.load(f"{folder}/t.safetensors").points
        ('logits',)
        """
        write_tensors(path, self.tensors, self.metadata)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Trace:
        """Read a trace; any other safetensors or NPZ file becomes a trace of arrays only, in the file's order.

        A golden pack's file of cases becomes a trace of its outputs, with their noise.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is damaged, or a trace of another version, or its metadata do not fit its tensors.
        """
        arrays, metadata = read_tensors(path)
        if "format" not in metadata and metadata.get("cases", "")[:1] == "{":
            return _outputs_of_cases(path, arrays, metadata["cases"])
        if metadata.get("format") != FORMAT:
            return Trace(arrays)
        if metadata.get("version") not in READ:
            known = " and ".join(READ)
            raise ValueError(
                f"{path} is a trace of version {shown(metadata.get('version'))}; versions {known} are read"
            )
        arrays = {name: array for name, array in arrays.items() if not name.startswith(INPUT)}
        said = {name: _parsed(path, name, text) for name, text in metadata.items() if name in _SHAPES}
        points = said.pop("points", None)
        if points is None or sorted(map(str, points)) != sorted(arrays):
            raise ValueError(f"{path}: its metadata key 'points' does not list its tensors")
        noise = {name: _noise(path, name, each) for name, each in said.pop("noise", {}).items()}
        try:
            return Trace({name: arrays[name] for name in points}, noise, dtype=metadata.get("dtype"), **said)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


_SHAPES: Mapping[str, tuple[type, ...]] = {
    "points": (list,),
    "dialect": (str, dict),
    **dict.fromkeys(("noise", "config", "inputs", "producer"), (dict,)),
}


def _outputs_of_cases(path: Any, arrays: Mapping[str, Array], text: str) -> Trace:
    """Make a trace of a golden pack's file of cases: the outputs CASE/out/NAME, each with its noise."""
    try:
        listed = {name: each["noise"] for name, each in json.loads(text).items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: its metadata key 'cases' does not describe cases ({shown(error)})") from error
    said = {f"{case}/out/{name}": value for case, each in listed.items() for name, value in each.items()}
    noise = {name: _noise(path, name, value) for name, value in said.items()}
    return Trace({name: array for name, array in arrays.items() if "/out/" in name}, noise)


def _as_tensor(value: Any) -> Array:
    array = np.asarray(value)
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int32)


def _parsed(path: Any, name: str, text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its metadata key {shown(name)} is not JSON: {error}") from error
    if not isinstance(value, _SHAPES[name]):
        raise ValueError(f"{path}: its metadata key {shown(name)} holds a {type(value).__name__}")
    return value


def _noise(path: Any, name: str, value: Any) -> Noise:
    if not isinstance(value, dict) or set(value) != {"rms", "max"}:
        raise ValueError(f"{path}: the noise of {shown(name)} needs rms and max, and nothing else")
    try:
        return Noise(float(value["rms"]), float(value["max"]))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: the noise of {shown(name)}: {error}") from error
