"""Linear maps, rows times a matrix plus a bias; and products of stacks of matrices.

A weight is an array [F, D], as files have it, or a matrix laid out for fast products (see `packed`): each function
decides by itself how it multiplies. Arguments are not checked here (see `checked`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from npblender.common.array_types import FloatArray
from npblender.ops.packed import fused_mlp, matrix_like
from npblender.ops.packed.lazy_panels import as_multiplied, joined, multiply
from npblender.ops.packed.panels import Panels
from npblender.ops.threads import num_threads, run_in_threads

Matrix: TypeAlias = matrix_like.Matrix  # an array [F, D], or a matrix packed for fast products
Map: TypeAlias = tuple[Matrix, FloatArray]  # a linear map: its weight [F, D] and its bias [F]
Between: TypeAlias = Callable[[str, FloatArray], FloatArray]  # "hidden" or "activation" and it -> what goes on


def linear(x: FloatArray, weight: Matrix, bias: FloatArray | None = None) -> FloatArray:
    """x @ weight.T + bias: x [..., D], weight [F, D] as transformers stores it, bias [F] or None -> [..., F].

    >>> x = np.array([[1.0, 2.0]])
    >>> weight, bias = np.array([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]), np.array([0.0, 0.5, 1.0])
    >>> x @ weight.T + bias
    array([[11. , 17.5, 24. ]])
    >>> linear(x, weight, bias)
    array([[11. , 17.5, 24. ]])
    """
    leading = x.shape[:-1]
    rows = x.reshape(math.prod(leading), x.shape[-1])  # [..., D] -> [rows, D]
    if isinstance(weight, np.ndarray):
        y: FloatArray = np.matmul(rows, weight.T)  # [rows, D] -> [rows, F]
        if bias is not None:
            y += bias
    else:
        y = multiply(weight, rows, bias)
    return y.reshape(*leading, y.shape[-1])


def linears(x: FloatArray, maps: Sequence[Map]) -> list[FloatArray]:
    """[linear(x, weight, bias) for weight, bias in maps]: several maps of the same x [..., D].

    >>> x, one = np.array([1.0, 2.0]), np.eye(2)
    >>> [y.tolist() for y in linears(x, [(one, np.zeros(2)), (2 * one, np.ones(2))])]
    [[1.0, 2.0], [3.0, 5.0]]

    Uses a single matrix product when the weights are stored contiguously, as parts of one matrix; the results may then
    be views of one array.
    """
    whole = joined([weight for weight, _ in maps])
    if whole is None:
        return [linear(x, weight, bias) for weight, bias in maps]
    product = linear(x, whole, np.concatenate([bias for _, bias in maps]))  # [..., D] -> [..., F1 + F2 + ...]
    edges = itertools.accumulate((len(bias) for _, bias in maps), initial=0)
    return [product[..., first:last] for first, last in itertools.pairwise(edges)]


def mlp(
    x: FloatArray, fc1: Map, activation: Callable[[FloatArray], FloatArray], fc2: Map, between: Between | None = None
) -> FloatArray:
    """linear(activation(linear(x, *fc1)), *fc2): [..., D] -> [..., F] -> [..., D], a feed-forward block.

    >>> x, fc1 = np.array([[1.0, -2.0]]), (np.eye(2), np.array([0.5, 0.5]))
    >>> fc2 = np.array([[1.0, 1.0], [2.0, 0.0]]), np.array([0.0, 1.0])
    >>> np.maximum(x + 0.5, 0) @ fc2[0].T + fc2[1]
    array([[1.5, 4. ]])
    >>> mlp(x, fc1, lambda hidden: np.maximum(hidden, 0), fc2)
    array([[1.5, 4. ]])

    `activation` is of each value alone; `between` sees what it gets and what it gives, and may change both. Without
    it both maps are computed as one piece of work for each thread where that is faster (see `packed.fused_mlp`).
    """
    if between is None:
        if fuses(x, fc1[0], fc2[0]):
            return fused_mlp.compute(x, fc1, activation, fc2)
        return linear(activation(linear(x, *fc1)), *fc2)
    hidden = between("hidden", linear(x, *fc1))  # [..., D] -> [..., F]
    return linear(between("activation", activation(hidden)), *fc2)  # [..., F] -> [..., D]


SHARED = 2**22  # multiplications from which a second thread pays


def fuses(x: FloatArray, first: Matrix, second: Matrix) -> bool:
    """Whether a feed-forward block, x [..., D], first [F, D], second [D, F], is faster as one piece of work a thread.

    >>> fuses(np.ones((1, 4)), np.ones((5, 4)), np.ones((4, 5)))
    False
    """
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray) or num_threads() == 1 or not x.size:
        return False
    rows = x.size // x.shape[-1]
    first, second = as_multiplied(first, rows), as_multiplied(second, rows)
    if not (isinstance(first, Panels) and isinstance(second, Panels) and first.keeps_rows_apart):
        return False
    _, parts, depth, width = second.store.shape
    few = rows * depth * width <= second.cut.product
    whole = depth % first.store.shape[3] == 0 and first.rows == parts * depth == len(first.store) * first.store.shape[3]
    return bool(few and whole and parts > 1 and (rows + first.reading) * first.size >= SHARED)


def products(a: FloatArray, b: FloatArray) -> FloatArray:
    """a @ b for stacks of matrices, [B, H, T, K] @ [B, H, K, L] -> [B, H, T, L].

    >>> a, b = np.ones((1, 2, 1, 3)), np.ones((1, 2, 3, 1))
    >>> products(a, 2 * b).ravel()
    array([6., 6.])

    Large stacks are shared over threads.
    """
    batch, heads, new, inner = a.shape
    keys = b.shape[-1]
    if batch * heads * new * keys * inner < SHARED or (threads := num_threads()) == 1:
        result: FloatArray = np.matmul(a, b)
        return result
    out = np.empty((batch, heads, new, keys), a.dtype)
    by_heads = batch < threads

    def job(_worker: int, first: int, last: int) -> None:
        at = (slice(None), slice(first, last)) if by_heads else (slice(first, last),)
        np.matmul(a[at], b[at], out=out[at])

    run_in_threads(job, heads if by_heads else batch, threads)
    return out
