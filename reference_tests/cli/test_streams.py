"""Closed streams, encodings without letters, signals, dead workers: documented exit codes, one line, no traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from npblender.chat import Conversation
from reference_tests.support.cli_runs import run_cli

SHORT = ("--set", "min_length=2", "--set", "max_length=6", "--set", "num_beams=2")


def shell(command: str, folder: Path, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    root = str(Path(__file__).resolve().parents[2])
    settings = {**os.environ, "PYTHONPATH": root, "PYTHON": sys.executable, **environment}
    return subprocess.run(
        ["sh", "-c", command], input=stdin, capture_output=True, cwd=folder, env=settings, check=False
    )


RUN = '"$PYTHON" -m npblender'
pytestmark = pytest.mark.skipif(os.name != "posix", reason="streams are closed by a shell of Unix")


def test_json_stays_json_where_the_encoding_lacks_letters(tiny_folder: Path, tmp_path: Path) -> None:
    line = "café \U0001f642".encode()
    command = f"{RUN} generate --model {tiny_folder} --quiet --greedy --set max_length=6 --set min_length=2"
    done = shell(command, tmp_path, line, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"caf\\u00e9 \\ud83d\\ude42" in done.stdout
    assert json.loads(done.stdout)["input"] == "café \U0001f642"
    whole = shell(command, tmp_path, line, PYTHONIOENCODING="utf-8")
    assert json.loads(whole.stdout) == json.loads(done.stdout)
    assert "café \U0001f642".encode() in whole.stdout


def test_text_says_what_was_escaped(tiny_folder: Path, tmp_path: Path) -> None:
    done = shell(f"{RUN} tokenize --model {tiny_folder} 'café'", tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert b"\\xe9" in done.stdout
    assert done.stderr.decode().count("\n") == 1
    assert "the encoding of stdout, ascii, lacks letters, which are escaped: \\xe9" in done.stderr.decode()


@pytest.mark.slow
def test_a_closed_stdout_is_an_error_only_if_it_is_needed(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("hi\n")
    generate = f"{RUN} generate in --model {tiny_folder} --quiet --greedy --set max_length=6 --set min_length=2"
    done = shell(f"{generate} --out o >&-", tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len((tmp_path / "o").read_text().splitlines()) == 1
    done = shell(f"{generate} >&-", tmp_path)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"error: stdout is closed" in done.stderr
    for command, code in (
        (f"{generate} --out p 2>&-", 0),
        (f"{RUN} generate nothing 2>&-", 2),
        (f"{generate} <&- >&-", 2),
    ):
        assert shell(command, tmp_path).returncode == code


def test_stdin_that_is_closed_is_named(tiny_folder: Path, tmp_path: Path) -> None:
    done = shell(f"{RUN} chat --model {tiny_folder} <&-", tmp_path)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"stdin is closed" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_conversation_is_saved_when_it_is_ended(tiny_folder: Path, tmp_path: Path, number: int, code: int) -> None:
    arguments = [sys.executable, "-m", "npblender", "chat", "--model", str(tiny_folder), *SHORT, "--save", "talk.json"]
    root = str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path, env={**os.environ, "PYTHONPATH": root}
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"hello\n")
    process.stdin.flush()
    assert process.stdout.readline()
    process.send_signal(number)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    assert process.returncode == code
    assert len(json.loads((tmp_path / "talk.json").read_text())["turns"]) == 2


@pytest.mark.slow
def test_load_and_save_of_one_file_begin_it_and_a_persona_is_added_once(tiny_folder: Path, tmp_path: Path) -> None:
    command = f"{RUN} chat --model {tiny_folder} {' '.join(SHORT)} --load t --save t --persona 'i sing' --say hello"
    first, second = shell(command, tmp_path), shell(command, tmp_path)
    assert (first.returncode, second.returncode) == (0, 0)
    assert b"t is not there yet" in first.stderr
    found = json.loads((tmp_path / "t").read_text())
    assert (found["persona"], len(found["turns"])) == (["your persona: i sing"], 4)
    other = shell(command.replace("--save t ", "--save u "), tmp_path)
    assert other.returncode == 0
    missing = shell(command.replace("--load t", "--load v"), tmp_path)
    assert (missing.returncode, b"there is no file 'v'" in missing.stderr) == (2, True)


@pytest.mark.parametrize("error", [MemoryError("no room"), RecursionError("deep"), ValueError("odd"), KeyError("gone")])
def test_an_error_of_a_reply_does_not_end_a_conversation(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    real, calls = Conversation.stream, []

    def stream(self: Conversation, text: str | None = None, **settings: object):
        calls.append(text)
        if len(calls) == 2:
            raise error
        return real(self, text, **settings)

    monkeypatch.setattr(Conversation, "stream", stream)
    place = tmp_path / "talk"
    arguments = ("chat", "--model", tiny_folder, *SHORT, "--json", "--save", place)
    done = run_cli(*arguments, stdin=b"hello\nhi\nhow are you\n")
    assert done.code == 1
    assert [set(json.loads(line)) >= {"error"} for line in done.out.splitlines()] == [False, True, False]
    assert [turn["text"] for turn in json.loads(place.read_text())["turns"][::2]] == ["hello", "how are you"]


def test_a_dead_worker_is_one_line(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("hello you\n" * 4000)
    root = str(Path(__file__).resolve().parents[2])
    arguments = [sys.executable, "-m", "npblender", "generate", "in", "--model", str(tiny_folder), "--workers", "1"]
    arguments += ["--quiet", "--out", "out"]
    settings = {**os.environ, "PYTHONPATH": root}
    process = subprocess.Popen(arguments, cwd=tmp_path, env=settings, stderr=subprocess.PIPE)
    worker = None
    while worker is None and process.poll() is None:
        time.sleep(0.1)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children:
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                worker = int(child)
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == 2
    assert errors.decode().count("\n") == 1
    assert "a worker process has ended" in errors.decode()


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("module", ["argparse", "json", "numpy"])
@pytest.mark.parametrize("arguments", ["chat --say hi", "info", "tokenize hi"])
def test_an_interrupt_while_modules_are_imported_ends_quietly(module: str, arguments: str, tmp_path: Path) -> None:
    """A module that stands before the real one sends the signal in the middle of its import."""
    code = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)\n"
    (tmp_path / f"{module}.py").write_text(code)
    places = os.pathsep.join([str(tmp_path), str(Path(__file__).resolve().parents[2])])
    done = shell(f"{RUN} {arguments}", tmp_path, PYTHONPATH=places)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_the_package_itself_imports_nothing_heavy(tmp_path: Path) -> None:
    """What runs before the command line can be interrupted quietly."""
    code = "import sys; before = set(sys.modules); import npblender; print(*sorted(set(sys.modules) - before))"
    done = shell(f'"$PYTHON" -S -c "{code}"', tmp_path)
    found = {name.partition(".")[0] for name in done.stdout.decode().split()}
    assert found <= {"npblender", "__future__", "importlib", "warnings", "_warnings"}
