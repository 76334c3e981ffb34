"""Files and folders are replaced whole: what a kill, a link, a device, a full disk and two writers leave behind."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from npblender.common import replacing as module
from npblender.common.replacing import finish_replacing, replacing, replacing_files, replacing_folder

UNIX = pytest.mark.skipif(os.name != "posix", reason="links, modes and devices of Unix")


def test_a_file_is_new_or_old_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    place = tmp_path / "notes"
    for content in ("first", "second"):
        with replacing(place) as unfinished:
            unfinished.write_text(content)
            assert not place.exists() or place.read_text() == "first"
        assert place.read_text() == content
    with contextlib.suppress(RuntimeError), replacing(place) as unfinished:
        unfinished.write_text("third")
        raise RuntimeError
    assert place.read_text() == "second"
    assert os.listdir(tmp_path) == ["notes"]


def test_files_of_the_user_with_names_like_ours_stay(tmp_path: Path) -> None:
    theirs = ["notes.unfinished", ".notes.unfinished", ".notes.0123456789ab.unfinished", "notes.run", "notes.new"]
    for name in theirs:
        (tmp_path / name).write_text("mine")
    with replacing(tmp_path / "notes") as unfinished:
        unfinished.write_text("new")
    finish_replacing(tmp_path)
    assert {(tmp_path / name).read_text() for name in theirs} == {"mine"}


@UNIX
def test_a_link_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    link = tmp_path / "link"
    link.symlink_to(target)
    with replacing(link) as unfinished:
        unfinished.write_text("new")
    assert (target.read_text(), link.read_text(), link.is_symlink()) == ("precious", "new", False)


@UNIX
def test_devices_pipes_and_folders_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "null").symlink_to(os.devnull)
    for name, kind in (("pipe", "a device or a pipe"), ("folder", "a folder"), ("null", "a device or a pipe")):
        with pytest.raises(ValueError, match=f"{name} cannot be written: it is {kind}"), replacing(tmp_path / name):
            pass
    assert sorted(os.listdir(tmp_path)) == ["folder", "null", "pipe"]


@UNIX
@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_modes_are_what_the_umask_leaves_whoever_made_the_file(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        with replacing(tmp_path / "a") as unfinished:  # a library that puts a file of its own there
            unfinished.unlink()
            os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT, 0o600))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~mask


def test_files_of_a_folder_are_replaced_together(tmp_path: Path) -> None:
    def save(content: str) -> None:
        with replacing_files(tmp_path) as files:
            for name in "abc":
                files.beside(name).write_text(content)

    save("1")
    with contextlib.suppress(RuntimeError), replacing_files(tmp_path) as files:
        files.beside("a").write_text("2")
        raise RuntimeError
    assert {(tmp_path / name).read_text() for name in "abc"} == {"1"}
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]


def test_a_file_of_an_earlier_save_goes_when_the_others_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old").write_text("old")
    with contextlib.suppress(RuntimeError), replacing_files(tmp_path) as files:
        files.beside("a").write_text("1")
        files.remove("old")
        raise RuntimeError
    assert os.listdir(tmp_path) == ["old"]
    for _ in range(2):
        with replacing_files(tmp_path) as files:
            files.beside("a").write_text("1")
            files.remove("old")
        assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("stop", [0, 1, 2, 3])
def test_a_save_cut_between_its_files_is_finished_by_the_next_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    for name in "abc":
        (tmp_path / name).write_text("old")
    real, renamed = os.replace, []

    def killed(source: Path, target: Path) -> None:
        if target.name in "abc":
            if len(renamed) == stop:
                raise KeyboardInterrupt  # no clean-up follows the renamings, as none follows a kill
            renamed.append(target)
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "replace", killed)
        patch.setattr(module, "_remove", lambda path: None)  # nor after them
        with contextlib.suppress(KeyboardInterrupt), replacing_files(tmp_path) as files:
            for name in "abc":
                files.beside(name).write_text("new")
    assert len(renamed) == stop
    finish_replacing(tmp_path)
    assert {(tmp_path / name).read_text() for name in "abc"} == {"new"}
    finish_replacing(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "content",
    [
        "mine",
        "[]",
        json.dumps({module._REMOVED: [], module._RENAMED: ["../a"]}),
        json.dumps({module._REMOVED: [], module._RENAMED: ["..." + "/../a.0123456789ab.unfinished"]}),
        json.dumps({module._REMOVED: [], module._RENAMED: [".a/../../b.0123456789ab.unfinished"]}),
        json.dumps({module._REMOVED: [], module._RENAMED: 7}),
        json.dumps({module._REMOVED: [7], module._RENAMED: []}),
        json.dumps({module._REMOVED: ["../a"], module._RENAMED: []}),
        json.dumps({module._REMOVED: [".."], module._RENAMED: []}),
        "[" * 50_000,
    ],
)
def test_a_file_that_only_looks_like_a_journal_is_left_alone(tmp_path: Path, content: str) -> None:
    journal = tmp_path / ".npblender-save.0123456789ab.json"
    journal.write_text(content)
    finish_replacing(tmp_path)
    assert journal.read_text() == content


def test_a_folder_is_exchanged_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "pack"
    for can_exchange in (True, False):
        if not can_exchange:
            monkeypatch.setattr(module, "_exchange", lambda one, other: False)
        for content in ("first", "second"):
            with replacing_folder(place) as unfinished:
                (unfinished / content).write_text(content)
            assert os.listdir(place) == [content]
        with pytest.raises(RuntimeError), replacing_folder(place) as unfinished:
            raise RuntimeError
        assert os.listdir(tmp_path) == ["pack"]
        assert os.listdir(place) == ["second"]


@UNIX
def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    """A limit on the size of a file stands for a full disk: the system refuses in the middle of writing (EFBIG)."""
    import resource

    place = tmp_path / "notes"
    place.write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(ValueError, match=r"notes cannot be written: .*too large"), replacing(place) as unfinished:
            unfinished.write_bytes(bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert place.read_text() == "old"
    assert os.listdir(tmp_path) == ["notes"]


def test_two_writers_and_a_reader_see_whole_files_only(tmp_path: Path) -> None:
    place = tmp_path / "notes"
    contents = {letter * 20_000 for letter in "ab"}
    place.write_text("a" * 20_000)

    def write(content: str) -> None:
        for _ in range(30):
            with replacing(place) as unfinished:
                unfinished.write_text(content)

    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert place.read_text() in contents
    assert os.listdir(tmp_path) == ["notes"]


WRITER = """
import sys
from pathlib import Path
from npblender.common.replacing import replacing_files
print("ready", flush=True)
number = 1
while True:
    with replacing_files(Path(sys.argv[1])) as files:
        for name in "abcd":
            files.beside(name).write_text(str(number) * 3000)
    number += 1
"""


@UNIX
@pytest.mark.slow
def test_killed_at_any_moment_the_files_are_of_one_save(tmp_path: Path) -> None:
    draw = random.Random(5)
    for _ in range(12):
        for name in os.listdir(tmp_path):
            (tmp_path / name).unlink()
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(draw.uniform(0.02, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        finish_replacing(tmp_path)
        found = [path.read_text() for path in map(tmp_path.joinpath, "abcd") if path.exists()]
        assert len(found) in (0, 4)
        assert len(set(found)) <= 1
