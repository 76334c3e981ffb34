"""The header of a safetensors file: believed only where it agrees with itself and with the file's length."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from npblender.checkpoint import load
from npblender.checkpoint.dtypes import STORED_BITS
from npblender.checkpoint.folder import read_header
from npblender.transformer.parameters import to_arrays
from reference_tests.support.stored import FORMATS, TINY, as_bytes, content, entry, tensors_of, write


def write_bytes(folder: Path, data: bytes) -> Path:
    path = folder / "model.safetensors"
    path.write_bytes(data)
    return path


def test_where_tensors_lie(tmp_path: Path):
    header = {"b": entry("F32", [2, 3], 4, 28), "a": entry("F16", [2], 0, 4), "none": entry("I64", [0, 5], 28, 28)}
    path = write_bytes(tmp_path, content(header, bytes(28)))
    start = 8 + len(json.dumps(header))
    found = read_header(path)
    assert list(found) == ["a", "b", "none"]
    assert [(t.start, t.size, t.dtype, t.shape) for t in found.values()] == [
        (start, 4, "F16", (2,)),
        (start + 4, 24, "F32", (2, 3)),
        (start + 28, 0, "I64", (0, 5)),
    ]


def test_the_writer_of_the_tests_writes_what_the_library_reads(tmp_path: Path):
    tensors = {"a": np.arange(6.0).reshape(2, 3), "b": np.array([1.5, -2.0])}
    for dtype in ("float16", "float32", "float64", "int64"):
        write(tmp_path / "x.safetensors", tensors, dtype)
        found = load_file(tmp_path / "x.safetensors")
        assert sorted(found) == ["a", "b"]
        assert all(np.array_equal(found[name], tensors[name].astype(dtype)) for name in tensors)


@given(
    st.dictionaries(
        st.text(max_size=5).filter(lambda n: n != "__metadata__"),
        st.tuples(st.sampled_from(["float16", "float32", "float64", "int64"]), st.lists(st.integers(0, 3), max_size=3)),
        max_size=4,
    )
)
def test_every_file_of_the_library_is_understood(tmp_path_factory: Any, drawn: dict[str, tuple[str, list[int]]]):
    path = tmp_path_factory.mktemp("x") / "model.safetensors"
    save_file({name: np.zeros(shape, dtype) for name, (dtype, shape) in drawn.items()}, path, {"format": "pt"})
    found = read_header(path)
    assert {n: (t.dtype, t.shape) for n, t in found.items()} == {
        name: (FORMATS[dtype], tuple(shape)) for name, (dtype, shape) in drawn.items()
    }


GOOD = {"a": entry("F32", [2], 0, 8), "b": entry("F16", [2, 1], 8, 12)}


def changed(name: str, **changes: Any) -> dict[str, Any]:
    return {**GOOD, name: {**GOOD[name], **changes}}


BROKEN = {
    "gap": ({"a": GOOD["a"], "b": entry("F16", [2, 1], 10, 14)}, 14, "'b' leaves a gap after 'a'"),
    "gap at the front": ({"b": entry("F16", [2, 1], 2, 6)}, 6, "'b' leaves a gap after the header"),
    "overlap": ({"a": GOOD["a"], "b": entry("F16", [2, 1], 6, 10)}, 10, "'b' overlaps 'a'"),
    "one place twice": ({"a": GOOD["a"], "b": GOOD["a"]}, 8, "'b' overlaps 'a'"),
    "too short": (GOOD, 11, "1 of its .* bytes are missing.* 1 tensors: b"),
    "far too short": (GOOD, 0, "12 of its .* bytes are missing.* 2 tensors: a, b"),
    "too long": (GOOD, 13, "1 bytes after its last tensor"),
    "shape too large": (changed("a", shape=[3]), 12, "'a' .*takes 96 bits, but 8 bytes"),
    "shape too small": (changed("a", shape=[]), 12, "'a' .*takes 32 bits, but 8 bytes"),
    "huge shape": (changed("a", shape=[2**62] * 64), 12, "'a' .*takes"),
    "absurd shape": (changed("a", shape=[10**400]), 12, "'a' has the shape"),
    "endless shape": (changed("a", shape=[1] * 65), 12, "'a' has the shape"),
    "negative shape": (changed("a", shape=[-2]), 12, "'a' has the shape"),
    "true for one": (changed("b", shape=[2, True]), 12, "'b' has the shape"),
    "float in shape": (changed("a", shape=[2.0]), 12, "'a' has the shape"),
    "no shape": (changed("a", shape=None), 12, "'a' has the shape None"),
    "other dtype": (changed("a", dtype="F64"), 12, "'a' .*takes 128 bits"),
    "unknown dtype": (changed("a", dtype="F31"), 12, "'a' has the unknown dtype 'F31'; known are .*BF16"),
    "no dtype": (changed("a", dtype=None), 12, "'a' has the unknown dtype None"),
    "offsets turned": (changed("a", data_offsets=[8, 0]), 12, "'a' has the data_offsets"),
    "three offsets": (changed("a", data_offsets=[0, 8, 8]), 12, "'a' has the data_offsets"),
    "negative offset": (changed("a", data_offsets=[-8, 0]), 12, "'a' has the data_offsets"),
    "no offsets": (changed("a", data_offsets=None), 12, "'a' has the data_offsets"),
    "surplus key": (changed("a", strides=[1]), 12, "'a' needs dtype, shape and data_offsets"),
    "no object": ({**GOOD, "a": [1]}, 12, "'a' needs dtype, shape and data_offsets"),
    "metadata of numbers": ({**GOOD, "__metadata__": {"format": 3}}, 12, "__metadata__"),
    "metadata of a list": ({**GOOD, "__metadata__": ["pt"]}, 12, "__metadata__"),
    "name twice": (json.dumps(GOOD).replace('"b"', '"a"').encode(), 12, "'a' stands in it twice"),
    "no braces": (b"[1, 2]", 12, "does not start with a brace"),
    "spaces first": (b" {}", 0, "does not start with a brace"),
    "unclosed": (b'{"a": ', 12, "damaged header"),
    "not UTF-8": (b'{"\xff": 1}', 12, "damaged header"),
    "too deep": (b'{"a":' * 100_000, 12, "damaged header"),
    "too many digits": (b'{"a":' + b"9" * 5000 + b"}", 12, "damaged header"),
}


# The library passes over a key it does not know, which may be one that matters; and it skips spaces, though the
# format says that the header begins with a brace.
STRICTER_THAN_THE_LIBRARY = {"surplus key", "spaces first"}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_headers_are_refused(case: str, tmp_path: Path):
    header, size, message = BROKEN[case]
    path = write_bytes(tmp_path, content(header, bytes(size)))
    with pytest.raises(ValueError, match=message) as refused:
        read_header(path)
    assert str(path) in str(refused.value)
    if case in STRICTER_THAN_THE_LIBRARY:
        load_file(path)
    else:
        with pytest.raises(SafetensorError):
            load_file(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 bytes do not even hold the length"),
        (bytes(7), "7 bytes do not even hold the length"),
        (struct.pack("<Q", 30) + b"{}", "28 bytes of its header are missing"),
        (struct.pack("<Q", 2**63) + b"{}", "longer than any can be"),
        (b"PK\x03\x04" + bytes(40), "longer than any can be|missing|brace"),
        (b"\x80\x02}q\x00." + bytes(40), "longer than any can be|missing|brace"),  # a pickle under this name
    ],
)
def test_files_of_another_kind_are_refused(data: bytes, message: str, tmp_path: Path):
    with pytest.raises(ValueError, match=message):
        read_header(write_bytes(tmp_path, data))


def test_dtypes_are_the_librarys_own(tmp_path: Path):
    # What the library says when it meets an unknown dtype lists those that it knows.
    path = write_bytes(tmp_path, content({"a": entry("F31", [1], 0, 4)}, bytes(4)))
    with pytest.raises(SafetensorError) as refused:
        load_file(path)
    known = {name for name in STORED_BITS if f"`{name}`" in str(refused.value)}
    if "F4" not in known:
        pytest.skip("an older safetensors, which has fewer dtypes or does not list them")
    assert set(STORED_BITS) == known
    for name, bits in STORED_BITS.items():
        path = write_bytes(tmp_path, content({"a": entry(name, [8], 0, bits)}, bytes(bits)))
        assert read_header(path)["a"].size == bits


@pytest.fixture(scope="module")
def whole(tmp_path_factory: Any) -> tuple[bytes, dict[str, np.ndarray]]:
    """A small model's file, and what it holds."""
    folder = tmp_path_factory.mktemp("whole")
    tree, stored = tensors_of(TINY, "full")
    write(folder / "model.safetensors", stored)
    return (folder / "model.safetensors").read_bytes(), tree


