"""Markdown tables, and the places in the pages of docs/ that a tool fills."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that reads well as plain text too.

    >>> print(markdown(["a", "bc"], [["1", "2"]]), end="")
    | a | bc |
    |---|----|
    | 1 | 2  |
    """
    columns = list(zip(header, *rows, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in (header, *rows)]
    lines = [f"| {' | '.join(line)} |" for line in padded]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def between_markers(page: Path, name: str) -> str:
    """What stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->` in a page.

    Raises ValueError if the page does not have the two markers, once each and in this order.
    """
    return _parted(page, name)[1]


def write_between_markers(page: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->` in a page.

    Raises ValueError if the page does not have the two markers, once each and in this order.
    """
    before, _, after = _parted(page, name)
    page.write_text(f"{before}{text}{after}", encoding="utf-8")


def _parted(page: Path, name: str) -> tuple[str, str, str]:
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    content = page.read_text(encoding="utf-8")
    if content.count(begin) != 1 or content.count(end) != 1 or content.index(begin) > content.index(end):
        raise ValueError(f"{page.name} needs the markers {begin.strip()} and {end}, once each and in this order")
    first, last = content.index(begin) + len(begin), content.index(end)
    return content[:first], content[first:last], content[last:]


def run_tables(about: str, page: Path, tables: Mapping[str, Callable[[], str]], task: str) -> int:
    """Print, write or check what a page has between its markers, as the command line asks; return the exit code.

    `tables` makes the text for each pair of markers. `about` is the command's help, `task` its name for `python -m
    tools`.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    name = f"{page.parent.name}/{page.name}"
    what.add_argument("--write-docs", action="store_true", help=f"put what is made into {name}")
    what.add_argument("--check", action="store_true", help="exit 1 where the page says anything else")
    arguments = parser.parse_args()
    for marked, make in tables.items():
        text = make()
        if arguments.write_docs:
            write_between_markers(page, marked, text)
        elif not arguments.check:
            print(text)
        elif between_markers(page, marked) != text:
            print(f"{name} is not what the code says: run python -m tools {task} --write-docs")
            return 1
    return 0
