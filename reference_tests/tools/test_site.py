"""The site and the notebooks: what is staged of the pages, what becomes of links, and how a broken one is noticed."""

import re
from pathlib import Path

import pytest

from tools import ROOT
from tools.docs.run_blocks import blocks_of
from tools.site import built_links, notebooks, staged
from tools.site.reference import as_markdown, reference_pages

PAGE = ROOT / "docs" / "steps" / "page.md"


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("[a](../walkthrough.md#logits---text)", "[a](../walkthrough.md#logits---text)"),
        ("[a](../../README.md)", "[a](../../index.md)"),
        ("[a](#here) [b](https://example.org/x.py)", "[a](#here) [b](https://example.org/x.py)"),
        ("[`a` [x]](1_one_head.py)", '<a class="code-link" href="1_one_head.py.html">`a` [x]</a>'),
        (
            "[a](../../npblender/ops/gelu.py#L27)",
            '<a class="code-link" href="../../npblender/ops/gelu.py.html#L-27">a</a>',
        ),
        ("![a](../figures/steps.svg)", "![a](../figures/steps.svg)"),
        ('<img src="../figures/steps.svg" width="4" alt="a\nb">', "![a b](../figures/steps.svg)"),
        ("[a](..)", "a"),
        ("`[a](1_one_head.py)`", "`[a](1_one_head.py)`"),
        ("```md\n[a](1_one_head.py)\n```", "```md\n[a](1_one_head.py)\n```"),
    ],
)
def test_a_link_as_the_site_has_it(text: str, becomes: str) -> None:
    linked: set[Path] = set()
    assert staged.with_links(text, PAGE, linked) == becomes
    files = re.findall(r"\w+\.(?:py|svg)", becomes) if "<a" in becomes or "!" in becomes else []
    assert {file.name for file in linked} == set(files)


def test_every_page_is_in_the_contents_once() -> None:
    """Apart from the index itself: Sphinx would warn, but only where it is installed."""
    listed = re.findall(r"^[\w./-]+$", staged.contents(["reference/one"]), re.MULTILINE)
    pages = [staged.place_of(page).as_posix().removesuffix(".md") for page in staged.pages()]
    assert sorted(listed) == sorted({*pages, "reference/one"} - {"index"})


def test_the_reference_has_whole_docstrings_and_lines_of_code() -> None:
    pages = {page.place.stem: page for page in reference_pages()}
    text = pages["npblender.transformer.masks"].text
    assert "## `causal_mask`" in text
    assert "Token i of the `new` = T last ones attends to keys 0 .. L - T + i." in text  # the second paragraph
    assert "```pycon\n>>> causal_mask(2, 4).astype(int)" in text
    code = (ROOT / "npblender" / "transformer" / "masks.py").read_text("utf-8").splitlines()
    lines = [int(line) for line in re.findall(r'masks\.py\.html#L-(\d+)"', text)]
    assert lines
    assert all(code[line - 1].startswith("def ") for line in lines)
    assert "### `BlenderbotSmallForConditionalGeneration.generate`" in pages["npblender"].text


def test_a_docstring_as_markdown() -> None:
    docstring = """Do a * b.

    Args:
        a: the first,
            on two lines.
        b: x < y.

        x -> y      a drawing

    >>> 1
    1
    """
    assert as_markdown(docstring) == (
        "Do a \\* b.\n\n**Args**\n\n- a: the first, on two lines.\n- b: x &lt; y.\n\n"
        "```text\n    x -> y      a drawing\n```\n\n```pycon\n>>> 1\n1\n```"
    )


@pytest.mark.parametrize("name", notebooks.NOTEBOOKS)
def test_a_notebook_has_every_block_of_its_page_with_its_output(name: str) -> None:
    page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    cells = list(notebooks.cells_of(page))
    code = [text for kind, text, _ in cells if kind == "code"]
    assert code == [block.text.strip("\n") for block in blocks_of(page) if block.language == "python"]
    outputs = [output for kind, _, output in cells if kind == "code" and output]
    assert outputs == [block.text for block in blocks_of(page) if block.language == "text"]
    assert not any("```python" in text for _, text, _ in cells)


@pytest.mark.parametrize("name", notebooks.NOTEBOOKS)
def test_a_notebook_is_valid_and_the_same_each_time(name: str) -> None:
    pytest.importorskip("nbformat", reason="needs the extra [site]: pip install '.[site]'")
    made = notebooks.notebook(name)
    assert made == notebooks.notebook(name)
    assert len({cell.id for cell in made.cells}) == len(made.cells)


def test_a_page_of_the_site_offers_its_notebook() -> None:
    text = notebooks.with_download("# A\n\n*For readers; 5 minutes.*\n\nB\n", "a", "../")
    assert '\n\n<a class="code-link" href="../notebooks/a.ipynb" download>' in text
    for name in notebooks.NOTEBOOKS:
        page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
        assert notebooks.with_download(page, name, "../") != page


def test_a_broken_link_of_the_built_site_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "index.html").write_text('<p id="there">', encoding="utf-8")
    (tmp_path / "page.html").write_text(
        '<a href="folder/"></a> <a href="folder/#there"></a> <a href="#here"></a> <p id="here">'
        '<a href="https://example.org/gone"></a> <a href="folder/index.html#gone"></a> <a href="gone%20too.html"></a>'
        '<a href="#gone"></a> <img src="gone.svg">',
        encoding="utf-8",
    )
    assert list(built_links.broken(tmp_path)) == [
        "page.html: folder/index.html#gone: there is no such place in it",
        "page.html: gone%20too.html: there is no such file",
        "page.html: #gone: there is no such place in it",
        "page.html: gone.svg: there is no such file",
    ]
