"""Malicious zips, msgpacks, HDF5 files, headers and indices: what lies, reaches elsewhere or has no end is refused."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npblender.checkpoint.folder import find_tensors, read_header, read_torch
from npblender.checkpoint.formats import zip_members
from npblender.checkpoint.formats.errors import DamagedFileError, UnsafeFileError
from npblender.checkpoint.formats.flax_msgpack import read_flax
from npblender.checkpoint.formats.keras_h5 import read_keras
from reference_tests.support import torch_files as torch
from reference_tests.support.torch_files import Entry

BYTES = 64 << 20

PROGRAM = torch.pickled(torch.dictionary({"a": torch.tensor("FloatStorage", "0", (3,))}))
GOOD = [Entry("x/data.pkl", PROGRAM), Entry("x/data/0", bytes(12))]


def with_second(**changes: Any) -> bytes:
    return torch.zipped([GOOD[0], Entry("x/data/0", bytes(12), **changes)])


def test_the_good_zip_is_good(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(torch.zipped(GOOD))
    assert list(read_torch(tmp_path / "f")) == ["a"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (with_second(flags=1), "encrypted"),
        (with_second(flags=0x40), "encrypted"),
        (with_second(flags=0x2000), "encrypted"),
        (with_second(method=8), "compressed"),
        (with_second(method=12), "compressed"),
        (with_second(local_method=8), "twice, and not alike"),
        (with_second(local_flags=1), "twice, and not alike"),
        (with_second(local_name="x/data/1"), "twice, and not alike"),
        (with_second(offset=0), "twice, and not alike"),
        (with_second(size=13), "reaches into the directory"),
        (with_second(size=2**31), "reaches into the directory"),
        (with_second(size=8), "of 12 bytes, which has 8"),
        (torch.zipped([GOOD[0], Entry("x/data/0", bytes(16))]), "of 12 bytes, which has 16"),
        (with_second(offset=2**31), "was cut short"),
        (torch.zipped([*GOOD, Entry("x/data/0", bytes(12))]), "twice"),
        (torch.zipped([*GOOD, Entry("x/extra", b"", offset=0, local_name="x/data.pkl")]), "not alike"),
        (torch.zipped([*GOOD, Entry("../evil", b"")]), "leads elsewhere"),
        (torch.zipped([*GOOD, Entry("/etc/passwd", b"")]), "leads elsewhere"),
        (torch.zipped([*GOOD, Entry("x/../../evil", b"")]), "leads elsewhere"),
        (torch.zipped([*GOOD, Entry("C:\\evil", b"")]), "leads elsewhere"),
        (torch.zipped([*GOOD, Entry("x/", b"")]), "leads elsewhere"),
        (torch.zipped([*GOOD, Entry("x/a\0b", b"")]), "leads elsewhere"),
        (torch.zipped([*GOOD, Entry("x/" + "a" * 400, b"")]), "leads elsewhere"),
        (torch.zipped(GOOD, behind=b"and more"), "something follows it"),
        (b"MZ" + torch.zipped(GOOD), "begins with"),
        (torch.zipped(GOOD, count=3), "damaged directory"),
        (torch.zipped(GOOD, count=1), "bytes too many"),
        (torch.zipped([Entry(f"x/{n}", b"") for n in range(zip_members.MOST_MEMBERS + 1)]), "more than weights have"),
        (torch.zipped([GOOD[0]]), "which is not there"),
        (torch.zipped([GOOD[1]]), "0 members called data.pkl"),
        (torch.zipped([*GOOD, Entry("y/data.pkl", PROGRAM)]), "2 members called data.pkl"),
        (torch.zipped([*GOOD, Entry("x/constants.pkl", b"")]), "TorchScript"),
        (torch.zipped([*GOOD, Entry("x/byteorder", b"big")]), "big-endian"),
        (b"PK\3\4", "cut short"),
        (b"PK\3\4" + bytes(100), "cut short"),
    ],
)
def test_zips_that_lie(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=words):
        read_torch(path)


def test_members_that_overlap(tmp_path: Path) -> None:
    """A member within another: the same bytes counted twice is how a small zip becomes a large one."""
    inner = b"PK\3\4" + struct.pack("<5H3L2H", 20, 0, 0, 0, 0, 0, 4, 4, 3, 0) + b"x/b" + b"abcd"
    outer = Entry("x/data/0", bytes(12) + inner)
    content = torch.zipped([GOOD[0], outer, Entry("x/b", b"abcd")])
    at = content.index(inner)
    place = content.rindex(b"x/b") - 4  # of the member's header, in the directory
    path = tmp_path / "f"
    path.write_bytes(content[:place] + struct.pack("<L", at) + content[place + 4 :])
    with pytest.raises(UnsafeFileError, match="overlaps"):
        read_torch(path)


def packed(name: bytes, array: bytes) -> bytes:
    return b"\x81" + bytes([0xA0 + len(name)]) + name + array


DATA = b"\xc4\x0c" + bytes(12)


def array_of(shape: bytes = b"\x91\x03", dtype: bytes = b"\xa7float32", data: bytes = DATA, code: int = 1) -> bytes:
    inner = b"\x93" + shape + dtype + data
    return b"\xc7" + bytes([len(inner), code]) + inner


def test_the_good_msgpack_is_good(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(packed(b"a", array_of()))
    assert read_flax(tmp_path / "f")["a"].shape == (3,)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cut short"),
        (b"\x91\x01", "does not begin with a map"),
        (packed(b"a", b"\x93\x01\x02\x03"), "something other than an array"),
        (packed(b"a", b"\xc0"), "something other than an array"),
        (packed(b"a", array_of(code=3)), "extension type 3"),
        (packed(b"a", array_of(code=2)), "extension type 2"),
        (packed(b"a", array_of(dtype=b"\xa6object")), "dtype 'object'"),
        (packed(b"a", array_of(shape=b"\x91\x04")), r"of shape \(4,\) has 12 bytes"),
        (packed(b"a", array_of(shape=b"\x92\xce\xff\xff\xff\xff\xce\xff\xff\xff\xff")), "has 12 bytes"),
        (packed(b"a", array_of(shape=b"\x9f" + b"\x01" * 15)), "damaged array"),
        (packed(b"a", array_of(shape=b"\x91\xff")), "no list of sizes"),
        (packed(b"a", array_of(shape=b"\xc0")), "without its shape"),
        (packed(b"a", array_of(data=b"\xc0")), "without its bytes"),
        (packed(b"a", array_of(data=b"\xc6\xff\xff\xff\xff")), "has 4294967295 bytes"),
        (packed(b"a", b"\xc9\xff\xff\xff\xff\x01\x93"), "cut short inside"),
        (packed(b"a", array_of()) + b"\x00", "1 bytes after"),
        (b"\x82" + (b"\xa1a" + array_of()) * 2, "twice in one map"),
        (b"\x82" + b"\xa3a.b" + array_of() + b"\xa1a" + packed(b"b", array_of()), "twice"),
        (b"\x81\xa1a" * 20 + array_of(), "more than 12 maps deep"),
        (b"\x81\xa1a" * 100_000, "more than 12 maps deep"),
        (b"\xdf\xff\xff\xff\xff", "more than 100,000 entries"),
        (b"\x81\x01" + array_of(), "no short text"),
        (b"\x81\xdb\xff\xff\xff\xff", "no short text"),
        (b"\x81\xa1\xff" + array_of(), "not UTF-8"),
    ],
)
def test_msgpacks_that_lie(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "flax_model.msgpack"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(DamagedFileError, match=words):
            read_flax(path)
        assert tracemalloc.get_traced_memory()[1] < BYTES
    finally:
        tracemalloc.stop()


def soft(h5py: Any, file: Any) -> None:
    file["b"] = h5py.SoftLink("/a")


def external(h5py: Any, file: Any) -> None:
    file["b"] = h5py.ExternalLink("/etc/passwd", "/a")


def chunked(_h5py: Any, file: Any) -> None:
    file.create_dataset("b", data=np.zeros(8, np.float32), chunks=(4,))


def zipped_h5(_h5py: Any, file: Any) -> None:
    file.create_dataset("b", shape=(1 << 30,), dtype="f4", compression="gzip")


def filtered(_h5py: Any, file: Any) -> None:
    file.create_dataset("b", data=np.zeros(8, np.float32), fletcher32=True)


def outside(_h5py: Any, file: Any) -> None:
    file.create_dataset("b", shape=(8,), dtype="f4", external=[("/etc/passwd", 0, 32)])


def virtual(h5py: Any, file: Any) -> None:
    layout = h5py.VirtualLayout(shape=(8,), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "a", shape=(8,))
    file.create_virtual_dataset("b", layout)


def reference(h5py: Any, file: Any) -> None:
    file.create_dataset("b", (1,), dtype=h5py.ref_dtype)


def texts(h5py: Any, file: Any) -> None:
    file.create_dataset("b", (1,), dtype=h5py.string_dtype())


def compound(_h5py: Any, file: Any) -> None:
    file.create_dataset("b", data=np.zeros(2, [("x", "f4"), ("y", "f4")]))


def circle(_h5py: Any, file: Any) -> None:
    file.create_group("g")["up"] = file["/"]


def deep(_h5py: Any, file: Any) -> None:
    for _ in range(40):
        file = file.create_group("g")


def two_names(_h5py: Any, file: Any) -> None:
    file["b"] = file["a"]


def big_endian(_h5py: Any, file: Any) -> None:
    file.create_dataset("b", data=np.zeros(3, ">f4"))


def named_type(_h5py: Any, file: Any) -> None:
    file["b"] = np.dtype("f4")


def unwritten(_h5py: Any, file: Any) -> None:
    file.create_dataset("b", shape=(1 << 40,), dtype="f4")


HDF5 = [
    *((soft, "link"), (external, "link"), (chunked, "not keep .* in one piece"), (zipped_h5, "in one piece")),
    *(
        (filtered, "one piece|filter"),
        (outside, "other files"),
        (virtual, "in one piece"),
        (reference, "other than numbers"),
    ),
    *((texts, "other than numbers"), (compound, "other than numbers"), (circle, "two names"), (deep, "16 groups deep")),
    *((two_names, "two names"), (big_endian, ">f4"), (named_type, "named type"), (unwritten, "no numbers")),
]


@pytest.mark.parametrize(("spoil", "words"), HDF5, ids=[spoil.__name__ for spoil, _ in HDF5])
def test_hdf5_files_that_reach_elsewhere(spoil: Callable[[Any, Any], None], words: str, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra `formats` is not installed")
    path = tmp_path / "tf_model.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=np.zeros(3, np.float32))
        spoil(h5py, file)
    with pytest.raises(DamagedFileError, match=words):
        read_keras(path)


def test_a_library_that_hangs_or_crashes_takes_nothing_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("h5py", reason="the extra `formats` is not installed")
    path = tmp_path / "tf_model.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(3000))
    with pytest.raises(DamagedFileError, match="is damaged"):
        read_keras(path)
    keras_h5 = sys.modules["npblender.checkpoint.formats.keras_h5"]
    monkeypatch.setattr(keras_h5, "MOST_SECONDS", 0.01)
    with pytest.raises(UnsafeFileError, match="busy for more than"):
        read_keras(path)
    monkeypatch.undo()
    monkeypatch.setattr(keras_h5.sys, "executable", sys.executable)
    real = subprocess.run
    monkeypatch.setattr(
        keras_h5.subprocess, "run", lambda command, **rest: real([command[0], "-c", "import os; os.abort()"], **rest)
    )
    with pytest.raises(DamagedFileError, match="brought the HDF5 library down"):
        read_keras(path)


def test_a_safetensors_header_without_end(tmp_path: Path) -> None:
    """The header's own limits, beside those of the other formats."""
    path = tmp_path / "model.safetensors"
    for content in (struct.pack("<Q", 2**63) + b"{", struct.pack("<Q", 10**6) + b"{" + b'"a":{' * 200_000):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"model\.safetensors"):
            read_header(path)


def test_a_safetensors_header_of_a_million_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before it is parsed: by a count of its bytes."""
    path, entry = tmp_path / "model.safetensors", b'{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    entries = b",".join(b'"%d":%s' % (number, entry) for number in range(101_000))
    path.write_bytes(struct.pack("<Q", len(entries) + 2) + b"{" + entries + b"}")
    monkeypatch.setattr(json, "loads", None)
    with pytest.raises(ValueError, match=r"model\.safetensors has a header of more than 100,000 tensors"):
        read_header(path)


def test_an_index_that_leads_elsewhere(tmp_path: Path) -> None:
    for name in ("../pytorch_model.bin", "/etc/passwd", "a/b.bin", "C:\\x.bin", ""):
        (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
        with pytest.raises(ValueError, match="outside its folder"):
            find_tensors(tmp_path, allow_pickle=True)
