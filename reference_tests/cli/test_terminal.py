"""The interactive chat: every command on a terminal of paper, and the real thing on a pseudo-terminal."""

import io
import json
import os
import re
import select
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

from npblender import BlenderbotSmallForConditionalGeneration, GenerationConfig, demo
from npblender.chat import Conversation
from npblender.cli.interactive import COMMANDS, Session
from npblender.cli.options import search_settings
from npblender.cli.terminal import STYLES, Terminal, wants_colour
from reference_tests.support.cli_runs import command, environment
from reference_tests.support.tiny_folder import make_model, make_tokenizer

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


class Paper(io.StringIO):
    """A terminal's output that can be read afterwards."""

    def isatty(self) -> bool:
        return True


class Visit:
    """A session whose user's lines are given; an exception in their place is raised instead."""

    def __init__(
        self,
        *lines: object,
        as_json: bool = False,
        brevity: float = 0.0,
        greeting: str | None = None,
        **options: object,
    ) -> None:
        settings = {"min_length": 3, "max_length": 9, "num_beams": 3, **options}
        self.talk = Conversation(make_model(seed=2, brevity=brevity), make_tokenizer(), **settings)
        self.paper = Paper()
        self._lines = iter(lines)
        self.prompts: list[str] = []
        terminal = Terminal(self.paper, self._next_line)
        self.code = Session(self.talk, as_json=as_json, terminal=terminal, greeting=greeting).run()

    def _next_line(self, prompt: str) -> str:
        self.prompts.append(prompt)
        for line in self._lines:
            if isinstance(line, type):
                raise line
            return str(line)
        raise EOFError

    @property
    def shown(self) -> list[str]:
        """The lines of the output behind the greeting."""
        return self.paper.getvalue().split("\n")[1:-1]


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")


def test_what_is_said_is_replied_to_until_the_end_of_file() -> None:
    visit = Visit("hi", "", "you")
    assert visit.code == 0
    assert visit.shown == [*(f"model> {turn.text}" for turn in visit.talk.turns if turn.speaker == "model"), ""]
    assert [turn.text for turn in visit.talk.turns[::2]] == ["hi", "you"]
    assert visit.prompts == ["you> "] * 4


def test_a_greeting_comes_before_everything_else() -> None:
    visit = Visit("/undo", greeting="This is it.")
    assert visit.paper.getvalue().startswith("This is it.\n")
    assert not Visit("/undo").paper.getvalue().startswith("This is it.")


@pytest.mark.slow
def test_the_demo_says_what_it_is_and_no_other_model_does(long_folder: Path) -> None:
    with Screen() as screen:
        at = screen.wait_for(demo.GREETING)
        screen.wait_for("you> ", at)
        assert screen.end("\x04") == 0
    with Screen("--model", long_folder) as screen:
        screen.wait_for("you> ")
        assert demo.GREETING not in screen.shown
        assert screen.end("\x04") == 0
    assert all(demo.is_demo(place) for place in (None, demo.folder(), str(demo.folder())))
    assert not demo.is_demo(long_folder)
    assert "--model" in demo.GREETING
    assert "\n" not in demo.GREETING


def test_help_lists_every_command() -> None:
    visit = Visit("/help")
    for name, entry in COMMANDS.items():
        assert any(line.startswith(entry.usage) and entry.usage.startswith(f"/{name}") for line in visit.shown)
    assert {"persona", "undo", "reset", "save", "beams", "why", "help"} <= set(COMMANDS)


def test_persona_can_be_given_shown_and_taken_away() -> None:
    visit = Visit("/persona i sing", "/persona", "/persona -", "/persona")
    line = "your persona: i sing"
    assert visit.shown[:-1] == [line, line, "There is no persona.", "There is no persona."]


