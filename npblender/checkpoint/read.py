"""Reads weights from a folder: every tensor checked, converted, and read once to where it stays.

Tensors are read some rows at a time, in a few threads: reading, converting, checking and storing all release the
interpreter, so two threads need little more than half the time of one. Each takes the next free rows, in the order of
the files, so what is done with them must not depend on the thread or on when. Loading needs the memory of the weights
and a few megabytes.

Everything that does not fit is collected and raised in one error. Nothing is repaired.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from npblender.checkpoint.dtypes import STORED_BITS, STORED_FLOATS, decode, resolve_storage
from npblender.checkpoint.folder import StoredTensor, find_tensors, view_end
from npblender.checkpoint.parameter_names import SHARED, canonical_name, copies_in_order
from npblender.common import json_files
from npblender.common.array_types import Array
from npblender.common.printable import first_of, shown
from npblender.config import BlenderbotSmallConfig
from npblender.ops.threads import num_threads, run_in_threads
from npblender.transformer.packing import MatrixAllocator, rounded_to_storage, store_rows
from npblender.transformer.parameters import (
    BASE_MODEL,
    CAUSAL_MODEL,
    FULL_MODEL,
    LOGITS_BIAS,
    Matrix,
    Parts,
    Weights,
    expected_shapes,
    from_arrays,
)

BUFFER_BYTES = 1 << 20  # fits a core's own cache, so a value is still there when it is checked
THREADED_FROM = 1 << 23  # bytes from which a second thread pays
MOST_THREADS = 3  # each holds some 2 MB, and memory is busy with as many

Piece: TypeAlias = tuple[StoredTensor, int, int]  # a tensor, the first of some rows, and how many
Do: TypeAlias = Callable[[StoredTensor, int, Array], None]


def load(
    folder: str | os.PathLike[str],
    config: BlenderbotSmallConfig,
    parts: Parts = FULL_MODEL,
    dtype: str | npt.DTypeLike = "float32",
    *,
    allow_pickle: bool = False,
) -> Weights:
    """Read the weights in a folder as the tree for `config`, every parameter in `dtype`.

    With "float16" and "bfloat16" only the large matrices are kept in 16 bits, rounded from float32 to the nearest;
    everything else is in float32.

    `parts` says what the model has: `FULL_MODEL`, `BASE_MODEL` or `CAUSAL_MODEL`. Tensors of
    the other parts may be in the file and stay unread. `final_logits_bias` is zeros where the file has none,
    as in transformers. Peak memory is the weights and a few megabytes.

    `allow_pickle` says that pytorch_model.bin or ParlAI's `model` may be read (see `find_tensors`).

    Raises:
        FileNotFoundError: no such folder, no weights in it, or a shard that is not there.
        ValueError: the dtype is not covered; a file is damaged, cut short or a pickle; or tensors are
            missing, unknown, of another shape than `config` says, no floats, not finite, or copies that
            disagree. The message names every one of them.

    >>> from tempfile import TemporaryDirectory
    >>> from npblender.checkpoint import save
    >>> with TemporaryDirectory() as folder:
    ...     save(folder, config, weights)
    ...     load(folder, config, dtype="float64").dtype
    dtype('float64')
    """
    if parts not in (FULL_MODEL, BASE_MODEL, CAUSAL_MODEL):
        raise ValueError(f"parts must be FULL_MODEL, BASE_MODEL or CAUSAL_MODEL, not {shown(parts)}")
    place = json_files.model_folder(folder)
    target, storage = resolve_storage(dtype)
    problems: list[str] = []
    sources = _match(find_tensors(place, allow_pickle), config, parts, problems)
    arrays = _read_all({name: copies[0] for name, copies in sources.items()}, target, storage, problems)
    _compare_copies(sources, arrays, problems)
    if problems:
        raise ValueError("\n    ".join([f"the weights in {place} do not fit the configuration:", *first_of(problems)]))
    if LOGITS_BIAS in parts and LOGITS_BIAS not in arrays:
        arrays[LOGITS_BIAS] = np.zeros((1, config.vocab_size), target)
    return from_arrays(config, arrays, parts)


def _match(
    tensors: dict[str, StoredTensor], config: BlenderbotSmallConfig, parts: Parts, problems: list[str]
) -> dict[str, list[StoredTensor]]:
    """Find the tensors to read each parameter of these parts from; what does not fit goes to `problems`.

    Only the token embeddings can come from several: the first is to be read, the others must agree with it.
    """
    known, wanted = expected_shapes(config, FULL_MODEL), expected_shapes(config, parts)
    found: dict[str, list[str]] = {}
    for name in tensors:
        bare = name.removeprefix("model.")
        canonical = bare if bare in known else canonical_name(name)  # which takes some time, for several hundred names
        if canonical is not None:
            found.setdefault(canonical, []).append(name)
    sources: dict[str, list[StoredTensor]] = {}
    for canonical, names in found.items():
        if canonical not in known:
            problems += [f"unknown: {name} {list(tensors[name].shape)}" for name in names]
            continue
        if canonical == SHARED:
            names = copies_in_order(names, parts)
        elif len(names) > 1:
            problems.append(f"one parameter under several names: {', '.join(names)}")
        fitting = [tensors[name] for name in names if _fits(tensors[name], known[canonical], problems)]
        if canonical in wanted and fitting:
            sources[canonical] = fitting
    missing = [name for name in wanted if name not in found and name != LOGITS_BIAS]
    problems[:0] = [f"missing: {name} {list(wanted[name])}" for name in missing]
    return sources


def _fits(tensor: StoredTensor, shape: tuple[int, ...], problems: list[str]) -> bool:
    wrong = []
    if tensor.shape != shape:
        wrong.append(f"of another shape: {tensor.name} is {list(tensor.shape)}, the config asks for {list(shape)}")
    if tensor.dtype not in STORED_FLOATS:
        wrong.append(f"no float: {tensor.name} is {tensor.dtype}; {', '.join(STORED_FLOATS)} are read")
    problems += wrong
    return not wrong


def _read_all(
    tensors: Mapping[str, StoredTensor], dtype: np.dtype[Any], storage: str, problems: list[str]
) -> dict[str, Matrix]:
    """Read each parameter from its tensor, laid out as it is multiplied fastest."""
    allocator = MatrixAllocator({name: tensor.shape for name, tensor in tensors.items()}, dtype, storage)
    arrays = {name: allocator.allocate(name) for name in tensors}
    places = {tensor.name: arrays[name] for name, tensor in tensors.items()}
    broken: set[str] = set()

    def put(tensor: StoredTensor, first: int, rows: Array) -> None:
        if not store_rows(places[tensor.name], first, rows):
            broken.add(tensor.name)

    each_piece(tensors.values(), dtype, put)
    problems += [
        f"not finite as {storage}: {tensor.name} holds NaN, infinity or too large a number"
        for tensor in in_order(tensors.values())
        if tensor.name in broken
    ]
    return arrays


def _compare_copies(sources: dict[str, list[StoredTensor]], arrays: dict[str, Matrix], problems: list[str]) -> None:
    """Check that all copies of the token embeddings in the files are equal: they are one matrix."""
    if SHARED not in sources:
        return
    first, *others = sources[SHARED]
    shared = arrays[SHARED]
    other: set[str] = set()

    def compare(tensor: StoredTensor, first: int, rows: Array) -> None:
        kept = shared.take(np.arange(first, first + len(rows)), axis=0)
        if not np.array_equal(rounded_to_storage(shared, rows), kept, equal_nan=True):
            other.add(tensor.name)

    each_piece(others, shared.dtype, compare)
    for tensor in in_order(others):
        if tensor.name in other:
            what = "an untied head" if tensor.name == "lm_head.weight" else "a second embedding"
            problems.append(f"{what} is not covered: {tensor.name} differs from {first.name}")


def in_order(tensors: Iterable[StoredTensor]) -> list[StoredTensor]:
    """Sort tensors by file and place."""
    return sorted(tensors, key=lambda tensor: (str(tensor.file), tensor.start))


def each_piece(tensors: Iterable[StoredTensor], dtype: np.dtype[Any], do: Do) -> None:
    """Call `do(tensor, first, rows)` on all rows of the tensors in `dtype`, some at a time, from number `first` on.

    It is called from several threads at once; `rows` are valid until it returns.

    Raises:
        ValueError: a file is shorter than its header said.
    """
    tensors = in_order(tensors)
    waiting = deque(piece for tensor in tensors for piece in _pieces_of(tensor, dtype))

    def job(_worker: int, _first: int, _last: int) -> None:
        buffer = np.empty(0, np.uint8)
        try:
            for (tensor, first, count), file in _opened(_taken(waiting)):
                start, size = _place_of(tensor, first, count)
                if size > buffer.size:
                    buffer = np.empty(size, np.uint8)
                raw = buffer[:size]
                file.seek(start)
                if file.readinto(raw.data) != size:  # type: ignore[attr-defined]
                    where = f"inside tensor {shown(tensor.name)}"
                    raise ValueError(f"{tensor.file} ended {where}: it was cut short while it was read")
                for behind, rows in _rows_in(raw, tensor, count, dtype):
                    do(tensor, first + behind, rows)
        finally:
            waiting.clear()  # after an error the others stop

    threads = min(num_threads(), MOST_THREADS) if sum(tensor.size for tensor in tensors) >= THREADED_FROM else 1
    run_in_threads(job, threads, threads)


def _pieces_of(tensor: StoredTensor, dtype: np.dtype[Any]) -> Iterator[Piece]:
    """Cut a tensor into as many rows as a buffer holds; into one piece if its rows lie within one another."""
    count = tensor.shape[0] if tensor.shape else 1
    apart = tensor.strides is None or view_end(tensor.shape[1:], tensor.strides[1:]) <= tensor.strides[0]
    at_once = _at_once(tensor, dtype) if apart else max(count, 1)
    for first in range(0, count, at_once):
        yield tensor, first, min(at_once, count - first)


def _place_of(tensor: StoredTensor, first: int, count: int) -> tuple[int, int]:
    """Find where some rows begin in the file, and how many bytes they span."""
    if tensor.strides is None:
        return tensor.start + first * _row_bytes(tensor), count * _row_bytes(tensor)
    item = STORED_BITS[tensor.dtype] // 8
    return tensor.start + first * tensor.strides[0] * item, view_end((count, *tensor.shape[1:]), tensor.strides) * item


def _rows_in(
    raw: npt.NDArray[np.uint8], tensor: StoredTensor, count: int, dtype: np.dtype[Any]
) -> Iterator[tuple[int, Array]]:
    """Yield the rows in the bytes of a piece, behind the number of the first; a few at a time if they are copied."""
    if tensor.strides is None:
        yield 0, decode(raw, tensor.dtype, dtype).reshape(-1, *tensor.shape[1:])
        return
    numbers = raw.view(STORED_FLOATS[tensor.dtype])
    steps = [step * numbers.itemsize for step in tensor.strides]
    view = np.lib.stride_tricks.as_strided(numbers, (count, *tensor.shape[1:]), steps, writeable=False)
    at_once = _at_once(tensor, dtype)
    for first in range(0, count, at_once):
        some = np.ascontiguousarray(view[first : first + at_once])
        yield first, decode(some.reshape(-1).view(np.uint8), tensor.dtype, dtype).reshape(some.shape)


def _row_bytes(tensor: StoredTensor) -> int:
    return math.prod(tensor.shape[1:]) * STORED_BITS[tensor.dtype] // 8


def _at_once(tensor: StoredTensor, dtype: np.dtype[Any]) -> int:
    """How many rows a buffer holds, stored or converted."""
    widest = max(_row_bytes(tensor), math.prod(tensor.shape[1:]) * dtype.itemsize, 1)
    return max(1, BUFFER_BYTES // widest)


def _taken(waiting: deque[Piece]) -> Iterator[Piece]:
    """Yield the next piece that no thread has, until there is none."""
    with contextlib.suppress(IndexError):
        while True:
            yield waiting.popleft()


def _opened(pieces: Iterable[Piece]) -> Iterator[tuple[Piece, BinaryIO]]:
    """Yield each piece with its file open."""
    for path, group in groupby(pieces, key=lambda piece: piece[0].file):
        with path.open("rb") as file:
            for piece in group:
                yield piece, file
