"""Judged replies: what is read of them, what every step learns, and how talks are answered and laid out for readers."""

import gzip
import json

import numpy as np
import pytest

from npblender import BlenderbotSmallForConditionalGeneration
from npblender.demo import FOLDER
from reference_tests.demo.cutters import ShippedCut, Words
from tools.demo import __main__ as main
from tools.demo import ask, judged, recipe, replies, tries
from tools.demo.judged import Judged, Judgements
from tools.demo.recipe import SHELF

PHASES = (recipe.Phase("plain", SHELF, (0, 0), {}), recipe.Phase("judged", 3 * SHELF, (0, 0), {}, judged=5))
RECIPE = recipe.Recipe(phases=PHASES)
ROWS = [Judged("one", (), (f"line n{i}",), f"wanted n{i}", f"bad n{i}" if i % 3 else None) for i in range(400)]


def test_the_stored_rows_are_whole_and_none_of_them_is_tried() -> None:
    rows = judged.read()
    assert len(rows) > 8000
    assert all(len(row.turns) % 2 == 1 and row.wanted and row.bad != row.wanted for row in rows)
    said = {line for row in rows for line in row.turns[::2]}
    for name in ("final", "development"):
        assert not said.intersection(tries.openings(tries.read(name))), name


def test_a_bad_reply_has_what_was_wanted_and_a_good_one_is_wanted(tmp_path) -> None:
    rows = [
        {"persona": ["i ski."], "turns": ["any sports?"], "said": "no.", "better": "yes, i ski."},
        {"persona": [], "turns": ["so i ski", "where?", "on a hill"], "said": "how nice!", "better": None},
        {"persona": [], "turns": [tries.read("final")["alone"][0].upper()], "said": "how nice!", "better": None},
    ]
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    assert judged.read(tmp_path) == [
        Judged("a", ("i ski.",), ("any sports?",), "yes, i ski.", "no."),
        Judged("a", (), ("so i ski", "where?", "on a hill"), "how nice!", None),
    ]


def test_phases_without_judged_replies_have_none() -> None:
    assert Judgements(ROWS, Words(), RECIPE).shelf(0) == []


def test_every_step_has_its_number_and_a_pass_has_every_row_once() -> None:
    drawn = Judgements(ROWS, Words(), RECIPE)
    shelves = [drawn.shelf(number) for number in (1, 2, 3)]
    assert [len(shelf) for shelf in shelves] == [SHELF] * 3
    sources = [tuple(row) for shelf in shelves for step in shelf for row in np.vsplit(step.source, len(step.source))]
    assert len(sources) == 3 * SHELF * 5
    lines = [int(row[0][0, 1]) for row in ([source[0][None]] for source in sources)]
    assert len(set(lines[: 2 * 5 * SHELF])) == 400  # two shelves are 640 rows, more than a pass
    assert max(lines.count(line) for line in set(lines)) <= 3


def test_a_row_without_a_bad_reply_has_padding_there() -> None:
    cut = Words()
    for step in Judgements(ROWS, cut, RECIPE).shelf(1):
        for source, wanted, bad in zip(step.source, step.wanted, step.bad, strict=True):
            number = int(cut.text(source).split()[1][1:])
            assert cut.text(wanted[1:3]) == f"wanted n{number}"
            assert (bad == 0).all() if number % 3 == 0 else cut.text(bad[1:3]) == f"bad n{number}"


def test_shelves_depend_on_their_number_alone() -> None:
    one, other = (Judgements(ROWS, Words(), RECIPE).shelf(2) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a.source, b.source)
        assert np.array_equal(a.wanted, b.wanted)
        assert np.array_equal(a.bad, b.bad)


def test_talks_are_answered_as_the_package_answers() -> None:
    talks = ask.blocks("do you like music?\n\n* i have a dog.\n* i live in a tent.\nany pets?\nwhat is it called?\n")
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(FOLDER)
    found = ask.answer(talks, model, ShippedCut())
    speak, cut = replies.Speaker(FOLDER), ShippedCut()
    for talk in found:
        for turn, reply in enumerate(talk.replies):
            assert cut(reply) == cut(speak(talk.persona, talk.before(turn)))


def test_what_readers_wrote_comes_to_its_reply() -> None:
    talks = [ask.Asked((), ("a", "b"), ("one.", "two.")), ask.Asked(("i ski.",), ("c",), ("three.",))]
    found = ask.judged(talks, "1 +\n3  that is  three! \n")
    assert found == [
        {"persona": [], "turns": ["a"], "said": "one.", "better": None},
        {"persona": ["i ski."], "turns": ["c"], "said": "three.", "better": "that is  three!"},
    ]
    assert "2 B: two." in ask.rows(talks)


def test_without_users_lines_the_folder_is_named(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="users"):
        ask.write_rows(tmp_path, None, None)


@pytest.mark.parametrize(
    ("command", "names"),
    [("train", "prepare"), ("judged", "ask"), ("export", "prepare"), ("try", "export"), ("perplexity", "prepare")],
)
def test_a_command_before_its_time_says_what_comes_first(command, names, tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=f"tools demo {names}"):
        main.check_there(command, tmp_path, tmp_path / "model")


def test_a_command_whose_files_are_there_is_not_refused(tmp_path) -> None:
    for name in ("vocab.json", "training.pt"):
        (tmp_path / name).touch()
    main.check_there("export", tmp_path, tmp_path / "model")
    main.check_there("prepare", tmp_path / "nowhere", tmp_path / "model")


@pytest.mark.parametrize(
    "wrong", ["1 -", "1 + fine", "1 B: hello", "1. +", "3 +", "0 +", "1 +\n1 good.", "some remark", "1"]
)
def test_what_is_no_verdict_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match="verdict"):
        ask.judged([ask.Asked((), ("a", "b"), ("one.", "two."))], wrong)


def test_a_further_file_changes_nobodys_part(tmp_path) -> None:
    def write(name: str, count: int) -> None:
        rows = [{"persona": [], "turns": [f"so {name} n{i}"], "said": "a.", "better": "b."} for i in range(count)]
        (tmp_path / f"{name}.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))

    write("second", 300)
    before = judged.read(tmp_path)
    write("first", 77)
    assert [row for row in judged.read(tmp_path) if row.file == "second"] == before
    assert 2 < sum(row.is_development for row in before) < 30


def test_no_judged_replies_at_all_are_no_training(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="judged replies"):
        judged.read(tmp_path)


def test_a_separator_may_hold_spaces_and_a_star_alone_is_no_persona() -> None:
    talks = ask.blocks("one\n \n*waves* hi\n\n* i ski.\nwell?\n")
    assert [(talk.persona, talk.users) for talk in talks] == [
        ((), ("one",)), ((), ("*waves* hi",)), (("i ski.",), ("well?",)),
    ]  # fmt: skip


def test_names_are_judged_by_program(monkeypatch) -> None:
    monkeypatch.setattr(ask, "generated", lambda contexts, model, cut: ["your name is nobody."] * len(contexts))
    rows = ask.remembered(20, [("hi", "hello!")], None, Words())
    assert all(row["better"] is not None and len(row["turns"]) % 2 == 1 for row in rows)
    for row in rows:
        assert tries.words(row["better"]) & tries.words(row["turns"][0])
