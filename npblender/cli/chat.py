"""`npblender chat`: a conversation at the terminal, line by line through a pipe, or one line with --say."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from npblender.chat.history import persona_line
from npblender.cli.options import add_reply_options, check_text, conversation_of, remark, search_settings
from npblender.common.printable import cut, json_out, one_line, printable

if TYPE_CHECKING:
    from npblender.chat import Conversation
    from npblender.cli.kept import Keeper

EPILOG = """At a terminal a line that begins with / is a command: /help lists them. Through a pipe every line is said as
it is, each in the same conversation, and every reply is one line of the output; empty lines are skipped."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    parser.add_argument("text", nargs="*", metavar="TEXT", help="say this and print the reply, as --say does")
    parser.add_argument(
        "--say", action="append", metavar="TEXT", help="say this and print the reply; repeat it for a conversation"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a reply, or a conversation of --list")
    parser.add_argument("--load", metavar="FILE", help="go on with a conversation that was saved")
    parser.add_argument("--save", metavar="FILE", help="save the conversation at the end")
    parser.add_argument("--db", metavar="FILE", help="keep every turn in this SQLite file, at once")
    parser.add_argument("--resume", metavar="ID", help="go on with a conversation of --db: its id, or last")
    parser.add_argument("--list", action="store_true", help="show the conversations of --db, and end")
    add_reply_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Reply to `--say`, to the lines of a pipe, or at the terminal, and return the exit code."""
    words = " ".join(arguments.text)
    said = [check_text("--say", text) for text in (*([words] if arguments.text else ()), *(arguments.say or ()))]
    if not all(text.strip() for text in said):
        raise ValueError("--say is empty; give it something to reply to")
    keeper = keeper_of(arguments)
    if keeper is not None and arguments.list:
        if said or arguments.resume is not None:
            raise ValueError("--list shows the conversations and ends; leave out --resume and what is to be said")
        for line in map(json_out, keeper.entries()) if arguments.json else map(printable, keeper.lines()):
            print(line)
        return 0
    conversation = begin(arguments)
    if keeper is not None and arguments.resume is not None:
        keeper.resume(conversation, arguments.resume)
        take_options(conversation, arguments)
    at_terminal = not said and sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
    with saved_at_the_end(conversation, arguments.save):
        if at_terminal:
            from npblender import demo
            from npblender.cli.interactive import COMMANDS, Session
            from npblender.cli.terminal import remembered_lines

            with remembered_lines([f"/{name}" for name in COMMANDS]):
                greeting = demo.GREETING if demo.is_demo(arguments.model) else None
                return Session(conversation, as_json=arguments.json, greeting=greeting, keeper=keeper).run()
        if said:
            for text in said:
                say(conversation, text, arguments.json, keeper)
            return 0
        answered = [say_or_report(conversation, text, arguments.json, keeper) for text in lines_of_stdin()]
        return 0 if all(answered) else 1


@contextmanager
def saved_at_the_end(conversation: Conversation, path: str | None) -> Iterator[None]:
    """Save a conversation however it ends: by itself, by an error, by SIGTERM, or with its window (SIGHUP)."""
    if path is None:
        yield
        return
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and threading.current_thread() is threading.main_thread():
            signal.signal(getattr(signal, name), _end)
    try:
        yield
    finally:
        conversation.save(path)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def say_or_report(conversation: Conversation, text: str, as_json: bool, keeper: Keeper | None = None) -> bool:
    """Print the reply to one line of a pipe; an error of it is reported in its place, and the talk goes on."""
    try:
        say(conversation, text, as_json, keeper)
    except BrokenPipeError:
        raise
    except Exception as error:  # the reply is given up, and so is its line
        message = cut(str(error)) or type(error).__name__
        print(json_out({"input": text, "error": message}) if as_json else "", flush=True)
        remark(f"chat: note: {message}")
        return False
    return True


def begin(arguments: argparse.Namespace) -> Conversation:
    """Make the conversation that the arguments describe."""
    conversation = conversation_of(arguments)
    if arguments.load is not None:
        if arguments.load == arguments.save and not Path(arguments.load).exists():
            remark(f"chat: note: {arguments.load} is not there yet: the conversation begins, and is saved there")
            return conversation
        conversation.load(arguments.load)
        take_options(conversation, arguments)
    return conversation


def take_options(conversation: Conversation, arguments: argparse.Namespace) -> None:
    """Give a conversation that goes on the settings and persona lines of the command line, besides its own."""
    conversation.configure(**search_settings(arguments))
    there = conversation.persona
    conversation.persona = (*there, *(line for line in map(persona_line, arguments.persona) if line not in there))


def keeper_of(arguments: argparse.Namespace) -> Keeper | None:
    """Make what keeps the conversation in the database of --db."""
    if arguments.db is None:
        for option in ("resume", "list"):
            if getattr(arguments, option):
                raise ValueError(f"--{option} needs --db FILE, which holds the conversations")
        return None
    for option in ("load", "save"):
        if getattr(arguments, option) is not None:
            raise ValueError(f"--{option} and --db keep a conversation in two ways; leave one of them out")
    from npblender.chat.talks import Talks
    from npblender.cli.kept import Keeper

    return Keeper(Talks(arguments.db))


def lines_of_stdin() -> Iterator[str]:
    """Yield the lines of a pipe; empty ones are skipped with a note.

    Raises:
        ValueError: there is no stdin, or a line is not UTF-8 text; the lines before it have been replied to.
    """
    if sys.stdin is None:
        raise ValueError("there is nothing to read from: stdin is closed; say something with --say TEXT")
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise ValueError(f"line {number} of the input is not UTF-8 text ({error.reason})") from error
        if text:
            yield text
        else:
            remark(f"chat: note: line {number} is empty and was skipped")


def say(conversation: Conversation, text: str, as_json: bool, keeper: Keeper | None = None) -> None:
    """Print the reply to one text as one line."""
    from npblender.chat.replies import reply_object

    reply = conversation.reply(text)
    if keeper is not None:
        keeper.keep(conversation)  # before it is shown: what was seen is kept
    print(json_out(reply_object(text, reply)) if as_json else one_line(reply.text), flush=True)
    if reply.source.cut_tokens:
        left_out = f"{reply.source.cut_tokens} tokens at the beginning of a long line"
        remark(f"chat: note: {left_out} do not fit the model and were left out")
