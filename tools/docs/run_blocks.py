"""Runs every code block of README.md and docs/ and compares what it prints with the output shown beside it.

    python -m tools docs                    # check all pages; exit 1 where one differs
    python -m tools docs README.md          # one page
    python -m tools docs --update docs      # write the real output into the pages

Three kinds of fenced blocks are run, from the repository's root:
    ```python    in one namespace a page, in order; what it prints is the ```text block right after it, if there is one
    ```console   lines `$ command` run in a shell; the lines after one are what it prints, standard error excluded
    ```sh        not run here: commands that install, take long, or need files of one's own
A page that needs another program, or another library of Python's, says so, `<!-- needs: node -->`, and is passed over
where that is not installed. Figures and tables that are not blocks are written by the tools named beside them. Needs
npblender only.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import traceback
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tools import ROOT

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = re.compile(r"^<!-- needs: (\S+) -->$", re.MULTILINE)
SHELL_SECONDS = 300


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and where the text stands in the page."""

    language: str
    text: str
    start: int
    end: int


def blocks_of(page: str) -> list[Block]:
    """All fenced blocks of a page, in order.

    >>> [(block.language, block.text) for block in blocks_of("a\\n```python\\n1 + 1\\n```\\n")]
    [('python', '1 + 1\\n')]
    """
    return [Block(m[1], m[2], m.start(2), m.end(2)) for m in FENCE.finditer(page)]


def run_python(text: str, namespace: dict[str, Any], name: str) -> str:
    """What a Python block prints. An exception of its own ends the check of the page."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(text, name, "exec"), namespace)
    return printed.getvalue()


def run_console(text: str) -> str:
    """The block with the output that its commands really print."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("$ "):
            continue
        done = subprocess.run(
            line[2:],
            shell=True,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=SHELL_SECONDS,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise RuntimeError(f"`{line[2:]}` ended with {done.returncode}: {done.stderr.strip()}")
        lines += [line, *done.stdout.splitlines()]
    return "\n".join(lines) + "\n"


def outputs_of(path: Path) -> list[tuple[Block, str]]:
    """Every block of the page that shows output, with the output it should show."""
    page = path.read_text(encoding="utf-8")
    blocks = blocks_of(page)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    found = []
    for block, following in zip_longest(blocks, blocks[1:]):
        if block.language == "python":
            line = page[: block.start].count("\n")
            printed = run_python("\n" * line + block.text, namespace, str(path.relative_to(ROOT)))
            if (
                following is not None
                and following.language == "text"
                and not page[block.end + 3 : following.start - len("```text\n")].strip()
            ):
                found.append((following, printed))
            elif printed:
                raise RuntimeError(f"the block at line {line + 1} prints, but no ```text block follows it")
        elif block.language == "console":
            found.append((block, run_console(block.text)))
    return found


def is_installed(name: str) -> bool:
    """Whether there is such a program, or such a module of Python's.

    >>> is_installed("json"), is_installed("no-such-thing")
    (True, False)
    """
    return shutil.which(name) is not None or importlib.util.find_spec(name) is not None


def check(path: Path, update: bool) -> bool:
    """Whether the page shows what its blocks print; with `update` it does afterwards."""
    name = path.relative_to(ROOT)
    missing = [program for program in NEEDS.findall(path.read_text(encoding="utf-8")) if not is_installed(program)]
    if missing:
        print(f"{name}: passed over, for want of {', '.join(missing)}", flush=True)
        return True
    try:
        found = outputs_of(path)
    except Exception:
        print(f"{name}: a block failed", flush=True)
        traceback.print_exc()
        return False
    page = path.read_text(encoding="utf-8")
    good = True
    for block, printed in reversed(found):  # from the end, so that earlier places stay right
        if block.text != printed:
            page = page[: block.start] + printed + page[block.end :]
            good = False
            if not update:
                diff = difflib.unified_diff(
                    block.text.splitlines(), printed.splitlines(), str(name), "printed", lineterm=""
                )
                print("\n".join(diff), flush=True)
    if update and not good:
        path.write_text(page, encoding="utf-8")
        good = True
    print(f"{name}: {len(found)} outputs {'hold' if good else 'DIFFER'}", flush=True)
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path, default=[ROOT / "README.md", ROOT / "docs"])
    parser.add_argument("--update", action="store_true", help="write the real output into the pages")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    pages = [page for given in arguments.pages for page in (sorted(given.rglob("*.md")) if given.is_dir() else [given])]
    if not pages:
        parser.error("no pages to check")
    results = [check(page.resolve(), arguments.update) for page in pages]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
