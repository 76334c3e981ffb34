"""`npblender explain TEXT --out page.html`: how the reply came about, as one page for a browser.

With --trace the page shows what a trace recorded; with --other, where a port's numbers part from it.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from npblender.cli.files import check_output
from npblender.cli.options import (
    add_reply_options,
    check_text,
    conversation_of,
    refuse_options,
    search_settings,
    suit_threads,
)
from npblender.common.printable import printable, shown

if TYPE_CHECKING:
    from npblender.chat.explanation import Explanation

EPILOG = """The page is one file: it needs no network and no other file, and a browser shows it as it is. What is too
large for it is left out, which the page says. The options of a reply are those of npblender chat."""

OF_REPLIES = (
    *("dialect", "dtype", "profile", "persona", "block", "seed"),
    *("greedy", "sample", "beams", "temperature", "top_k", "set"),
)
"""Options that a trace has no use for."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    parser.add_argument("text", nargs="*", metavar="TEXT", help="what is said; behind -- if it begins with a dash")
    parser.add_argument("--out", required=True, metavar="FILE", help="the page to write")
    parser.add_argument(
        "--load", metavar="FILE", help="a saved conversation: TEXT goes on with it; without TEXT its last reply"
    )
    parser.add_argument("--no-others", action="store_true", help="leave the other dialects out")
    parser.add_argument("--trace", metavar="FILE", help="what npblender trace wrote, in place of TEXT")
    parser.add_argument("--other", metavar="FILE", help="the port's arrays of the same run, by name")
    parser.add_argument("--map", metavar="NAMES", help="a JSON file of patterns for the port's names, as for compare")
    parser.add_argument("--row", type=int, metavar="N", help="which row of the traced batch (default: 0)")
    add_reply_options(parser)
    parser.set_defaults(defaults={name: parser.get_default(name) for name in OF_REPLIES})


def run(arguments: argparse.Namespace) -> None:
    """Write the page."""
    inputs = (arguments.trace, arguments.other, arguments.map, arguments.load)
    if check_output("--out", arguments.out, inputs).suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--out {arguments.out}: the page is an HTML file; give it the ending .html")
    found = explain_text(arguments) if arguments.trace is None else explain_file(arguments)
    found.save(arguments.out)
    (first, *_) = found.runs
    said = found.compared.verdict if found.compared is not None else f"the reply {shown(getattr(first, 'reply', ''))}"
    print(printable(f"{arguments.out}: {said}"))


def explain_text(arguments: argparse.Namespace) -> Explanation:
    """Reply to the text, in a conversation of its own or in a saved one, and explain the reply."""
    for option in ("other", "map", "row"):
        if getattr(arguments, option) is not None:
            raise ValueError(f"--{option} belongs to --trace, which is missing")
    text = check_text("TEXT", " ".join(arguments.text))
    if not text.strip() and arguments.load is None:
        raise ValueError("give a text to reply to, such as npblender explain 'hello there' --out page.html")
    conversation = conversation_of(arguments)
    if arguments.load is not None:
        conversation.load(arguments.load)
        conversation.configure(**search_settings(arguments))
    if text.strip():
        conversation.reply(text)
    return conversation.explain(dialects=() if arguments.no_others else None)


def explain_file(arguments: argparse.Namespace) -> Explanation:
    """Explain a trace, with the words of the model's folder where the trace is of that model."""
    from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer, demo
    from npblender.config import BlenderbotSmallConfig
    from npblender.groundtruth import Trace, explain_trace

    given = [name for name in OF_REPLIES if getattr(arguments, name) != arguments.defaults[name]]
    for option in (*(["TEXT"] if arguments.text else []), *(f"--{name.replace('_', '-')}" for name in given)):
        raise ValueError(f"--trace shows what was recorded, without a search: leave out {option}")
    why = "--trace shows what was recorded, without other dialects"
    refuse_options(why, arguments, ("load", "no_others"))
    trace = Trace.load(arguments.trace)
    folder = arguments.model
    if folder is None and BlenderbotSmallConfig.from_pretrained(demo.folder()).to_dict() == trace.config:
        folder = demo.folder()
    model = tokenizer = None
    if folder is not None:
        model = BlenderbotSmallForConditionalGeneration.from_pretrained(folder, allow_pickle=arguments.allow_pickle)
        suit_threads(model.num_parameters())
        tokenizer = BlenderbotSmallTokenizer.from_pretrained(folder)
    return explain_trace(
        arguments.trace, arguments.other, model=model, tokenizer=tokenizer, names=arguments.map, row=arguments.row or 0
    )
