"""`npblender verify`: what a model's folder holds, whether it is in order, and whether it is the published 90M.

Exit codes: 0 complete and sane, 1 something is wrong with it, 2 it cannot be read.
"""

from __future__ import annotations

import argparse
import re

from npblender.cli.options import add_pickle_option, remark
from npblender.common.printable import json_out, print_lines, shown


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    parser.add_argument("folder", metavar="FOLDER", help="the model's folder")
    parser.add_argument("--no-replies", action="store_true", help="do not have the published 90M reply")
    parser.add_argument(
        "--sha256",
        action="append",
        default=[],
        metavar="[FILE=]HEX",
        help="what the weights' file, or another one, must have; repeatable",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    add_pickle_option(parser)


def named_digest(text: str) -> tuple[str, str]:
    """Read a file's name and its sha256; no name is that of the weights' file.

    >>> named_digest("merges.txt=28A5" + "0" * 60)[0], named_digest("00" * 32)[0]
    ('merges.txt', '')
    >>> named_digest("abc")
    Traceback (most recent call last):
    ValueError: --sha256 takes 64 hexadecimal digits, behind FILE= or alone; 'abc' are none
    """
    name, _, digest = text.rpartition("=")
    if not re.fullmatch("[0-9a-fA-F]{64}", digest):
        raise ValueError(f"--sha256 takes 64 hexadecimal digits, behind FILE= or alone; {shown(digest)} are none")
    return name, digest


def run(arguments: argparse.Namespace) -> int:
    """Print what a folder holds; 0 if it is in order, 1 if not."""
    from npblender.groundtruth.folder_report import verify_folder

    report = verify_folder(
        arguments.folder,
        allow_pickle=arguments.allow_pickle,
        replies=not arguments.no_replies,
        digests=dict(map(named_digest, arguments.sha256)),
        say=lambda line: remark(f"verify: {line}"),
    )
    if arguments.json:
        print(json_out(report.to_json()))
    else:
        print_lines(report.lines())
    return 0 if report.is_sound else 1
