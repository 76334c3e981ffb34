"""`npblender trace`: every named number of one run of the model, as a file for a port to be compared with.

The file is safetensors; beside the arrays it says what was run and how much of each point is float32 noise.
`npblender compare` reads it, and so does anything that reads safetensors.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npblender.cli.files import check_output
from npblender.cli.options import add_model_options, check_text, count_parameters, suit_threads, whole_number
from npblender.common.json_files import naming, read_object
from npblender.common.printable import printable, shown

if TYPE_CHECKING:
    from npblender.config import BlenderbotSmallConfig
    from npblender.groundtruth import TraceInputs

EPILOG = """With ids no tokenizer is needed. FILE.json holds an object with input_ids, attention_mask,
decoder_input_ids, decoder_attention_mask, labels, or whatever else the forward pass takes, each a list of rows; or
text and reply, each a text or a list of texts; and perhaps steps and prefill. What a trace says was run (its metadata
key inputs) is such an object. Without a target the decoder reads the start token alone. Points of a run in steps
begin with prefill. and step1., step2. and so on; see docs/points.md for all names."""

TEXTS = ("text", "reply")


def id_row(text: str) -> list[int]:
    """Read one row of ids.

    >>> id_row("5, 6,7")
    [5, 6, 7]
    """
    try:
        return [int(each) for each in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{shown(text)} is no list of ids such as 5,6,7") from None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    what = parser.add_argument_group("what is run (one of --text, --input-ids, --inputs)")
    what.add_argument("--text", metavar="TEXT", help="what the encoder reads")
    what.add_argument("--reply", metavar="TEXT", help="what the decoder reads behind the start token; needs --text")
    what.add_argument("--input-ids", type=id_row, metavar="IDS", help="one row of ids, such as 5,6,7")
    what.add_argument("--decoder-input-ids", type=id_row, metavar="IDS", help="one row of ids, such as 1,9")
    what.add_argument("--inputs", metavar="FILE.json", help="batches, masks, prompts, labels: see below")
    what.add_argument("--steps", action="store_true", help="run the target token by token over a cache")
    what.add_argument("--prefill", type=whole_number, metavar="N", help="target tokens of the first step (default: 1)")
    where = parser.add_argument_group("what becomes of it (--out, --table or both)")
    where.add_argument("--out", metavar="FILE", help="the safetensors file to write")
    where.add_argument("--table", action="store_true", help="print name, shape, mean, std, min and max of every point")
    where.add_argument(
        "--points", action="append", metavar="GLOB", help="only points of these names, such as '*.norm'; repeatable"
    )
    where.add_argument("--dtype", default="float32", help="float32, float64 or longdouble (default: float32)")
    where.add_argument(
        "--refed",
        action="store_true",
        help="write each operation with its own inputs instead: `compare --refed` reads it",
    )
    where.add_argument("--no-noise", action="store_true", help="do not measure the points' float32 noise")
    add_model_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Record a run with its noise, and write it or print it as a table."""
    from npblender import BlenderbotSmallForConditionalGeneration, demo
    from npblender.checkpoint.folder import find_tensors
    from npblender.config import BlenderbotSmallConfig
    from npblender.groundtruth import record
    from npblender.groundtruth.tracing.table import trace_table

    check_results(arguments)
    folder = demo.folder() if arguments.model is None else arguments.model
    config = BlenderbotSmallConfig.from_pretrained(folder)
    inputs = given_inputs(arguments, config)
    suit_threads(count_parameters(config))
    tensors = find_tensors(Path(folder), arguments.allow_pickle).values()
    every_digit = "float64" if any(tensor.dtype == "F64" for tensor in tensors) else "float32"  # for the true run
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(
        folder, dialect=arguments.dialect, dtype=every_digit, allow_pickle=arguments.allow_pickle
    )
    if arguments.refed:
        from npblender.groundtruth.single_ops.refed import refed

        cases = refed(model, inputs)
        cases.save(arguments.out)
        print(printable(f"{arguments.out}: {len(cases.cases)} operations, dialect {model.dialect.name}"))
        return
    found = record(model, inputs, points=arguments.points, dtype=arguments.dtype, noise=not arguments.no_noise)
    if arguments.out is not None:
        found.save(arguments.out)
    if arguments.table:
        print(trace_table(found))
    if arguments.out is not None:
        print(printable(f"{arguments.out}: {len(found.points)} points in {found.dtype}, dialect {model.dialect.name}"))


