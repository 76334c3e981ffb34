"""The fuzzing of `python -m tools fuzz`, a little of it, and that it sees what it looks for."""

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tools.fuzz import checkpoints
from tools.fuzz.checkpoints import CRASHING, READERS, Fault, guarded, through_file
from tools.fuzz.mutations import mutated

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in READERS if name not in CRASHING])
def test_mutated_files_are_read_or_refused(name: str) -> None:
    run = [sys.executable, "-m", "tools", "fuzz", name, "--executions", "300"]  # an audit hook stays for good
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "300 files" in done.stdout
    assert "no fault" in done.stdout


@pytest.mark.parametrize("name", READERS)
def test_the_seeds_are_good_files_and_mutations_repeat(name: str) -> None:
    reader = READERS[name]
    seeds = reader.seeds()
    assert seeds
    files = [mutated(random.Random(n), seeds, reader.words) for n in range(200)]
    assert files == [mutated(random.Random(n), seeds, reader.words) for n in range(200)]
    assert len(set(files)) > 150


FAULTY = {
    "calls": "os.system('true')",
    "imports": "import this_is_not_there",
    "writes": "open(os.devnull, 'wb')",
    "compiles": "compile('1', 'x', 'eval')",
    "another exception": "raise KeyError('a')",
}


@pytest.mark.parametrize("what", FAULTY)
def test_a_reader_that_does_what_it_must_not_is_found(what: str) -> None:
    code = f"""
import os
from tools.fuzz.checkpoints import Fault, guarded
def read():
    {FAULTY[what]}
try:
    guarded(read)
except (Fault, KeyError) as error:
    print("found", type(error).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("found")


def test_a_place_outside_the_file_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Quiet:
        on = False

    monkeypatch.setattr(checkpoints, "watch", Quiet)
    tensor = checkpoints.StoredTensor(Path("f"), "a", "F32", (1,), 2, 4)
    with pytest.raises(Fault, match="outside a file of 5 bytes"):
        through_file(lambda _path: {"a": tensor})(bytes(5))
    through_file(lambda _path: {"a": tensor})(bytes(6))
    monkeypatch.setattr(checkpoints, "MOST_SECONDS", -1.0)
    with pytest.raises(Fault, match="seconds"):
        guarded(dict)


def test_a_process_that_is_taken_along_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.run

    def crash(command: list[str], **rest: Any) -> Any:
        return real([command[0], "-c", "import os; print('done 0', flush=True); os.abort()"], **rest)

    monkeypatch.setattr(checkpoints.subprocess, "run", crash)
    done, ended = checkpoints.isolated("keras", 0, 10, 0)
    assert done == 1
    assert ended.startswith(f"ended with {-6 if os.name == 'posix' else 3}")
