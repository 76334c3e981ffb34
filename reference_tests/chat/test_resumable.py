"""A run that is killed goes on: what waits and what is written is compared, kept and never mixed with another's."""

import json
import os
import shutil
import threading
from concurrent.futures import Executor, Future
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npblender.chat.batch import replies_in_order
from npblender.chat.batch.jobs import BatchJob, prepare, run_fingerprint
from npblender.chat.batch.requests import as_request
from npblender.chat.batch.resumable import ResumableOutput
from reference_tests.support.tiny_folder import WORDS

SHORT = {"min_length": 2, "max_length": 6, "num_beams": 2}
TEXTS = [" ".join(WORDS[at : at + 1 + at % 5]) for at in range(20)]


class Quick(Executor):
    """Answers at once, with what the ids and the batch's number say: a model that costs nothing."""

    def submit(self, fn, /, job, sources, first):
        future: Future[object] = Future()
        sums = [sum(source.ids) for source in sources]
        future.set_result([{"reply": f"{total} of batch {first}", "score": -total / 7} for total in sums])
        return future


LINES = [*TEXTS[:14], "", *TEXTS[14:]]


def run_into(path: Path, folder: Path, texts: list[str], stop_after: int | None = None, **options: object) -> None:
    """A run into a file, given up after so many records if that is asked."""
    job = BatchJob(str(folder), seed=1)
    prepared = prepare(job)
    with ResumableOutput(path, run_fingerprint(job, prepared), **options) as output:
        requests = [as_request(number, text) for number, text in enumerate(texts, start=1)]
        for request in requests:
            output.check(request)
        output.check_end()
        replies = replies_in_order(
            *(requests, job, prepared, Quick()),
            batch_size=3,
            window=9,
            skip=output.done,
            known=output.known,
            on_batch=output.keep,
        )
        for count, record in enumerate(replies):
            if count == stop_after:
                break
            output.write(record)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> bytes:
    """What an undisturbed run writes."""
    path = tmp_path_factory.mktemp("run") / "whole.jsonl"
    run_into(path, tiny_folder, LINES)
    assert path.read_bytes().count(b"\n") == 21
    return path.read_bytes()


@pytest.mark.slow
@given(st.lists(st.integers(0, 12), min_size=1, max_size=3), st.integers(0, 400), st.integers(0, 400))
@settings(max_examples=40)
def test_cut_anywhere_a_run_ends_with_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_folder: Path,
    whole_run: bytes,
    stops: list[int],
    cut: int,
    cut_beside: int,
) -> None:
    """A kill leaves a prefix of what was written, of both files. Draw where the run stops and what the kill takes."""
    path = tmp_path_factory.mktemp("run") / "out.jsonl"
    beside = path.with_name("out.jsonl.run")
    for stop in stops:
        run_into(path, tiny_folder, LINES, stop_after=stop)
        for file, bytes_lost in ((path, cut), (beside, cut_beside)):
            data = file.read_bytes()
            whole_lines = data.rfind(b"\n", 0, -1) + 1 if file == path else data.find(b"\n") + 1
            file.write_bytes(data[: max(whole_lines, len(data) - bytes_lost)])
    run_into(path, tiny_folder, LINES)
    assert path.read_bytes() == whole_run
    assert beside.read_bytes().count(b"\n") == 1  # nothing waits any more
    run_into(path, tiny_folder, LINES)
    assert path.read_bytes() == whole_run


def test_finished_records_that_wait_for_their_turn_are_kept(tmp_path: Path, tiny_folder: Path) -> None:
    path = tmp_path / "out.jsonl"
    run_into(path, tiny_folder, LINES, stop_after=0)
    job = BatchJob(str(tiny_folder), seed=1)
    with ResumableOutput(path, run_fingerprint(job, prepare(job))) as output:
        assert output.done == 0
        assert sorted(output.known) == list(range(1, 10))  # a window of three batches


