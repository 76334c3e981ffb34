"""`npblender chat` without a terminal: lines through a pipe, --say, --json, and what errors look like."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from npblender.chat import Conversation
from npblender.common.printable import one_line
from npblender.ops.threads import blas_threads
from reference_tests.support.cli_runs import command, environment, one_error, run_cli, run_process
from reference_tests.support.tiny_folder import make_model, make_tokenizer

SHORT = ("--set", "min_length=3", "--set", "max_length=8", "--beams", "2")


@pytest.fixture
def chat(tiny_folder: Path):
    """`npblender chat` with the tiny model and short replies."""

    def run(*arguments: object, stdin: bytes = b"", **options: str):
        return run_cli("chat", "--model", tiny_folder, *SHORT, *arguments, stdin=stdin, **options)

    return run


def expected(*said: str, **options: object) -> list[str]:
    """The replies of a conversation in Python."""
    settings = {"min_length": 3, "max_length": 8, "num_beams": 2, "do_sample": False}
    talk = Conversation(make_model(seed=2), make_tokenizer(), **{**settings, **options})
    return [one_line(talk.reply(text).text) for text in said]


def test_one_reply_a_line_and_nothing_else(chat) -> None:
    result = chat(stdin=b"hi\nhow are you?\ni like tea\n")
    assert (result.code, result.err) == (0, "")
    assert result.lines == expected("hi", "how are you?", "i like tea")
    assert result.out.endswith("\n")


def test_the_lines_of_a_pipe_are_one_conversation(chat) -> None:
    both = chat(stdin=b"hi\nyou\n").lines
    assert both[1] == expected("hi", "you")[1]
    assert expected("hi", "what is your name?")[1] != expected("what is your name?")[0]


def test_empty_lines_are_skipped_with_a_note(chat) -> None:
    result = chat(stdin=b"hi\n\n \t \nyou")
    assert result.lines == expected("hi", "you")
    assert result.err.splitlines() == [
        "npblender chat: note: line 2 is empty and was skipped",
        "npblender chat: note: line 3 is empty and was skipped",
    ]
    assert result.code == 0


def test_no_lines_give_nothing(chat) -> None:
    assert chat(stdin=b"") == (0, "", "")


def test_other_line_breaks_do_not_end_a_line(chat) -> None:
    r"""Only \n does: a line feed of another kind inside a line is part of what was said; \r\n ends one too."""
    text = "hi\x0byou\x85how\u2028are\r\n"
    assert chat(stdin=text.encode()).lines == expected("hi you how are")


def test_a_byte_order_mark_is_not_said(chat) -> None:
    assert chat(stdin=b"\xef\xbb\xbfhi\n").lines == expected("hi")


def test_through_a_pipe_a_slash_is_a_slash(chat) -> None:
    assert chat(stdin=b"/help\n").lines == expected("/help")


def test_say_once_and_in_a_row(chat) -> None:
    assert chat("--say", "hi").lines == expected("hi")
    assert chat("--say", "hi", "--say", "you", stdin=b"not read\n").lines == expected("hi", "you")


def test_a_reply_with_line_breaks_is_one_line(chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's own line break, and controls that a vocabulary might hold."""
    monkeypatch.setattr("npblender.chat.replies.raw_text", lambda *_: "one . \n two \x1b[31m \x07 \u202e")
    assert chat(stdin=b"hi\n").lines == ["one. two \\x1b[31m \\x07 \\u202e"]


def test_json_gives_one_object_a_reply(chat) -> None:
    result = chat("--json", "--persona", "i like cats", stdin=b"hi\nyou\n")
    replies = [json.loads(line) for line in result.lines]
    assert [reply["input"] for reply in replies] == ["hi", "you"]
    assert [one_line(reply["reply"]) for reply in replies] == expected("hi", "you", persona=["i like cats"])
    assert replies[0]["n_best"][0] == {"reply": replies[0]["reply"], "score": replies[0]["score"]}
    assert replies[0]["source_tokens"] == len(make_tokenizer().encode("your persona: i like cats\nhi"))
    assert set(replies[0]) == {
        *("input", "reply", "raw", "score", "n_best", "source_tokens", "dropped_turns", "cut_tokens")
    }


