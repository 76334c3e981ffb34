"""`npblender generate`: a reply to every line of a file or a pipe, as JSON lines in the same order.

With --out the run can be killed at any moment: the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from npblender.cli.files import count_lines, is_regular, open_input, plain_writer
from npblender.cli.options import (
    add_reply_options,
    block_phrases,
    check_text,
    count_parameters,
    search_settings,
    suit_threads,
    whole_number,
)
from npblender.cli.progress import Progress

EPILOG = """Input: a line of text each, or with --format jsonl (the default for *.jsonl) an object each, with "text" or
"turns" and perhaps "persona"; other fields are carried over. A line that cannot be replied to gives an object with
"error", and the exit code is 1 at the end."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    parser.add_argument("input", nargs="?", default="-", metavar="FILE", help="the lines; - is stdin (default)")
    parser.add_argument("--out", metavar="FILE", help="where the replies go (default: stdout)")
    parser.add_argument("--overwrite", action="store_true", help="begin --out anew instead of going on")
    parser.add_argument("--format", choices=["auto", "text", "jsonl"], default="auto", help="what a line is")
    parser.add_argument(
        "--batch-size", type=whole_number, default=16, metavar="N", help="lines searched together (default: 16)"
    )
    parser.add_argument(
        "--window", type=whole_number, metavar="N", help="lines read ahead and sorted by length (default: 32 batches)"
    )
    parser.add_argument("--workers", type=whole_number, metavar="N", help="use N processes (default: this one)")
    parser.add_argument("--n-best", type=whole_number, metavar="N", help="also report the N best replies")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    add_reply_options(parser)


@contextmanager
def dead_workers_named() -> Iterator[None]:
    """Turn the error for a worker process that has ended into one that says what to do."""
    try:
        yield
    except BrokenExecutor as error:
        raise OSError(
            "a worker process has ended, killed or out of memory; with --out the same command goes on, "
            "perhaps with fewer --workers"
        ) from error


def run(arguments: argparse.Namespace) -> int:
    """Reply to every line."""
    from npblender.chat.batch import replies_in_order
    from npblender.chat.batch.jobs import BatchJob, prepare, run_fingerprint
    from npblender.chat.batch.requests import BadLine, Request, parse_lines, whole_lines
    from npblender.chat.batch.resumable import ResumableOutput
    from npblender.chat.batch.workers import local_processes

    if arguments.overwrite and arguments.out is None:
        raise ValueError("--overwrite needs --out")
    persona = tuple(check_text("--persona", line) for line in arguments.persona)
    job = BatchJob(
        folder=arguments.model,
        dialect=arguments.dialect,
        dtype=arguments.dtype,
        profile=arguments.profile,
        settings=search_settings(arguments),
        block=block_phrases(arguments),
        seed=arguments.seed,
        allow_pickle=arguments.allow_pickle,
        n_best=arguments.n_best or 0,
    )
    prepared = prepare(job)
    if not arguments.workers:
        suit_threads(count_parameters(prepared.config))
    jsonl = arguments.format == "jsonl" or (arguments.format == "auto" and arguments.input.endswith(".jsonl"))
    with ExitStack() as stack:
        source = stack.enter_context(open_input(arguments.input, arguments.out))
        output: ResumableOutput | None = None
        if arguments.out is not None and is_regular(arguments.out):
            # Which lines are searched together, and so with which random numbers, belongs to what decides a reply.
            together = {"batch_size": arguments.batch_size, "window": arguments.window or 32 * arguments.batch_size}
            read = {"persona": list(persona), "input": "jsonl" if jsonl else "text"}
            what = {**run_fingerprint(job, prepared), **read, **together}
            output = stack.enter_context(ResumableOutput(arguments.out, what, overwrite=arguments.overwrite))
        write = output.write if output else plain_writer(stack, arguments.out)
        skip = output.done if output else 0
        progress = Progress(sys.stderr, count_lines(source), skip, quiet=arguments.quiet)
        if output and output.fingerprint_is_lost:
            progress.note(f"{output.beside} is gone, so nothing tells whether {arguments.out} was made alike")

        def requests() -> Iterator[Request | BadLine]:
            for line in parse_lines(whole_lines(source), jsonl):
                if output:
                    output.check(line)
                yield replace(line, persona=(*persona, *line.persona)) if isinstance(line, Request) else line
            if output:
                output.check_end()

        executor = stack.enter_context(local_processes(arguments.workers)) if arguments.workers else None
        stack.enter_context(dead_workers_named())
        errors = 0
        for record in replies_in_order(
            requests(),
            job,
            prepared,
            executor,
            batch_size=arguments.batch_size,
            window=arguments.window,
            skip=skip,
            known=output.known if output else None,
            on_batch=output.keep if output else None,
        ):
            write(record)
            if "error" in record:
                errors += 1
                progress.note(f"line {record['line']}: {record['error']}")
            progress.advance()
        progress.finish()
        return 1 if errors or (output and output.errors) else 0