@given(data=st.data())
def test_a_file_cut_anywhere_is_refused(whole: Any, tmp_path_factory: Any, data: st.DataObject):
    file, _ = whole
    length = data.draw(st.integers(0, len(file) - 1) | st.integers(0, 64) | st.integers(len(file) - 64, len(file) - 1))
    folder = tmp_path_factory.mktemp("cut")
    path = write_bytes(folder, file[:length])
    with pytest.raises(ValueError, match="cut short") as refused:
        load(folder, TINY)
    assert str(path) in str(refused.value)


def test_null_metadata_is_none(tmp_path: Path):
    path = write_bytes(tmp_path, content({**GOOD, "__metadata__": None}, bytes(12)))
    assert sorted(load_file(path)) == list(read_header(path)) == ["a", "b"]


def test_a_file_cut_in_half_says_what_is_lost(whole: Any, tmp_path: Path):
    file, _ = whole
    header = json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])
    start = len(file) - max(e["data_offsets"][1] for n, e in header.items() if n != "__metadata__")
    half = (start + len(file)) // 2
    lost = [n for n, e in header.items() if n != "__metadata__" and start + e["data_offsets"][1] > half]
    assert 1 < len(lost) < len(header)
    write_bytes(tmp_path, file[:half])
    with pytest.raises(ValueError, match=f"{len(file) - half} of its {len(file)} bytes are missing") as refused:
        load(tmp_path, TINY)
    listed = ", ".join(lost)
    assert f"all or part of {len(lost)} tensors: {listed[:200]}... ({len(listed):,} letters)" in str(refused.value)