def test_undo_and_reset() -> None:
    visit = Visit("hi", "/undo", "/undo", "you", "/reset", "/quit", "never read")
    assert "taken back: hi" in visit.shown
    assert "error: there is nothing to undo" in visit.shown
    assert visit.talk.turns == ()
    assert visit.code == 0


def test_save_and_load(tmp_path: Path) -> None:
    path = tmp_path / "my talk.json"
    visit = Visit("hi", f"/save {path}", "/reset", f"/load {path}", "/save", "/load nowhere.json")
    assert f"saved 2 turns to {path}" in visit.shown
    assert "loaded 2 turns" in visit.shown
    assert "error: say where: /save FILE" in visit.shown
    assert "error: there is no file 'nowhere.json'; give a transcript that was saved" in visit.shown
    assert len(visit.talk.turns) == 2


def test_beams_can_be_shown_and_set() -> None:
    visit = Visit("/beams", "/beams 1", "/beams many", "/beams 0", "hi")
    assert visit.shown[0] == "3 beams: ParlAI beam search"
    assert visit.shown[1] == "1 beams: ParlAI beam search"
    assert visit.shown[2] == "error: /beams takes a number of 1 or more, not 'many'"
    assert visit.shown[3] == "error: /beams takes a number of 1 or more, not '0'"
    one = Conversation(make_model(seed=2), make_tokenizer(), min_length=3, max_length=9, num_beams=1)
    assert visit.talk.turns[1].text == one.reply("hi").text


def test_why_shows_the_runners_up_with_scores() -> None:
    visit = Visit("/why", "hi", "/why", brevity=5.0)
    assert visit.shown[0] == "error: there is no reply to explain yet"
    reply = visit.talk.last_reply
    assert reply is not None
    assert len(reply.n_best) > 1
    assert visit.shown[2 : 2 + len(reply.n_best)] == [
        f"{rank:3} {each.score:8.4f}  {' '.join(each.text.split())}" for rank, each in enumerate(reply.n_best, start=1)
    ]
    alone = Visit("hi", "/why", do_sample=True, num_beams=1, seed=1)
    assert "This search keeps no runners-up; /beams 10 does." in alone.shown


def test_what_the_command_line_samples_is_streamed_whatever_the_files_say() -> None:
    chosen = search_settings(Namespace(greedy=False, sample=True, beams=None, set=["top_k=5"]))
    assert chosen == {"do_sample": True, "top_k": 5, "num_beams": 1}
    model = make_model(seed=2, settings=GenerationConfig(num_beams=6))
    talk = Conversation(model, make_tokenizer(), max_length=30, seed=1, **chosen)
    assert len(list(talk.stream("hi"))) > 2


def test_an_unknown_command_is_not_said_and_two_slashes_are() -> None:
    visit = Visit("/sing", "//sing")
    assert visit.shown[0] == "error: there is no command /sing; /help lists them, and //sing says it"
    assert visit.talk.turns[0].text == "/sing"


def test_json_gives_one_object_a_reply() -> None:
    visit = Visit("hi", as_json=True)
    assert json.loads(visit.shown[0])["reply"] == visit.talk.turns[1].text


