"""What several subcommands share: their options, and how many threads NumPy's own OpenBLAS gets for a small model.

A reply of a small model is thousands of products of a few rows. Each is over before a second thread has begun, but
OpenBLAS wakes one all the same, which costs its time twice, and much more on a machine that has other work. Measured
with the demo on two cores: 0.25 s of processor time from start to reply with one thread, 0.6 to 2.5 s with two.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npblender.chat.blocklist import read_phrases
from npblender.chat.history import PROFILES
from npblender.common.printable import one_line, shown
from npblender.config.dialect import DIALECTS
from npblender.ops import threads

if TYPE_CHECKING:
    from npblender.chat import Conversation
    from npblender.config import BlenderbotSmallConfig


def whole_number(text: str, at_least: int = 1, at_most: int | None = None) -> int:
    """Read a whole number of the command line.

    >>> whole_number("0")
    Traceback (most recent call last):
    argparse.ArgumentTypeError: '0' is no number of 1 or more
    """
    number = int(text) if text.isascii() and text.isdigit() else -1
    if number < at_least or (at_most is not None and number > at_most):
        range_ = f"of {at_least} or more" if at_most is None else f"from {at_least} to {at_most}"
        raise argparse.ArgumentTypeError(f"{shown(text)} is no number {range_}")
    return number


seed_number = partial(whole_number, at_least=0)


def add_model_options(parser: argparse.ArgumentParser, pickle: bool = True) -> None:
    """Add --model and --dialect, and --allow-pickle for a command that reads weights."""
    parser.add_argument(
        "-m", "--model", metavar="FOLDER", help="the model's folder (default: the demo in this package)"
    )
    parser.add_argument(
        "--dialect",
        choices=[dialect.name for dialect in DIALECTS],
        help="which original to follow (default: what the folder says, else parlai)",
    )
    if pickle:
        add_pickle_option(parser)


def add_pickle_option(parser: argparse.ArgumentParser) -> None:
    """Add --allow-pickle."""
    parser.add_argument(
        "--allow-pickle",
        action="store_true",
        help="read pytorch_model.bin or ParlAI's model, which are pickles; nothing in them is run",
    )


def add_reply_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a model, and everything that shapes a reply."""
    add_model_options(parser)
    parser.add_argument(
        "--dtype",
        default="float32",
        help="float32, float64 or longdouble; float16 or bfloat16: float32 over weights "
        "kept in half the memory, which is slower (default: float32)",
    )
    parser.add_argument(
        "--profile",
        choices=list(PROFILES),
        default="parlai",
        help="how the history is written for the model (default: parlai, as it was trained)",
    )
    parser.add_argument(
        "--persona", action="append", default=[], metavar="LINE", help="a line the model is to speak by; repeatable"
    )
    parser.add_argument("--block", metavar="FILE", help="words and phrases never to be said, one a line")
    search = parser.add_mutually_exclusive_group()
    search.add_argument("--greedy", action="store_true", help="take the most probable word each time; streams words")
    search.add_argument("--sample", action="store_true", help="draw each word at random; streams words")
    search.add_argument("--beams", type=whole_number, metavar="N", help="search with N beams")
    parser.add_argument("--temperature", type=float, metavar="T", help="--sample, with logits divided by T")
    parser.add_argument("--top-k", type=whole_number, metavar="K", help="--sample, from the K most probable words")
    parser.add_argument("--seed", type=seed_number, metavar="N", help="make --sample repeatable")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any setting of the search, such as min_length=5; repeatable",
    )