def test_what_is_finished_is_not_done_again(tmp_path: Path, tiny_folder: Path) -> None:
    """Every batch is searched once, however often the run is stopped between two of its records."""
    searched: list[int] = []

    class Counting(Quick):
        def submit(self, fn, /, job, sources, first):
            searched.append(first)
            return super().submit(fn, job, sources, first)

    job = BatchJob(str(tiny_folder), seed=1)
    prepared = prepare(job)
    requests = [as_request(number, text) for number, text in enumerate(LINES, start=1)]
    for number, records_a_run in enumerate(([1] * len(LINES), [0, 99], [0, 0, 5, 99], [7, 99])):
        searched.clear()
        for most in records_a_run:
            with ResumableOutput(tmp_path / f"{number}.jsonl", {}) as output:
                options = {"skip": output.done, "known": output.known, "on_batch": output.keep}
                replies = replies_in_order(requests, job, prepared, Counting(), batch_size=3, window=9, **options)
                for count, record in enumerate(replies, start=1):
                    if count > most:
                        break
                    output.write(record)
                    if count == most:
                        break
                replies.close()
        assert output.done == len(LINES)
        assert len(searched) == len(set(searched)) == 7  # windows of nine, nine and three lines


def test_a_batch_that_is_done_again_reports_what_was_missing_only(tiny_folder: Path) -> None:
    job = BatchJob(str(tiny_folder), seed=1)
    requests = [as_request(number, text) for number, text in enumerate(LINES[:6], start=1)]
    known = {2: {"line": 2, "reply": "known"}}
    told_of: list[int] = []
    found = replies_in_order(
        *(requests, job, prepare(job), Quick()),
        batch_size=6,
        skip=1,
        known=known,
        on_batch=lambda batch: told_of.extend(record["line"] for record in batch),
    )
    assert [(record["line"], record["reply"] == "known") for record in found] == [
        *((2, True), (3, False), (4, False), (5, False), (6, False))
    ]
    assert sorted(told_of) == [3, 4, 5, 6]


@pytest.mark.parametrize("missing", ["output", "beside"])
def test_either_file_alone_is_enough_to_go_on(
    tmp_path: Path, tiny_folder: Path, whole_run: bytes, missing: str
) -> None:
    path = tmp_path / "out.jsonl"
    run_into(path, tiny_folder, LINES, stop_after=10)
    (path if missing == "output" else path.with_name("out.jsonl.run")).unlink()
    run_into(path, tiny_folder, LINES)
    assert path.read_bytes() == whole_run


def test_what_belongs_to_another_run_is_refused_and_kept(tmp_path: Path, tiny_folder: Path) -> None:
    path = tmp_path / "out.jsonl"
    run_into(path, tiny_folder, TEXTS[:6])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="another input: they differ in line 2"):
        run_into(path, tiny_folder, [TEXTS[0], "else"])
    with pytest.raises(ValueError, match="begun with an input of 6 lines or more, and now it has 3"):
        run_into(path, tiny_folder, TEXTS[:3])
    job = BatchJob(str(tiny_folder), seed=2)
    other = run_fingerprint(job, prepare(job))
    with pytest.raises(ValueError, match=r"was begun with seed 1, and now it is 2: .*--overwrite"):
        ResumableOutput(path, other)
    assert path.read_bytes() == before
    run_into(path, tiny_folder, TEXTS[:2], overwrite=True)
    assert path.read_bytes().count(b"\n") == 2


@pytest.mark.parametrize("changed", [["", TEXTS[1]], [TEXTS[0]], [TEXTS[0], "something else"]])
def test_records_that_wait_are_compared_with_the_input(tmp_path: Path, tiny_folder: Path, changed: list[str]) -> None:
    """A kill left line 2 waiting for line 1. A changed or a shorter input is refused, and nothing is written."""
    path = tmp_path / "out.jsonl"
    run_into(path, tiny_folder, TEXTS[:2], stop_after=0)
    beside = path.with_name("out.jsonl.run")
    waiting = beside.read_bytes().splitlines(keepends=True)
    beside.write_bytes(b"".join([waiting[0], *(line for line in waiting if b'"line": 2' in line)]))
    before = beside.read_bytes()
    if changed[0]:
        with pytest.raises(ValueError, match="another input"):
            run_into(path, tiny_folder, changed)
        assert (path.read_bytes(), beside.read_bytes()) == (b"", before)
    else:  # a change of a line that has no record yet is no other run
        run_into(path, tiny_folder, changed)
        assert path.read_bytes().count(b"\n") == 2