@given(data=st.data())
def test_a_damaged_header_is_refused_or_harmless(whole: Any, tmp_path_factory: Any, data: st.DataObject):
    """Any bytes of the header overwritten: a ValueError, or the very same weights (the metadata was hit)."""
    file, tree = whole
    end = 8 + int.from_bytes(file[:8], "little")
    begin = data.draw(st.integers(0, end - 1))
    damage = data.draw(
        st.binary(min_size=1, max_size=40) | st.text('0123456789[]{}:,"\\', min_size=1, max_size=6).map(str.encode)
    )
    damage = damage[: end - begin]
    folder = tmp_path_factory.mktemp("damaged")
    write_bytes(folder, file[:begin] + damage + file[begin + len(damage) :])
    try:
        arrays = to_arrays(load(folder, TINY))
    except ValueError as error:
        refusal = str(error)
    else:
        refusal = str(folder)
        assert all(arrays[name].tobytes() == tree[name].tobytes() for name in tree)
    assert str(folder) in refusal


def test_a_file_that_shrinks_while_it_is_read_is_refused(whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import npblender.checkpoint.read as reading

    file, _ = whole
    write_bytes(tmp_path, file)

    def shrink(*arguments: Any) -> Any:
        found = find(*arguments)
        write_bytes(tmp_path, file[:-10])
        return found

    find = reading.find_tensors
    monkeypatch.setattr(reading, "find_tensors", shrink)
    with pytest.raises(ValueError, match="cut short while it was read"):
        load(tmp_path, TINY)


def test_as_bytes_rounds_as_a_wider_format_would():
    # 1 + 2^-8 lies halfway between two bfloat16 values and goes to the even one, 1.
    assert as_bytes(np.array([1 + 2**-8, 1 + 3 * 2**-8]), "bfloat16") == bytes([0x80, 0x3F, 0x82, 0x3F])
