"""Options that several subcommands share, and what they mean for the library."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from npblender.chat.blocklist import read_phrases
from npblender.chat.history import PROFILES
from npblender.config.dialect import DIALECTS


def whole_number(text: str) -> int:
    """A number of things: at least 1."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 1 or more")
    return number


def seed_number(text: str) -> int:
    """A seed: 0 or more."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 0 or more")
    return int(text)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """--model and --dialect."""
    parser.add_argument("--model", metavar="FOLDER", help="the model's folder (default: the demo in this package)")
    parser.add_argument(
        "--dialect",
        choices=[dialect.name for dialect in DIALECTS],
        help="which original to follow (default: what the folder says, else parlai)",
    )


def add_reply_options(parser: argparse.ArgumentParser) -> None:
    """Everything that shapes a reply."""
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
    parser.add_argument("--seed", type=seed_number, metavar="N", help="make --sample repeatable")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any setting of the search, such as min_length=5; repeatable",
    )


def search_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings of the search that the arguments name.

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
    for assignment in arguments.set:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set takes NAME=VALUE, such as min_length=5, not {assignment!r}")
        if name in settings:
            raise ValueError(f"--set {name} says again what another option says; leave one of them out")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    if arguments.sample:
        settings.setdefault("num_beams", 1)  # one path, so that words can be streamed, whatever the model's files say
    return settings


def block_phrases(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The phrases of --block's file.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it is not UTF-8 text.
    """
    if arguments.block is None:
        return ()
    try:
        return read_phrases(Path(arguments.block).read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise FileNotFoundError(f"--block: there is no file {arguments.block!r}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"--block: {arguments.block} is not UTF-8 text ({error.reason})") from error


def check_text(option: str, text: str) -> str:
    """A text of the command line, refused where its bytes are no text.

    >>> check_text("--say", "caf\\udce9")
    Traceback (most recent call last):
    ValueError: --say holds bytes that are not UTF-8 text
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"{option} holds bytes that are not UTF-8 text") from None
    return text
