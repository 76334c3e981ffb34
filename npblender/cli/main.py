"""The console script: finds the subcommand, and turns errors into one line and an exit code.

Exit codes: 0 all is well, 1 some lines could not be replied to or something diverged, 2 an error (one line on stderr),
130 interrupted by Ctrl-C, 141 the output pipe was closed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from npblender.common.printable import cut, json_out, one_line, prepare_streams, remark_on_escapes
from npblender.common.version import __version__

SUBCOMMANDS = {
    "chat": "talk with the model",
    "generate": "reply to every line of a file",
    "serve": "reply over HTTP, to OpenAI's clients and a page to chat in",
    "tokenize": "show how a text becomes ids",
    "explain": "show how a reply came about, as a page for a browser",
    "info": "show the model and the machine",
    "fetch": "download a model of the Hugging Face Hub",
    "convert": "write any checkpoint as safetensors",
    "verify": "tell what a model's folder holds, and whether it is in order",
    "trace": "write every named number of one run",
    "compare": "find the first point at which a port diverges",
    "golden": "make, check and convert golden packs",
    "exercises": "functions of the model to write yourself, and a grader",
}
"""Each is a module of this room, with functions `add_options(parser)` and `run(arguments)` -> exit code or None."""

FAILED, INTERRUPTED, OUTPUT_CLOSED = 2, 130, 141


class Refused(Exception):
    """Arguments that a parser rejected."""

    def __init__(self, message: str, program: str) -> None:
        super().__init__(message)
        self.program = program


class Parser(argparse.ArgumentParser):
    """argparse's parser, whose errors are raised."""

    def error(self, message: str) -> NoReturn:
        raise Refused(f"{message}; see {self.prog} --help", self.prog)


COMPLETIONS = {"bash": "npblender.bash", "zsh": "_npblender", "fish": "npblender.fish"}
"""The files in cli/shell/ that `python -m tools shell` makes of the parser."""


class PrintCompletion(argparse.Action):
    """The option that prints a shell's completions, and ends."""

    def __call__(self, parser: argparse.ArgumentParser, _namespace: Any, shell: Any, _option: Any = None) -> None:
        """Print the file."""
        print((Path(__file__).parent / "shell" / COMPLETIONS[shell]).read_text(encoding="utf-8"), end="")
        parser.exit()


def make_parser(argv: Sequence[str], *, every: bool = False) -> Parser:
    """Make the parser of the command line; of the subcommands only the one in `argv` is imported, or `every` one."""
    parser = Parser(
        prog="npblender",
        description="BlenderbotSmall in NumPy: chat with it, have it answer files, look into it.",
        epilog="Every subcommand takes --help.",
    )
    parser.add_argument("--version", action="version", version=f"npblender {__version__}")
    parser.add_argument(
        "--completion", action=PrintCompletion, choices=list(COMPLETIONS), help="print completions for a shell"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    chosen = next((argument for argument in argv if not argument.startswith("-")), None)
    for name, summary in SUBCOMMANDS.items():
        if every or name == chosen:
            module = importlib.import_module(f"npblender.cli.{name}")
            epilog = getattr(module, "EPILOG", None)
            parsed = commands.add_parser(name, help=summary, description=module.__doc__, epilog=epilog)
            parsed.set_defaults(run=getattr(module, "run", None), command=name)  # one with actions has a `run` for each
            module.add_options(parsed)
        else:
            commands.add_parser(name, help=summary)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. `argv` are the arguments after the program's name."""
    given = sys.argv[1:] if argv is None else argv
    try:
        return run(given)
    except KeyboardInterrupt:
        print_failure(given, "interrupted", INTERRUPTED)
        return INTERRUPTED


def run(argv: Sequence[str]) -> int:
    """Run one command and turn every error into one line."""
    program = "npblender"
    try:
        prepare_streams()
        arguments = make_parser(argv).parse_args(argv)
        program = f"npblender {arguments.command}"
        code: int = arguments.run(arguments) or 0
        sys.stdout.flush()
        remark_on_escapes(program)
        return code
    except SystemExit as end:  # argparse: --help or --version
        return end.code if isinstance(end.code, int) else FAILED
    except Refused as error:
        failed = str(error)
        program = error.program
    except BrokenPipeError:
        discard_output()
        return OUTPUT_CLOSED
    except (ValueError, TypeError, OSError) as error:
        failed = str(error) or type(error).__name__
    except Exception as error:  # unforeseen: still one line, with what helps to report it
        if os.environ.get("NPBLENDER_TRACEBACK"):
            raise
        failed = f"{type(error).__name__}: {cut(one_line(str(error)), 1000)} (set NPBLENDER_TRACEBACK=1 to see where)"
    report(failed, program)
    print_failure(argv, failed, FAILED)
    return FAILED


def print_failure(argv: Sequence[str], message: str, code: int) -> None:
    """Print a JSON object for the error if `compare --json` was called, else nothing."""
    asked = list(argv[: argv.index("--")] if "--" in argv else argv)  # it may not have been parsed
    try:
        if asked[:1] == ["compare"] and "--json" in asked:
            from npblender.groundtruth.comparison.json_report import failure_as_json

            print(json_out(failure_as_json(one_line(message), code)))
        sys.stdout.flush()
    except (OSError, ValueError):  # it cannot be written later either
        discard_output()


def report(message: str, program: str) -> None:
    """Print one line on stderr."""
    with contextlib.suppress(OSError):  # stderr is a closed pipe
        print(f"{program}: error: {one_line(message)}", file=sys.stderr, flush=True)


def discard_output() -> None:
    """Send the interpreter's last flush of stdout to nowhere, since its pipe is closed."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):  # no file behind it: nothing will be flushed
        return
