"""Conversations in a database: what is kept, by how many, and what a kill leaves behind."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender.chat.history import Turn
from npblender.chat.talks import APPLICATION, NoSuchTalk, TalkConflict, Talks, title_of
from npblender.chat.transcript import Transcript
from reference_tests.support.cli_runs import command, environment, one_error, run_cli

HELLO = Transcript("parlai", ("your persona: i sing.",), (Turn("user", "hi"), Turn("model", "hello!", "hello !")))


def grown(transcript: Transcript, *texts: str) -> Transcript:
    turns = (Turn("user" if n % 2 == 0 else "model", text) for n, text in enumerate(texts))
    return Transcript(transcript.profile, transcript.persona, (*transcript.turns, *turns), transcript.settings)


TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)
TURN = st.builds(Turn, st.sampled_from(["user", "model"]), TEXT, st.none() | TEXT)
SETTINGS = st.dictionaries(st.sampled_from(["num_beams", "top_k"]), st.integers(1, 9))
TRANSCRIPT = st.builds(
    Transcript,
    st.sampled_from(["parlai", "transformers-pipeline"]),
    st.lists(TEXT, max_size=3).map(tuple),
    st.lists(TURN, max_size=6).map(tuple),
    SETTINGS,
)


def test_all_are_listed_unless_fewer_are_asked_for(tmp_path) -> None:
    talks = Talks(tmp_path / "talks.sqlite")
    names = [talks.begin(HELLO) for _ in range(120)]
    assert {entry.id for entry in talks.list()} == set(names)
    assert len(talks.list(7)) == 7


@pytest.mark.slow
@given(st.lists(TRANSCRIPT, min_size=1, max_size=4))
def test_what_was_saved_is_loaded(tmp_path_factory, versions) -> None:
    """However a conversation changes: turns that come, go and differ, other personas and settings."""
    talks = Talks(tmp_path_factory.mktemp("talks") / "talks.sqlite")
    other = talks.begin(HELLO)
    name = talks.begin(versions[0])
    for revision, version in enumerate(versions, start=1):
        assert talks.save(name, version, revision) == revision + 1
        assert talks.load(name) == (version, revision + 1)
    assert talks.load(other) == (HELLO, 1)
    assert [entry.id for entry in talks.list()] == [name, other]
    assert talks.list()[0].turns == len(versions[-1].turns)
    talks.delete(name)
    assert [entry.id for entry in talks.list()] == [other]
    with pytest.raises(NoSuchTalk):
        talks.load(name)


def test_two_windows_do_not_overwrite_each_other(tmp_path: Path) -> None:
    talks, elsewhere = Talks(tmp_path / "talks.sqlite"), Talks(tmp_path / "talks.sqlite")
    name = talks.begin(HELLO)
    assert elsewhere.save(name, grown(HELLO, "a"), 1) == 2
    with pytest.raises(TalkConflict, match="changed elsewhere"):
        talks.save(name, grown(HELLO, "b"), 1)
    assert talks.load(name) == (grown(HELLO, "a"), 2)
    assert talks.save(name, grown(HELLO, "b")) == 3  # without a revision it is replaced on purpose


def test_finding(tmp_path: Path) -> None:
    talks = Talks(tmp_path / "talks.sqlite")
    with pytest.raises(NoSuchTalk):
        talks.find("last")
    names = [talks.begin(grown(HELLO, str(n))) for n in range(3)]
    talks.save(names[1], HELLO)
    assert talks.find("last") == names[1]
    assert talks.find(names[0]) == names[0]
    assert talks.find(names[2][:12]) == names[2]
    for wrong in ("", "zz", "%", "_" * 16):
        with pytest.raises(NoSuchTalk):
            talks.find(wrong)
    assert title_of(grown(Transcript("parlai"), "x" * 500)).startswith("xxx")
    assert len(title_of(grown(Transcript("parlai"), "x" * 500))) < 120


def test_other_files_are_refused(tmp_path: Path) -> None:
    text, other = tmp_path / "text", tmp_path / "other.sqlite"
    text.write_text("no database, and longer than a header of one " * 30)
    before = text.read_bytes()
    with pytest.raises(ValueError, match="not a database"):
        Talks(text)
    assert text.read_bytes() == before
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE mine (a)")
    database.close()
    with pytest.raises(ValueError, match="another program"):
        Talks(other)
    with pytest.raises(FileNotFoundError, match="no folder"):
        Talks(tmp_path / "nowhere" / "talks.sqlite")
    with pytest.raises(ValueError, match="is a folder"):
        Talks(tmp_path)
    later = tmp_path / "later.sqlite"
    Talks(later)
    with sqlite3.connect(later) as database:
        assert database.execute("PRAGMA application_id").fetchone()[0] == APPLICATION
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ValueError, match="version 99"):
        Talks(later)


def test_a_hostile_text_is_only_a_text(tmp_path: Path) -> None:
    talks = Talks(tmp_path / "talks.sqlite")
    hostile = "'; DROP TABLE turns; -- \x00 <script>"
    name = talks.begin(grown(Transcript("parlai"), hostile))
    assert talks.load(name)[0].turns[0].text == hostile
    with pytest.raises(NoSuchTalk):
        talks.load(hostile)


WRITER = """
import sys
from npblender.chat.history import Turn
from npblender.chat.talks import Talks
from npblender.chat.transcript import Transcript
talks, mine = Talks(sys.argv[1]), sys.argv[2]
turns = ()
name = talks.begin(Transcript("parlai", (), (Turn("user", mine),)))
print(name, flush=True)
for number in range(10**6):
    turns = (*turns, Turn("user", f"{mine} {number}"), Turn("model", f"{mine} {number} answered"))[-40:]
    talks.save(name, Transcript("parlai", (f"{number}",), turns))
    print(number, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_a_kill_leaves_what_was_kept(tmp_path: Path) -> None:
    """Three processes write into one file and are killed at random moments, several times over: every conversation is
    as one of its saves left it, and none is older than the last save that was reported."""
    path, dice = tmp_path / "talks.sqlite", random.Random(0)
    for _ in range(3):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(path), f"writer {n}"], stdout=subprocess.PIPE, env=environment()
            )
            for n in range(3)
        ]
        names = [writer.stdout.readline().split()[0].decode() for writer in writers]
        time.sleep(0.2 + 0.3 * dice.random())
        for writer in dice.sample(writers, 3):
            os.kill(writer.pid, signal.SIGKILL)
        for name, writer in zip(names, writers, strict=True):
            reported = [int(line) for line in writer.communicate()[0].split()]
            kept, _ = Talks(path).load(name)
            if reported:
                number = int(kept.persona[0])
                assert reported[-1] <= number <= reported[-1] + 1
                assert kept.turns[-1].text.endswith(f" {number} answered")
                assert len(kept.turns) == min(40, 2 * (number + 1))
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("PRAGMA foreign_key_check").fetchone() is None
    database.close()
    assert len(Talks(path).list()) == 9