def test_control_characters_never_reach_the_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the model's nor the user's, wherever they come back."""
    nasty = "\x1b]0;title\x07\x9b2J\r\x08\u202e"
    monkeypatch.setattr("npblender.chat.replies.raw_text", lambda *_: f"one \n two {nasty}")
    path = f"{tmp_path}/{nasty.replace('/', '')}.json"
    visit = Visit(f"/persona {nasty}", f"hi {nasty}", "/why", "/undo", f"/{nasty}", f"/save {path}", "/persona")
    shown = visit.paper.getvalue()
    assert not CONTROL.search(shown)
    assert "\u202e" not in shown
    assert shown.count("\\x1b]0;title\\x07") >= 6
    assert "model> one\ntwo \\x1b]0;" in shown
    assert not CONTROL.search(Visit(f"hi {nasty}", as_json=True).paper.getvalue())


def test_an_interrupted_reply_is_taken_back_and_a_second_one_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> Iterator[str]:
        yield "half a"
        raise KeyboardInterrupt

    monkeypatch.setattr("npblender.chat.conversation.stream_reply", interrupted)
    visit = Visit("hi", "", KeyboardInterrupt, "never read")
    assert visit.code == 130
    assert visit.shown[:2] == ["model> half a", "Cancelled; your line was taken back. Ctrl-C again leaves."]
    assert visit.talk.turns == ()


def test_interrupts_at_the_prompt_leave_when_they_come_in_a_row() -> None:
    assert Visit(KeyboardInterrupt, KeyboardInterrupt, "never read").code == 130
    visit = Visit(KeyboardInterrupt, "hi", KeyboardInterrupt, "you")
    assert visit.code == 0
    assert len(visit.talk.turns) == 4
    assert visit.shown.count("Ctrl-C again leaves; so does Ctrl-D.") == 2


def test_what_the_model_no_longer_sees_is_said_once() -> None:
    visit = Visit(*["what is your name?"] * 9, "hello " * 70)
    assert sum("forgets the earliest turns" in line for line in visit.shown) == 1
    assert "The first 6 tokens of your line did not fit and were left out." in visit.shown


def test_colours_only_where_they_are_wanted() -> None:
    for environment_, expected in (
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
    ):
        assert wants_colour(Paper(), environment_) is expected
    assert not wants_colour(io.StringIO(), {})


def test_colours_surround_what_is_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm")
    visit = Visit("hi")
    shown = visit.paper.getvalue()
    assert f"{STYLES['model']}model> \x1b[0m{visit.talk.turns[1].text}\n" in shown
    assert "\x1b" in visit.prompts[0]


# On a pseudo-terminal.

pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")

# The child makes the terminal its own, so that Ctrl-C reaches it as a signal.
LAUNCH = """
import fcntl, os, sys, termios
terminal = os.open(sys.argv[1], os.O_RDWR)
fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
for number in range(3):
    os.dup2(terminal, number)
os.execv(sys.argv[2], sys.argv[2:])
"""


class Screen:
    """A process at a pseudo-terminal: what is typed, and what is shown."""

    def __init__(self, *arguments: object, **variables: str) -> None:
        self._ours, theirs = pty.openpty()
        name = os.ttyname(theirs)
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, name, *command("chat", *arguments)],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            env=environment(**{"TERM": "dumb", "NO_COLOR": "1", **variables}),
        )
        self._theirs = theirs  # kept open: a terminal that no process has open cannot be read from
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def wait_for(self, text: str, behind: int = 0) -> int:
        """Read until this is shown; where it ends."""
        deadline = time.monotonic() + 30
        while text not in self.shown[behind:]:
            self._read()
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"{text!r} was not shown, but {self.shown[behind:]!r}")
        return self.shown.index(text, behind) + len(text)

    def interrupt_until(self, text: str, behind: int = 0) -> int:
        """Press Ctrl-C at a prompt until this is shown; where it ends.

        Between showing its prompt and waiting for a key Python is not woken by a signal, so a press may go unrecorded
        until the next one, as it may for a person.
        """
        deadline = time.monotonic() + 30
        while text not in self.shown[behind:] and time.monotonic() < deadline:
            self.type("\x03")
            patience = time.monotonic() + 1
            while text not in self.shown[behind:] and time.monotonic() < patience:
                self._read()
        return self.wait_for(text, behind)

    def _read(self) -> None:
        if select.select([self._ours], [], [], 0.1)[0]:
            self.shown += os.read(self._ours, 4096).decode("utf-8", "replace")

    def end(self, key: str = "") -> int:
        """Wait for the process, pressing a key every second; its exit code."""
        patience = 0.0
        while self.process.poll() is None:
            if key and time.monotonic() > patience:
                self.type(key)
                patience = time.monotonic() + 1
            self._read()
        return self.process.wait(30)

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._theirs)
        os.close(self._ours)


@pytest.fixture(scope="module")
def long_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that can talk for long: a thousand positions."""
    folder = tmp_path_factory.mktemp("model") / "long"
    config = make_model().config.replace(max_position_embeddings=1000)
    BlenderbotSmallForConditionalGeneration.from_config(config, seed=2).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.usefixtures("interruptible")
