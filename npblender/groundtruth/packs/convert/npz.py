"""Converts a pack for NumPy alone: arrays in NPZ files, their metadata beside them in JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from npblender.groundtruth.packs.convert.case_arrays import put
from npblender.groundtruth.packs.manifest import MANIFEST, Manifest, path_within
from npblender.groundtruth.tracing.tensor_file import read_tensors


def write(folder: Path, manifest: Manifest, out: Path) -> list[Path]:
    """Write an NPZ file for each safetensors file and copies the others. The same pack gives the same bytes."""
    written = []
    for path in [*manifest.files, MANIFEST]:
        target = out / path
        if not path.endswith(".safetensors"):
            written.append(put(target, (folder / path).read_bytes()))
            continue
        arrays, metadata = read_tensors(folder / path)
        for name in arrays:  # they become names of files in an archive, which other programs may unpack
            path_within(folder, name, folder / path)
        parsed = {key: json.loads(text) if text[:1] in "[{" else text for key, text in metadata.items()}
        described = json.dumps(parsed, indent=1, sort_keys=True) + "\n"
        written += [target.with_suffix(".npz"), put(target.with_suffix(".json"), described.encode("utf-8"))]
        np.savez(target.with_suffix(".npz"), **arrays)  # type: ignore[arg-type]
    return written