def check_results(arguments: argparse.Namespace) -> None:
    """Refuse, before anything is computed, what cannot be written."""
    from npblender.checkpoint import resolve_dtype

    resolve_dtype(arguments.dtype)
    if arguments.refed:
        others = {"--table": arguments.table, "--points": arguments.points, "--no-noise": arguments.no_noise}
        refused = [option for option, value in others.items() if value]
        refused += ["--dtype"] if arguments.dtype != "float32" else []
        if refused or arguments.out is None:
            why = f"leave out {refused[0]}" if refused else "it needs --out FILE"
            raise ValueError(f"--refed writes a file of all operations, fed in float32: {why}")
    if arguments.out is None:
        if not arguments.table:
            raise ValueError("say where the trace goes: --out FILE, or --table to print what it holds")
        return
    path = check_output("--out", arguments.out, (arguments.inputs,))
    if resolve_dtype(arguments.dtype).char == "g":
        raise ValueError("a safetensors file cannot hold longdouble: use --dtype float64, or --table without --out")
    if path.suffix.lower() in (".npz", ".npy", ".json"):
        raise ValueError(f"--out {arguments.out}: a trace is a safetensors file; give it another ending")


def given_inputs(arguments: argparse.Namespace, config: BlenderbotSmallConfig) -> TraceInputs:
    """The inputs of the run, from exactly one of the three options for them."""
    from npblender.groundtruth import TraceInputs

    ways = {"--text": arguments.text, "--input-ids": arguments.input_ids, "--inputs": arguments.inputs}
    chosen = [name for name, value in ways.items() if value is not None]
    for option, value, owner in (
        ("--reply", arguments.reply, "--text"),
        ("--decoder-input-ids", arguments.decoder_input_ids, "--input-ids"),
    ):
        if value is not None and owner not in chosen:
            raise ValueError(f"{option} belongs to {owner}, which is missing")
    if len(chosen) != 1:
        said = " and ".join(chosen) + " were given" if chosen else "none was given"
        raise ValueError(f"say what to run by one of --text, --input-ids and --inputs; {said}")
    if arguments.prefill is not None and not arguments.steps:
        raise ValueError("--prefill is how many tokens the first step has: it needs --steps")
    if arguments.inputs is not None:
        content = read_inputs(arguments.inputs)
    else:
        given = {name: value for name, value in vars(arguments).items() if value is not None}
        content = {name: check_text(f"--{name}", given[name]) for name in TEXTS if name in given}
        content |= {name: [given[name]] for name in ("input_ids", "decoder_input_ids") if name in given}
    for name, value in (("steps", arguments.steps or None), ("prefill", arguments.prefill)):
        if value is not None:
            if name in content:
                raise ValueError(f"--{name} says again what {arguments.inputs} says; leave one of them out")
            content[name] = value
    if any(name in content for name in TEXTS):
        return inputs_of(content, config, arguments)
    return TraceInputs.from_json(content)


def inputs_of(content: dict[str, Any], config: BlenderbotSmallConfig, arguments: argparse.Namespace) -> TraceInputs:
    """Encode texts with the folder's tokenizer."""
    from npblender.groundtruth.tracing.text_inputs import inputs_of_texts
    from npblender.tokenizer import BlenderbotSmallTokenizer

    other = {name: value for name, value in content.items() if name not in (*TEXTS, "steps", "prefill")}
    if other:
        raise ValueError(f"{shown(next(iter(other)))} cannot stand beside text and reply; give ids instead of texts")
    if "text" not in content:
        raise ValueError("there is a reply without a text")
    tokenizer = BlenderbotSmallTokenizer.from_pretrained(arguments.model, dialect=arguments.dialect)
    inputs = inputs_of_texts(tokenizer, config, content["text"], content.get("reply"))
    return replace(inputs, steps=content.get("steps", False), prefill=content.get("prefill", 1))


def read_inputs(name: str) -> dict[str, Any]:
    """Read the object in the file of --inputs."""
    path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(f"--inputs: there is no file {shown(name)}")
    with naming("--inputs"):
        return read_object(path, "utf-8-sig")
