"""Softmax, layer norm, lookup, loss and dropout, each as its formula.

One piece of code serves float32, float64 and longdouble, returns the dtype it was given, takes any leading shape and
changes none of its arguments. NaN and infinity flow as the mathematics says, and where that says nothing the docstring
does. Arguments are not checked here (see `checked`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from npblender.common.array_types import FloatArray, IntArray, Mask
from npblender.ops.packed.blas import openblas
from npblender.ops.packed.matrix_like import Matrix
from npblender.ops.threads import by_rows


def softmax(x: FloatArray) -> FloatArray:
    """exp(x) / sum(exp(x)) over the last axis, x [..., L].

    >>> x = np.array([0.0, np.log(3.0)])
    >>> np.exp(x) / np.exp(x).sum()
    array([0.25, 0.75])
    >>> softmax(x)
    array([0.25, 0.75])

    The largest value of each row is subtracted first, which cancels, so that no finite input overflows. Entries of
    -inf get weight 0. A row that holds NaN or +inf, or nothing but -inf, is NaN throughout (0/0, as in torch).
    """
    return by_rows(_softmax_rows, x)


def log_softmax(x: FloatArray) -> FloatArray:
    """x - log(sum(exp(x))) over the last axis, x [..., L]: the logarithm of `softmax`, without its underflow.

    >>> x = np.array([0.0, np.log(3.0)])
    >>> (x - np.log(np.exp(x).sum())).round(6)
    array([-1.386294, -0.287682])
    >>> log_softmax(x).round(6)
    array([-1.386294, -0.287682])

    Entries of -inf stay -inf; rows with NaN or +inf, or nothing but -inf, are NaN throughout, as in `softmax`.
    """
    return by_rows(_log_softmax_rows, x)


def layer_norm(x: FloatArray, weight: FloatArray, bias: FloatArray, eps: float = 1e-5) -> FloatArray:
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axis, x [..., D], weight and bias [D].

    >>> x, weight, bias = np.array([1.0, 3.0]), np.array([1.0, 10.0]), np.array([0.0, 5.0])
    >>> (x - x.mean()) / np.sqrt(x.var() + 0.0) * weight + bias
    array([-1., 15.])
    >>> layer_norm(x, weight, bias, eps=0.0)
    array([-1., 15.])

    The variance is the biased one, divided by D, and eps stands inside the root: Ba, Kiros and Hinton, "Layer
    Normalization", equation 4, as torch computes it. A row with NaN or infinity becomes NaN throughout.
    """
    return by_rows(_layer_norm_rows, x, weight, bias, eps)


def embed(ids: IntArray, table: Matrix) -> FloatArray:
    """table[ids]: the rows of a table [V, D] that ids [...] name -> [..., D].

    >>> table = np.array([[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]])
    >>> embed(np.array([2, 0]), table)
    array([[2. , 2.5],
           [0. , 0.5]])
    """
    return table.take(ids.astype(np.intp, copy=False), axis=0)


def cross_entropy(logits: FloatArray, labels: IntArray, ignore_index: int = -100) -> np.floating[Any]:
    """The mean of -log_softmax(logits)[label], logits [..., V], over the labels [...] that are not `ignore_index`.

    >>> logits, labels = np.log([[0.25, 0.75], [0.5, 0.5]]), np.array([0, -100])
    >>> -np.log(0.25).round(6)
    np.float64(1.386294)
    >>> cross_entropy(logits, labels).round(6)
    np.float64(1.386294)

    NaN when every label is ignored, or there is none, as in torch: the mean of nothing.
    """
    counted = labels != ignore_index
    targets = labels[counted]
    scalar = logits.dtype.type
    if targets.size == 0:
        return scalar(np.nan)
    log_probabilities = log_softmax(logits[counted])  # [..., V] -> [counted, V]
    return scalar(-log_probabilities[np.arange(targets.size), targets].mean())


def dropout(x: FloatArray, p: float, rng: np.random.Generator) -> FloatArray:
    """x where a uniform draw reaches p, else 0, divided by 1 - p: the expectation is x, as in torch. x [...].

    >>> x, p = np.ones(8), 0.5
    >>> x * (np.random.default_rng(0).random(x.shape) >= p) / (1 - p)
    array([2., 0., 0., 0., 2., 2., 2., 2.])
    >>> dropout(x, p, np.random.default_rng(0))
    array([2., 0., 0., 0., 2., 2., 2., 2.])

    With p = 0 it draws nothing and returns x itself. The same generator state drops the same places in every dtype.
    A dropped NaN or infinity gives NaN, as 0 times it does.
    """
    if p == 0:
        return x
    keep: Mask = rng.random(x.shape) >= p
    scale = x.dtype.type(0 if p == 1 else 1 / (1 - np.longdouble(p)))
    return np.asarray(x * (keep * scale))


# How they are evaluated: kernels of some rows [n, D], which write their results where they are to be.


def _softmax_rows(rows: FloatArray, out: FloatArray) -> None:
    # fmax skips NaN, which the sum then spreads over the row as well; maximum takes half as long again
    np.subtract(rows, np.fmax.reduce(rows, axis=-1, keepdims=True), out=out)
    np.exp(out, out=out)
    np.divide(out, np.add.reduce(out, axis=-1, keepdims=True), out=out)


def _log_softmax_rows(rows: FloatArray, out: FloatArray) -> None:
    np.subtract(rows, np.maximum.reduce(rows, axis=-1, keepdims=True), out=out)
    np.subtract(out, np.log(np.add.reduce(np.exp(out), axis=-1, keepdims=True)), out=out)


def _layer_norm_rows(rows: FloatArray, out: FloatArray, gain: FloatArray, shift: FloatArray, eps: float) -> None:
    size = rows.shape[1]
    mean = np.add.reduce(rows, axis=1, keepdims=True)
    np.divide(mean, size, out=mean)
    np.subtract(rows, mean, out=out)
    variance = _sums_of_squares(out)[:, None]
    np.divide(variance, size, out=variance)
    np.add(variance, eps, out=variance)
    np.divide(out, np.sqrt(variance, out=variance), out=out)
    np.multiply(out, gain, out=out)
    np.add(out, shift, out=out)


def _sums_of_squares(rows: FloatArray) -> FloatArray:
    """The sum of squares of each row, [n, D] -> [n], the same wherever a row lies: MKL's depends on its address."""
    sums: FloatArray = np.vecdot(rows, rows) if openblas() is not None else np.einsum("ij,ij->i", rows, rows)
    return sums
