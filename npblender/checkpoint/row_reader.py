"""Tensors read from their files some rows at a time, in a few threads.

Reading, converting, checking and laying out all let go of the interpreter, so that two threads do it in little more
than half the time of one. Each takes the next piece that nobody has, in the order in which they lie in their files:
what is done with a piece must not depend on who does it, or when.

What it does not do: it knows no parameters, and it does not know what the pieces are read for.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any, BinaryIO, TypeAlias

import numpy as np

from npblender import ops
from npblender.checkpoint.dtypes import STORED_BITS, decode
from npblender.checkpoint.header import StoredTensor
from npblender.common.array_types import Array

BUFFER_BYTES = 1 << 20  # fits a core's own cache, so a value is still there when it is checked
SHARED = 1 << 23  # bytes from which a second thread pays
MOST_THREADS = 3  # each holds some 2 MB, and memory is busy with as many

Piece: TypeAlias = tuple[StoredTensor, int, int]  # a tensor, the first of some rows, and how many
Do: TypeAlias = Callable[[StoredTensor, int, Array], None]


def in_order(tensors: Iterable[StoredTensor]) -> list[StoredTensor]:
    """The tensors as they lie, file by file."""
    return sorted(tensors, key=lambda tensor: (str(tensor.file), tensor.start))


def each_piece(tensors: Iterable[StoredTensor], dtype: np.dtype[Any], do: Do) -> None:
    """Call `do(tensor, first, rows)` on all rows of the tensors in `dtype`, some at a time, `first` their number.

    It is called from several threads at once; `rows` are good until it returns.

    Raises:
        ValueError: a file is shorter than its header said.
    """
    tensors = in_order(tensors)
    waiting = deque(piece for tensor in tensors for piece in _pieces(tensor, dtype))

    def job(_worker: int, _first: int, _last: int) -> None:
        buffer = np.empty(0, np.uint8)
        try:
            for (tensor, first, count), file in _opened(_taken(waiting)):
                size, start = count * _row_bytes(tensor), tensor.start + first * _row_bytes(tensor)
                if size > buffer.size:
                    buffer = np.empty(size, np.uint8)
                raw = buffer[:size]
                file.seek(start)
                if file.readinto(raw.data) != size:  # type: ignore[attr-defined]
                    raise ValueError(
                        f"{tensor.file} ended inside tensor {tensor.name!r}: it was cut short while it was read"
                    )
                do(tensor, first, decode(raw, tensor.dtype, dtype).reshape(-1, *tensor.shape[1:]))
        finally:
            waiting.clear()  # after an error the others need not go on

    threads = min(ops.num_threads(), MOST_THREADS) if sum(tensor.size for tensor in tensors) >= SHARED else 1
    ops.run_in_threads(job, threads, threads)


def _row_bytes(tensor: StoredTensor) -> int:
    return math.prod(tensor.shape[1:]) * STORED_BITS[tensor.dtype] // 8


def _pieces(tensor: StoredTensor, dtype: np.dtype[Any]) -> Iterator[Piece]:
    """The rows of a tensor, as many at a time as a buffer holds, stored or converted."""
    widest = max(_row_bytes(tensor), math.prod(tensor.shape[1:]) * dtype.itemsize, 1)
    at_once = max(1, BUFFER_BYTES // widest)
    count = tensor.shape[0] if tensor.shape else 1
    for first in range(0, count, at_once):
        yield tensor, first, min(at_once, count - first)


def _taken(waiting: deque[Piece]) -> Iterator[Piece]:
    """The next piece that nobody has, until there is none."""
    while True:
        try:
            yield waiting.popleft()
        except IndexError:
            return


def _opened(pieces: Iterable[Piece]) -> Iterator[tuple[Piece, BinaryIO]]:
    """Each piece with its file open."""
    for path, group in groupby(pieces, key=lambda piece: piece[0].file):
        with path.open("rb") as file:
            for piece in group:
                yield piece, file
