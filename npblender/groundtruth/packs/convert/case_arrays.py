"""Reads the files of a pack as named groups of arrays, inputs and outputs apart, for the converters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from npblender.common.array_types import Array
from npblender.groundtruth.noise.units import Noise
from npblender.groundtruth.packs.files import read_cases
from npblender.groundtruth.packs.manifest import Manifest
from npblender.groundtruth.packs.sections import scalars
from npblender.groundtruth.tracing.trace_file import Trace


@dataclass(frozen=True, eq=False)
class CaseArrays:
    """The arrays of one case, of one CSV file, or of one whole pass."""

    file: str  # the path in the pack, without its suffix
    name: str  # empty where a file is one case
    inputs: dict[str, Array]
    outputs: dict[str, Array]
    noise: Mapping[str, Noise] = field(default_factory=dict)  # of outputs
    parameters: Mapping[str, Any] = field(default_factory=dict)  # such as eps
    regions: tuple[str, ...] = ()  # of a CSV file, row by row


def _of_csv(path: Path, name: str) -> CaseArrays:
    rows = scalars.read(path)
    x, y, ulps = (np.array(column) for column in list(zip(*rows, strict=True))[:3])
    regions = tuple(region for *_, region in rows)
    return CaseArrays(name, "", {"x": x.astype(np.float32)}, {"y": y, "ulps": ulps}, regions=regions)


def _of_trace(path: Path, name: str) -> CaseArrays:
    trace = Trace.load(path)
    given = dict(trace.inputs or {})
    steps = {key: np.array(given.pop(key), np.int64) for key in ("steps", "prefill") if key in given}
    inputs = {key: np.array(value) for key, value in given.items()}
    ordered = {}
    for ids, mask in (("input_ids", "attention_mask"), ("decoder_input_ids", "decoder_attention_mask")):
        ordered[ids] = inputs.pop(ids)
        ordered[mask] = inputs.pop(mask, np.ones_like(ordered[ids])).astype(bool)
    return CaseArrays(name, "", ordered | inputs | steps, dict(trace.arrays), trace.noise)


def little_endian(array: Array) -> bytes:
    """The array's numbers in C order, in the byte order of almost every machine.

    >>> little_endian(np.array([1, 256], np.int16))
    b'\\x01\\x00\\x00\\x01'
    """
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def put(path: Path, content: bytes) -> Path:
    """Write a file, with the folders that it lies in; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def case_arrays(folder: Path, manifest: Manifest) -> Iterator[CaseArrays]:
    """Yield the groups of arrays of a pack, in the order of the manifest."""
    for path, record in manifest.files.items():
        name = path.rsplit(".", 1)[0]
        if record.kind == scalars.KIND:
            yield _of_csv(folder / path, name)
        elif record.kind == "trace":
            yield _of_trace(folder / path, name)
        elif record.kind in ("tensor operation", "filters"):
            for case in read_cases(folder / path):
                yield CaseArrays(name, case.name, dict(case.inputs), dict(case.outputs), case.noise, case.parameters)
