"""Converts a pack to flat files: one file of little-endian numbers a tensor, and one table of all of them.

`tensors.tsv` has a line a tensor: its file, dtype, shape (sizes joined by x, empty for a single number), and the rms
and max of its float32 noise, empty where it has none. JSON files, and parameters such as eps, stay JSON.
"""

from __future__ import annotations

import json
from pathlib import Path

from npblender.groundtruth.packs.convert.case_arrays import case_arrays, little_endian, put
from npblender.groundtruth.packs.manifest import MANIFEST, Manifest

TABLE = "tensors.tsv"
COLUMNS = ("file", "dtype", "shape", "noise_rms", "noise_max")


def write(folder: Path, manifest: Manifest, out: Path) -> list[Path]:
    """Write FILE/CASE/in/NAME.bin and FILE/CASE/out/NAME.bin, the table, and the pack's JSON files."""
    lines, written = ["\t".join(COLUMNS)], []
    settings: dict[str, dict[str, object]] = {}
    for case in case_arrays(folder, manifest):
        for side, arrays in (("in", case.inputs), ("out", case.outputs)):
            for name, array in arrays.items():
                relative = "/".join(part for part in (case.file, case.name, side, f"{name}.bin") if part)
                written.append(put(out / relative, little_endian(array)))
                noise = case.noise.get(name) if side == "out" else None
                measured = ("", "") if noise is None else (repr(noise.rms), repr(noise.max))
                lines.append("\t".join([relative, array.dtype.name, "x".join(map(str, array.shape)), *measured]))
        if case.parameters:
            settings["/".join(part for part in (case.file, case.name) if part)] = dict(case.parameters)
    for name, text in ((TABLE, "\n".join(lines) + "\n"), ("parameters.json", json.dumps(settings, indent=1) + "\n")):
        written.append(put(out / name, text.encode("utf-8")))
    jsons = [path for path in [*manifest.files, MANIFEST] if path.endswith(".json")]
    return written + [put(out / path, (folder / path).read_bytes()) for path in jsons]
