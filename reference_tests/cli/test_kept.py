"""`npblender chat --db` at the terminal: what stands in the database after every command."""

import io
import json
from pathlib import Path

import pytest

from npblender.chat import Conversation
from npblender.chat.talks import Talks
from npblender.cli.interactive import Session
from npblender.cli.kept import Keeper
from npblender.cli.terminal import Terminal
from reference_tests.support.cli_runs import one_error, run_cli
from reference_tests.support.tiny_folder import make_model, make_tokenizer


class Visit:
    """A terminal with a database; what the user types is typed there line by line."""

    def __init__(self, path: Path) -> None:
        self.talks = Talks(path)
        self.talk = Conversation(make_model(seed=2), make_tokenizer(), min_length=3, max_length=9, num_beams=2)
        self._keeper = Keeper(self.talks)
        self.shown = ""

    def type(self, *lines: str) -> None:
        paper, left = io.StringIO(), iter([*lines, "/quit"])
        Session(self.talk, terminal=Terminal(paper, lambda _: next(left)), keeper=self._keeper).run()
        self.shown = paper.getvalue()

    @property
    def kept(self) -> dict[str, list[str]]:
        """What was said by the user in each conversation of the database, by its id."""
        return {
            entry.id: [turn.text for turn in self.talks.load(entry.id)[0].turns if turn.speaker == "user"]
            for entry in self.talks.list()
        }


@pytest.fixture
def visit(tmp_path: Path) -> Visit:
    return Visit(tmp_path / "talks.sqlite")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A transcript in which the user said "from the file"."""
    talk = Conversation(make_model(seed=2), make_tokenizer(), min_length=3, max_length=9, num_beams=2)
    talk.reply("from the file")
    talk.save(tmp_path / "talk.json")
    return tmp_path / "talk.json"


@pytest.mark.parametrize("resumed", [False, True])
def test_a_file_that_is_loaded_is_another_conversation(visit: Visit, file: Path, tmp_path: Path, resumed: bool) -> None:
    visit.type("hi", "you")
    (first,) = visit.kept
    if resumed:
        visit = Visit(tmp_path / "talks.sqlite")
        visit.type("/resume last")
    visit.type(f"/load {file}")
    assert visit.kept.pop(first) == ["hi", "you"]
    assert len(visit.kept) == 2
    visit.type("more")
    assert sorted(visit.kept.values()) == [["from the file", "more"], ["hi", "you"]]


def test_a_file_that_is_not_loaded_leaves_the_conversation_where_it_was(visit: Visit) -> None:
    visit.type("hi", "/load nowhere.json", "you")
    assert list(visit.kept.values()) == [["hi", "you"]]


def test_what_is_taken_back_is_taken_out_of_the_database(visit: Visit) -> None:
    visit.type("hi", "you", "/undo")
    (first,) = visit.kept
    assert visit.kept == {first: ["hi"]}
    visit.type("/undo")
    assert visit.kept == {first: []}
    visit.type("/talks")
    assert f"*{first}" in visit.shown
    assert "0 turns  (empty)" in visit.shown
    visit.type("again")
    assert visit.kept == {first: ["again"]}
    assert visit.talks.list()[0].title == "again"


def test_a_reset_leaves_what_was_kept_and_begins_another(visit: Visit) -> None:
    visit.type("hi", "/reset")
    (first,) = visit.kept
    assert visit.kept == {first: ["hi"]}
    visit.type("/persona i sing")
    assert visit.kept == {first: ["hi"]}, "nothing was said yet"
    visit.type("you", "/undo")
    assert visit.kept.pop(first) == ["hi"]
    assert [] in visit.kept.values()


def test_a_conversation_that_was_changed_or_deleted_elsewhere_goes_on_as_a_new_one(visit: Visit) -> None:
    visit.type("hi")
    (first,) = visit.kept
    visit.talks.delete(first)
    visit.type("you")
    assert f"error: {first}: there is no conversation" in visit.shown
    ((second, said),) = visit.kept.items()
    assert f"goes on as {second}" in visit.shown
    assert said == ["hi", "you"]
    visit.talks.save(second, visit.talks.load(second)[0])
    visit.type("/undo", "/undo")
    assert visit.kept[second] == ["hi", "you"], "a change of another window is not undone"
    assert sorted(visit.kept.values()) == [[], ["hi", "you"]]


def test_the_list_as_json(tmp_path: Path, tiny_folder: Path) -> None:
    db = tmp_path / "talks.sqlite"
    for text in ("hi", "you"):
        assert run_cli("chat", "--model", tiny_folder, "--set", "max_length=4", "--db", db, "--say", text).code == 0
    listed = run_cli("chat", "--db", db, "--list", "--json")
    assert (listed.code, listed.err) == (0, "")
    assert [json.loads(line) for line in listed.lines] == [vars(entry) for entry in Talks(db).list()]
    assert [json.loads(line)["title"] for line in listed.lines] == ["you", "hi"]
    assert json.loads(listed.lines[0])["turns"] == 2
    for extra in (("--say", "hi"), ("--resume", "last"), ("hi",)):
        assert "--list shows the conversations and ends" in one_error(run_cli("chat", "--db", db, "--list", *extra))
