"""`npblender explain TEXT --out page.html`: how the reply came about, as one page for a browser.

With --trace the page shows what a trace recorded; with --other, where a port's numbers part from it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npblender.cli.options import (
    add_model_options,
    add_pickle_option,
    add_reply_options,
    block_phrases,
    check_text,
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


def add_parser(commands: Any, summary: str) -> None:
    """Add the subcommand's options."""
    parser = commands.add_parser("explain", help=summary, description=__doc__, epilog=EPILOG)
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
    add_model_options(parser)
    add_pickle_option(parser)
    add_reply_options(parser)
    parser.set_defaults(run=run, command="explain", defaults={name: parser.get_default(name) for name in OF_REPLIES})


def run(arguments: argparse.Namespace) -> int:
    """Write the page."""
    check_page(arguments)
    found = explain_text(arguments) if arguments.trace is None else explain_file(arguments)
    found.save(arguments.out)
    (first, *_) = found.runs
    said = found.compared.verdict if found.compared is not None else f"the reply {shown(getattr(first, 'reply', ''))}"
    print(printable(f"{arguments.out}: {said}"))
    return 0


def explain_text(arguments: argparse.Namespace) -> Explanation:
    """Reply to the text, in a conversation of its own or in a saved one, and explain the reply."""
    from npblender.chat import Conversation

    for option in ("other", "map", "row"):
        if getattr(arguments, option) is not None:
            raise ValueError(f"--{option} belongs to --trace, which is missing")
    text = check_text("TEXT", " ".join(arguments.text))
    if not text.strip() and arguments.load is None:
        raise ValueError("give a text to reply to, such as npblender explain 'hello there' --out page.html")
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
    for option, value in (("--load", arguments.load), ("--no-others", arguments.no_others)):
        if value:
            raise ValueError(f"--trace shows what was recorded, without other dialects: leave out {option}")
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


def check_page(arguments: argparse.Namespace) -> None:
    """Refuse, before anything is computed, a page that cannot be written or would overwrite an input."""
    path = Path(arguments.out)
    if path.is_dir() or not path.name:
        raise ValueError(f"--out {arguments.out} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise ValueError(f"--out {arguments.out}: there is no folder {str(path.parent)!r}")
    for name in (arguments.trace, arguments.other, arguments.map, arguments.load):
        if name is not None and path.exists() and Path(name).exists() and path.samefile(name):
            raise ValueError(f"--out {arguments.out} is {name} itself; name another file")
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--out {arguments.out}: the page is an HTML file; give it the ending .html")