@pytest.mark.slow
def test_many_threads_and_one_file(tmp_path: Path) -> None:
    """Nothing is lost, and no thread gets "database is locked"."""
    talks = Talks(tmp_path / "talks.sqlite")
    failed: list[BaseException] = []

    def write(number: int) -> None:
        try:
            name = talks.begin(grown(Transcript("parlai"), f"thread {number}"))
            for n in range(10):
                talks.save(name, grown(Transcript("parlai"), *(f"{number} {m}" for m in range(n + 1))))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(entry.turns for entry in talks.list()) == [10] * 8


# `npblender chat --db`.


def test_a_conversation_goes_on_from_the_command_line(tmp_path: Path) -> None:
    db = tmp_path / "talks.sqlite"
    first = run_cli("chat", "--db", db, "--persona", "i sing.", "--say", "Hi!", "--say", "Do you like tea?")
    assert first.code == 0
    run_cli("chat", "--db", db, "--say", "Another one.")
    listed = run_cli("chat", "--db", db, "--list").lines
    assert [line.split("  ")[-1] for line in listed] == ["Another one.", "Hi!"]
    name = listed[1].split()[0]
    again = run_cli("chat", "--db", db, "--resume", name, "--say", "And coffee?")
    assert again.code == 0
    kept, revision = Talks(db).load(name)
    assert [turn.text for turn in kept.turns if turn.speaker == "user"] == ["Hi!", "Do you like tea?", "And coffee?"]
    assert [turn.text for turn in kept.turns if turn.speaker == "model"] == [*first.lines, *again.lines]
    assert kept.persona == ("your persona: i sing.",)
    assert revision == 3
    piped = run_cli("chat", "--db", db, "--resume", "last", stdin=b"Hm.\n")
    assert piped.code == 0
    assert len(Talks(db).load(name)[0].turns) == 8


def test_mistakes_of_the_command_line(tmp_path: Path) -> None:
    db = tmp_path / "talks.sqlite"
    assert "--list needs --db" in one_error(run_cli("chat", "--list"))
    assert "--resume needs --db" in one_error(run_cli("chat", "--resume", "x", "--say", "hi"))
    assert "in two ways" in one_error(run_cli("chat", "--db", db, "--save", tmp_path / "t.json", "--say", "hi"))
    assert "no conversation 'x'" in one_error(run_cli("chat", "--db", db, "--resume", "x", "--say", "hi"))


def test_a_killed_chat_has_kept_what_it_showed(tmp_path: Path) -> None:
    """A reply is kept before it is printed, so that SIGKILL right after it loses nothing."""
    db = tmp_path / "talks.sqlite"
    process = subprocess.Popen(
        command("chat", "--db", db, "--json"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"Hi!\n")
    process.stdin.flush()
    said = json.loads(process.stdout.readline())["reply"]
    process.kill()
    process.communicate()
    (entry,) = Talks(db).list()
    assert Talks(db).load(entry.id)[0].turns[-1].text == said
