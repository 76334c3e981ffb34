"""`npblender verify`: what a model's folder holds, whether it is in order, and whether it is the published 90M.

Exit codes: 0 complete and sane, 1 something is wrong with it, 2 it cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from npblender.cli.options import add_pickle_option
from npblender.common.printable import printable


def add_parser(commands: Any, summary: str) -> None:
    """Add the subcommand's options."""
    parser = commands.add_parser("verify", help=summary, description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", help="the model's folder")
    parser.add_argument("--no-replies", action="store_true", help="do not have the published 90M reply")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    add_pickle_option(parser)
    parser.set_defaults(run=run, command="verify")


def run(arguments: argparse.Namespace) -> int:
    """Print what a folder holds; 0 if it is in order, 1 if not."""
    from npblender.groundtruth.folder_report import verify_folder

    report = verify_folder(
        arguments.folder,
        allow_pickle=arguments.allow_pickle,
        replies=not arguments.no_replies,
        say=lambda line: print(printable(f"npblender verify: {line}"), file=sys.stderr, flush=True),
    )
    if arguments.json:
        print(json.dumps(report.to_json()))
    else:
        for line in report.lines():
            print(printable(line))
    return 0 if report.is_sound else 1