def search_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Collect the settings of the search that the arguments name.

    >>> search_settings(argparse.Namespace(greedy=True, sample=False, beams=None, set=["min_length=5"]))
    {'do_sample': False, 'num_beams': 1, 'min_length': 5}
    """
    settings: dict[str, Any] = {}
    if arguments.greedy:
        settings |= {"do_sample": False, "num_beams": 1}
    if arguments.sample:
        settings["do_sample"] = True
    if arguments.beams is not None:
        settings |= {"do_sample": False, "num_beams": arguments.beams}
    for name in ("temperature", "top_k"):
        value = getattr(arguments, name, None)
        if value is not None:
            if settings.get("do_sample") is False:
                raise ValueError(f"--{name.replace('_', '-')} is for --sample: leave --greedy or --beams out")
            settings |= {"do_sample": True, name: value}
    for assignment in arguments.set:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set takes NAME=VALUE, such as min_length=5, not {shown(assignment)}")
        if name in settings:
            raise ValueError(f"--set {name} says again what another option says; leave one of them out")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    if settings.get("do_sample") and "num_beams" not in settings:
        settings["num_beams"] = 1  # one path, whatever the model's files say, so that words can be streamed
    return settings


def conversation_of(arguments: argparse.Namespace) -> Conversation:
    """Make the conversation that the options of a reply describe, with as many threads as suit its model."""
    from npblender.chat import Conversation

    conversation = Conversation.from_pretrained(
        arguments.model,
        dialect=arguments.dialect,
        dtype=arguments.dtype,
        allow_pickle=arguments.allow_pickle,
        persona=[check_text("--persona", line) for line in arguments.persona],
        profile=arguments.profile,
        block=block_phrases(arguments),
        seed=arguments.seed,
        **search_settings(arguments),
    )
    suit_threads(conversation.model.num_parameters())
    return conversation


def block_phrases(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Read the phrases of --block's file."""
    if arguments.block is None:
        return ()
    try:
        return read_phrases(Path(arguments.block).read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise FileNotFoundError(f"--block: there is no file {shown(arguments.block)}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"--block: {arguments.block} is not UTF-8 text ({error.reason})") from error


def refuse_options(why: str, arguments: argparse.Namespace, names: Iterable[str]) -> None:
    """Refuse the first of some options that is given."""
    for name in names:
        if getattr(arguments, name):
            raise ValueError(f"{why}: leave out --{name.replace('_', '-')}")


def remark(message: str) -> None:
    """Print a remark on stderr, behind the program's name."""
    print(f"npblender {one_line(message)}", file=sys.stderr, flush=True)


def check_text(option: str, text: str) -> str:
    """Refuse an argument whose bytes are no text.

    >>> check_text("--say", "caf\\udce9")
    Traceback (most recent call last):
    ValueError: --say holds bytes that are not UTF-8 text
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"{option} holds bytes that are not UTF-8 text") from None
    return text


DEFAULT_THREADS = "OPENBLAS_DEFAULT_NUM_THREADS"  # what OpenBLAS takes where none of these is set
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
SMALL = 20_000_000  # parameters up to which one thread is enough


def blas_threads() -> int | str:
    """The number of threads that the BLAS uses; a note if it cannot be queried."""
    count = threads.blas_threads()
    return "unknown (NumPy's BLAS is not the OpenBLAS that comes with it)" if count is None else count


def count_parameters(config: BlenderbotSmallConfig) -> int:
    """Count the parameters of a configuration as `num_parameters` does, without its weights.

    >>> from npblender.config import BlenderbotSmallConfig
    >>> count_parameters(BlenderbotSmallConfig(vocab_size=54944))
    87508992
    """
    from npblender.transformer.parameters import LOGITS_BIAS, expected_shapes

    return sum(prod(shape) for name, shape in expected_shapes(config).items() if name != LOGITS_BIAS)


def suit_threads(parameters: int, environment: Mapping[str, str] = os.environ) -> None:
    """Give a small model one thread, and a large one all, unless the user has set a number or the BLAS has no switch.

    There are all already, but for `chat --say`, which begins with one (see `npblender.__main__`).
    """
    if any(name in environment for name in THREAD_VARIABLES):
        return
    if parameters <= SMALL:
        threads.set_blas_threads(1)
    elif threads.blas_threads() == 1 and DEFAULT_THREADS not in environment:
        threads.wake_blas_threads()
