"""Packs in other formats: read back by other programs, the numbers are the pack's own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from npblender.groundtruth.packs.convert import convert_pack, onnx
from npblender.groundtruth.packs.files import read_cases
from npblender.groundtruth.packs.manifest import read_manifest
from npblender.groundtruth.packs.sections import scalars
from npblender.groundtruth.tracing.tensor_file import read_tensors
from reference_tests.support.cli_runs import one_error, run_cli

TINY = Path(__file__).parents[1] / "golden" / "packs" / "tiny"
TYPES = {number: np.dtype(name) for name, number in onnx.TYPES.items()}


def needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed, and it is what reads this format")
    return found


def run(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message, read without our writer's help."""

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = content[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    at = 0
    while at < len(content):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
        else:
            assert key & 7 == 2
            size = number()
            yield key >> 3, content[at : at + size]
            at += size


def parsed(content: bytes) -> tuple[str, np.ndarray]:
    """A TensorProto as onnx.proto describes it: dims = 1, data_type = 2, name = 8, raw_data = 9."""
    found: dict[int, list[int | bytes]] = {}
    for field, value in fields(content):
        found.setdefault(field, []).append(value)
    assert set(found) <= {1, 2, 8, 9}
    (kind,), (name,), (raw,) = found[2], found[8], found[9]
    assert isinstance(kind, int)
    assert isinstance(name, bytes)
    assert isinstance(raw, bytes)
    shape = [size for size in found.get(1, []) if isinstance(size, int)]
    return name.decode(), np.frombuffer(raw, TYPES[kind]).reshape(shape)


@given(
    array=arrays_of.arrays(
        st.sampled_from(["float32", "float64", "int64", "bool"]), arrays_of.array_shapes(min_dims=0, min_side=0)
    ),
    name=st.text(min_size=1, max_size=200),
)
def test_a_tensor_proto_holds_the_array(array: np.ndarray, name: str) -> None:
    back_name, back = parsed(onnx.tensor_proto(name, array))
    assert back_name == name
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()


def test_a_tensor_proto_by_hand() -> None:
    """dims: 2; data_type: FLOAT; name: "ab"; raw_data: 1.0 and -2.0."""
    content = onnx.tensor_proto("ab", np.array([1.0, -2.0], np.float32))
    assert content == bytes([0x08, 2, 0x10, 1, 0x42, 2]) + b"ab" + bytes([0x4A, 8]) + bytes.fromhex("0000803f000000c0")


def test_onnx_test_data(tmp_path: Path) -> None:
    convert_pack(TINY, tmp_path / "onnx", "onnx")
    cases = read_cases(TINY / "ops" / "softmax.safetensors")
    folders = sorted((tmp_path / "onnx" / "ops-softmax").iterdir())
    assert [folder.name for folder in folders] == [f"test_data_set_{n}" for n in range(len(cases))]
    for case, folder in zip(cases, folders, strict=True):
        assert sorted(path.name for path in folder.iterdir()) == ["input_0.pb", "output_0.pb"]
        assert np.array_equal(parsed((folder / "input_0.pb").read_bytes())[1], case.inputs["x"])
        assert np.array_equal(parsed((folder / "output_0.pb").read_bytes())[1], case.outputs["y"])
    whole = tmp_path / "onnx" / "forward-batch" / "test_data_set_0"
    inputs = [parsed((whole / f"input_{n}.pb").read_bytes())[0] for n in range(4)]
    assert inputs == ["input_ids", "attention_mask", "decoder_input_ids", "decoder_attention_mask"]
    name, first = parsed((whole / "output_0.pb").read_bytes())
    assert name == "encoder.embed.tokens"
    assert np.array_equal(first, read_tensors(TINY / "forward" / "batch.safetensors")[0][name])


def test_npz_holds_the_same_arrays_and_repeats(tmp_path: Path) -> None:
    for name in ("one", "two"):
        convert_pack(TINY, tmp_path / name, "npz")
    for path, record in read_manifest(TINY).files.items():
        if not path.endswith(".safetensors"):
            assert (tmp_path / "one" / path).read_bytes() == (TINY / path).read_bytes()
            continue
        arrays, _ = read_tensors(TINY / path)
        file = (tmp_path / "one" / path).with_suffix(".npz")
        with np.load(file) as found:
            assert set(found.files) == set(arrays)
            assert all(np.array_equal(found[name], arrays[name], equal_nan=True) for name in arrays)
        assert file.read_bytes() == (tmp_path / "two" / path).with_suffix(".npz").read_bytes()
        assert record.bytes > 0


def expected() -> tuple[list[str], list[str]]:
    """x and y of gelu.csv as bits, in hexadecimal."""
    rows = scalars.read(TINY / "ops" / "gelu.csv")
    x = np.array([row[0] for row in rows], np.float32)
    y = np.array([row[1] for row in rows])
    finite = np.isfinite(x)
    return (
        [f"{bits:08x}" for bits in x[finite].view(np.uint32)],
        [f"{bits:016x}" for bits in y[finite].view(np.uint64)],
    )


C_PROGRAM = r"""
#include <stdio.h>
#include <string.h>
#include "ops_gelu.h"
#include "ops_cross_entropy.h"
#include "ops_embed.h"
int main(void) {
  for (size_t n = 0; n < gelu_in_x_shape[0]; n++) {
    uint32_t x; uint64_t y;
    memcpy(&x, &gelu_in_x[n], 4); memcpy(&y, &gelu_out_y[n], 8);
    if (isfinite(gelu_in_x[n])) printf("%08x %016llx\n", x, (unsigned long long)y);
  }
  printf("%d %d\n", (int)embed_rows_in_table_shape[1], (int)cross_entropy_ignored_in_labels[1]);
  return 0;
}
"""
RUST_PROGRAM = r"""
mod ops_gelu; mod ops_embed; mod ops_cross_entropy;
fn main() {
  for (x, y) in ops_gelu::GELU_IN_X.iter().zip(ops_gelu::GELU_OUT_Y.iter()) {
    if x.is_finite() { println!("{:08x} {:016x}", x.to_bits(), y.to_bits()); }
  }
  println!("{} {}", ops_embed::EMBED_ROWS_IN_TABLE_SHAPE[1], ops_cross_entropy::CROSS_ENTROPY_IGNORED_IN_LABELS[1]);
}
"""
JS_PROGRAM = r"""
import { gelu_in_x, gelu_out_y } from "./ops_gelu.mjs";
import { embed_rows_in_table } from "./ops_embed.mjs";
import { cross_entropy_ignored_in_labels } from "./ops_cross_entropy.mjs";
const x = new Uint32Array(gelu_in_x.data.buffer), y = new BigUint64Array(gelu_out_y.data.buffer);
for (let n = 0; n < gelu_in_x.shape[0]; n++) {
  if (Number.isFinite(gelu_in_x.data[n])) {
    console.log(x[n].toString(16).padStart(8, "0"), y[n].toString(16).padStart(16, "0"));
  }
}
console.log(embed_rows_in_table.shape[1], cross_entropy_ignored_in_labels.data[1]);
"""


def same_numbers(printed: str) -> None:
    *lines, last = printed.splitlines()
    x, y = expected()
    assert len(x) > 100
    assert lines == [f"{a} {b}" for a, b in zip(x, y, strict=True)]
    assert last == "5 -100"


def test_c_reads_the_very_same_numbers(tmp_path: Path) -> None:
    compiler = needed("gcc")
    written = convert_pack(TINY, tmp_path / "c", "c")
    includes = "".join(f'#include "{path.name}"\n' for path in written)
    (tmp_path / "c" / "main.c").write_text(includes + C_PROGRAM)
    flags = ["-std=c99", "-Wall", "-Werror", "-Wno-unused-const-variable", "-Wno-unused-variable"]
    run(compiler, *flags, tmp_path / "c" / "main.c", "-o", tmp_path / "main")
    same_numbers(run(tmp_path / "main"))


def test_rust_reads_the_very_same_numbers(tmp_path: Path) -> None:
    compiler = needed("rustc")
    written = convert_pack(TINY, tmp_path / "rust", "rust")
    modules = "".join(f"mod {path.stem};\n" for path in written if path.stem not in RUST_PROGRAM)
    (tmp_path / "rust" / "main.rs").write_text("#![allow(dead_code)]\n" + modules + RUST_PROGRAM)
    run(compiler, "--edition", "2021", tmp_path / "rust" / "main.rs", "-o", tmp_path / "main")
    same_numbers(run(tmp_path / "main"))


def test_javascript_reads_the_very_same_numbers(tmp_path: Path) -> None:
    node = needed("node")
    written = convert_pack(TINY, tmp_path / "js", "js")
    imports = "".join(f'import "./{path.name}";\n' for path in written)
    (tmp_path / "js" / "main.mjs").write_text(imports + JS_PROGRAM)
    same_numbers(run(node, tmp_path / "js" / "main.mjs"))


def test_what_can_not_be_converted(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown format 'xml'"):
        convert_pack(TINY, tmp_path / "x", "xml")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    assert "is not empty" in one_error(run_cli("golden", "convert", TINY, tmp_path / "full", "--to", "npz"))
    shutil.copytree(TINY, tmp_path / "broken")
    (tmp_path / "broken" / "ops" / "erf.csv").write_text("")
    assert "damaged: ops/erf.csv" in one_error(
        run_cli("golden", "convert", tmp_path / "broken", tmp_path / "y", "--to", "js")
    )
    assert run_cli("golden", "convert", TINY, tmp_path / "z", "--to", "js").code == 0
