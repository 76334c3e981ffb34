"""The readers of checkpoints, each with files to begin with and words of its format: see `READERS`.

A reader is fed with mutated files. It answers with places inside the file, or with an error that says why it refuses;
what it must not do is in `watching.py`.
"""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from npblender.checkpoint.folder import read_header
from npblender.checkpoint.formats.flax_msgpack import read_flax
from npblender.checkpoint.formats.opcodes import NAMES
from npblender.checkpoint.formats.torch_legacy import read_torch_legacy
from npblender.checkpoint.formats.torch_zip import read_torch_zip
from npblender.checkpoint.formats.unpickler import STORAGES, read_pickle
from reference_tests.support import attacks, stored
from reference_tests.support import torch_files as torch
from tools import ROOT
from tools.fuzz import keras, parlai
from tools.fuzz.watching import guarded, through_file


@dataclass(frozen=True)
class Reader:
    """One reader: how a file's bytes are given to it, files to begin with, and words of its format."""

    execute: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    words: tuple[bytes, ...]
    about: str


def unpickle(data: bytes) -> None:
    guarded(lambda: read_pickle(io.BytesIO(data), "the file"))


def small_state() -> tuple[bytes, dict[str, bytes]]:
    """A pickle of three tensors, and their storages."""
    items = {
        "a.weight": torch.tensor("FloatStorage", "0", (2, 3)),
        "b": torch.rebuilt(torch.storage("HalfStorage", "1", 9), 1, (2, 2), (1, 3)),
        "START": torch.tensor("LongStorage", "2", (1,)),
    }
    program = torch.pickled(torch.ORDERED, torch.dictionary(items)[1:], torch.dictionary({"_metadata": b"}"}), b"b")
    return program, {"0": bytes(24), "1": bytes(18), "2": bytes(8)}


def pickles() -> list[bytes]:
    program, _ = small_state()
    made = [make("true") for make in attacks.CALLS]
    return [program, torch.pickled(torch.dictionary({"model": program[2:-1], "step": b"K\1", "x": b"]q\0"})), *made]


def zips() -> list[bytes]:
    program, storages = small_state()
    entries = [torch.Entry("x/data.pkl", program), *(torch.Entry(f"x/data/{k}", v) for k, v in storages.items())]
    wide = [torch.Entry(entry.name, entry.content, wide=True) for entry in entries]
    return [torch.torch_zip(program, storages), torch.zipped(wide, wide=True)]


def legacies() -> list[bytes]:
    program, storages = small_state()
    counts = {"0": 6, "1": 9, "2": 1}
    return [torch.torch_legacy(program, {key: (counts[key], content) for key, content in storages.items()})]


def msgpacks() -> list[bytes]:
    def array(shape: bytes, count: int) -> bytes:
        inner = b"\x93" + shape + b"\xa7float32\xc4" + bytes([4 * count]) + bytes(4 * count)
        return b"\xc7" + bytes([len(inner), 1]) + inner

    small = b"\x82\xa5model\x81\xa3fc1\x82\xa6kernel" + array(b"\x92\x02\x03", 6) + b"\xa4bias" + array(b"\x91\x03", 3)
    return [small + b"\xb1final_logits_bias" + array(b"\x92\x01\x04", 4)]


def headers() -> list[bytes]:
    entry = stored.entry
    header = {"__metadata__": {"format": "pt"}, "a": entry("F32", [2, 3], 0, 24), "b": entry("BF16", [2], 24, 28)}
    return [stored.content(header, bytes(28)), stored.content({}, b"")]


OPCODES = tuple(bytes([code]) for code in NAMES)
GLOBALS = tuple(
    torch.name(*name.rsplit(".", 1))
    for name in ("collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch.Size", "os.system")
) + tuple(torch.name("torch", name) for name in STORAGES)
ZIP_WORDS = (
    b"PK\1\2",
    b"PK\3\4",
    b"PK\5\6",
    b"PK\6\6",
    b"PK\6\7",
    struct.pack("<2H3Q", 1, 24, 1, 1, 1),
    b"../",
    b"x/data/0",
)
MSGPACK_WORDS = (*(bytes([code]) for code in range(0x80, 0xE0)), b"\xa6kernel", b"\xa7float32")
JSON_WORDS = (
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b"[" * 64,
    b'{"a":' * 64,
    b"1e999",
    b"-1",
    b"NaN",
    b'"dtype"',
    b'"F32"',
    b"9" * 40,
)

READERS = {
    "pickle": Reader(unpickle, pickles, OPCODES + GLOBALS, "the allow-list unpickler, in memory"),
    "torch-zip": Reader(through_file(read_torch_zip), zips, ZIP_WORDS + OPCODES, "pytorch_model.bin, zip form"),
    "torch-legacy": Reader(through_file(read_torch_legacy), legacies, OPCODES + GLOBALS, "pytorch_model.bin, old form"),
    "flax": Reader(through_file(read_flax), msgpacks, MSGPACK_WORDS, "flax_model.msgpack"),
    "safetensors": Reader(through_file(read_header), headers, JSON_WORDS, "the header of model.safetensors"),
    "parlai": Reader(parlai.execute, parlai.seeds, parlai.WORDS, "model.opt, model.dict, its codecs and model"),
    "keras": Reader(keras.execute, keras.seeds, keras.WORDS, "tf_model.h5; needs h5py"),
}
CRASHING = ("keras",)
"""Readers that call a library in C, which may take its process with it: they are run in another one."""


def isolated(name: str, first: int, count: int, seed: int) -> tuple[int, str]:
    """Run some executions in a process of their own: how many were begun, and how it ended if not well."""
    command = [sys.executable, "-m", "tools.fuzz.run", name, "--first", str(first), "--executions", str(count)]
    done = subprocess.run(
        [*command, "--seed", str(seed), "--here"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return count, ""
    begun = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("doing ")]
    last = done.stderr.strip().splitlines()[-1:] or [""]
    if not begun:
        raise RuntimeError(f"{name} did not begin: {last[0]}")
    return max(begun) + 1, f"ended with {done.returncode} {last[0]}"
