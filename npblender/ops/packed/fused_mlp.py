"""A linear map, a function of each value and another linear map, as one piece of work for each thread.

To hand work to a thread of Python takes about as long as to read a megabyte and a half of weights. Shared out one by
one, the steps of a feed-forward block of a few rows gain nothing by it; here a thread takes some of the values in
between through all of them, and the two meet once. What is added up, and in which order, is as in `linear`, so the
results are the same, bit for bit. Not here: the steps themselves (see `linear_maps`, `panels`), and when nobody may be
told of the values in between (see `attention`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from npblender.common.array_types import FloatArray
from npblender.ops.packed.lazy_panels import as_multiplied
from npblender.ops.packed.matrix_like import MatrixLike
from npblender.ops.packed.panels import SMALL_PRODUCT, WIDTH, Panels, add_up, multiply_parts
from npblender.ops.threads import num_threads, run_in_threads, use_threads

SHARED = 2**22  # multiplications by the first matrix from which it pays


def can_be_shared(x: FloatArray, first: npt.ArrayLike | MatrixLike, second: npt.ArrayLike | MatrixLike) -> bool:
    """Whether `two_linears` takes these x [..., D], first [F, D] and second [D, F], and is worth its while.

    >>> can_be_shared(np.ones((1, 4)), np.ones((5, 4)), np.ones((4, 5)))
    False
    """
    given = x.size // x.shape[-1]
    first, second = as_multiplied(first, given), as_multiplied(second, given)
    if not (isinstance(first, Panels) and isinstance(second, Panels)) or num_threads() == 1 or not x.size:
        return False
    if not first.keeps_rows_apart:
        return False
    _, parts, depth, width = second.store.shape
    few = given * depth * width <= SMALL_PRODUCT
    whole = depth % WIDTH == 0 and first.rows == parts * depth == len(first.store) * first.store.shape[3]
    return bool(few and whole and parts > 1 and (given + first.reading) * first.size >= SHARED)


def two_linears(
    x: FloatArray,
    first: npt.ArrayLike | MatrixLike,
    first_bias: FloatArray,
    function: Callable[[FloatArray], FloatArray],
    second: npt.ArrayLike | MatrixLike,
    second_bias: FloatArray,
) -> FloatArray:
    """linear(function(linear(x, first, first_bias)), second, second_bias): [..., D] -> [..., F] -> [..., D].

    For what `can_be_shared`; `function` is of each value alone. Arguments are not checked: these are the model's own.

    >>> one, two = Panels.of(np.ones((512, 256))), Panels.of(np.ones((256, 512)))
    >>> two_linears(np.ones((1, 256)), one, np.zeros(512), np.sqrt, two, np.zeros(256))[0, :3]
    array([8192., 8192., 8192.])
    """
    rows = x.reshape(-1, x.shape[-1])  # [..., D] -> [R, D]
    given = len(rows)
    first, second = as_multiplied(first, given), as_multiplied(second, given)
    assert isinstance(first, Panels), "ask `can_be_shared` first"
    assert isinstance(second, Panels), "ask `can_be_shared` first"
    count, parts, depth, width = second.store.shape
    padded = max(given, 2)  # a single row would be another kernel of the BLAS, which is slower
    sums = np.empty((parts, padded, count, width), x.dtype)  # the parts of every sum of the second

    def job(_worker: int, begin: int, end: int) -> None:
        """Parts `begin` to `end` of the second's sums, and the values in between that they are made of."""
        between = slice(begin * depth, end * depth)
        with use_threads(1), np.errstate(all="ignore"):
            store = first.store[between.start // WIDTH : between.stop // WIDTH]
            panels = replace(first, store=store, rows=between.stop - between.start, whole=None)
            values = function(panels.multiply(rows, first_bias[between]))  # [R, D] -> [R, F of this thread]
            if given < padded:
                values = np.concatenate([values, values])
            pieces = values.reshape(padded, end - begin, depth).transpose(1, 0, 2)  # [C, R, F/C]
            multiply_parts(pieces, second.numbers(second.store[:, begin:end]), sums[begin:end])

    run_in_threads(job, parts, num_threads())
    y = np.empty((given, count * width), x.dtype)
    with np.errstate(all="ignore"):
        add_up(sums, y, second.padded(second_bias))
    return y[:, : second.rows].reshape(*x.shape[:-1], second.rows)
