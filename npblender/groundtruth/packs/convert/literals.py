"""Writes a pack as source code: C headers, all of it; Rust and JavaScript modules, its small files.

In C every output `NAME` with measured noise has `NAME_noise` (rms, max), every parameter of a case, such as eps, a
constant, and every CSV file the regions of its rows; searches, texts, chats and parts are written by `c_json`.

Floats are written so that exactly the same number is read: in C hexadecimally, in Rust and JavaScript as the shortest
decimal that rounds to it. The sizes of an array `NAME` stand beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
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
    number: Callable[[Any, str], str]
    array: Callable[[str, str, Array, str], str]  # name, dtype, array and its values as text


def _special(value: float, nan: str, infinity: str) -> str | None:
    if np.isnan(value):
        return nan
    if np.isinf(value):
        return infinity if value > 0 else f"-{infinity}"
    return None


def _c_number(value: Any, dtype: str) -> str:
    if not dtype.startswith("float"):
        return str(int(value))
    text = _special(value, "NAN", "INFINITY") or float(value).hex()
    return text + "f" if dtype == "float32" and text[-1].isdigit() else text


def _c_array(name: str, dtype: str, array: Array, values: str) -> str:
    kinds = {"float32": "float", "float64": "double", "int64": "int64_t", "bool": "uint8_t"}
    shape = ", ".join(map(str, array.shape or (1,)))
    return (
        f"static const {kinds[dtype]} {name}[{max(array.size, 1)}] = {{\n{values}\n}};\n"
        f"static const size_t {name}_shape[{max(array.ndim, 1)}] = {{{shape}}};\n"
    )


C = Language(
    ".h",
    "#pragma once\n#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n\n",
    _c_number,
    _c_array,
)


def _rust_number(value: Any, dtype: str) -> str:
    if not dtype.startswith("float"):
        return str(int(value))
    kind = "f32" if dtype == "float32" else "f64"
    return _special(value, f"{kind}::NAN", f"{kind}::INFINITY") or _decimal(value, dtype)


def _decimal(value: Any, dtype: str) -> str:
    """Write the shortest decimal, always with a point or an exponent."""
    return str(np.float32(value)) if dtype == "float32" else repr(float(value))


def _rust_array(name: str, dtype: str, array: Array, values: str) -> str:
    kinds = {"float32": "f32", "float64": "f64", "int64": "i64", "bool": "u8"}
    shape = ", ".join(map(str, array.shape))
    return (
        f"pub static {name.upper()}: [{kinds[dtype]}; {array.size}] = [\n{values}\n];\n"
        f"pub static {name.upper()}_SHAPE: [usize; {array.ndim}] = [{shape}];\n"
    )


RUST = Language(".rs", "#![allow(clippy::all)]\n\n", _rust_number, _rust_array)


def _js_number(value: Any, dtype: str) -> str:
    if not dtype.startswith("float"):
        return str(int(value))
    return _special(value, "NaN", "Infinity") or _decimal(value, dtype)


def _js_array(name: str, dtype: str, array: Array, values: str) -> str:
    kinds = {"float32": "Float32Array", "float64": "Float64Array", "int64": "Int32Array", "bool": "Uint8Array"}
    return f"export const {name} = {{ shape: {list(array.shape)}, data: new {kinds[dtype]}([\n{values}\n]) }};\n"


JS = Language(".mjs", "", _js_number, _js_array)


def _lines(values: Iterator[str]) -> Iterator[str]:
    listed = list(values)
    for start in range(0, len(listed), PER_LINE):
        yield "  " + ", ".join(listed[start : start + PER_LINE]) + ","


def _written(language: Language, name: str, array: Array) -> str:
    dtype = array.dtype.name
    values = "\n".join(_lines(language.number(value, dtype) for value in array.reshape(-1)))
    return language.array(name, dtype, array, values)


def _named(case: CaseArrays) -> Iterator[tuple[str, Array]]:
    for side, arrays in (("in", case.inputs), ("out", case.outputs)):
        for name, array in arrays.items():
            words = (case.file.rsplit("/", 1)[-1], case.name, side, name)
            yield re.sub(r"\W+", "_", "_".join(word for word in words if word)), array


def _described(case: CaseArrays) -> Iterator[str]:
    """Yield what C has beside the arrays of a case: noise, parameters, regions."""
    first = case.file.rsplit("/", 1)[-1]
    for name, noise in case.noise.items():
        whole = c_name(first, case.name, "out", name, "noise")
        yield f"static const double {whole}[2] = {{{noise.rms!r}, {noise.max!r}}};"
    yield from c_constants(c_name(first, case.name), dict(case.parameters))
    if case.regions:
        yield from c_constants(c_name(first, case.name, "region"), list(case.regions))


def _write(language: Language, folder: Path, manifest: Manifest, out: Path) -> list[Path]:
    written = []
    for file, group in groupby(case_arrays(folder, manifest), key=lambda case: case.file):
        cases = list(group)
        arrays = [pair for case in cases for pair in _named(case)]
        if language is not C and sum(array.size for _, array in arrays) > SMALL:
            continue
        path = out / (file.replace("/", "_") + language.suffix)
        content = "\n".join(_written(language, name, array) for name, array in arrays)
        if language is C:
            content += "\n" + "".join(f"{line}\n" for case in cases for line in _described(case))
        path.write_text(language.head + content, encoding="ascii")
        written.append(path)
    return written


def write_c(folder: Path, manifest: Manifest, out: Path) -> list[Path]:
    """Write a C99 header a file: arrays and all JSON files but the model's own."""
    written = _write(C, folder, manifest, out)
    for file, record in manifest.files.items():
        if file.endswith(".json") and record.kind != "model":
            path = out / (file.removesuffix(".json").replace("/", "_") + ".h")
            name = file.removesuffix(".json").rsplit("/", 1)[-1]
            lines = c_constants(c_name(name), read_json(folder / file))
            path.write_text(C.head + "".join(f"{line}\n" for line in lines), encoding="ascii")
            written.append(path)
    return written


def write_rust(folder: Path, manifest: Manifest, out: Path) -> list[Path]:
    """Write a Rust module a file."""
    return _write(RUST, folder, manifest, out)


def write_js(folder: Path, manifest: Manifest, out: Path) -> list[Path]:
    """Write a JavaScript module a file."""
    return _write(JS, folder, manifest, out)
