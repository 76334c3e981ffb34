"""docs/README.md, the order in which to read the pages, and the numbers of the lines that docs/questions.md points to.

    python -m tools book                 # print the order
    python -m tools book --write-docs    # put it into docs/README.md, and find the lines of docs/questions.md again
    python -m tools book --check         # exit 1 where a page says anything else

What a page is called and how long it takes stands in the page itself. A link to a line of code is followed by the
line: [NAME, line 49](PATH#L49): `the code`. Needs Python only.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from tools import ROOT
from tools.docs.tables import between_markers, markdown, write_between_markers

DOCS = ROOT / "docs"
PAGE, QUESTIONS = DOCS / "README.md", DOCS / "questions.md"

BOOK: Mapping[str, Mapping[str, str]] = {
    "read": {
        "one-page": "all of it in 80 lines of NumPy, each line with what the package adds",
        "walkthrough": "one reply, every number on the way, and a reason for each step",
        "explain": "a page that shows how a reply of your own came about",
        "tokenizer": "text to ids: two ways of cutting, and the merges",
        "steps/README": "from one head to batch, cache and beams, eight small programs",
        "beam-search": "one search, beam by beam, and two ways to rank what it finds",
        "training": "what a loss is, and how the demo got its weights",
        "exercises": "ten tasks with a grader, seven mistakes to predict",
        "solutions/README": "of the exercises",
        "dialects": "where ParlAI and both transformers disagree",
        "decisions": "why things are as they are",
        "questions": "twenty questions, with the lines that answer them",
    },
    "port": {
        "porting": "from an empty file to a port that is right, number by number",
        "points": "every intermediate by name, with its shape",
        "golden-packs": "trusted numbers for every level, in files",
        "single-operations": "each operation alone, fed with right inputs",
        "numbers-you-can-trust": "how the numbers and their noise are known",
        "port-example/README": "a port to JavaScript, with its mistakes",
        "ops": "the elementary operations and their errors",
        "performance": "what is fast, and why",
    },
    "use": {
        "chat": "conversations, and the command line",
        "generation": "searches and every setting",
        "from-transformers": "what people write, and what to write instead",
        "from-parlai": "commands and every option",
        "checkpoints": "files of every format",
        "clusters": "many replies on many machines",
        "server": "replies over HTTP, and a page to chat in",
        "recipes": "pandas, a notebook, a bot, threads, Dask, a container",
        "onnx": "the model as a graph",
        "fast-tokenizer": "the tokenizer in Rust and JavaScript",
        "security": "files of others",
    },
    "look up": {
        "glossary": "each word has one meaning",
        "api": "every public name",
        "architecture": "the house, and what to touch for a change",
        "differential": "the proofs beside the originals",
    },
    "take part": {
        "contributing": "commands and habits",
        "changelog": "what has changed",
        "deprecation": "what may change",
    },
}
"""All pages of docs/, by what they are for, in the order in which to read them."""

HEAD = re.compile(r"^\*For .+; (.+)\.\*$", re.MULTILINE)
TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
LINE = re.compile(r"\[([\w.]+), line \d+\]\((\S+?)#L\d+\): `([^`]+)`")


def path_of(name: str) -> Path:
    """The file of a page of the book."""
    return DOCS / f"{name}.md"


def title_and_time(page: Path) -> tuple[str, str]:
    """A page's title and the time that it says it takes. ValueError if it lacks one of them."""
    text = page.read_text(encoding="utf-8")
    title, head = TITLE.search(text), HEAD.search(text)
    if title is None or head is None:
        raise ValueError(f"{page.name} needs a title and, below it, for whom it is and how long it takes")
    return title[1], head[1]


def order() -> str:
    """The tables of docs/README.md, one for each part of the book."""
    text = []
    for part, pages in BOOK.items():
        rows = []
        for number, (name, says) in enumerate(pages.items(), start=1):
            title, time = title_and_time(path_of(name))
            rows.append([str(number), f"[{title}]({name}.md)", says, time])
        text.append(f"## To {part}\n\n{markdown(['no.', 'page', 'what is in it', 'time'], rows)}")
    return "\n".join(text)


def with_lines_found(page: Path) -> str:
    """A page whose links to lines of code have the numbers of the lines that hold the code behind them.

    Raises ValueError where a file does not hold the code in exactly one line.
    """

    def found(match: re.Match[str]) -> str:
        name, target, code = match.groups()
        lines = (page.parent / target).read_text(encoding="utf-8").splitlines()
        places = [number for number, line in enumerate(lines, start=1) if code in line]
        if len(places) != 1:
            raise ValueError(f"{page.name}: {target} has `{code}` in {len(places)} lines, not in one")
        return f"[{name}, line {places[0]}]({target}#L{places[0]}): `{code}`"

    return LINE.sub(found, page.read_text(encoding="utf-8"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write-docs", action="store_true", help="write both pages")
    what.add_argument("--check", action="store_true", help="exit 1 where a page has something else")
    arguments = parser.parse_args()
    if arguments.write_docs:
        write_between_markers(PAGE, "book", order())
        QUESTIONS.write_text(with_lines_found(QUESTIONS), encoding="utf-8")
    elif arguments.check:
        stale = [PAGE.name] if between_markers(PAGE, "book") != order() else []
        stale += [QUESTIONS.name] if QUESTIONS.read_text(encoding="utf-8") != with_lines_found(QUESTIONS) else []
        if stale:
            print(f"not what the pages and the code say: {', '.join(stale)}. Run python -m tools book --write-docs")
        return 1 if stale else 0
    else:
        print(order())
    return 0


if __name__ == "__main__":
    sys.exit(main())
