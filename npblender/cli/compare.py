"""`npblender compare REF MINE`: where a port first leaves the reference, and by how many units of rounding noise.

Exit codes: 0 everything compared is within noise, 1 something diverged, 2 the two cannot be compared, or too few points
were there, 3 borderline: as far off as a plain float32 loop may be.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from npblender.cli.files import check_output
from npblender.cli.options import add_pickle_option, refuse_options
from npblender.common.printable import json_out, print_lines

if TYPE_CHECKING:
    from npblender.models.pretrained import PreTrainedModel


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.allow_abbrev = False  # `main.print_failure` looks for --json without parsing
    parser.add_argument("reference", metavar="REF", help="a trace of npblender; or safetensors or NPZ")
    parser.add_argument("mine", metavar="MINE", help="the port's arrays: safetensors or NPZ, by name")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, whatever happens")
    parser.add_argument("--html", metavar="FILE", help="write a report for a browser, too")
    parser.add_argument("--refed", action="store_true", help="REF holds re-fed cases, MINE the answers to them")
    parser.add_argument("--map", metavar="NAMES", help="a JSON file of patterns for MINE's names: {pattern: point}")
    parser.add_argument(
        "--model",
        metavar="FOLDER",
        help="the model that REF ran, to try mistakes with its weights (default: a pack's own model, or the demo)",
    )
    add_pickle_option(parser)
    parser.add_argument("--runs", action="store_true", help="REF and MINE are two runs of one port: find a race")
    parser.add_argument(
        "--require",
        action="append",
        metavar="GLOB",
        help="points that MINE must have, or `all`; repeatable (default: half of REF's)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare, and reports."""
    from npblender.common.replacing import replacing
    from npblender.groundtruth.comparison.compare import compare, compare_refed
    from npblender.groundtruth.comparison.html_report import as_html
    from npblender.groundtruth.comparison.json_report import as_json
    from npblender.groundtruth.comparison.text_report import as_text

    if arguments.html is not None:
        check_output("--html", arguments.html, (arguments.reference, arguments.mine, arguments.map))
    if arguments.runs:
        return compare_two_runs(arguments)
    make = compare_refed if arguments.refed else compare
    require = "all" if arguments.require == ["all"] else arguments.require
    report = make(arguments.reference, arguments.mine, names=arguments.map, require=require, model=model_of(arguments))
    if arguments.html is not None:
        with replacing(Path(arguments.html)) as unfinished:
            unfinished.write_text(as_html(report), encoding="utf-8", newline="\n")
    print(json_out(as_json(report)) if arguments.json else as_text(report))
    return report.exit_code


def compare_two_runs(arguments: argparse.Namespace) -> int:
    """Compare two runs of one port."""
    from npblender.groundtruth import Trace
    from npblender.groundtruth.comparison.runs import compare_runs

    others = ("refed", "map", "html", "json", "require", "model", "allow_pickle")
    refuse_options("--runs compares two runs bit by bit", arguments, others)
    found = compare_runs(Trace.load(arguments.reference), Trace.load(arguments.mine))
    print_lines(found.lines())
    return found.exit_code


def model_of(arguments: argparse.Namespace) -> PreTrainedModel | None:
    """Load the model that the reference ran: the one named, the model of REF's pack, or the demo if REF is of it."""
    from npblender import BlenderbotSmallForConditionalGeneration, demo
    from npblender.config import BlenderbotSmallConfig
    from npblender.groundtruth.tracing.tensor_file import read_tensors

    if arguments.model is not None:
        return BlenderbotSmallForConditionalGeneration.from_pretrained(
            arguments.model, allow_pickle=arguments.allow_pickle
        )
    if arguments.allow_pickle:
        raise ValueError("--allow-pickle is for the folder of --model; other models that are tried are no pickles")
    path = Path(arguments.reference)
    own = path.resolve().parent.parent / "model"
    for folder in (own, demo.folder()) if path.is_file() else ():
        if (folder / "config.json").is_file():
            config = BlenderbotSmallConfig.from_pretrained(folder).to_dict()
            stored = read_tensors(path)[1].get("config")
            if stored is not None and json.loads(stored) == config:
                return BlenderbotSmallForConditionalGeneration.from_pretrained(folder)
    return None
