"""`npblender convert`: any checkpoint of this model as safetensors, in a folder that both transformers load."""

from __future__ import annotations

import argparse

from npblender.cli.options import add_pickle_option, remark
from npblender.common.printable import json_out, printable

EPILOG = """The source holds safetensors, pytorch_model.bin, tf_model.h5, flax_model.msgpack, or ParlAI's model with its
options and dictionary. Nothing is left behind if it fails."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    parser.add_argument("source", metavar="SRC", help="the folder to read")
    parser.add_argument("target", metavar="DST", help="a new folder")
    parser.add_argument(
        "--dtype",
        choices=["float16", "bfloat16", "float32", "float64"],
        help="how numbers are stored (default: as in SRC)",
    )
    parser.add_argument("--shard-size", metavar="SIZE", help="most bytes of a file, such as 500MB (default: one file)")
    parser.add_argument(
        "--tokenizer-json",
        nargs="?",
        const="folder",
        choices=["folder", "parlai", "transformers-4", "transformers-5"],
        metavar="DIALECT",
        help="also write a tokenizer.json for the Rust library tokenizers and for transformers.js, which cuts text as "
        "parlai, transformers-4 or transformers-5 does (default: as the folder says, else parlai)",
    )
    parser.add_argument("--json", action="store_true", help="the report as one JSON object")
    add_pickle_option(parser)


def run(arguments: argparse.Namespace) -> None:
    """Convert, and print each new file with its size and sha256."""
    from npblender.models.convert import bytes_of, convert

    done = convert(
        arguments.source,
        arguments.target,
        dtype=arguments.dtype,
        shard_size=None if arguments.shard_size is None else bytes_of(arguments.shard_size),
        allow_pickle=arguments.allow_pickle,
        tokenizer_json=arguments.tokenizer_json,
        say=lambda line: remark(f"convert: {line}"),
    )
    if arguments.json:
        files = {name: {"bytes": size, "sha256": digest} for name, (size, digest) in done.files.items()}
        report = {"source": str(done.source), "parts": sorted(done.parts), "dtype": done.dtype, "files": files}
        print(json_out({**report, "parameters": done.tensors}))
        return
    print(printable(f"{arguments.target}: {done.tensors} parameters in {done.dtype}, from {done.source.name}"))
    for name, (size, digest) in done.files.items():
        print(printable(f"{digest}  {name}  {size:,} bytes"))
