"""Malicious pickles: every way to make a reader call, or run out of time or memory, refused by name.

Each attack that could run something would write a file, the canary. Python's own unpickler is shown to write it, so
that an attack that does nothing cannot pass for a refusal.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import subprocess
import sys
import textwrap
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from npblender import BlenderbotSmallForConditionalGeneration
from npblender.checkpoint.folder import find_tensors, read_torch
from npblender.checkpoint.formats import unpickler
from npblender.checkpoint.formats.errors import DamagedFileError
from npblender.checkpoint.formats.opcodes import NAMES
from npblender.checkpoint.formats.unpickler import read_pickle
from reference_tests.support import torch_files as torch
from reference_tests.support.attacks import CALLS, RUNS_HERE

BYTES = 256 << 20
CALLS_AT_ALL, CALLS_A_BYTE = 100, 25


def unsafe(program: bytes) -> str:
    """How a pickle is refused; it must be, and with work that grows no faster than the file: functions called."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        read_pickle(io.BytesIO(program), "the file")
    except DamagedFileError as error:
        refused = str(error)
    finally:
        sys.setprofile(before)
    assert calls < CALLS_AT_ALL + CALLS_A_BYTE * len(program)
    return refused


@pytest.mark.parametrize("attack", CALLS, ids=[make.__name__ for make in CALLS])
def test_what_would_call_is_refused_by_name(attack: Callable[[str], bytes], tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    program = attack(f"touch {canary}")
    message = unsafe(program)
    assert "at byte" in message
    assert not canary.exists()
    for content in (
        torch.torch_zip(program, {}),
        program,
        torch.torch_legacy(program, {}),
        torch.torch_zip(torch.pickled(torch.dictionary({"model": program[2:-1]})), {}),
    ):
        for name in ("pytorch_model.bin", "model", "model.checkpoint"):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(ValueError, match=r"pytorch_model\.bin|model"):
                find_tensors(tmp_path, allow_pickle=True)
            (tmp_path / name).unlink()
    assert not canary.exists()


@pytest.mark.parametrize("attack", RUNS_HERE, ids=[make.__name__ for make in RUNS_HERE])
def test_the_same_pickles_run_in_pythons_own(attack: Callable[[str], bytes], tmp_path: Path) -> None:
    """So the corpus is no straw man."""
    if os.name != "posix":
        pytest.skip("the commands are those of a POSIX shell")
    canary = tmp_path / "canary"
    code = (
        "import pickle, sys, time\ntry: made = pickle.loads(sys.stdin.buffer.read())\nexcept Exception: made = None\n"
    )
    code += "if hasattr(made, 'wait'): made.wait()"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], input=attack(f"touch {canary}"), check=True)
    assert canary.exists()


