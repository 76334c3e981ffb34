"""The console script: subcommands, and what becomes of errors.

Exit codes: 0 all is well, 1 some lines could not be replied to or something diverged, 2 an error (one line on stderr),
130 interrupted by Ctrl-C, 141 the reader of our output has gone.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from npblender import __version__
from npblender.cli import chat, compare, generate, golden, info, tokenize, trace
from npblender.common.printable import one_line

SUBCOMMANDS = (chat, generate, tokenize, info, trace, compare, golden)

FAILED, INTERRUPTED, READER_GONE = 2, 130, 141


class Refused(Exception):
    """Arguments that a parser did not understand."""

    def __init__(self, message: str, program: str) -> None:
        super().__init__(message)
        self.program = program


class Parser(argparse.ArgumentParser):
    """argparse's parser, whose errors are raised."""

    def error(self, message: str) -> NoReturn:
        raise Refused(f"{message}; see {self.prog} --help", self.prog)


def make_parser() -> Parser:
    """The parser of the command line, subcommands included."""
    parser = Parser(
        prog="npblender",
        description="BlenderbotSmall in NumPy: chat with it, have it answer files, look into it.",
        epilog="Every subcommand takes --help.",
    )
    parser.add_argument("--version", action="version", version=f"npblender {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for module in SUBCOMMANDS:
        module.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. `argv` are the arguments behind the program's name."""
    given = sys.argv[1:] if argv is None else argv
    try:
        return run(given)
    except KeyboardInterrupt:
        tell_programs(given, "interrupted", INTERRUPTED)
        return INTERRUPTED


def run(argv: Sequence[str]) -> int:
    """Run one command and turn every error into one line."""
    program = "npblender"
    try:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")  # a reply may have letters that a terminal's code lacks
        arguments = make_parser().parse_args(argv)
        program = f"npblender {arguments.command}"
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except SystemExit as end:  # argparse: --help or --version
        return end.code if isinstance(end.code, int) else FAILED
    except Refused as error:
        failed = str(error)
        program = error.program
    except BrokenPipeError:
        leave_output_alone()
        return READER_GONE
    except (ValueError, TypeError, OSError) as error:
        failed = str(error) or type(error).__name__
    except Exception as error:  # not foreseen: still one line, with what helps to report it
        if os.environ.get("NPBLENDER_TRACEBACK"):
            raise
        failed = f"{type(error).__name__}: {error} (set NPBLENDER_TRACEBACK=1 to see where)"
    report(failed, program)
    tell_programs(argv, failed, FAILED)
    return FAILED


def tell_programs(argv: Sequence[str], message: str, code: int) -> None:
    """What stdout gets after an error: a JSON object where a comparison was asked for one, else nothing."""
    try:
        if compare.wants_json(argv):
            print(compare.failure(one_line(message), code))
        sys.stdout.flush()
    except OSError:  # what could not be written will not be later either
        leave_output_alone()


def report(message: str, program: str) -> None:
    """One line on stderr."""
    print(f"{program}: error: {one_line(message)}", file=sys.stderr)


def leave_output_alone() -> None:
    """Let the interpreter's last flush of stdout go nowhere, since the reader has gone."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):  # no file behind it: nothing will be flushed
        return