def test_options_reach_the_search(chat, tiny_folder: Path) -> None:
    short = ("--set", "min_length=3", "--set", "max_length=8")
    base = ("chat", "--model", tiny_folder, *short, "--say", "hi")
    assert run_cli(*base, "--greedy").lines == expected("hi", num_beams=1)
    sampled = run_cli(*base, "--sample", "--seed", "7").lines
    assert sampled == run_cli(*base, "--sample", "--seed", "7").lines
    assert sampled != run_cli(*base, "--sample", "--seed", "8").lines
    assert sampled == expected("hi", do_sample=True, num_beams=1, seed=7)
    three = run_cli(*base, "--sample", "--seed", "7", "--set", "num_beams=3").lines
    assert three == expected("hi", do_sample=True, num_beams=3, seed=7)
    assert run_cli(*base).lines == expected("hi", num_beams=10)
    assert run_cli(*base, "--set", "num_beams=3").lines == expected("hi", num_beams=3)
    model = make_model(seed=2, dialect="transformers-5")
    talk = Conversation(model, make_tokenizer("transformers-5"), min_length=3, max_length=8)
    assert run_cli(*base, "--dialect", "transformers-5").lines == [one_line(talk.reply("hi").text)]
    talk = Conversation(
        make_model(seed=2), make_tokenizer(), profile="transformers-pipeline", min_length=3, max_length=8
    )
    assert run_cli(*base, "--profile", "transformers-pipeline").lines == [one_line(talk.reply("hi").text)]


def test_a_block_list_keeps_words_out(chat, tmp_path: Path) -> None:
    (free,) = chat("--json", "--say", "hi").lines
    words = [word for word in json.loads(free)["raw"].split() if word.isalpha()]
    assert words
    (tmp_path / "block.txt").write_text("# habits\n" + "\n".join(words) + "\n")
    (kept,) = chat("--json", "--block", tmp_path / "block.txt", "--say", "hi").lines
    assert not set(words) & set(json.loads(kept)["raw"].split()[:-1])


