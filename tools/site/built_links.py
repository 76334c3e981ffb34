"""Whether every link of the built site leads to a file of it, and every anchor to a place in that file."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page of HTML links to, and the anchors that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = {""}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value is not None and name in ("href", "src"):
                self.targets.append(value)
            elif value is not None and name in ("id", "name"):
                self.anchors.add(value)


@cache
def read(path: Path) -> Page:
    """A page's links and anchors, read once."""
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def broken(site: Path) -> Iterator[str]:
    """The links within a built site that lead nowhere, a line each. Links to the web are not followed."""
    for path in sorted(site.rglob("*.html")):
        for target in read(path).targets:
            url = urlsplit(target)
            if url.scheme or url.netloc or not (url.path or url.fragment):
                continue
            there = (path.parent / unquote(url.path)).resolve() if url.path else path
            there = there / "index.html" if there.is_dir() else there
            if not there.is_file():
                yield f"{path.relative_to(site)}: {target}: there is no such file"
            elif there.suffix == ".html" and unquote(url.fragment) not in read(there).anchors:
                yield f"{path.relative_to(site)}: {target}: there is no such place in it"
