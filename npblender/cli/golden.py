"""`npblender golden`: make a pack of truth for a model, check one, or convert one.

Exit codes of verify: 0 npblender agrees with the pack, 1 it does not, 2 the pack is damaged or cannot be read.
"""

from __future__ import annotations

import argparse

from npblender.cli.options import add_model_options, add_pickle_option, refuse_options, seed_number
from npblender.common.printable import json_out, print_lines, printable


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's three actions."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    export = actions.add_parser("export", help="write a pack", description="Write a pack of a model into a folder.")
    export.add_argument("folder", metavar="DIR", help="where it goes: a new folder, or one with a pack to replace")
    export.add_argument("--tiny", action="store_true", help="of the tiny model whose sizes all differ; it is included")
    export.add_argument("--seed", type=seed_number, default=0, metavar="N", help="of all that is drawn (default: 0)")
    export.add_argument(
        "--store", choices=["float64", "float32"], default="float64", help="how truths are stored (default: float64)"
    )
    add_model_options(export)
    export.set_defaults(run=run_export, command="golden export")
    verify = actions.add_parser("verify", help="check a pack, and npblender against it", description=__doc__)
    verify.add_argument("folder", metavar="DIR", help="the pack")
    verify.add_argument("--model", metavar="FOLDER", help="the model's folder, where the pack does not hold it")
    add_pickle_option(verify)
    verify.add_argument("--dtype", default="float32", help="what npblender computes in (default: float32)")
    verify.add_argument("--only", default="*", metavar="GLOB", help="check npblender against these files alone")
    verify.add_argument("--json", action="store_true", help="one JSON object")
    verify.set_defaults(run=run_verify, command="golden verify")
    convert = actions.add_parser("convert", help="write a pack in another format", description=CONVERT)
    convert.add_argument("folder", metavar="DIR", help="the pack")
    convert.add_argument("out", metavar="OUT", help="where it goes: a new or empty folder")
    convert.add_argument("--to", required=True, choices=["npz", "onnx", "raw", "c", "rust", "js"], help="the format")
    convert.set_defaults(run=run_convert, command="golden convert")


CONVERT = """Write a pack in another format: NPZ files, ONNX test_data_set folders, or the small files as literals of
C, Rust or JavaScript."""


def run_export(arguments: argparse.Namespace) -> None:
    """Write a pack."""
    from npblender.groundtruth.packs.export import export_pack, export_tiny

    settings = {"seed": arguments.seed, "stored": arguments.store}
    if arguments.tiny:
        refuse_options("--tiny is a model of its own, and no pickle", arguments, ("model", "allow_pickle"))
        manifest = export_tiny(arguments.folder, dialect=arguments.dialect or "parlai", **settings)
    else:
        manifest = export_pack(
            arguments.folder,
            arguments.model,
            dialect=arguments.dialect,
            **settings,
            allow_pickle=arguments.allow_pickle,
        )
    total = sum(record.bytes for record in manifest.files.values())
    print(printable(f"{arguments.folder}: {len(manifest.files)} files, {total:,} bytes"))


def run_verify(arguments: argparse.Namespace) -> int:
    """Check a pack."""
    from npblender.groundtruth.packs.verify import verify_pack

    if arguments.allow_pickle and arguments.model is None:
        raise ValueError("--allow-pickle is for the folder of --model; a pack's own model is no pickle")
    report = verify_pack(
        arguments.folder,
        arguments.model,
        dtype=arguments.dtype,
        only=arguments.only,
        allow_pickle=arguments.allow_pickle,
    )
    if arguments.json:
        print(json_out(report.to_json()))
    else:
        print_lines(report.lines())
    return report.code


def run_convert(arguments: argparse.Namespace) -> None:
    """Convert a pack."""
    from npblender.groundtruth.packs.convert import convert_pack

    written = convert_pack(arguments.folder, arguments.out, arguments.to)
    print(printable(f"{arguments.out}: {len(written)} files"))
