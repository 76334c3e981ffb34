"""A full disk, for every writer of files: an error that names the file, the old content whole, nothing left behind.

Two ways in which the system refuses in the middle of writing: EFBIG by a limit on the size of a file, and ENOSPC by a
small file system in memory, where this process may mount one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits and mounts of Unix")

if os.name == "posix":
    import resource

    from npblender.chat.batch.requests import as_request
    from npblender.chat.batch.resumable import ResumableOutput
    from npblender.cli.main import main
    from tools.fuzz.kills import Writer, writers

SMALL = 60_000
"""Bytes: less than the old content and the new one need together, whichever writer it is."""


@contextmanager
def limited(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mount a file system of so many bytes, if this process may."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(size: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("this system has no command mount")
        if done.returncode:
            pytest.skip(f"this process may mount nothing: {done.stderr.strip()}")
        return place

    yield mount
    subprocess.run(["umount", str(place)], capture_output=True, check=False)


@pytest.fixture(scope="module")
def all_writers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Writer]:
    return writers(tmp_path_factory.mktemp("needed"))


NAMES = ("a model's folder", "a tokenizer's folder", "a transcript", "a file of tensors", "a golden pack", "a page")


def listing(place: Path) -> list[str]:
    return sorted(path.relative_to(place).as_posix() for path in place.rglob("*"))


def refused(writer: Writer, place: Path, which: int) -> None:
    """Save, which must fail with an error that names the place; what was there must be whole, and nothing beside it."""
    before = listing(place)
    with pytest.raises((ValueError, OSError)) as error:
        writer.save(place, which)
    assert str(place) in str(error.value)
    assert writer.read(place) == 1 - which
    assert listing(place) == before


def test_these_are_all_writers(all_writers: dict[str, Writer]) -> None:
    assert set(all_writers) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("limit", [0, 40, 700])
def test_a_limit_on_the_size_of_a_file(name: str, limit: int, all_writers: dict[str, Writer], tmp_path: Path) -> None:
    writer = all_writers[name]
    writer.save(tmp_path, 0)
    with limited(limit):
        refused(writer, tmp_path, 1)
    writer.save(tmp_path, 1)
    assert writer.read(tmp_path) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_disk_without_room(
    name: str, all_writers: dict[str, Writer], small_disk: Callable[[int], Path], tmp_path: Path
) -> None:
    """Room for what is there and for half of what comes."""
    writer = all_writers[name]
    (tmp_path / "measured").mkdir()
    writer.save(tmp_path / "measured", 1)
    pages = [-(-path.stat().st_size // 4096) for path in (tmp_path / "measured").rglob("*") if path.is_file()]
    place = small_disk(4096 * (2 * sum(pages) + 1))
    writer.save(place, 0)
    rest = os.statvfs(place).f_bavail
    filler = place / "filler"
    filler.write_bytes(bytes(4096 * max(rest - sum(pages) // 2, 0)))
    refused(writer, place, 1)
    filler.unlink()


def test_a_run_of_generate_goes_on_when_there_is_room_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    texts.write_text("".join(f"line {number}\n" for number in range(6)))
    command = ["generate", str(texts), "--out", str(out), "--quiet", "--greedy", "--set", "max_length=6"]
    assert main([*command[:3], str(tmp_path / "whole"), *command[4:]]) == 0
    with limited(250):
        assert main(command) == 2
    error = capsys.readouterr().err
    assert str(out) in error
    assert error.count("\n") == 1
    assert main(command) == 0
    assert out.read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_records_file_without_room(tmp_path: Path) -> None:
    lines = [as_request(number, f"line {number}") for number in (1, 2)]
    with ResumableOutput(tmp_path / "out", {"seed": 1}) as output:
        for line in lines:
            output.check(line)
        output.check_end()
        with limited(1), pytest.raises((ValueError, OSError), match="out"):
            output.keep([{"line": 2, **lines[1].carried, "reply": "x" * 9000}])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize("command", [["info"], ["tokenize", "hello"], ["chat", "--say", "hi", "--greedy"]])
def test_a_full_stdout(command: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "npblender", *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "No space left" in done.stderr
