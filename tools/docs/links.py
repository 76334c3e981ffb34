"""What README.md and the pages of docs/ and .github/ point to exists: links, their anchors, paths, modules of commands.

    python -m tools links    # print what is broken; exit 1 if anything is

A page points by a Markdown link, by a path from the repository's root (`npblender/ops/gelu.py`), or by a command like
`python -m tools links`. Links to the web are not followed. Needs Python only.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tools import ROOT

LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(
    r"(?<![\w./~<-])((?:npblender|reference_tests|tools|docs|\.ci|\.github)/[\w./{},*-]*[\w}*/]|(?<=`)\.\w[\w.-]*\.ya?ml)"
)
RUN_AS_MODULE = re.compile(r"python3? -m (tools(?:\.\w+)*)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def pages() -> list[Path]:
    """README.md, the pages of docs/ and those of .github/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / ".github").rglob("*.md"))]


def anchor(heading: str) -> str:
    """What GitHub makes of a heading, for a link to it.

    >>> anchor("Every known fault, and its `signature`")
    'every-known-fault-and-its-signature'
    """
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, repeated ones numbered as GitHub does."""
    counts: dict[str, int] = {}
    found = set()
    for match in HEADING.finditer(FENCED.sub("", page.read_text(encoding="utf-8"))):
        name = anchor(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match[1]))
        found.add(f"{name}-{counts[name]}" if name in counts else name)
        counts[name] = counts.get(name, 0) + 1
    return found


def broken_links(page: Path) -> Iterator[str]:
    """The relative links of a page that lead nowhere."""
    for target in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, part = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists():
            yield f"the link {target}: there is no such file"
        elif part and re.fullmatch(r"L\d+", part) and there.suffix == ".py":
            if int(part[1:]) > len(there.read_text(encoding="utf-8").splitlines()):
                yield f"the link {target}: the file is shorter"
        elif part and (there.suffix != ".md" or part not in anchors(there)):
            yield f"the link {target}: there is no such heading"


def expanded(path: str) -> Iterator[str]:
    """A path with alternatives in braces, as a shell reads it.

    >>> list(expanded("docs/{chat,ops}.md"))
    ['docs/chat.md', 'docs/ops.md']
    """
    match = re.search(r"\{([^{}]*)\}", path)
    if match is None:
        yield path
        return
    for choice in match[1].split(","):
        yield from expanded(path[: match.start()] + choice + path[match.end() :])


def broken_paths(page: Path) -> Iterator[str]:
    """Paths from the repository's root that a page names and that do not exist."""
    for match in sorted(set(PATH.findall(page.read_text(encoding="utf-8")))):
        for path in expanded(match):
            if not (any(ROOT.glob(path)) if "*" in path else (ROOT / path).exists()):
                yield f"the path {path}: there is no such file"


def is_module(name: str) -> bool:
    """Whether a dotted name is a module of the repository, found without running it."""
    place = ROOT.joinpath(*name.split("."))
    return place.is_dir() or place.with_suffix(".py").exists()


def broken_commands(page: Path) -> Iterator[str]:
    """Modules that a page runs with `python -m` and that do not exist."""
    for name in sorted(set(RUN_AS_MODULE.findall(page.read_text(encoding="utf-8")))):
        if not is_module(name):
            yield f"python -m {name}: there is no such module"


def broken(page: Path) -> list[str]:
    """Everything in a page that points nowhere."""
    return [*broken_links(page), *broken_paths(page), *broken_commands(page)]


def main() -> int:
    found = [f"{page.relative_to(ROOT)}: {each}" for page in pages() for each in broken(page)]
    print("\n".join(found) if found else f"{len(pages())} pages: everything they point to exists")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
