"""The fuzzing of `python -m tools fuzz`, a little of it, and that it sees what it looks for."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tools.fuzz import checkpoints, run, watching
from tools.fuzz.checkpoints import CRASHING, READERS
from tools.fuzz.mutations import mutated
from tools.fuzz.report import table
from tools.fuzz.watching import Fault, StoredTensor, guarded, through_file

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in READERS if name not in CRASHING])
def test_mutated_files_are_read_or_refused(name: str) -> None:
    command = [sys.executable, "-m", "tools", "fuzz", name, "--executions", "300"]  # an audit hook stays for good
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "300 files" in done.stdout
    assert "no fault" in done.stdout


@pytest.mark.parametrize("name", READERS)
def test_the_seeds_are_good_files_and_mutations_repeat(name: str) -> None:
    reader = READERS[name]
    if name in CRASHING:
        pytest.importorskip("h5py", reason="the extra `formats` is not installed")
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
from tools.fuzz.watching import Fault, guarded
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

    monkeypatch.setattr(watching, "watch", Quiet)
    tensor = StoredTensor(Path("f"), "a", "F32", (1,), 2, 4)
    with pytest.raises(Fault, match="outside a file of 5 bytes"):
        through_file(lambda _path: {"a": tensor})(bytes(5))
    through_file(lambda _path: {"a": tensor})(bytes(6))
    monkeypatch.setattr(watching, "MOST_SECONDS", -1.0)
    with pytest.raises(Fault, match="seconds"):
        guarded(dict)


def ending(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Have the process of a reader in C do this instead."""
    real = subprocess.run

    def run(command: list[str], **rest: Any) -> Any:
        return real([command[0], "-c", code], **rest)

    monkeypatch.setattr(checkpoints.subprocess, "run", run)


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("import os; os.abort()", -signal.SIGABRT),
        ("from tools.fuzz import run; run.LONGEST = 0.1; run.limit_time()\nwhile True: pass", -signal.SIGPROF),
        ("raise KeyError('a')", 1),
    ],
)
def test_a_process_that_is_taken_along_is_counted(code: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ending(monkeypatch, f"print('doing 0', flush=True)\nprint('doing 1', flush=True)\n{code}")
    done, ended = checkpoints.isolated("keras", 0, 10, 0)
    assert done == 2
    assert ended.startswith(f"ended with {status} ")
    wrong, ends = run.apart("keras", 0, 4, 0)
    assert wrong == (status == 1)  # a reader's own fault
    assert len(ends) == 2
    assert run.counted(ends) == (
        "0 crashed, 2 did not come back" if status == -signal.SIGPROF else "2 crashed, 0 did not come back"
    )


def test_a_reader_that_does_not_begin_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ending(monkeypatch, "raise ImportError('there is no h5py')")
    with pytest.raises(RuntimeError, match="keras did not begin: ImportError: there is no h5py"):
        checkpoints.isolated("keras", 0, 10, 0)


def test_the_page_has_what_the_runs_printed() -> None:
    logs = [
        "pickle        1,000 files of seed 3, 2 s: no fault\nflax          5 files of seed 0, 1 s: FAULT\n",
        "guided pickle\nINFO: many lines\nDone 500 runs in 4 second(s)\nguided parlai\nDone 7 runs in 1 second(s)\n",
        "pickle        2,000 files of seed 4, 3 s: no fault\npickle        500 files of seed 4, 1 s: no fault\n",
        "keras         9 files of seed 1, 60 s: no fault, in the library's process 1 crashed, 2 did not come back\n",
    ]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(logs).splitlines()[2:]]
    assert rows == [
        ["pickle", "1,000 (3), 2,500 (4)", "500", "none"],
        ["flax", "5 (0)", "", "FOUND"],
        ["parlai", "", "7", ""],
        ["keras", "9 (1)", "", "none; in the library's process 1 crashed, 2 did not come back"],
    ]
