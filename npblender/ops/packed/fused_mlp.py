"""The fused MLP: a linear map, an activation and another linear map as one piece of work for each thread.

To hand work to a thread of Python takes about as long as to read a megabyte and a half of weights. Shared out one by
one, the steps of a feed-forward block of a few rows gain nothing by it; here a thread takes some of the values in
between through all of them, and the threads meet once. What is added up, and in which order, is as in `linear`, so the
results are the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from npblender.common.array_types import FloatArray
from npblender.ops.packed.lazy_panels import as_multiplied
from npblender.ops.packed.matrix_like import Matrix
from npblender.ops.packed.panels import Panels, add_up, multiply_parts
from npblender.ops.threads import num_threads, run_in_threads, use_threads


def compute(
    x: FloatArray,
    fc1: tuple[Matrix, FloatArray],
    activation: Callable[[FloatArray], FloatArray],
    fc2: tuple[Matrix, FloatArray],
) -> FloatArray:
    """linear(activation(linear(x, *fc1)), *fc2), where `linear.fuses` is true: [..., D] -> [..., F] -> [..., D].

    >>> fc1, fc2 = Panels.of(np.ones((512, 256))), Panels.of(np.ones((256, 512)))
    >>> compute(np.ones((1, 256)), (fc1, np.zeros(512)), np.sqrt, (fc2, np.zeros(256)))[0, :3]
    array([8192., 8192., 8192.])
    """
    rows = x.reshape(-1, x.shape[-1])  # [..., D] -> [rows, D]
    given = len(rows)
    first, second = as_multiplied(fc1[0], given), as_multiplied(fc2[0], given)
    assert isinstance(first, Panels), "ask `fuses` first"
    assert isinstance(second, Panels), "ask `fuses` first"
    count, parts, depth, width = second.store.shape
    columns = first.store.shape[3]  # of a panel
    padded = max(given, 2)  # a single row would be another kernel of the BLAS, which is slower
    sums = np.empty((parts, padded, count, width), x.dtype)  # the parts of every sum of the second

    def job(_worker: int, begin: int, end: int) -> None:
        """Parts `begin` to `end` of the second's sums, and the values in between that they are made of."""
        between = slice(begin * depth, end * depth)
        with use_threads(1):
            store = first.store[between.start // columns : between.stop // columns]
            panels = replace(first, store=store, rows=between.stop - between.start, whole=None)
            values = activation(panels.multiply(rows, fc1[1][between]))  # [rows, D] -> [rows, F of this thread]
            if given < padded:
                values = np.concatenate([values, values])
            pieces = values.reshape(padded, end - begin, depth).transpose(1, 0, 2)  # [parts, rows, F/parts]
            multiply_parts(pieces, second.numbers(second.store[:, begin:end]), sums[begin:end])

    run_in_threads(job, parts, num_threads())
    y = np.empty((given, count * width), x.dtype)
    add_up(sums, y, second.padded(fc2[1]))
    return y[:, : second.rows].reshape(*x.shape[:-1], second.rows)
