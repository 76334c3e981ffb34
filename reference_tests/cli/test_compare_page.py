"""The page of `npblender compare --html`: one file, a picture of every point, and nothing breaks out of it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from npblender.groundtruth import Trace
from reference_tests.support.cli_runs import run_cli
from reference_tests.support.compared import FFN, reference, write_files


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files to compare. Do not write to it."""
    return write_files(tmp_path_factory.mktemp("compare"))


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page(folder: Path, tmp_path: Path) -> None:
    """One file that loads nothing, whose names cannot break out, with a picture of every point."""
    page = tmp_path / "report.html"
    result = run_cli("compare", folder / "ref", folder / "wrong", "--html", page)
    assert result.code == 1
    assert result.lines[0].startswith("DIVERGED")
    content = page.read_text(encoding="utf-8")
    parsed = Page(content)
    assert not {"script", "link", "img", "iframe", "object", "b"} & set(parsed.tags)
    assert not {"src", "href", "onclick"} & {name for name, _ in parsed.attributes}
    assert not re.search(r"https?:|url\(|@import|\x1b", content)
    assert r"x<b>\x1b[31m" in parsed.text
    assert f"Diverged at {FFN}.activation" in parsed.text
    picture = ElementTree.fromstring(content[content.index("<svg") : content.index("</svg>") + 6])
    dots = picture.findall("circle")
    kinds = [dot.get("class") for dot in dots]
    assert len(dots) == len(reference().points)
    assert (kinds.count("bad"), kinds.count("gap")) == (4, 1)
    places = [float(dot.get("cx", "")) for dot in dots]
    assert places == sorted(places)
    heights = {str(dot.findtext("title")).partition(":")[0]: float(dot.get("cy", "")) for dot in dots}
    assert heights["logits"] < heights["encoder.embed.norm"], "more units stand higher"
    width = float(picture.get("width", ""))
    assert all(0 < place < width for place in places)
    assert len(picture.findall("line[@class='limit']")) == 2
    assert len(picture.findall("line[@class='first']")) == 1
    for name in reference().points:
        assert f"<td>{name}</td>" in content


def test_nothing_breaks_out_of_the_page(tmp_path: Path) -> None:
    """Names of points, of arrays and of files, each as bad as can be."""
    bad = "<script>'\"&\x1b"
    Trace({f"{bad}1": np.ones(2), f"{bad}2": np.ones(2)}, dtype="float64").save(tmp_path / "a<i>b")
    np.savez(tmp_path / "mine.npz", **{f"{bad}1": np.zeros(2), f"{bad}3": np.ones(2)})
    page = tmp_path / "page.html"
    arguments = (tmp_path / "a<i>b", tmp_path / "mine.npz", "--html", page)
    assert run_cli("compare", *arguments).code == 1
    content = page.read_text(encoding="utf-8")
    assert not re.search(r"<script|<i>|\x1b", content)
    parsed = Page(content)
    assert parsed.text.count(bad.replace("\x1b", r"\x1b")) >= 6
    ElementTree.fromstring(content[content.index("<svg") : content.index("</svg>") + 6])
