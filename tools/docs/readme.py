"""Runs the README's two commands as they stand there and compares the end of what they print.

    python -m tools readme show 1      # print the first command
    python -m tools readme run 1       # run it, and hold its last lines to the output shown below it

They are the first two ```sh blocks. A ```text block right after one is what the command prints at its end. Needs
nothing but Python: the command itself installs what it needs.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys

from tools import ROOT

COMMAND = re.compile(r"^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


def commands(readme: str) -> list[tuple[str, str | None]]:
    """Each command with the output shown for it, or None.

    >>> commands("```sh\\npip install .\\n```\\n\\n```text\\ndone\\n```\\n")
    [('pip install .', 'done\\n')]
    """
    return [(match[1].strip(), match[2]) for match in COMMAND.finditer(readme)]


def run(command: str, expected: str | None) -> int:
    """Run the command in a shell and compare the end of what it prints."""
    print(f"$ {command}", flush=True)
    done = subprocess.run(command, shell=True, cwd=ROOT, stdout=subprocess.PIPE, text=True, executable="/bin/bash")
    print(done.stdout, flush=True)
    if done.returncode:
        print(f"the command ended with {done.returncode}")
        return 1
    if expected is not None and not done.stdout.endswith(expected):
        print(f"the README shows another output:\n{expected}")
        return 1
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("show", "run"))
    parser.add_argument("number", type=int, choices=(1, 2))
    arguments = parser.parse_args()
    found = commands((ROOT / "README.md").read_text(encoding="utf-8"))
    if len(found) < 2:
        parser.error("README.md must begin with two ```sh blocks")
    command, expected = found[arguments.number - 1]
    if arguments.action == "show":
        print(command)
        return 0
    return run(command, expected)


if __name__ == "__main__":
    sys.exit(main())