def test_a_change_of_any_byte_of_the_model_is_another_run(tiny_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_folder, copy)
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(bytes(data))
    job, other = BatchJob(str(tiny_folder)), BatchJob(str(copy))
    assert run_fingerprint(job, prepare(job)) != run_fingerprint(other, prepare(other))


@pytest.mark.parametrize("content", [b"", b"Hi there", b"a\nb\n", b'{"line": 1}\n', b'{"fingerprint": 1}\n', b"[1]\n"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_of_the_name_beside_the_output_is_left_alone(tmp_path: Path, content: bytes, overwrite: bool) -> None:
    beside = tmp_path / "notes.run"
    beside.write_bytes(content)
    with pytest.raises(ValueError, match=r"notes\.run|not JSON|did not write"):
        ResumableOutput(tmp_path / "notes", {}, overwrite=overwrite)
    assert beside.read_bytes() == content
    assert os.listdir(tmp_path) == ["notes.run"]


@pytest.mark.slow
def test_the_loser_of_a_race_for_the_lock_takes_nothing_with_it(tmp_path: Path) -> None:
    """400 races of two: one holds the output, its records stay, and the other is refused."""
    pytest.importorskip("fcntl", reason="this system has no such locks")
    path = tmp_path / "out.jsonl"
    for _ in range(400):
        held: list[ResumableOutput] = []
        refused: list[str] = []
        start = threading.Barrier(2)

        def race() -> None:
            start.wait()  # noqa: B023  both threads end within the round
            try:
                held.append(ResumableOutput(path, {"seed": 1}))  # noqa: B023
            except ValueError as error:
                refused.append(str(error))  # noqa: B023

        racers = [threading.Thread(target=race) for _ in range(2)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert (len(held), len(refused)) == (1, 1)
        assert "another run is writing to" in refused[0]
        assert held[0].beside.exists()
        held[0].close()
        for file in (path, held[0].beside):
            file.unlink()


@pytest.mark.parametrize("content", [b"precious notes", b"precious notes\n", b'{"mine": 1}\n', b"[1]\n"])
def test_a_file_that_no_run_has_written_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"notes\.txt"):
        ResumableOutput(path, {})
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_two_runs_can_not_write_to_one_output(tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="this system has no such locks")
    path = tmp_path / "out.jsonl"
    with (
        ResumableOutput(path, {"seed": 1}),
        pytest.raises(ValueError, match="another run is writing to"),
    ):
        ResumableOutput(path, {"seed": 1})
    with ResumableOutput(path, {"seed": 1}) as output:  # the first has let go
        output.write({"line": 1, "reply": "hi"})
    assert json.loads(path.read_text()) == {"line": 1, "reply": "hi"}


def test_a_place_that_can_not_be_written_to_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be written to"):
        ResumableOutput(tmp_path / "none" / "out.jsonl", {})
    with pytest.raises(ValueError, match="cannot be written to"):
        ResumableOutput(tmp_path, {})
    assert os.listdir(tmp_path) == []


def test_what_a_run_was_told_knows_the_model_by_its_files(tiny_folder: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(tiny_folder, copy)
    job, elsewhere = BatchJob(str(tiny_folder)), BatchJob(str(copy))
    assert run_fingerprint(job, prepare(job)) == run_fingerprint(elsewhere, prepare(elsewhere))
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    assert run_fingerprint(job, prepare(job)) != run_fingerprint(elsewhere, prepare(elsewhere))


def test_a_model_in_another_format_counts_by_its_bytes_too(tmp_path: Path) -> None:
    """Not only safetensors: a run of a pickle or of ParlAI's folder is not resumed with other weights."""
    golden = Path(__file__).resolve().parents[1] / "golden" / "checkpoints" / "parlai"
    for name in ("model", "model.opt", "model.dict", "model.dict.codecs"):
        shutil.copy(golden / name, tmp_path / name)
    job = BatchJob(folder=str(tmp_path), allow_pickle=True)
    before = run_fingerprint(job, prepare(job))
    assert set(before["model"]) == {"model", "model.opt", "model.dict", "model.dict.codecs"}
    content = bytearray((tmp_path / "model").read_bytes())
    content[-1000] ^= 1
    (tmp_path / "model").write_bytes(content)
    assert run_fingerprint(job, prepare(job)) != before