def test_a_conversation_is_saved_and_gone_on_with(chat, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    first = chat("--save", path, "--persona", "i sing", stdin=b"hi\n")
    then = chat("--load", path, "--say", "you")
    assert [*first.lines, *then.lines] == expected("hi", "you", persona=["i sing"])
    assert json.loads(path.read_text())["turns"][0] == {"speaker": "user", "text": "hi"}


def test_a_line_too_long_for_the_model_is_noted(chat) -> None:
    result = chat(stdin=b"hello " * 100 + b"\n")
    assert len(result.lines) == 1
    assert result.err.startswith("npblender chat: note: 36 tokens at the beginning")
    assert result.err.count("\n") == 1


def test_what_the_output_can_not_encode_is_written_out(chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("npblender.chat.replies.raw_text", lambda *_: "café")
    assert chat("--say", "hi", encoding="ascii").out == "caf\\xe9\n"


ERRORS = {
    ("--say", ""): "--say is empty",
    ("--say", "caf\udce9"): "--say holds bytes that are not UTF-8 text",
    ("--say", "hi", "--persona", " "): "a persona line is empty",
    ("--say", "hi", "--persona", "i like cats " * 40): "the persona takes",
    ("--say", "hi", "--load", "nowhere.json"): "there is no file 'nowhere.json'",
    ("--say", "hi", "--block", "nowhere.txt"): "--block: there is no file 'nowhere.txt'",
    ("--say", "hi", "--set", "min_length"): "--set takes NAME=VALUE",
    ("--say", "hi", "--set", "num_beams=3"): "--set num_beams says again",
    ("--say", "hi", "--set", "num_beems=3"): "no option 'num_beems'; did you mean num_beams",
    ("--say", "hi", "--set", "penalty_alpha=0.6"): "penalty_alpha=0.6 is not used by",
    ("--say", "hi", "--set", "length_penalty=x"): "length_penalty",
    ("--say", "hi", "--dtype", "int8"): "int8",
    ("--say", "hi", "--beams", "0"): "'0' is no number of 1 or more; see npblender chat --help",
    ("--say", "hi", "--seed", "-1"): "'-1' is no number of 0 or more; see npblender chat --help",
    ("--say", "hi", "--greedy"): "not allowed with argument",
    ("--say", "hi", "--dialect", "moses"): "invalid choice: 'moses'",
    ("--say", "hi", "--speak\x1b[31m\nup"): "unrecognized arguments: --speak\\x1b[31m up",
    ("--say",): "expected one argument",
    ("--say", "hi", "--save", "nowhere/talk.json"): "cannot be written to 'nowhere/talk.json'",
}


@pytest.mark.parametrize(("arguments", "message"), ERRORS.items())
def test_errors_are_one_line_and_exit_2(chat, arguments: tuple[str, ...], message: str) -> None:
    result = chat(*arguments)
    if "--save" in arguments:  # the reply has been given by then
        result = result._replace(out="")
    assert message in one_error(result)


def test_errors_of_the_model_folder_are_one_line(tmp_path: Path) -> None:
    assert "there is no folder" in one_error(run_cli("chat", "--model", tmp_path / "none", "--say", "hi"))
    (tmp_path / "empty").mkdir()
    assert "holds no config.json" in one_error(run_cli("chat", "--model", tmp_path / "empty", "--say", "hi"))


def test_a_line_that_is_no_text_ends_it_after_the_replies_before(chat) -> None:
    result = chat(stdin=b"hi\n\xff\xfe\nyou\n")
    assert result.code == 2
    assert result.lines == expected("hi")
    assert result.err == "npblender chat: error: line 2 of the input is not UTF-8 text (invalid start byte)\n"


@pytest.mark.skipif(os.name != "posix", reason="closes stdin as a POSIX shell does")
def test_a_closed_stdin_is_an_error(tiny_folder: Path) -> None:
    shell = f"{shlex.join(command('chat', '--model', tiny_folder))} <&-"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, env=environment(), timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().startswith("npblender chat: error: there is nothing to read from: stdin is closed")


def test_what_was_not_foreseen_is_one_line_too(chat, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("deep\ntrouble \x1b[31m")

    monkeypatch.setattr("npblender.chat.Conversation.reply", fail)
    assert "RuntimeError: deep trouble \\x1b[31m (set NPBLENDER_TRACEBACK=1" in one_error(chat("--say", "hi"))
    monkeypatch.setenv("NPBLENDER_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="deep"):
        chat("--say", "hi")


# As processes of their own.


def test_as_a_process_pipes_are_bytes_and_exit_codes_are_kept(tiny_folder: Path) -> None:
    base = ("chat", "--model", tiny_folder, *SHORT)
    done = run_process(*base, stdin="hi\n\nżółw\n".encode())
    assert done.returncode == 0
    assert done.stdout.decode().split("\n") == [*expected("hi", "żółw"), ""]
    assert done.stderr == b"npblender chat: note: line 2 is empty and was skipped\n"


def test_replies_come_while_the_pipe_is_open_and_a_reader_may_leave(tiny_folder: Path) -> None:
    with subprocess.Popen(
        command("chat", "--model", tiny_folder, *SHORT),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"hi\n")
        process.stdin.flush()
        assert process.stdout.readline().decode() == expected("hi")[0] + "\n"  # while we hold the pipe open
        process.stdout.close()
        process.stdin.write(b"you\n")
        process.stdin.close()
        assert process.wait(30) == 141
        assert process.stderr.read() == b""


@pytest.mark.usefixtures("interruptible")
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT as a terminal does")
def test_an_interrupt_through_a_pipe_ends_it_quietly(tiny_folder: Path) -> None:
    with subprocess.Popen(
        command("chat", "--model", tiny_folder, *SHORT),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"hi\n")
        process.stdin.flush()
        process.stdout.readline()
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read() == b""


def test_nothing_optional_is_imported_for_a_reply(tiny_folder: Path) -> None:
    """What costs time at the start: line editing, executors, networks and every other package."""
    code = (
        "import sys; from npblender.cli.main import main; "
        f"code = main(['chat', '--model', {str(tiny_folder)!r}, '--say', 'hi', '--set', 'max_length=4']); "
        "print(code, *sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment(), timeout=60, check=True)
    code_and_modules = done.stdout.decode().split("\n")[-2].split()
    assert code_and_modules[0] == "0"
    loaded = set(code_and_modules[1:])
    unwanted = {"readline", "concurrent.futures", "multiprocessing", "socket", "ssl", "asyncio", "urllib.request"}
    unwanted |= {"tempfile", "npblender.chat.batch", "npblender.cli.interactive", "torch", "transformers", "email"}
    assert not unwanted & loaded
    packages = {name.split(".")[0] for name in loaded} - sys.stdlib_module_names - {"__main__"}
    own = {"npblender", "numpy", "safetensors", "cython_runtime"}  # the last is numpy.random's
    assert {name for name in packages if not name.startswith("_")} <= own


THREADS_AT_THE_END = """
import os, sys
import npblender.__main__ as program
import npblender.cli.main as command
assert "numpy" not in sys.modules
make_parser = command.make_parser

def made(argv):
    import npblender.cli.options as options
    options.SMALL = int(os.environ["SMALL"])
    return make_parser(argv)

command.make_parser = made
code = program.main()
from npblender.ops import threads
print(code, threads.blas_threads(), threads.num_threads(), os.environ.get("OPENBLAS_DEFAULT_NUM_THREADS"))
"""


@pytest.mark.parametrize(
    ("asked", "small", "awake", "wanted"),
    [
        ({}, 10**9, 1, None),
        ({}, 0, None, None),
        ({"NPBLENDER_NUM_THREADS": "3"}, 10**9, 1, 3),
        ({"NPBLENDER_NUM_THREADS": "3"}, 0, 3, 3),
        ({"OPENBLAS_NUM_THREADS": "2"}, 10**9, 2, 2),
        ({"OPENBLAS_NUM_THREADS": "2"}, 0, 2, 2),
        ({"OMP_NUM_THREADS": "1"}, 0, 1, 1),
        ({"OPENBLAS_DEFAULT_NUM_THREADS": "1"}, 0, 1, None),
    ],
    ids=str,
)
def test_a_single_reply_wakes_the_threads_that_its_model_needs(tiny_folder: Path, asked, small, awake, wanted) -> None:
    """Threads of OpenBLAS at the end of `chat --say`: none woken for a small model, all for a large, or the user's."""
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2 or blas_threads() is None:
        pytest.skip("needs two processors, and the OpenBLAS of NumPy's wheels")
    wanted = wanted or len(os.sched_getaffinity(0))
    inherited = {name: value for name, value in environment().items() if not name.endswith("_NUM_THREADS")}
    arguments = ["chat", "--model", str(tiny_folder), *SHORT, "--say", "hi"]
    done = subprocess.run(
        [sys.executable, "-c", THREADS_AT_THE_END, *arguments],
        capture_output=True,
        env={**inherited, **asked, "SMALL": str(small)},
        timeout=60,
        check=True,
    )
    reply, found = done.stdout.decode().splitlines()
    assert [reply] == expected("hi")
    assert found == f"0 {awake or wanted} {wanted} {asked.get('OPENBLAS_DEFAULT_NUM_THREADS')}"


@pytest.mark.parametrize(("given", "begins"), [("--say", 1), ("text", None)])
def test_openblas_begins_with_one_thread_for_a_single_reply_alone(given, begins) -> None:
    """A count at the import of NumPy, before any model is there."""
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2 or blas_threads() is None:
        pytest.skip("needs two processors, and the OpenBLAS of NumPy's wheels")
    code = (
        "import sys; import npblender.__main__ as program; import npblender.cli.main as command\n"
        "def run():\n"
        "    from npblender.ops import threads\n"
        "    print(threads.blas_threads())\n"
        "    return 0\n"
        "command.main = run; program.main()"
    )
    inherited = {name: value for name, value in environment().items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", code, "chat", given, "hi"], capture_output=True, env=inherited, timeout=60, check=True
    )
    assert int(done.stdout) == (begins or len(os.sched_getaffinity(0)))
