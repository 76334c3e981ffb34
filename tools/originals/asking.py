"""Starts the programs of this folder in the environments of the originals."""

from __future__ import annotations

import os
import subprocess

from tools import ROOT
from tools.originals.environments import oracle_python


def start(original: str, program: str, *arguments: object, threads: int = 1) -> subprocess.Popen[str]:
    """Start a program of this folder in one original's environment; its output and errors are one pipe.

    FileNotFoundError, naming the command that makes the environment, if it is missing.
    """
    command = [oracle_python(original), "-W", "ignore", "-m", f"tools.originals.{program}", *arguments]
    quiet = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads)}
    return subprocess.Popen(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, **quiet},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(original: str, process: subprocess.Popen[str]) -> str:
    """Wait for the end and return what was printed. RuntimeError with the last of it if the program failed."""
    printed = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(f"{original} ended with {process.returncode}:\n{printed[-4000:]}")
    return printed


def run(original: str, program: str, *arguments: object, threads: int = 1) -> str:
    """Start a program, wait for its end and return what it printed."""
    return finish(original, start(original, program, *arguments, threads=threads))