NEEDED = {
    *("MARK", "STOP", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"),
    *("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "TUPLE"),
    *("EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS", "GLOBAL", "BINPERSID", "REDUCE", "BUILD"),
}


@pytest.mark.parametrize("code", [code for code in range(256) if NAMES.get(code) not in NEEDED])
def test_every_opcode_that_is_not_needed_is_refused_by_name(code: int) -> None:
    """Of all 256 bytes but those that torch writes."""
    name = NAMES.get(code, hex(code))
    message = unsafe(torch.START + b"]q\x00" + bytes([code]) + bytes(40) + b".")
    assert f"opcode {name} is not needed" in message
    assert "at byte 5" in message


def test_the_table_of_opcodes_is_pythons() -> None:
    import pickletools

    assert dict(NAMES) == {ord(each.code): each.name for each in pickletools.opcodes}


def test_the_unpickler_imports_no_pickle() -> None:
    code = """
        import builtins, sys
        import npblender.checkpoint.formats.torch_zip, npblender.checkpoint.formats.torch_legacy
        from npblender.checkpoint.formats import unpickler
        import ast, inspect, pathlib
        for path in pathlib.Path(inspect.getfile(unpickler)).parent.glob("*.py"):
            tree = ast.parse(path.read_text())
            names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
            names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
            calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
            called = [function.id for function in calls if hasattr(function, "id")]
            assert not {"pickle", "_pickle", "pickletools", "marshal", "shelve"} & set(names), (path, names)
            assert not {"eval", "exec", "getattr", "__import__", "compile"} & set(called), (path, called)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def ordered_with_state(state: bytes) -> bytes:
    return torch.pickled(torch.ORDERED, state, b"b")


def test_build_only_takes_the_notes_of_a_state_dict() -> None:
    notes = torch.dictionary({"_metadata": torch.ORDERED})
    assert read_pickle(io.BytesIO(ordered_with_state(notes)), "f").value == {}
    assert "BUILD sets more" in unsafe(ordered_with_state(torch.dictionary({"__class__": b"N"})))
    assert "BUILD sets more" in unsafe(ordered_with_state(b")"))
    assert "meets a list" in unsafe(torch.pickled(b"]", notes, b"b"))
    assert "meets a" in unsafe(torch.pickled(torch.name("collections", "OrderedDict"), notes, b"b"))


VIEW = torch.storage("FloatStorage", "0", 12)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (torch.rebuilt(VIEW, 1, (3, 4), (2, 1)), None),
        (torch.rebuilt(VIEW, 1, (3, 4), (4, 1)), "beyond its storage of 12"),
        (torch.rebuilt(VIEW, 0, (3, 5), (4, 1)), "beyond its storage of 12"),
        (torch.rebuilt(VIEW, 0, (2, 2), (11, 1)), "beyond its storage of 12"),
        (torch.rebuilt(VIEW, -1, (3, 4), (4, 1)), "no offset"),
        (torch.rebuilt(VIEW, 0, (3, 4), (-4, 1)), "no sizes"),
        (torch.rebuilt(VIEW, 0, (-3, 4), (4, 1)), "no sizes"),
        (torch.rebuilt(VIEW, 0, (2**47, 2**47), (2**40, 1)), "beyond its storage"),
        (torch.rebuilt(VIEW, 0, (2**60,), (1,)), "no sizes"),
        (torch.rebuilt(VIEW, 0, (3, 4), (4,)), "do not belong together"),
        (torch.rebuilt(VIEW, 0, (1,) * 65, (1,) * 65), "no sizes"),
        (torch.rebuilt(b"N", 0, (3,), (1,)), "NoneType instead of a storage"),
        (torch.rebuilt(VIEW, 0, (3,), (1,), hooks=torch.dictionary({"0": b"N"})), "hooks"),
        (torch.storage("FloatStorage", "0", -1), "no key or no size"),
        (torch.storage("FloatStorage", "0", 2**50), "no key or no size"),
        (torch.storage("FloatStorage", "0" * 300, 1), "no key or no size"),
        (torch.storage("FloatStorage", "0", 1, torch.tuple_of(torch.text("v"), b"K\0", b"K\1")), "before 0.4"),
        (torch.name("torch", "QInt8Storage"), "torch.QInt8Storage"),
        (torch.name("torch", "storage"), "'torch.storage'"),
        (torch.tuple_of(torch.text("file"), torch.text("/etc/passwd")) + b"Q", "other than a storage"),
        (torch.text("/etc/passwd") + b"Q", "other than a storage"),
        (torch.name("torch", "FloatStorage") + b")R", "would call a name (torch.FloatStorage)"),
        (torch.text("os.system") + b")R", "would call a str"),
        (VIEW + b")R", "would call a Storage"),
        (torch.name("collections", "OrderedDict") + b"]R", "no tuple of arguments"),
        (torch.name("collections", "OrderedDict") + b"N\x85R", "1 arguments instead of none"),
        (torch.name("torch", "Size") + b"N\x85R", "no tuple of sizes"),
        (torch.name("torch._utils", "_rebuild_parameter") + b")R", "no tensor and switch"),
        (torch.name("torch._utils", "_rebuild_tensor_v2") + b")R", "0 arguments"),
    ],
)
def test_tensors_and_storages_that_lie(body: bytes, words: str | None) -> None:
    if words is None:
        read_pickle(io.BytesIO(torch.pickled(body)), "f")
    else:
        assert words in unsafe(torch.pickled(body))


def tuple_bomb(depth: int) -> bytes:
    """Each tuple holds the last one twice: 2^depth values for code that walks, hashes, compares or prints it."""
    return b"K\1K\1\x86q\x00" + b"h\x00h\x00\x86q\x00" * depth


FEWER_OPCODES = 5_000  # instead of a million, which would take a second


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (torch.START + b"(" * 5000 + b".", "more than 100 collections"),
        (torch.START + b"N" * (FEWER_OPCODES + 5), f"more than {FEWER_OPCODES:,} opcodes"),
        (torch.START + b"X" + struct.pack("<I", 2**32 - 1) + b"a", "beyond 16,777,216 bytes"),
        (torch.START + b"\x8a\xff" + bytes(255) + b".", "takes 255 bytes"),
        (torch.START + b"c" + b"a" * 10**6 + b"\n", "longer than 256 bytes"),
        (torch.START + b"}(" + tuple_bomb(60) + b"Nu.", "a tuple is the key"),
        (torch.START + b"}" + b"K\1K\1\x86N" + b"s.", "a tuple is the key"),
        (torch.START + b"}" + torch.whole(2**61 - 1) + b"Ns.", "a int is the key"),
        (torch.START + b"}G" + bytes(8) + b"Ns.", "a float is the key"),
        (torch.START + b"}" + (torch.text("a") + b"Ns") * 2 + b".", "stands in a dictionary twice"),
        (torch.START + b"]q\x00h\x00a.", None),
        (torch.START + b"h\x07.", "nothing is remembered"),
        (torch.START + b"q\x07.", "nothing to remember"),
        (torch.START + b"(.", "0 values on its stack"),
        (torch.START + b"NN.", "2 values on its stack"),
        (torch.START + b"N(\x85.", "too little on the stack"),
        (torch.START + b"t.", "a mark that is not there"),
        (torch.START + b"Na.", "too little on the stack"),
        (torch.START + b"NNa.", "meets a NoneType"),
        (torch.START + b"X\2\0\0\0\xff\xfe.", "not UTF-8"),
        (b"\x80\x05N.", "protocol 2"),
        (b"N.", "protocol 2"),
        (b"", "cut short"),
        (torch.START, "cut short"),
        (torch.START + b"J\1\2", "cut short"),
    ],
)
def test_bombs_and_nonsense_come_to_an_end(program: bytes, words: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpickler, "MOST_OPCODES", FEWER_OPCODES)
    if words is None:  # a list in itself is harmless to code that does not walk it
        assert isinstance(read_pickle(io.BytesIO(program), "f").value, list)
        return
    tracemalloc.start()
    try:
        assert words in unsafe(program)
        assert tracemalloc.get_traced_memory()[1] < BYTES
    finally:
        tracemalloc.stop()


def test_a_value_nested_without_end_is_refused_and_never_walked(tmp_path: Path) -> None:
    bomb = torch.pickled(b"}", torch.text("model"), b"K\1K\1\x86q\0" + b"h\0h\0\x86q\0" * 5)
    with pytest.raises(DamagedFileError):
        read_pickle(io.BytesIO(bomb), "f")
    walked = torch.pickled(torch.dictionary({"a": b"]q\0" + b"(h\0h\0h\0e" * 40}))
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(torch.torch_zip(walked, {}))
    with pytest.raises(ValueError, match="holds more than tensors: a"):
        read_torch(path)


PROGRAM = torch.pickled(torch.dictionary({"a": torch.tensor("FloatStorage", "0", (3,))}))


def test_a_storage_described_twice(tmp_path: Path) -> None:
    two = {"a": torch.tensor("FloatStorage", "0", (3,)), "b": torch.tensor("LongStorage", "0", (3,))}
    assert "described twice" in unsafe(torch.pickled(torch.dictionary(two)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (torch.pickled(torch.whole(5)), "another mark"),
        (torch.pickled(torch.whole(torch.MAGIC)) + torch.pickled(torch.whole(7)), "another version"),
        (torch.torch_legacy(PROGRAM, {"0": (3, bytes(12))}, little=False), "big-endian"),
        (torch.torch_legacy(PROGRAM, {"0": (3, bytes(11))}), "cut short inside its storage"),
        (torch.torch_legacy(PROGRAM, {"0": (2, bytes(12))}), "twice, and not alike"),
        (torch.torch_legacy(PROGRAM, {"0": (2**60, bytes(12))}), "twice, and not alike"),
        (torch.torch_legacy(PROGRAM, {"0": (3, bytes(13))}), "1 bytes after"),
        (torch.torch_legacy(PROGRAM, {"1": (3, bytes(12))}), "other storages"),
        (torch.torch_legacy(PROGRAM, {"0": (3, bytes(12))}, keys=b"N"), "no list of its storages"),
        (torch.torch_legacy(PROGRAM, {}, keys=b"](" + torch.text("0") * 2 + b"e"), "no list of its storages"),
        (torch.torch_legacy(torch.pickled(b"]"), {}), "holds no state dict but a list"),
        (b"\x80\x02", "cut short"),
    ],
)
def test_legacy_files_that_lie(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read_torch(path)


def test_a_shape_without_end_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    """A stride of 0 makes any shape out of one number; the configuration's shape is asked for first."""
    from reference_tests.support.stored import TINY

    TINY.save_pretrained(tmp_path)
    view = torch.rebuilt(torch.storage("FloatStorage", "0", 1), 0, (2**40, 2**40), (0, 0))
    content = torch.torch_zip(torch.pickled(torch.dictionary({"model.shared.weight": view})), {"0": bytes(4)})
    (tmp_path / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ValueError, match="of another shape"):
        BlenderbotSmallForConditionalGeneration.from_pretrained(tmp_path, allow_pickle=True)


def test_python_would_have_made_a_state_dict() -> None:
    """The good pickles of these tests are pickles to Python too."""

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            return {"OrderedDict": dict}.get(name, lambda *arguments: (name, arguments))

        def persistent_load(self, pid: Any) -> Any:
            return pid[2]

    assert list(Reader(io.BytesIO(PROGRAM)).load()) == ["a"]
