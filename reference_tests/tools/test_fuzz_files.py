"""A small run of `python -m tools fuzz-files` and `python -m tools kills`, and that both see what they look for."""

from __future__ import annotations

import os
import random
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and forks of Unix")

if os.name == "posix":
    from tools.fuzz import files, kills
    from tools.fuzz.damage import mutated
    from tools.fuzz.file_readers import Reader, laid_out, readers

MUTATIONS = 60


@pytest.fixture(autouse=True)
def alarms() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, files._hang)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    signal.signal(signal.SIGALRM, before)


@pytest.mark.slow
def test_every_reader_loads_its_own_files_and_refuses_damaged_ones_clearly() -> None:
    refused = 0
    for reader in readers():
        with laid_out(reader) as folder:
            reader.read(folder)
            for number in range(round(MUTATIONS * min(1, reader.share))):
                what = files.read_one(reader, folder, 5, number)
                assert what in ("loads", "refused"), f"5:{reader.name}:{number} {what}"
                refused += what == "refused"
    assert refused > 200


def test_the_same_seed_damages_alike() -> None:
    content = b'{"a": [1, 2, {"b": "text"}]}'
    one, other = ([mutated(random.Random(f"7:{n}"), content) for n in range(200)] for _ in range(2))
    assert one == other
    assert len(set(one)) > 120


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (KeyError("x"), "raises KeyError"),
        (MemoryError(), "raises MemoryError"),
        (RecursionError(), "raises RecursionError"),
        (ValueError("it is bad"), "names no file"),
        (ValueError("FOLDER/a " + "x" * 5000), "has a message too long"),
        (ValueError("FOLDER/a is bad"), "refused"),
        (files.Hang() if os.name == "posix" else None, "raises Hang"),
    ],
)
def test_it_sees_what_it_looks_for(error: Exception, verdict: str) -> None:
    def read(folder: Path) -> None:
        if error.args:
            error.args = (str(error.args[0]).replace("FOLDER", str(folder)),)
        raise error

    reader = Reader("bad", {"a": b"text"}, read, ("a",))
    with laid_out(reader) as folder:
        assert files.read_one(reader, folder, 0, 0) == verdict
        assert (folder / "a").read_bytes() == b"text"  # the next one begins with whole files


def test_runs_are_added_up() -> None:
    found = files.summed([{"NPZ": {"loads": 1}}, {"NPZ": {"loads": 2, "refused": 3, "raises KeyError": 1}}, {"a": {}}])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in files.table(found).splitlines()[2:]]
    assert rows == [["NPZ", "7", "3", "3", "1"], ["a", "0", "0", "0", "0"], ["all", "7", "3", "3", "1"]]


@pytest.mark.slow
def test_killed_writers_lose_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["kills", "--kills", "28"])
    assert kills.main() == 0
    assert "28 kills, 0 with something lost" in capsys.readouterr().out


@pytest.mark.slow
def test_a_writer_that_writes_in_place_is_found(tmp_path: Path) -> None:
    def save(place: Path, which: int) -> None:
        (place / "page").write_text(str(which) * 3_000_000)

    def read(place: Path) -> int:
        found = (place / "page").read_text()
        assert len(found) == 3_000_000
        return int(found[0])

    save(tmp_path, 0)
    lost = 0
    for number in range(20):
        try:
            kills.kill_saves(kills.Writer(save, read), tmp_path, random.Random(number))
        except AssertionError:
            lost += 1
    assert lost
