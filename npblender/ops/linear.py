"""Linear maps, rows times a matrix plus a bias; and products of stacks of matrices.

A matrix comes as an array [F, D], as files have it, or laid out so that large ones are multiplied fast (see `layout`).
Not here: how that is done (see `panels`, and `halves` for those kept in 16 bits).
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from npblender.common.array_types import FloatArray
from npblender.ops.blocks import float_array, same_dtype
from npblender.ops.packed.lazy_panels import as_multiplied, joined
from npblender.ops.packed.matrix_like import MatrixLike
from npblender.ops.packed.panels import Panels
from npblender.ops.threads import num_threads, run_in_threads

SHARED = 2**22  # multiplications from which a second thread pays


def linear(x: npt.ArrayLike, weight: npt.ArrayLike | MatrixLike, bias: npt.ArrayLike | None = None) -> FloatArray:
    """x @ weight.T + bias: x [..., D], weight [F, D] as transformers stores it, bias [F] or None -> [..., F].

    Raises TypeError for another dtype or for unequal ones, ValueError for shapes that do not fit.

    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]), np.array([0, 0.5, 1]))
    array([[11. , 17.5, 24. ]])
    """
    x = float_array("x", x)
    weight = as_multiplied(weight, math.prod(x.shape[:-1]))
    if not isinstance(weight, Panels) or weight.dtype != x.dtype:
        weight = same_dtype("weight", weight, "x", x)
    shape = weight.shape
    if len(shape) != 2:
        raise ValueError(f"weight has shape {shape}, but it must be [out, in]")
    if x.ndim == 0 or x.shape[-1] != shape[1]:
        raise ValueError(f"x has shape {x.shape}, but weight of shape {shape} needs {shape[1]} last")
    if bias is not None:
        bias = same_dtype("bias", bias, "x", x)
        if bias.shape != shape[:1]:
            raise ValueError(f"bias has shape {bias.shape}, but weight, {shape}, needs {shape[:1]}")
    leading = x.shape[:-1]
    rows = x if x.ndim == 2 else x.reshape(math.prod(leading), shape[1])  # [..., D] -> [rows, D]
    y: FloatArray
    with np.errstate(all="ignore"):
        if isinstance(weight, Panels):  # [rows, D] -> [rows, F]
            y = weight.multiply(rows, bias)
        else:
            y = np.matmul(rows, weight.T)
            if bias is not None:
                y = np.add(y, bias, out=y)
    return y if x.ndim == 2 else y.reshape(*leading, shape[0])


def linears(x: npt.ArrayLike, maps: Sequence[tuple[npt.ArrayLike | MatrixLike, npt.ArrayLike]]) -> list[FloatArray]:
    """`linear` of the same x for several (weight, bias). Where the weights are parts of one matrix, in one product.

    The results may be views of one array. Raises as `linear` does.

    >>> one = np.eye(2)
    >>> [y.tolist() for y in linears(np.array([1.0, 2.0]), [(one, np.zeros(2)), (2 * one, np.ones(2))])]
    [[1.0, 2.0], [3.0, 5.0]]
    """
    whole = joined([weight for weight, _ in maps])
    if whole is None:
        return [linear(x, weight, bias) for weight, bias in maps]
    biases = [np.asarray(bias) for _, bias in maps]
    sizes = [len(whole) // len(maps)] * len(maps)  # parts of one matrix are equal
    for bias, size in zip(biases, sizes, strict=True):
        if bias.shape != (size,):
            raise ValueError(f"bias has shape {bias.shape}, but a weight of {size} rows needs ({size},)")
    product = linear(x, whole, np.concatenate(biases))  # [..., D] -> [..., F1 + ...]
    edges = itertools.accumulate(sizes, initial=0)
    return [product[..., first:last] for first, last in itertools.pairwise(edges)]


def products(a: FloatArray, b: FloatArray) -> FloatArray:
    """a @ b for stacks of matrices, [B, H, T, K] @ [B, H, K, L] -> [B, H, T, L], the stacks shared over threads.

    Arguments are not checked: these are the model's own.

    >>> products(np.ones((2, 3, 4, 5)), np.ones((2, 3, 5, 6)))[0, 0, 0]
    array([5., 5., 5., 5., 5., 5.])
    """
    batch, heads, new, inner = a.shape
    keys = b.shape[-1]
    if batch * heads * new * keys * inner < SHARED or (threads := num_threads()) == 1:
        with np.errstate(all="ignore"):
            result: FloatArray = np.matmul(a, b)
            return result
    out = np.empty((batch, heads, new, keys), a.dtype)
    by_heads = batch < threads

    def job(_worker: int, first: int, last: int) -> None:
        at = (slice(None), slice(first, last)) if by_heads else (slice(first, last),)
        with np.errstate(all="ignore"):
            np.matmul(a[at], b[at], out=out[at])

    run_in_threads(job, heads if by_heads else batch, threads)
    return out
