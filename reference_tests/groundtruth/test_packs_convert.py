"""Packs in other formats: read back by other programs, the numbers are the pack's own."""

from __future__ import annotations

import json
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
from npblender.groundtruth.packs.files import read_cases, read_json
from npblender.groundtruth.packs.manifest import read_manifest
from npblender.groundtruth.packs.sections import scalars
from npblender.groundtruth.tracing.tensor_file import read_tensors, write_tensors
from npblender.groundtruth.tracing.trace_file import Trace
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_c_has_all_of_the_pack(tmp_path: Path) -> None:
    """Noise, parameters, regions, whole passes in steps, searches and texts, in headers that compile."""
    compiler = needed("gcc")
    written = convert_pack(TINY, tmp_path / "c", "c")
    manifest = read_manifest(TINY)
    files = {path for path, record in manifest.files.items() if record.kind != "model"}
    assert {path.stem for path in written} == {path.rsplit(".", 1)[0].replace("/", "_") for path in files}
    program = r"""
#include <stdio.h>
#include <string.h>
int main(void) {
  printf("%a %a\n", layer_norm_ordinary_eps, layer_norm_ordinary_out_y_noise[0]);
  printf("%s %d\n", gelu_region[gelu_region_count - 1], (int)steps_in_prefill[0]);
  printf("%d %d\n", (int)searches_greedy_found_sequences_0[1], (int)searches_greedy_asked_options_num_beams);
  printf("%s|%d\n", parlai_0_text, (int)parlai_0_ids[0]);
  return 0;
}
"""
    includes = "".join(f'#include "{path.name}"\n' for path in written)
    (tmp_path / "c" / "main.c").write_text(includes + program)
    flags = ["-std=c99", "-Wall", "-Werror", "-Wno-unused-const-variable", "-Wno-unused-variable"]
    run(compiler, *flags, tmp_path / "c" / "main.c", "-o", tmp_path / "main")
    case = next(case for case in read_cases(TINY / "ops" / "layer_norm.safetensors") if case.name == "ordinary")
    searches = read_json(TINY / "generation" / "searches.json")
    greedy = next(each for each in searches if each["name"] == "greedy")
    text = read_json(TINY / "tokenizer" / "parlai.json")[0]
    first, second, third, fourth = run(tmp_path / "main").splitlines()
    assert [float.fromhex(each) for each in first.split()] == [case.parameters["eps"], case.noise["y"].rms]
    assert second == "large 2"
    assert third == f"{greedy['found']['sequences'][0][1]} {greedy['asked']['options']['num_beams']}"
    assert fourth == f"{text['text']}|{text['ids'][0]}"


@pytest.mark.slow
def test_raw_files_are_flat_numbers_and_one_table(tmp_path: Path) -> None:
    written = convert_pack(TINY, tmp_path / "raw", "raw")
    lines = (tmp_path / "raw" / "tensors.tsv").read_text().splitlines()
    assert lines[0].split("\t") == ["file", "dtype", "shape", "noise_rms", "noise_max"]
    listed = [line.split("\t") for line in lines[1:]]
    assert {tmp_path / "raw" / row[0] for row in listed} == {path for path in written if path.suffix == ".bin"}
    rows = {row[0]: row for row in listed}
    trace = Trace.load(TINY / "forward" / "batch.safetensors")
    name = "encoder.layers.0.ffn.sum"
    row = rows[f"forward/batch/out/{name}.bin"]
    array = np.fromfile(tmp_path / "raw" / row[0], np.dtype(row[1]).newbyteorder("<"))
    shape = tuple(int(each) for each in row[2].split("x"))
    assert np.array_equal(array.reshape(shape), trace.arrays[name])
    assert (float(row[3]), float(row[4])) == (trace.noise[name].rms, trace.noise[name].max)
    ids = np.fromfile(tmp_path / "raw" / "forward" / "batch" / "in" / "input_ids.bin", "<i8").reshape(5, 7)
    assert trace.inputs is not None
    assert ids.tolist() == trace.inputs["input_ids"]
    parameters = json.loads((tmp_path / "raw" / "parameters.json").read_text())
    assert parameters["ops/layer_norm/ordinary"] == {"eps": 1e-5}
    for path in ("generation/searches.json", "tokenizer/parlai.json", "manifest.json"):
        assert (tmp_path / "raw" / path).read_bytes() == (TINY / path).read_bytes()


def test_files_of_cases_are_judged_by_compare(tmp_path: Path) -> None:
    """A port writes its outputs under the names that the file has; the file knows their noise."""
    file = TINY / "ops" / "layer_norm.safetensors"
    outputs = {name: array for name, array in read_tensors(file)[0].items() if "/out/" in name}
    write_tensors(tmp_path / "mine", outputs)
    assert run_cli("compare", file, tmp_path / "mine", "--require", "all").code == 0
    write_tensors(tmp_path / "wrong", {**outputs, "small/out/y": outputs["small/out/y"] * np.float32(1.001)})
    result = run_cli("compare", file, tmp_path / "wrong")
    assert result.code == 1
    assert result.lines[0].startswith("DIVERGED at small/out/y: 5 of 5 points compared")
    assert "was not measured" not in result.out
    arrays, metadata = read_tensors(file)
    write_tensors(tmp_path / "broken", arrays, metadata | {"cases": "{}}"})
    assert "'cases' does not describe cases" in one_error(run_cli("compare", tmp_path / "broken", tmp_path / "mine"))
