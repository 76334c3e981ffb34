"""Runs the command line: within this process with streams of its own, or as a process of its own."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from npblender.cli.main import main

ROOT = Path(__file__).parents[2]


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of the output, cut at line feeds alone."""
        return self.out.removesuffix("\n").split("\n") if self.out else []


def run_cli(*arguments: object, stdin: bytes = b"", encoding: str = "utf-8") -> Result:
    """`npblender ARGUMENTS` within this process, its output as it would be written."""
    streams = [io.BytesIO(stdin), io.BytesIO(), io.BytesIO()]
    wrapped = [io.TextIOWrapper(stream, encoding=encoding, newline="\n") for stream in streams]
    before = sys.stdin
    sys.stdin = wrapped[0]
    try:
        with (
            mock.patch.dict(os.environ, {"OMP_NUM_THREADS": "1"}),  # so that it sets no threads of this process
            contextlib.redirect_stdout(wrapped[1]),
            contextlib.redirect_stderr(wrapped[2]),
        ):
            code = main([str(argument) for argument in arguments])
    finally:
        sys.stdin = before
    for stream in wrapped[1:]:
        stream.flush()
    out, err = (stream.getvalue().decode(encoding) for stream in streams[1:])
    return Result(code, out, err)


def one_error(result: Result) -> str:
    """The message of a command that failed as it should: code 2, one line on stderr, nothing else."""
    assert result.code == 2, result
    assert result.err.endswith("\n")
    assert result.err.count("\n") == 1, result.err
    assert result.out == ""
    assert "Traceback" not in result.err
    return result.err.rstrip("\n")


def environment(**changes: str) -> dict[str, str]:
    """The environment of a child process, in which this checkout is the package."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return {**inherited, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NPBLENDER_HISTORY": "", **changes}


def command(*arguments: object) -> list[str]:
    """The command line of a process of its own."""
    return [sys.executable, "-m", "npblender", *map(str, arguments)]


def run_process(*arguments: object, stdin: bytes = b"", **changes: str) -> "subprocess.CompletedProcess[bytes]":
    """`npblender ARGUMENTS` as a process of its own."""
    return subprocess.run(
        command(*arguments), input=stdin, capture_output=True, env=environment(**changes), timeout=60, check=False
    )