def test_a_conversation_at_a_real_terminal(long_folder: Path) -> None:
    """Editing, streaming, Ctrl-C in the middle of a reply, commands, and a second Ctrl-C that leaves."""
    forever = ("--set", "min_length=900", "--set", "max_length=990", "--set", "no_repeat_ngram_size=0")
    nasty = "i like \x1b[31mred\x07 tea"
    with Screen("--model", long_folder, "--greedy", *forever, "--persona", nasty) as screen:
        at = screen.wait_for("you> ")
        screen.type("hix\x7f\r")  # a letter too many, taken back
        at = screen.wait_for("model> ", at)
        screen.wait_for(" ", at)
        streamed = screen.shown[at:]
        assert "you> " not in streamed  # words are shown while the reply is being made
        screen.type("\x03")
        at = screen.wait_for("Cancelled; your line was taken back.", at)
        at = screen.wait_for("you> ", at)
        screen.type("/persona\r")
        at = screen.wait_for("your persona: i like \\x1b[31mred\\x07 tea", at)
        at = screen.wait_for("you> ", at)
        screen.type("/undo\r")
        at = screen.wait_for("error: there is nothing to undo", at)
        at = screen.wait_for("you> ", at)
        at = screen.interrupt_until("Ctrl-C again leaves", at)
        screen.wait_for("you> ", at)
        assert screen.end("\x03") == 130
        assert "Traceback" not in screen.shown
        assert not CONTROL.search(screen.shown.replace("\r\n", "\n").replace("\x08 \x08", "").replace("\x07", ""))


@pytest.mark.usefixtures("interruptible")
def test_a_half_typed_line_comes_between_two_interrupts(long_folder: Path) -> None:
    with Screen("--model", long_folder) as screen:
        at = screen.interrupt_until("Ctrl-C again leaves", screen.wait_for("you> "))
        screen.type("half a line")
        at = screen.wait_for("half a line", screen.wait_for("you> ", at))
        screen.wait_for("you> ", screen.interrupt_until("Ctrl-C again leaves", at))
        assert screen.end("\x03") == 130


@pytest.mark.usefixtures("interruptible")
def test_a_beam_search_at_a_real_terminal_can_be_cancelled_and_ctrl_d_leaves(long_folder: Path) -> None:
    forever = ("--set", "min_length=900", "--set", "max_length=990", "--beams", "30")
    with Screen("--model", long_folder, *forever, TERM="xterm", NO_COLOR="") as screen:
        at = screen.wait_for("you> ")
        assert STYLES["you"] in screen.shown
        screen.type("hi\r")
        at = screen.wait_for("model> ", at)
        screen.type("\x03")
        at = screen.wait_for("Cancelled", at)
        at = screen.wait_for("you> ", at)
        screen.type("\x04")
        assert screen.end() == 0
        assert "Traceback" not in screen.shown


def test_with_the_output_elsewhere_lines_are_answered_as_from_a_pipe(tiny_folder: Path) -> None:
    """stdin a terminal and stdout none: no prompt, no colour, one line a reply."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command("chat", "--model", tiny_folder, "--set", "min_length=1", "--set", "max_length=4"),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        os.write(ours, b"hi\n\x04")
        out, err = process.communicate(timeout=30)
    os.close(theirs)
    os.close(ours)
    talk = Conversation(make_model(seed=2), make_tokenizer(), min_length=1, max_length=4)
    assert (out.decode(), err) == (talk.reply("hi").text + "\n", b"")
    assert process.returncode == 0
