"""The help texts of every command, apart from their output, since words may become better."""

from __future__ import annotations

import subprocess
import sys

from ..book import Book
from . import Place

COMMANDS = ("", "chat", "generate", "tokenize", "info", "trace", "compare", "golden", "golden export")
MORE = ("golden verify", "golden convert")


def record(book: Book, place: Place) -> None:
    """Exit code and text."""
    for command in (*COMMANDS, *MORE):
        given = [sys.executable, "-m", "npblender", *command.split(), "--help"]
        done = subprocess.run(given, capture_output=True, text=True, check=False)
        book.put(f"{command or 'npblender'}/code", done.returncode)
        book.put(f"{command or 'npblender'}/help", [*done.stdout.splitlines(), *done.stderr.splitlines()])
