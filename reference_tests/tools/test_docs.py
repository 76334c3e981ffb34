"""README.md and docs/: what a page points to exists; each says first for whom it is and how long it takes."""

import re
from pathlib import Path

import pytest

from tools.docs import api, house, links
from tools.docs.tables import between_markers

PAGES = links.pages()
HEAD = re.compile(r"^\*For [^*]+; [^*]*\b\d+ minutes?\b[^*]*\.\*$", re.MULTILINE)
IN_FORCE = [page for page in PAGES if links.ROOT / ".github" not in page.parents]


def names(pages: list[Path]) -> list[str]:
    return [page.relative_to(links.ROOT).as_posix() for page in pages]


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_what_a_page_points_to_exists(page: Path) -> None:
    assert links.broken(page) == []


@pytest.mark.parametrize("page", IN_FORCE, ids=names(IN_FORCE))
def test_a_page_says_for_whom_it_is_and_how_long_it_takes(page: Path) -> None:
    before_first_part = page.read_text(encoding="utf-8").partition("\n## ")[0]
    assert HEAD.search(before_first_part), "a line in italics below the title: *For porters; 10 minutes.*"


def test_what_does_not_exist_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    (page.parent / "other.md").write_text("# A title\n## Same\n## Same\n", encoding="utf-8")
    page.write_text(
        "[a](other.md) [b](other.md#a-title) [c](other.md#same-1) [d](#here) [e](https://example.org)\n"
        "[f](gone.md) [g](other.md#gone) [h](#gone) `docs/other.md` `docs/gone.py` `docs/{other,gone}.md`\n"
        "`python -m tools.docs.gone`\n\n## Here\n\n```md\n[i](shown.md)\n```\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(links, "ROOT", tmp_path)
    assert links.broken(page) == [
        "the link gone.md: there is no such file",
        "the link other.md#gone: there is no such heading",
        "the link #gone: there is no such heading",
        "the path docs/gone.py: there is no such file",
        "the path docs/gone.md: there is no such file",
        "python -m tools.docs.gone: there is no such module",
    ]


def test_every_page_is_linked_from_another() -> None:
    linked = set()
    for page in PAGES:
        for target in links.LINK.findall(page.read_text(encoding="utf-8")):
            linked.add((page.parent / target.partition("#")[0]).resolve())
    assert [name for page, name in zip(IN_FORCE, names(IN_FORCE), strict=True) if page not in linked] == ["README.md"]


def test_the_map_has_every_room_and_no_other() -> None:
    assert sorted(house.README) == sorted(house.folders())
    rows = between_markers(house.ROOT / "README.md", "map")
    assert re.findall(r"`npblender/(\w+)/`", rows) == list(house.README)


def test_the_page_shows_who_imports_whom() -> None:
    page = house.ROOT / "docs" / "architecture.md"
    assert between_markers(page, "imports") == house.imports(), "run python -m tools house --write-docs"


def test_an_import_against_the_order_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    order = house.rooms()
    monkeypatch.setattr(house, "rooms", lambda: order[::-1])
    with pytest.raises(ValueError, match="come later in ROOMS"):
        house.imports()


def test_the_reference_has_every_public_name() -> None:
    import npblender

    found = set(re.findall(r"^### `([\w.]+)`$", api.page(), re.MULTILINE))
    assert set(npblender.__all__) - found == set()
    assert {"softmax", "attend", "encoder_layer", "decoder_layer", "verify_pack", "score"} <= found


def test_an_entry_has_signature_sentence_and_errors() -> None:
    entry = api.page().partition("### `gelu`\n")[2].partition("###")[0]
    assert "gelu(x: npt.ArrayLike) -> FloatArray" in entry
    assert "Raises TypeError" in entry
