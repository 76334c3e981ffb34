"""Converts packs to other formats: NPZ, ONNX test data, flat files, source code of C, Rust and JavaScript.

case_arrays   the files of a pack as named groups of arrays, from which the formats are written
npz           one NPZ file a file of arrays; everything else as it is
onnx          `test_data_set_N` folders of input_*.pb and output_*.pb, with a TensorProto writer
raw           flat little-endian files and one table of them
literals      C headers of everything; small files as source code of Rust and JavaScript
c_json        JSON content as constants of C
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from npblender.common import json_files
from npblender.common.printable import shown
from npblender.common.replacing import replacing_folder
from npblender.groundtruth.packs.convert import literals, npz, onnx, raw
from npblender.groundtruth.packs.manifest import Manifest, damage, read_manifest

__all__ = ["FORMATS", "convert_pack"]

FORMATS: Mapping[str, Callable[[Path, Manifest, Path], list[Path]]] = {
    "npz": npz.write,
    "onnx": onnx.write,
    "raw": raw.write,
    "c": partial(literals.write, literals.C),
    "rust": partial(literals.write, literals.RUST),
    "js": partial(literals.write, literals.JS),
}


def convert_pack(folder: str | os.PathLike[str], out: str | os.PathLike[str], to: str) -> list[Path]:
    """Write a pack in another format into a folder that is new or empty; return the files written.

    Raises:
        FileNotFoundError, ValueError: no pack, a damaged one, an unknown format, or a folder that is not empty.
    """
    if to not in FORMATS:
        raise ValueError(f"unknown format {shown(to)}; there are {', '.join(FORMATS)}")
    manifest = read_manifest(folder)
    broken = damage(folder, manifest)
    if broken:
        path, what = next(iter(broken.items()))
        raise ValueError(f"the pack is damaged: {path} {what}")
    place = Path(os.path.abspath(out))
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        raise ValueError(f"{str(out)!r} is {'a link' if place.is_symlink() else 'a file'}; name a new folder")
    if place.exists() and any(place.iterdir()):
        raise ValueError(f"{str(out)!r} is not empty; name a new folder")
    json_files.new_folder(place.parent)
    with replacing_folder(place) as unfinished:
        written = FORMATS[to](Path(folder), manifest, unfinished)
    return [Path(out) / path.relative_to(unfinished) for path in written]
