"""The pictures of docs/pictures/: well-formed, of themselves, in light and dark, and drawn from the catalogue."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from npblender.groundtruth.tracing.points import DECODER_EMBEDDING, ENCODER_EMBEDDING, decoder_points, encoder_points
from tools.pictures import measured
from tools.pictures.architecture import draw_model
from tools.pictures.draw import FOLDER, PICTURES
from tools.pictures.svg import WIDTH, Picture

SVG = "{http://www.w3.org/2000/svg}"
STORED = sorted(FOLDER.glob("*.svg"))


def texts(picture: str) -> list[str]:
    return [each.text or "" for each in ET.fromstring(picture).iter(f"{SVG}text")]


def test_every_picture_is_stored() -> None:
    expected = set(PICTURES) - ({"training.svg"} if not measured.CURVE.is_file() else set())
    assert {path.name for path in STORED} == expected


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.name)
def test_a_picture_needs_nothing_and_says_what_it_shows(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    root = ET.fromstring(text)
    assert root.get("role") == "img"
    assert [root.find(f"{SVG}{name}") is not None for name in ("title", "desc")] == [True, True]
    assert "prefers-color-scheme:dark" in text
    assert not re.search(r"href|url\((?!#tip\))|@import|<script|<image|https?://(?!www\.w3\.org/2000/svg)", text)
    assert len(text) < 30_000


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.name)
def test_it_is_no_wider_than_a_phone_and_nothing_leaves_it(path: Path) -> None:
    root = ET.fromstring(path.read_text(encoding="utf-8"))
    height = float(root.get("height", "0"))
    assert root.get("width") == str(WIDTH) == "400"
    for each in root.iter():
        if each.tag in (f"{SVG}rect", f"{SVG}text"):
            x, y = float(each.get("x", "0")), float(each.get("y", "0"))
            assert 0 <= x + float(each.get("width", "0")) <= WIDTH
            assert 0 <= y + float(each.get("height", "0")) <= height


def test_the_model_is_drawn_from_the_catalogue() -> None:
    shown = texts(draw_model())
    for points, order in ((encoder_points(1), ENCODER_EMBEDDING), (decoder_points(1), DECODER_EMBEDDING)):
        for point in points:
            at = shown.index(point.name.split(".")[-1])
            assert f"[{', '.join(point.axes.split())}]" in shown
            assert at >= 0
        assert [name for name in shown if name in order][: len(order)] or order
    names = [text for text in shown if not text.startswith("[")]
    first, second = names.index("Encoder"), names.index("Decoder")
    assert names[first + 2 : first + 8] == list(ENCODER_EMBEDDING)
    assert names[second + 2 : second + 8] == list(DECODER_EMBEDDING)


def test_a_curve_is_drawn_where_one_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "CURVE", tmp_path / "curve.json")
    assert measured.draw_curve() is None
    (tmp_path / "curve.json").write_text('{"steps": [1, 9], "training": [4.5, 2.25], "held_out": [[0, 5.1], [9, 2.5]]}')
    picture = measured.draw_curve()
    assert picture is not None
    description = ET.fromstring(picture).find(f"{SVG}desc")
    assert description is not None
    assert "At the end 2.25 and 2.50." in (description.text or "")
    assert {"2", "6", "9 steps"} <= set(texts(picture))


def test_texts_are_escaped() -> None:
    picture = Picture("a < b", "\"&'")
    picture.text(1, 2, "</svg><script>")
    assert texts(picture.finished(9)) == ["</svg><script>"]
