"""README.md and docs/: what a page points to exists; each says first for whom it is and how long it takes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from npblender.models.habits import INSTEAD
from npblender.models.signatures import REFUSED
from tools.docs import api, book, habits, house, links, settings
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
    (page.parent / "code.py").write_text("one\ntwo\n", encoding="utf-8")
    page.write_text(
        "[a](other.md) [b](other.md#a-title) [c](other.md#same-1) [d](#here) [e](https://example.org)\n"
        "[f](gone.md) [g](other.md#gone) [h](#gone) `docs/other.md` `docs/gone.py` `docs/{other,gone}.md`\n"
        "`python -m tools.docs.gone` [j](code.py#L2) [k](code.py#L3)\n\n## Here\n\n```md\n[i](shown.md)\n```\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(links, "ROOT", tmp_path)
    assert links.broken(page) == [
        "the link gone.md: there is no such file",
        "the link other.md#gone: there is no such heading",
        "the link #gone: there is no such heading",
        "the link code.py#L3: the file is shorter",
        "the path docs/gone.py: there is no such file",
        "the path docs/gone.md: there is no such file",
        "python -m tools.docs.gone: there is no such module",
    ]


def test_every_page_is_linked_from_another() -> None:
    linked = set()
    for page in PAGES:
        for target in links.LINK.findall(page.read_text(encoding="utf-8")):
            linked.add((page.parent / target.partition("#")[0]).resolve())
    alone = {name for page, name in zip(IN_FORCE, names(IN_FORCE), strict=True) if page not in linked}
    assert alone <= {"README.md"}


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
    entry = api.page().partition("### `softmax`\n")[2].partition("###")[0]
    assert "softmax(x: npt.ArrayLike, axis: int = -1) -> FloatArray" in entry
    assert "exp(x) divided by its sum along `axis`." in entry
    assert "Raises TypeError" in entry
    assert ">>>" not in entry


ROW = re.compile(r"^\| [^|]+ \| `(\w+)` \| \[[^\]]+\]\(\.\./(npblender/[\w/]+\.py)\) \|", re.MULTILINE)


def test_the_way_of_the_data_names_functions_that_are_there() -> None:
    rows = ROW.findall((links.ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))
    assert len(rows) > 10
    lacking = [
        (name, path)
        for name, path in rows
        if not re.search(rf"^ *def {name}\(", (links.ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert not lacking


STEP = re.compile(r"^(\d)\. (.*?)(?=^\d\. |^$)", re.MULTILINE | re.DOTALL)


def reading_steps() -> list[tuple[list[Path], int]]:
    """The Python files of each step of README's reading order, and its minutes."""
    readme = (links.ROOT / "README.md").read_text(encoding="utf-8")
    found = []
    for _, text in STEP.findall(readme.partition("**To read it**")[2].partition("**To port it**")[0]):
        files = [links.ROOT / path for path in re.findall(r"\((npblender/[\w/]+\.py)\)", text)]
        stated = re.search(r"(\d+)\s+minutes", text)
        assert stated, text
        found.append((files, int(stated[1])))
    return found


def test_the_minutes_of_the_reading_order_are_those_of_its_files() -> None:
    steps = [(files, stated) for files, stated in reading_steps() if files]
    assert len(steps) == 5
    for files, stated in steps:
        counted = house.minutes(sum(map(house.lines_of, files)))
        assert abs(counted - stated) <= 3, f"{[path.name for path in files]} take {counted} minutes, not {stated}"


RUN_A_PASS = """
import os, sys
import numpy as np
import npblender
from npblender.models.example import example_model
from npblender.transformer.context import Context
from npblender.transformer.forward import logits_of, run_decoder, run_encoder, start_decoder
from npblender.transformer.context import Source, Target

model = example_model()
context = Context(model.config, model.dialect)
entered = set()
sys.setprofile(lambda frame, event, argument: entered.add(frame.f_code.co_filename))
mask = np.array([[True, True, False]])
states = run_encoder(model.weights, Source(np.array([[5, 6, 0]]), attention_mask=mask), context).last_hidden_state
cache = start_decoder(model.weights, 1, states, context)
out = run_decoder(model.weights, Target(np.array([[1, 9]]), encoder_attention_mask=mask), cache, context)
logits_of(model.weights, out.last_hidden_state, context)
sys.setprofile(None)
root = os.path.dirname(npblender.__file__)
print(*sorted(os.path.relpath(name, root) for name in entered if name.startswith(root)))
"""


def test_the_reading_order_has_every_file_that_a_pass_runs_through() -> None:
    """Apart from how it is executed: a reader of README's list meets no other file of `transformer`."""
    run = subprocess.run([sys.executable, "-c", RUN_A_PASS], cwd=links.ROOT, capture_output=True, text=True, check=True)
    entered = {name for name in run.stdout.split() if name.startswith("transformer/")}
    listed = {path.relative_to(house.PACKAGE).as_posix() for files, _ in reading_steps() for path in files}
    assert {"transformer/attention.py", "transformer/encoder.py", "transformer/decoder.py"} <= entered
    assert entered - listed <= {"transformer/execution.py"}


def test_every_set_of_searches_has_a_name() -> None:
    """In the table of settings a reader sees "beams", not a list of five searches."""
    assert {settings.searches_of(option) for option in settings.OPTIONS.values()} <= set(settings.GROUPS)


@pytest.mark.parametrize("marked", habits.TABLES)
def test_what_to_write_instead_is_what_the_errors_say(marked: str) -> None:
    assert between_markers(habits.PAGE, marked) == habits.TABLES[marked]()


def test_every_name_that_is_refused_stands_on_the_page() -> None:
    page = habits.PAGE.read_text(encoding="utf-8")
    for name, text in {**INSTEAD, **REFUSED}.items():
        assert f"`{name}`" in page
        assert f"| {text} " in page


def test_every_page_has_its_place_in_the_book() -> None:
    listed = [book.path_of(name) for pages in book.BOOK.values() for name in pages]
    assert len(set(listed)) == len(listed)
    assert set(listed) == set((links.ROOT / "docs").rglob("*.md")) - {book.PAGE}, "give it a place in BOOK"


def test_the_order_of_the_pages_and_the_lines_of_the_questions_are_those_of_the_files() -> None:
    assert between_markers(book.PAGE, "book") == book.order(), "run python -m tools book --write-docs"
    assert book.QUESTIONS.read_text(encoding="utf-8") == book.with_lines_found(book.QUESTIONS), "run the same"


def test_the_twenty_questions_lead_to_lines() -> None:
    """Each has an answer, and each answer ends with the line of code that holds it."""
    page = book.QUESTIONS.read_text(encoding="utf-8")
    questions = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    assert [int(question.partition(".")[0]) for question in questions] == list(range(1, 21))
    assert [question for question in questions if not book.LINE.search(question)] == []
    assert [question for question in questions if "?\n" not in question] == []


def test_a_line_that_has_moved_is_found_again_and_one_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("a = 1\n\nb = a + 1\nc = 1\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text("[code.py, line 9](code.py#L9): `b = a + 1` and", encoding="utf-8")
    assert book.with_lines_found(page) == "[code.py, line 3](code.py#L3): `b = a + 1` and"
    for code, count in (("gone", 0), ("= 1", 2)):
        page.write_text(f"[code.py, line 1](code.py#L1): `{code}`", encoding="utf-8")
        with pytest.raises(ValueError, match=rf"has `{code}` in {count} lines"):
            book.with_lines_found(page)


def test_the_types_of_settings_are_those_of_the_table() -> None:
    assert settings.typed_parts()[1] == settings.types(), "python -m tools settings --write-docs writes them"
