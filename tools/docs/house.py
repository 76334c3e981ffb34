"""The parts of README.md and docs/architecture.md that are drawn from the code: rooms, modules, imports, minutes.

    python -m tools house                 # print them
    python -m tools house --write-docs    # put them into the two pages
    python -m tools house --check         # exit 1 where a page says anything else

The order of the rooms is `ROOMS` of reference_tests/test_structure.py, which the tests enforce; the line of a module is
the first sentence of its docstring; minutes are lines that are not blank, thirty a minute. Needs Python only.
"""

from __future__ import annotations

import argparse
import ast
import math
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools import ROOT
from tools.docs.tables import between_markers, markdown, write_between_markers

PACKAGE = ROOT / "npblender"
STRUCTURE = ROOT / "reference_tests" / "test_structure.py"
LINES_A_MINUTE = 30

README: Mapping[str, str] = {
    "tokenizer": "text to ids and back: two ways of cutting text, byte-pair encoding",
    "transformer": "the model: masks, attention, encoder, decoder, cache, one forward pass",
    "ops": "softmax, layer norm, GELU, linear maps, each with its error bound; `packed/` makes them fast",
    "generation": "settings to a plan, logits processors, searches, streaming",
    "config": "`BlenderbotSmallConfig`, `GenerationConfig`, and the dialects: where the originals disagree",
    "models": "the public classes, with the names and arguments of transformers",
    "checkpoint": "safetensors in and out, parameter names of every original",
    "chat": "conversations, their history and persona; `batch/`, `serve/`: many replies; `explanation/`: one",
    "cli": "the command line, one file a subcommand",
    "groundtruth": "traces, noise, comparison and golden packs, for porters",
    "common": "array types, checks of one value, JSON files",
    "demo": "the small model that comes with the package, and its card",
}
"""The rooms in the order in which to read them, with what README says of each."""


def rooms() -> list[str]:
    """The order in which rooms may import each other, as the tests have it."""
    for node in ast.parse(STRUCTURE.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "ROOMS" for t in node.targets):
            return list(ast.literal_eval(node.value))
    raise ValueError("reference_tests/test_structure.py has no list ROOMS")


def folders() -> list[str]:
    """The rooms that are folders."""
    return [room for room in rooms() if not room.startswith("__")]


def files_of(room: str) -> list[Path]:
    """The Python files of a room: its face first, then those beside it, then folders inside."""
    place = PACKAGE / room
    if not place.is_dir():
        return [place.with_suffix(".py")]
    return sorted(place.rglob("*.py"), key=lambda path: (path.parent != place, str(path.parent), path.name))


def lines_of(path: Path) -> int:
    """How many lines of a file are not blank."""
    return sum(bool(line.strip()) for line in path.read_text(encoding="utf-8").splitlines())


def minutes(lines: int) -> int:
    """How long it takes to read so many lines.

    >>> minutes(1), minutes(30), minutes(31)
    (1, 1, 2)
    """
    return max(1, math.ceil(lines / LINES_A_MINUTE))


def first_sentence(path: Path) -> str:
    """The first sentence of a module's docstring, without its full stop."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    return re.split(r"(?<!\bal)[.](?=\s|$)", paragraph)[0]


def readme_map() -> str:
    """README's table: a room a line, in reading order."""
    unknown = set(README) ^ set(folders())
    if unknown:
        raise ValueError(f"README's map and ROOMS disagree about {sorted(unknown)}")
    rows = []
    for number, (room, says) in enumerate(README.items(), start=1):
        files = files_of(room)
        lines = sum(map(lines_of, files))
        rows.append([str(number), f"`npblender/{room}/`", says, str(len(files)), str(minutes(lines))])
    return markdown(["no.", "place", "what is there", "files", "minutes"], rows)


def tree() -> str:
    """Every module of the package with its first sentence, room by room from the ground up."""
    lines = ["```text", "npblender/"]
    for room in rooms():
        if room.startswith("__"):
            lines.append(f"  {room}.py".ljust(34) + _short(first_sentence(PACKAGE / f"{room}.py"), 84))
            continue
        folder, last = PACKAGE / room, PACKAGE / room
        lines.append(f"  {room}/".ljust(34) + _short(first_sentence(folder / "__init__.py"), 84))
        for path in files_of(room):
            if path == folder / "__init__.py":
                continue
            depth = "    " + "  " * (len(path.relative_to(folder).parts) - 1)
            if path.name == "__init__.py":
                name, depth = f"{path.parent.name}/", depth[:-2]
            else:
                name = path.name
            last = path.parent
            lines.append(f"{depth}{name}".ljust(34) + _short(first_sentence(path), 84))
        assert last.is_dir()
    return "\n".join([*lines, "```"]) + "\n"


def _short(text: str, width: int) -> str:
    """The text, or its beginning up to a mark where all of it is too long for its line.

    >>> _short("one, two: three", 12)
    'one, two'
    """
    if len(text) <= width:
        return text
    marks = [match.start() for match in re.finditer(r"[:;,](?= )", text[: width + 1])]
    return text[: marks[-1]] if marks else f"{text[: width - 2].rsplit(' ', 1)[0]} ..."


def imported_rooms(room: str) -> set[str]:
    """The other rooms that the files of a room import, anywhere in them."""
    found = set()
    for path in files_of(room):
        for module in _imports(ast.parse(path.read_text(encoding="utf-8"))):
            found.add(module.partition(".")[0] or "__init__")
    return found - {room}


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "npblender":
            inside = (node.module or "").removeprefix("npblender").removeprefix(".")
            if inside:
                yield inside
            else:
                yield from (alias.name if (PACKAGE / alias.name).is_dir() else "" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name.removeprefix("npblender.") for alias in node.names if "npblender." in alias.name)


def imports() -> str:
    """A table: each room, and which of those before it, it imports."""
    order = rooms()
    rows = []
    for room in order:
        used = sorted(imported_rooms(room), key=order.index)
        below = order[: order.index(room)]
        if not set(used) <= set(below):
            raise ValueError(f"{room} imports {sorted(set(used) - set(below))}, which come later in ROOMS")
        rows.append([f"`{room}`", ", ".join(f"`{each}`" for each in used) or "nothing of the package"])
    return markdown(["room", "imports"], rows)


PARTS = {
    (ROOT / "README.md", "map"): readme_map,
    (ROOT / "docs" / "architecture.md", "tree"): tree,
    (ROOT / "docs" / "architecture.md", "imports"): imports,
}
"""The pages' parts, by page and by the name of their markers."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write-docs", action="store_true", help="put the parts into their pages")
    what.add_argument("--check", action="store_true", help="exit 1 where a page has something else")
    arguments = parser.parse_args()
    stale = []
    for (page, name), make in PARTS.items():
        text = make()
        if arguments.write_docs:
            write_between_markers(page, name, text)
        elif arguments.check:
            if between_markers(page, name) != text:
                stale.append(f"{page.relative_to(ROOT)}, part {name}")
        else:
            print(text)
    if stale:
        print(f"not what the code says: {'; '.join(stale)}. Run python -m tools house --write-docs")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
