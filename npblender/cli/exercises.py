"""`npblender exercises`: eight functions to write, ten tasks, and a grader that names the first wrong number.

    npblender exercises start mine.py    # the skeleton: eight empty functions
    npblender exercises check mine.py    # which are right, and which number is the first wrong
    npblender exercises check mine.py --task 3

The file is run as a program. Exit codes: 0 all that was checked is right, 1 something is wrong or not written.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from npblender.common.printable import print_lines, printable


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's two actions."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    start = actions.add_parser("start", help="write the eight empty functions to a new file")
    start.add_argument("file", metavar="FILE", help="a file that does not exist yet")
    start.set_defaults(run=run_start)
    check = actions.add_parser("check", help="run a file's functions and say what is right")
    check.add_argument("file", metavar="FILE", help="your solutions, a Python file")
    check.add_argument("--task", metavar="N", type=int, action="append", help="only this task (1 to 10); repeatable")
    check.set_defaults(run=run_check)


def run_start(arguments: argparse.Namespace) -> None:
    """Copy the skeleton."""
    from npblender.groundtruth.exercises import skeleton

    target = Path(arguments.file)
    if target.exists():
        raise ValueError(f"{arguments.file} is there already; name a new file")
    if not target.parent.is_dir():
        raise ValueError(f"{arguments.file}: there is no folder {str(target.parent)!r}")
    target.write_text(Path(skeleton.__file__).read_text(encoding="utf-8"), encoding="utf-8", newline="\n")
    print(printable(f"wrote {arguments.file}: eight functions; npblender exercises check {arguments.file} grades them"))


def run_check(arguments: argparse.Namespace) -> int:
    """Print a verdict a task, and how many are right."""
    from npblender.groundtruth.exercises import check_file
    from npblender.groundtruth.exercises.tasks import by_number

    for number in arguments.task or ():
        by_number(number)
    findings = check_file(arguments.file, arguments.task)
    for finding in findings:
        print_lines(finding.lines())
    right = sum(finding.verdict == "right" for finding in findings)
    print(f"{right} of {len(findings)} right")
    return 0 if right == len(findings) else 1
