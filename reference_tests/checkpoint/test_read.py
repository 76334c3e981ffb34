"""Tensors read in pieces, in a few threads: every row once, the same weights and refusals for any number of threads."""

import threading
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender import ops
from npblender.checkpoint import load, read
from npblender.checkpoint.folder import StoredTensor, read_header
from npblender.transformer.parameters import to_arrays
from reference_tests.support.asserts import assert_same
from reference_tests.support.stored import TINY, tensors_of, write

FILE = "model.safetensors"
SHAPES = st.lists(st.lists(st.integers(1, 9), min_size=0, max_size=3), min_size=1, max_size=5)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even the smallest file is read by several threads, a few rows at a time."""
    monkeypatch.setattr(read, "THREADED_FROM", 0)
    monkeypatch.setattr(read, "BUFFER_BYTES", 16)


@given(SHAPES, st.sampled_from(["float32", "float16", "bfloat16", "float64"]), st.integers(1, 100), st.integers(1, 4))
def test_every_row_comes_once(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[list[int]], stored: str, buffer: int, threads: int
):
    path = tmp_path_factory.mktemp("rows") / FILE
    tensors = {f"t{n}": np.arange(np.prod(shape, dtype=int)).reshape(shape) % 200 for n, shape in enumerate(shapes)}
    write(path, tensors, stored)
    came: list[tuple[str, int, np.ndarray]] = []
    with pytest.MonkeyPatch.context() as patch, ops.use_threads(threads):
        patch.setattr(read, "THREADED_FROM", 0)
        patch.setattr(read, "BUFFER_BYTES", buffer)
        read.each_piece(
            read_header(path).values(),
            np.dtype(np.float32),
            lambda tensor, first, rows: came.append((tensor.name, first, rows.copy())),
        )
    for name, values in tensors.items():
        rows = sorted(((first, rows) for which, first, rows in came if which == name), key=lambda piece: piece[0])
        ends = np.cumsum([len(piece) for _, piece in rows])
        assert [first for first, _ in rows] == [0, *ends[:-1]]
        assert_same(np.concatenate([piece for _, piece in rows]).reshape(values.shape), values.astype(np.float32), name)
        assert all(len(piece) == 1 or piece.nbytes <= buffer for _, piece in rows)


def outcome(folder: Path, threads: int) -> Any:
    with ops.use_threads(threads):
        try:
            return {name: array.tobytes() for name, array in to_arrays(load(folder, TINY)).items()}
        except ValueError as error:
            return str(error)


@pytest.mark.parametrize("broken", [(), ("model.shared.weight",), ("final_logits_bias", "model.shared.weight")])
def test_any_number_of_threads_gives_the_same(shared: None, tmp_path: Path, broken: tuple[str, ...]):
    _, stored = tensors_of(TINY, "full")
    copies = {"lm_head.weight": stored["model.shared.weight"], "model.decoder.embed_tokens.weight": np.zeros((11, 6))}
    stored = {name: array.copy() for name, array in {**stored, **(copies if broken else {})}.items()}
    for name in broken:
        stored[name].flat[-1] = np.nan
    write(tmp_path / FILE, stored)
    one = outcome(tmp_path, 1)
    assert isinstance(one, str) == bool(broken)
    assert all(name in one for name in broken)
    assert all(outcome(tmp_path, threads) == one for threads in (2, 3, 4))


def numbers(path: Path) -> list[StoredTensor]:
    write(path, {"one": np.arange(40.0).reshape(10, 4), "two": np.arange(8.0)})
    return list(read_header(path).values())


def test_two_threads_read_at_once_and_an_error_in_either_is_raised(shared: None, tmp_path: Path):
    tensors, both = numbers(tmp_path / FILE), threading.Barrier(2)
    for fails in (True, False):
        seen: set[str] = set()

        def do(_tensor: StoredTensor, _first: int, _rows: np.ndarray, fails: bool = fails, seen: set = seen) -> None:
            name = threading.current_thread().name
            if name not in seen:
                seen.add(name)
                both.wait(60)  # each has a piece before either goes on
            if (threading.current_thread() is threading.main_thread()) == fails:
                raise KeyError(name)

        with ops.use_threads(2), pytest.raises(KeyError):
            read.each_piece(tensors, np.dtype(np.float32), do)
        assert len(seen) == 2


def test_what_is_small_is_read_by_the_calling_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tensors = numbers(tmp_path / FILE)
    monkeypatch.setattr(read, "BUFFER_BYTES", 16)
    readers: set[int] = set()
    with ops.use_threads(4):
        read.each_piece(tensors, np.dtype(np.float32), lambda *_: readers.add(threading.get_ident()))
    assert readers == {threading.get_ident()}


def test_a_file_that_shrinks_is_refused_by_any_thread(shared: None, tmp_path: Path):
    tensors = numbers(tmp_path / FILE)
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:-4])
    for threads in (1, 2, 4):
        with ops.use_threads(threads), pytest.raises(ValueError, match="ended inside tensor 'two': it was cut short"):
            read.each_piece(tensors, np.dtype(np.float32), lambda *_: None)


def test_after_an_error_nobody_begins_another_piece(shared: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tensors, both, emptied = numbers(tmp_path / FILE), threading.Barrier(2), threading.Event()

    class Waiting(deque):
        def clear(self) -> None:
            super().clear()
            emptied.set()

    monkeypatch.setattr(read, "deque", Waiting)
    calls: list[bool] = []

    def do(*_: Any) -> None:
        here = threading.current_thread() is threading.main_thread()
        calls.append(here)
        both.wait(60)
        if not here:
            raise KeyError
        emptied.wait(60)

    with ops.use_threads(2), pytest.raises(KeyError):
        read.each_piece(tensors, np.dtype(np.float32), do)
    assert sorted(calls) == [False, True]
