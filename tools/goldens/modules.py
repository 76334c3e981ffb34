"""Goldens of modules: what each module of an original takes and returns, under the module's own path.

The model and its inputs are those of the golden traces, in float32. npblender rewrites the files, so that the same
content gives the same bytes, and computes nothing.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from npblender.groundtruth.tracing.tensor_file import read_tensors, write_tensors
from tools import ROOT
from tools.differential.measure import relative_difference
from tools.differential.originals import version_of
from tools.goldens.files import read_golden
from tools.goldens.forward import BOUNDS
from tools.goldens.made import Made
from tools.goldens.traces import FORWARD, MODEL
from tools.originals import asking
from tools.originals.exchange import write_case

FOLDER = ROOT / "reference_tests" / "golden" / "modules"
ORIGINALS = ("transformers-4", "transformers-5", "parlai")
DTYPE = "float32"


def file_of(original: str) -> Path:
    return FOLDER / f"{original}.safetensors"


def arrays_of(original: str) -> dict[str, Any]:
    """The arrays of all modules of one original, sorted by name. RuntimeError with what it printed if it fails."""
    case = read_golden(MODEL, FORWARD).case
    weights = {name: value.astype(DTYPE) for name, value in case.weights.items()}
    with tempfile.TemporaryDirectory() as place:
        write_case(dataclasses.replace(case, dtype=DTYPE, weights=weights), Path(place) / "cases")
        out = Path(place) / "out.safetensors"
        asking.run(original, "record_modules", Path(place) / "cases", out, "--original", original)
        return dict(sorted(read_tensors(out)[0].items()))


def differences(file: Path, arrays: dict[str, Any], version: str) -> list[str]:
    """Where arrays made now differ from the stored ones by more than another machine's rounding may."""
    stored, said = read_tensors(file)
    if sorted(stored) != sorted(arrays) or said["version"] != version:
        return [f"{file.name}: other names, or another version"]
    pairs = {name: relative_difference(arrays[name], stored[name]) for name in arrays}
    return [f"{file.name}, {name}: {far:.3g}" for name, (far, _) in pairs.items() if not far <= BOUNDS[DTYPE]]


def made() -> Iterator[Made]:
    """A file an original."""
    for original in ORIGINALS:
        arrays, file, version = arrays_of(original), file_of(original), version_of(original)
        said = {"original": original, "version": version}
        yield Made(
            file,
            f"{len(arrays)} arrays",
            partial(write_tensors, file, arrays, said),
            partial(differences, file, arrays, version),
        )
