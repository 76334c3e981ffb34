"""Writes a pack as source code: C headers, all of it; Rust and JavaScript modules, its small files.

In C every output `NAME` with measured noise has `NAME_noise` (rms, max), every parameter of a case, such as eps, a
constant, and every CSV file the regions of its rows; searches, texts, chats and parts are written by `c_json`.

Floats are written so that exactly the same number is read: in C hexadecimally, in Rust and JavaScript as the shortest
decimal that rounds to it. The sizes of an array `NAME` stand beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from npblender.common.array_types import Array
from npblender.groundtruth.packs.convert.c_json import c_constants, c_name
from npblender.groundtruth.packs.convert.case_arrays import CaseArrays, case_arrays
from npblender.groundtruth.packs.files import read_json
from npblender.groundtruth.packs.manifest import Manifest

SMALL = 6000
"""The most values of a file that is written as source code of Rust and JavaScript."""
PER_LINE = 6


@dataclass(frozen=True)
class Language:
    """How one language writes a file of arrays."""

    suffix: str
    head: str
    array: str  # with {name}, {NAME}, {kind}, {values}, {shape}, {size} and {axes}; both are at least 1 where `padded`
    kinds: Mapping[str, str]  # of the dtypes
    nan: str  # and infinity, with {kind} where it is of a type
    infinity: str
    padded: bool = False

    def number(self, value: Any, dtype: str) -> str:
        """Write a number so that exactly the same is read."""
        if not dtype.startswith("float"):
            return str(int(value))
        if not np.isfinite(value):
            text = self.nan if np.isnan(value) else self.infinity if value > 0 else f"-{self.infinity}"
            return text.format(kind=self.kinds[dtype])
        if self is C:
            return float(value).hex() + ("f" if dtype == "float32" else "")
        return str(np.float32(value)) if dtype == "float32" else repr(float(value))  # always with a point or exponent

    def written(self, name: str, array: Array) -> str:
        """Write an array."""
        dtype, least = array.dtype.name, int(self.padded)
        listed = [self.number(value, dtype) for value in array.reshape(-1)]
        lines = [listed[start : start + PER_LINE] for start in range(0, len(listed), PER_LINE)]
        return self.array.format(
            **{"name": name, "NAME": name.upper(), "kind": self.kinds[dtype]},
            values="\n".join(f"  {', '.join(line)}," for line in lines),
            shape=", ".join(map(str, array.shape or (1,) * least)),
            **{"size": max(array.size, least), "axes": max(array.ndim, least)},
        )


C = Language(
    ".h",
    "#pragma once\n#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n\n",
    "static const {kind} {name}[{size}] = {{\n{values}\n}};\nstatic const size_t {name}_shape[{axes}] = {{{shape}}};\n",
    {"float32": "float", "float64": "double", "int64": "int64_t", "bool": "uint8_t"},
    *("NAN", "INFINITY", True),
)
RUST = Language(
    ".rs",
    "#![allow(clippy::all)]\n\n",
    "pub static {NAME}: [{kind}; {size}] = [\n{values}\n];\npub static {NAME}_SHAPE: [usize; {axes}] = [{shape}];\n",
    {"float32": "f32", "float64": "f64", "int64": "i64", "bool": "u8"},
    *("{kind}::NAN", "{kind}::INFINITY"),
)
JS = Language(
    ".mjs",
    "",
    "export const {name} = {{ shape: [{shape}], data: new {kind}([\n{values}\n]) }};\n",
    {"float32": "Float32Array", "float64": "Float64Array", "int64": "Int32Array", "bool": "Uint8Array"},
    *("NaN", "Infinity"),
)


def _named(case: CaseArrays) -> Iterator[tuple[str, Array]]:
    for side, arrays in (("in", case.inputs), ("out", case.outputs)):
        for name, array in arrays.items():
            yield c_name(case.file.rsplit("/", 1)[-1], case.name, side, name), array


def _described(case: CaseArrays) -> Iterator[str]:
    """Yield what C has beside the arrays of a case: noise, parameters, regions."""
    first = case.file.rsplit("/", 1)[-1]
    for name, noise in case.noise.items():
        whole = c_name(first, case.name, "out", name, "noise")
        yield f"static const double {whole}[2] = {{{noise.rms!r}, {noise.max!r}}};"
    yield from c_constants(c_name(first, case.name), dict(case.parameters))
    if case.regions:
        yield from c_constants(c_name(first, case.name, "region"), list(case.regions))


def write(language: Language, folder: Path, manifest: Manifest, out: Path) -> list[Path]:
    """Write a module of the language a file; in C, headers of everything, and of all JSON files but the model's own."""
    written = []

    def add(file: str, lines: Iterable[str]) -> None:
        written.append(out / (file.replace("/", "_") + language.suffix))
        written[-1].write_text(language.head + "".join(lines), encoding="ascii")

    for file, group in groupby(case_arrays(folder, manifest), key=lambda case: case.file):
        cases = list(group)
        arrays = [pair for case in cases for pair in _named(case)]
        content = "\n".join(language.written(name, array) for name, array in arrays)
        if language is C:
            add(file, [content, "\n", *(f"{line}\n" for case in cases for line in _described(case))])
        elif sum(array.size for _, array in arrays) <= SMALL:
            add(file, [content])
    for file, record in manifest.files.items():
        if language is C and file.endswith(".json") and record.kind != "model":
            name = file.removesuffix(".json")
            lines = c_constants(c_name(name.rsplit("/", 1)[-1]), read_json(folder / file))
            add(name, (f"{line}\n" for line in lines))
    return written
