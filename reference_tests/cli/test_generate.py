"""`npblender generate`: files and pipes to JSON lines, progress, bad lines, and SIGKILL at any moment."""

import io
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from npblender.chat.batch import reply_to_all
from npblender.cli.progress import CLEAR, Progress, spell_seconds
from reference_tests.support.cli_runs import command, environment, one_error, run_cli
from reference_tests.support.tiny_folder import WORDS

SHORT = ("--set", "min_length=2", "--set", "max_length=6", "--beams", "2")
SETTINGS = {"min_length": 2, "max_length": 6, "num_beams": 2, "do_sample": False}
TEXTS = [" ".join(WORDS[at : at + 1 + at % 4]) for at in range(12)]


@pytest.fixture
def generate(tiny_folder: Path):
    """`npblender generate` with the tiny model and short replies, without progress."""

    def run(*arguments: object, stdin: bytes = b""):
        return run_cli("generate", "--model", tiny_folder, *SHORT, "--quiet", *arguments, stdin=stdin)

    return run


@pytest.fixture
def lines_file(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(TEXTS) + "\n")
    return path


def records(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")]


def replies(found: list[dict[str, object]]) -> list[tuple[object, object]]:
    return [(record["line"], record["reply"]) for record in found]


def test_a_file_a_pipe_and_an_output_file_give_the_same(
    generate, tiny_folder: Path, lines_file: Path, tmp_path: Path
) -> None:
    from_file = generate(lines_file)
    assert (from_file.code, from_file.err) == (0, "")
    expected = list(reply_to_all(TEXTS, tiny_folder, **SETTINGS))
    assert records(from_file.out) == expected
    assert generate(stdin=lines_file.read_bytes()).out == from_file.out
    assert generate("-", stdin=lines_file.read_bytes()).out == from_file.out
    written = generate(lines_file, "--out", tmp_path / "out.jsonl")
    assert (written.code, written.out, written.err) == (0, "", "")
    assert (tmp_path / "out.jsonl").read_text() == from_file.out
    if os.name == "posix":  # a device can be written to, but not gone on with
        assert generate(lines_file, "--out", os.devnull).code == 0


def test_json_lines_with_fields(generate, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "hi", "id": 7}\n{"turns": ["hi", "you"], "persona": ["i sing"], "tag": "żółw"}\n')
    first, second = records(generate(path).out)
    assert (first["line"], first["id"], first["text"]) == (1, 7, "hi")
    assert (second["tag"], second["turns"]) == ("żółw", ["hi", "you"])
    assert replies(records(generate("--format", "jsonl", stdin=path.read_bytes()).out)) == replies([first, second])
    as_text = records(generate("--format", "text", path).out)
    assert as_text[0]["input"] == '{"text": "hi", "id": 7}'


def test_a_persona_for_all_goes_before_that_of_a_line(generate, tiny_folder: Path) -> None:
    own = {"text": "hi", "persona": ["i sing"]}
    both = {"text": "hi", "persona": ["the movie is very good", "i sing"]}
    alone, expected = reply_to_all([own, both], tiny_folder, **SETTINGS)
    assert alone["reply"] != expected["reply"]
    found = records(
        generate("--persona", "the movie is very good", "--format", "jsonl", stdin=json.dumps(own).encode()).out
    )
    assert found[0]["reply"] == expected["reply"]
    assert found[0]["persona"] == ["i sing"]  # the line is repeated as it was


def test_a_bad_line_is_reported_with_its_number_and_does_not_stop_the_rest(generate, tmp_path: Path) -> None:
    lines = b'{"text": "hi"}\n{"txt": 1}\n\n\xff\n{"text": "you"}\n'
    result = generate("--format", "jsonl", stdin=lines)
    assert result.code == 1
    assert result.err.split("\n") == [
        'npblender generate: line 2: an object needs "text" or "turns", one of the two',
        "npblender generate: line 3: the line is empty",
        "npblender generate: line 4: the line is not UTF-8 text (invalid start byte)",
        "",
    ]
    found = records(result.out)
    assert [record["line"] for record in found] == [1, 2, 3, 4, 5]
    assert ["reply" in record for record in found] == [True, False, False, False, True]
    path = tmp_path / "in.jsonl"
    path.write_bytes(lines)
    for _ in range(2):  # the second run finds everything done, errors too
        assert generate(path, "--out", tmp_path / "out.jsonl").code == 1
    assert (tmp_path / "out.jsonl").read_text() == result.out


def test_a_finished_run_has_nothing_to_do(generate, lines_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    generate(lines_file, "--out", path)
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert generate(lines_file, "--out", path).code == 0
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    with lines_file.open("a") as more:
        more.write("hello you\n")
    generate(lines_file, "--out", path)
    assert path.read_bytes().startswith(before[0])
    assert path.read_bytes().count(b"\n") == len(TEXTS) + 1


def test_another_run_is_refused_and_overwrite_begins_anew(generate, lines_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    generate(lines_file, "--out", path)
    before = path.read_text()
    message = one_error(generate(lines_file, "--out", path, "--seed", "5"))
    assert "was begun with seed null, and now it is 5" in message
    assert "was begun with input" in one_error(generate(lines_file, "--out", path, "--format", "jsonl"))
    assert "was begun with persona" in one_error(generate(lines_file, "--out", path, "--persona", "i sing"))
    assert "was begun with settings" in one_error(generate(lines_file, "--out", path, "--set", "length_penalty=1"))
    assert "differ in line 1" in one_error(generate("--out", path, stdin=b"else\n"))
    assert path.read_text() == before
    assert generate(lines_file, "--out", path, "--seed", "5", "--overwrite").code == 0


ERRORS = {
    ("none.txt",): "there is no file 'none.txt'",
    (".",): "'.' is a folder; name a file of lines",
    ("--overwrite",): "--overwrite needs --out",
    ("--out", "none/out.jsonl"): "none/out.jsonl cannot be written to",
    ("--batch-size", "0"): "'0' is no number of 1 or more",
    ("--workers", "x"): "'x' is no number of 1 or more",
    ("--format", "csv"): "invalid choice: 'csv'",
    ("--set", "num_beems=1"): "no option 'num_beems'",
}


@pytest.mark.parametrize(("arguments", "message"), ERRORS.items())
def test_errors_are_one_line_and_exit_2(generate, arguments: tuple[str, ...], message: str) -> None:
    assert message in one_error(generate(*arguments, stdin=b"hi\n"))


def test_the_input_is_never_the_output(generate, lines_file: Path) -> None:
    before = lines_file.read_bytes()
    assert "is the input itself" in one_error(generate(lines_file, "--out", lines_file, "--overwrite"))
    run = lines_file.rename(lines_file.with_name("notes.run"))
    message = "--out notes keeps its unfinished records in notes.run, which is the input"
    for overwrite in ([], ["--overwrite"]):
        found = one_error(generate(run, "--out", run.with_suffix(""), *overwrite))
        assert found.replace(f"{run.parent}{os.sep}", "").endswith(message + "; name another file")
    assert run.read_bytes() == before
    assert os.listdir(run.parent) == ["notes.run"]


def test_what_is_searched_together_belongs_to_a_run(generate, lines_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    generate(lines_file, "--out", path)
    assert "begun with batch_size 16, and now it is 4" in one_error(
        generate(lines_file, "--out", path, "--batch-size", "4", "--window", "512")
    )
    assert "begun with window 512, and now it is 30" in one_error(generate(lines_file, "--out", path, "--window", "30"))


def test_a_lost_note_of_what_a_run_was_told_is_said(generate, lines_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    generate(lines_file, "--out", path)
    path.with_name("out.jsonl.run").unlink()
    result = generate(lines_file, "--out", path)
    assert result.code == 0
    assert "out.jsonl.run is gone, so nothing tells whether" in result.err


def test_progress_says_rate_and_time_left() -> None:
    """Twelve lines, two a second, drawn anew at a terminal and every ten seconds elsewhere."""

    class Clock:
        now = 0.0

        def __call__(self) -> float:
            return self.now

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    clock, terminal, file = Clock(), Terminal(), io.StringIO()
    shown = [Progress(stream, 40, done=4, clock=clock) for stream in (terminal, file)]
    for _ in range(26):
        clock.now += 0.5
        for progress in shown:
            progress.advance()
    assert file.getvalue().split("\n") == [
        "npblender generate: going on behind line 4",
        "24/40 lines, 2 a second, 8 s left",
        "",
    ]
    assert terminal.getvalue().count(CLEAR) == 27
    assert terminal.getvalue().endswith(CLEAR + "30/40 lines, 2 a second, 5 s left")
    shown[1].note("line 7: bad \x1b[31m")
    clock.now += 1
    for _ in range(10):
        shown[1].advance()
    shown[1].finish()
    assert file.getvalue().split("\n")[2:] == [
        "npblender generate: line 7: bad \\x1b[31m",
        "40/40 lines, 2.57 a second, 14 s in all",
        "",
    ]
    unknown = Progress(io.StringIO(), None, clock=clock)
    unknown.advance()
    clock.now += 2
    assert unknown.text() == "1 lines, 0.5 a second"
    assert spell_seconds(3599.6) == "1 h 0 min"


def test_progress_goes_to_stderr_and_can_be_silenced(tiny_folder: Path, lines_file: Path) -> None:
    loud = run_cli("generate", "--model", tiny_folder, *SHORT, lines_file)
    assert loud.err.startswith(f"{len(TEXTS)}/{len(TEXTS)} lines, ")
    assert loud.err.endswith(" in all\n")
    assert loud.lines == run_cli("generate", "--model", tiny_folder, *SHORT, lines_file, "--quiet").lines


# As processes of their own.


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_killed_at_any_moment_it_ends_with_the_same_bytes(tiny_folder: Path, tmp_path: Path) -> None:
    """SIGKILL again and again, at moments drawn over start, search and writing; then one run to the end."""
    texts = [" ".join(WORDS[at % 30 : at % 30 + 1 + at % 6]) for at in range(90)]
    source, out, whole = tmp_path / "in.txt", tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    source.write_text("\n".join(texts))
    base = ("generate", "--model", tiny_folder, *SHORT, "--batch-size", "4", "--window", "24", "--quiet", source)
    assert run_cli(*base, "--out", whole).code == 0
    draw = random.Random(0)
    killed = 0
    for _ in range(3):
        process = subprocess.Popen(command(*base, "--out", out), env=environment(), stderr=subprocess.PIPE)
        before = out.stat().st_size if out.exists() else 0
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:  # let it get somewhere first
            if out.exists() and out.stat().st_size > before:
                break
            time.sleep(0.002)
        time.sleep(draw.random() / 20)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        assert process.stderr is not None
        assert process.stderr.read() == b""
        process.stderr.close()
    assert killed >= 2
    assert run_cli(*base, "--out", out).code == 0
    assert out.read_bytes() == whole.read_bytes()
    assert [record["input"] for record in records(out.read_text())] == texts


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_processes_give_the_same_and_do_not_outlive_a_kill(
    tiny_folder: Path, lines_file: Path, tmp_path: Path, generate
) -> None:
    out = tmp_path / "out.jsonl"
    base = ("generate", "--model", tiny_folder, *SHORT, "--batch-size", "1", "--workers", "2", "--quiet", lines_file)
    process = subprocess.Popen(command(*base, "--out", out), env=environment(), start_new_session=True)
    deadline = time.monotonic() + 30
    while not (out.exists() and out.stat().st_size) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:  # every process of the session has to go
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    else:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError("workers outlived the process that started them")
    assert generate("--batch-size", "1", lines_file, "--out", out).code == 0
    assert replies(records(out.read_text())) == replies(records(generate(lines_file).out))


@pytest.mark.usefixtures("interruptible")
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT as a terminal does")
def test_ctrl_c_ends_it_quietly_and_it_goes_on_later(tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    base = ("generate", "--model", tiny_folder, *SHORT, "--batch-size", "1", "--window", "1", "--quiet", "--out", out)
    with subprocess.Popen(command(*base), env=environment(), stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"hi\nyou\n")
        process.stdin.flush()
        deadline = time.monotonic() + 30
        while not (out.exists() and out.read_bytes().count(b"\n") >= 1) and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read() == b""
    assert run_cli(*base, stdin=b"hi\nyou\ntea\n").code == 0
    assert [record["input"] for record in records(out.read_text())] == ["hi", "you", "tea"]
