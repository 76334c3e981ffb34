"""The pages as Sphinx takes them, in the layout of the repository: README.md is the index, the rest keeps its place.

A link to a file of code becomes one to that file's page (`code_pages`), a link to a line one to the line's anchor.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from tools import ROOT
from tools.docs import links
from tools.docs.book import BOOK, path_of

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
IMAGE = re.compile(r'<img src="([^"]+)"[^>]*? alt="([^"]*)"[^>]*>')
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
IMAGES = (".svg", ".png")
INDEX = "index.md"


def place_of(file: Path) -> Path:
    """Where a file of the repository is in the site's source: README.md is the index."""
    relative = file.resolve().relative_to(ROOT)
    return Path(INDEX) if relative == Path("README.md") else relative


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """The text, changed between its blocks of code and words of code that look like a link.

    >>> outside_code("a `[a](a)` a", str.upper)
    'A `[a](a)` A'
    """
    parts, at = [], 0
    for match in CODE.finditer(text):
        if "](" not in match[0]:
            continue  # a label may hold code
        parts += [change(text[at : match.start()]), match[0]]
        at = match.end()
    return "".join([*parts, change(text[at:])])


def with_links(text: str, page: Path, linked: set[Path]) -> str:
    """A page's text with links as the site has them; the files of code and images that it links to go into `linked`."""
    here = place_of(page).parent

    def replaced(match: re.Match[str]) -> str:
        mark, label, target = match.groups()
        path, _, part = target.partition("#")
        if re.match(r"[a-z]+:", target) or not path:
            return match[0]
        file = (page.parent / path).resolve()
        if file.is_dir() or not file.is_relative_to(ROOT):
            return label
        there = Path(os.path.relpath(place_of(file), here)).as_posix()
        if file.suffix == ".md":
            return f"{mark}[{label}]({there}{'#' * bool(part)}{part})"
        linked.add(file)
        if file.suffix in IMAGES:
            return f"{mark}[{label}]({there})"
        anchor = f"#L-{part[1:]}" if re.fullmatch(r"L\d+", part) else ""
        return f'<a class="code-link" href="{there}.html{anchor}">{label}</a>'

    def with_images(part: str) -> str:  # Sphinx copies what Markdown shows, not what HTML does
        return IMAGE.sub(lambda match: f"![{' '.join(match[2].split())}]({match[1]})", part)

    return outside_code(text, lambda part: LINK.sub(replaced, with_images(part)))


def pages() -> list[Path]:
    """Every page of the site that stands in the repository: README, docs/, and what these link to elsewhere."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for page in found:  # which grows while it is read
        for target in links.LINK.findall(links.FENCED.sub("", page.read_text(encoding="utf-8"))):
            file = (page.parent / target.partition("#")[0]).resolve()
            if file.suffix == ".md" and file.is_file() and file.is_relative_to(ROOT) and file not in found:
                found.append(file)
    return found


def contents(reference: list[str]) -> str:
    """The table of contents at the end of the index: the parts of the book, and the pages of the API reference."""
    parts = [f"To {part}" for part in BOOK]
    listed = [[place_of(path_of(name)).as_posix().removesuffix(".md") for name in names] for names in BOOK.values()]
    listed[0].insert(0, "docs/README")
    every = [place_of(page).as_posix().removesuffix(".md") for page in pages()]
    rest = [name for name in every if name != "index" and not any(name in names for names in listed)]
    trees = [*zip(parts, listed, strict=True), ("API, whole docstrings", reference), ("Elsewhere", rest)]
    return "\n".join(
        f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(names) + "\n```\n" for caption, names in trees
    )
