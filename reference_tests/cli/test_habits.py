"""What a terminal user types from habit: words for leaving, ~ in paths, Tab, earlier lines, texts without --say."""

import argparse
import sys
import types
from pathlib import Path

import pytest

from npblender.cli.main import main
from npblender.cli.options import search_settings
from npblender.cli.terminal import completions, history_file, remembered_lines
from reference_tests.cli.test_terminal import Visit

plain_arguments = {"greedy": False, "sample": False, "beams": None, "set": []}


@pytest.mark.parametrize("word", ["/quit", "/exit", "/bye", "exit", "quit"])
def test_every_word_for_leaving_leaves(word: str) -> None:
    visit = Visit(word, "hello")
    assert visit.code == 0
    assert visit.talk.turns == ()
    assert len(visit.prompts) == 1


def test_tilde_in_paths_and_load_shows_the_talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    first = Visit("hello", "/save ~/talk.json")
    assert (tmp_path / "talk.json").is_file()
    second = Visit("/load ~/talk.json")
    assert second.talk.turns == first.talk.turns
    assert second.shown[0] == "loaded 2 turns"
    assert second.shown[1] == "you> hello"
    assert second.shown[2] == f"model> {' '.join(first.talk.turns[1].text.split())}"


def test_pasted_lines_are_one_turn() -> None:
    visit = Visit("hello\nhow are you")
    assert [turn.text for turn in visit.talk.turns if turn.speaker == "user"] == ["hello\nhow are you"]


def test_a_text_needs_no_option(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["-m", str(tiny_folder), "--greedy", "--set", "max_length=6"]
    assert main(["chat", "--model", str(tiny_folder), *options[2:], "--say", "hello low"]) == 0
    expected = capsys.readouterr().out
    assert main(["chat", *options, "hello", "low"]) == 0
    assert capsys.readouterr().out == expected != ""


def test_temperature_and_top_k_sample() -> None:
    given = argparse.Namespace(**plain_arguments, temperature=0.7, top_k=5)
    assert search_settings(given) == {"do_sample": True, "num_beams": 1, "temperature": 0.7, "top_k": 5}
    for name, value in (("greedy", True), ("beams", 3)):
        with pytest.raises(ValueError, match="--temperature is for --sample"):
            search_settings(argparse.Namespace(**{**plain_arguments, name: value}, temperature=0.7, top_k=None))


class Readline(types.ModuleType):
    """Python's readline on paper."""

    def __init__(self) -> None:
        super().__init__("readline", "GNU readline")
        self.completer = None
        self.bound: list[str] = []
        self.read: list[Path] = []
        self.parse_and_bind = self.bound.append
        self.read_history_file = self.read.append
        self.set_completer_delims = self.set_history_length = lambda value: None
        self.get_completer = lambda: None
        self.get_completer_delims = lambda: " "
        self.get_line_buffer = lambda: ""
        self.get_begidx = lambda: 0
        self.typed = ["hello"]
        self.get_current_history_length = lambda: len(self.typed)
        self.get_history_item = lambda at: self.typed[at - 1]
        self.replace_history_item = self.typed.__setitem__

    def set_completer(self, completer: object) -> None:
        self.completer = completer

    def write_history_file(self, path: Path) -> None:
        path.write_text("".join(f"{line}\n" for line in self.typed))


def test_lines_are_kept_and_tab_completes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readline = Readline()
    monkeypatch.setitem(sys.modules, "readline", readline)
    kept = tmp_path / "state" / "npblender" / "history"
    for start in range(2):
        with remembered_lines(["/help", "/persona", "/quit"], {"XDG_STATE_HOME": str(tmp_path / "state")}):
            complete = readline.completer
            assert complete is not None
            assert [complete("/p", 0), complete("/p", 1), complete("he", 0)] == ["/persona ", None, None]
            assert [complete("/", n) for n in range(4)] == ["/help ", "/persona ", "/quit ", None]
        assert kept.read_text() == "hello\n"
        assert kept.stat().st_mode & 0o077 == 0
        assert readline.read == [kept] * start
    assert "tab: complete" in readline.bound
    assert "set enable-bracketed-paste on" in readline.bound
    assert readline.completer is None, "as it was before"


def test_a_paste_is_one_line_of_the_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readline = Readline()
    readline.typed += ["one\ntwo", "three"]
    monkeypatch.setitem(sys.modules, "readline", readline)
    with remembered_lines([], {"NPBLENDER_HISTORY": str(tmp_path / "history")}):
        pass
    assert (tmp_path / "history").read_text() == "hello\none two\nthree\n"


def test_tab_completes_files_behind_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "talk.json").write_text("{}")
    (tmp_path / "talks").mkdir()
    words = ["/load", "/save"]
    assert completions("~/ta", "/load ", words) == ["~/talk.json", "~/talks/"]
    assert completions(f"{tmp_path}/talk.", "/save ", words) == [f"{tmp_path}/talk.json"]
    assert completions("~/ta", "i like ", words) == []


def test_nothing_is_kept_where_nothing_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "readline", Readline())
    blocked = tmp_path / "file"
    blocked.write_text("")
    for variables in ({"NPBLENDER_HISTORY": ""}, {"NPBLENDER_HISTORY": str(blocked / "history")}):
        with remembered_lines(["/help"], variables):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    monkeypatch.setitem(sys.modules, "readline", None)
    with remembered_lines(["/help"], {}):
        pass
    assert history_file({"NPBLENDER_HISTORY": "/x/y"}) == Path("/x/y")
