"""What shells know of `npblender`: completions for bash, zsh and fish, and the manual page, made of its parser.

    python -m tools shell            # write them into npblender/cli/shell/
    python -m tools shell --check    # exit 1 where one of them is not what the parser says

Made by shtab and argparse-manpage, which the extra `dev` holds; without them nothing can be checked here, and the
status is 0.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec

from npblender.cli.main import COMPLETIONS, make_parser
from tools import ROOT

FOLDER = ROOT / "npblender" / "cli" / "shell"
MANUAL = "npblender.1"
FILES, FOLDERS = {"FILE", "REF", "MINE"}, {"FOLDER", "DIR", "OUT", "SRC", "DST"}
"""How arguments are called that are paths."""
MADE_WITH = ("shtab", "argparse_manpage")


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser, and all of its subcommands.

    >>> [each.prog for each in parsers(make_parser([], every=True))][:2]
    ['npblender', 'npblender chat']
    """
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from parsers(inner)


def completed() -> argparse.ArgumentParser:
    """The whole parser, whose arguments that are paths are completed as such."""
    import shtab

    whole = make_parser([], every=True)
    for parser in parsers(whole):
        for action in parser._actions:
            if action.metavar in FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif action.metavar in FOLDERS:
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    return whole


def made() -> dict[str, str]:
    """The text of every file, by its name."""
    os.environ["COLUMNS"] = "80"  # for the lines that argparse breaks
    import shtab
    from argparse_manpage.manpage import Manpage

    texts = {name: shtab.complete(completed(), shell) for shell, name in COMPLETIONS.items()}
    page = Manpage(make_parser([], every=True), format="single-commands-section")
    page.date, page.manual, page.description = "", "User commands", "BlenderbotSmall in NumPy"
    texts[MANUAL] = str(page).replace("POSITIONAL ARGUMENTS", "COMMANDS", 1)
    return {name: "\n".join(line.rstrip() for line in text.rstrip().split("\n")) + "\n" for name, text in texts.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is another")
    check = parser.parse_args().check
    missing = [name for name in MADE_WITH if find_spec(name) is None]
    if missing:
        print(f"not checked: pip install '.[dev]' brings {', '.join(missing)}")
        return 0 if check else 1
    stale = []
    for name, text in made().items():
        path = FOLDER / name
        if check and not (path.is_file() and path.read_text(encoding="utf-8") == text):
            stale.append(name)
        elif not check:
            FOLDER.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"{', '.join(stale)}: not what the parser says; run python -m tools shell")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
