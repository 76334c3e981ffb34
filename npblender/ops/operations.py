"""The elementary operations of the model: activations, softmax, layer norm, lookup, loss, dropout.

Every operation runs through the same code for float32, float64 and longdouble, returns the dtype it was
given, accepts any leading shape, changes none of its arguments, and raises no NumPy warning: NaN and
infinity flow as the mathematics says, and where that says nothing the docstring does.

Not here: masks, gradients, and anything that knows of heads, layers or configurations.
"""

import math
import operator
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from npblender.common.array_types import FloatArray, IntArray
from npblender.ops.blocks import by_rows, float_array, same_dtype
from npblender.ops.packed.blas import openblas
from npblender.ops.packed.matrix_like import MatrixLike


def _along_axis(kernel: Callable[[FloatArray, FloatArray], None], x: npt.ArrayLike, axis: int) -> FloatArray:
    """Evaluate a kernel of rows along any axis of x."""
    x = float_array("x", x)
    if axis == -1 and x.ndim and x.shape[-1]:  # nearly always
        return by_rows(kernel, x)
    axis = operator.index(axis)
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis {axis} does not exist in x of shape {x.shape}")
    if x.shape[axis] == 0:
        raise ValueError(f"axis {axis} of x, of shape {x.shape}, is empty: there is nothing to normalise over")
    return np.moveaxis(by_rows(kernel, np.moveaxis(x, axis, -1)), -1, axis)


def _softmax_rows(rows: FloatArray, out: FloatArray) -> None:
    np.subtract(rows, np.maximum.reduce(rows, axis=-1, keepdims=True), out=out)
    np.exp(out, out=out)
    np.divide(out, np.add.reduce(out, axis=-1, keepdims=True), out=out)


def softmax(x: npt.ArrayLike, axis: int = -1) -> FloatArray:
    """exp(x) divided by its sum along `axis`. Any shape; dtype of x.

    The largest value of each row is subtracted first, so that no finite input overflows; entries of -inf get
    weight 0. A row that holds NaN or +inf, or nothing but -inf, is NaN throughout (0/0, as in torch): a caller
    who masks must leave each row something finite, or mask with a finite score.

    Raises TypeError for another dtype, ValueError for an axis that does not exist or is empty.

    >>> softmax(np.array([0.0, np.log(3.0)]))
    array([0.25, 0.75])
    """
    return _along_axis(_softmax_rows, x, axis)


def _log_softmax_rows(rows: FloatArray, out: FloatArray) -> None:
    np.subtract(rows, np.maximum.reduce(rows, axis=-1, keepdims=True), out=out)
    np.subtract(out, np.log(np.add.reduce(np.exp(out), axis=-1, keepdims=True)), out=out)


def log_softmax(x: npt.ArrayLike, axis: int = -1) -> FloatArray:
    """x minus the logarithm of the sum of exp(x) along `axis`. Any shape; dtype of x.

    Entries of -inf stay -inf; rows with NaN or +inf, or nothing but -inf, are NaN throughout, as in `softmax`.
    Raises as `softmax` does.

    >>> log_softmax(np.array([0.0, np.log(3.0)])).round(6)
    array([-1.386294, -0.287682])
    """
    return _along_axis(_log_softmax_rows, x, axis)


def _squares(rows: FloatArray) -> FloatArray:
    """The sum of squares of each row, [n, D] -> [n], the same wherever a row lies: MKL's depends on its address."""
    squares: FloatArray = np.vecdot(rows, rows) if openblas() is not None else np.einsum("ij,ij->i", rows, rows)
    return squares


def _layer_norm_rows(
    rows: FloatArray, out: FloatArray, gain: FloatArray, shift: FloatArray, eps: np.floating[Any]
) -> None:
    size = rows.shape[1]
    mean = np.add.reduce(rows, axis=1, keepdims=True)
    np.divide(mean, size, out=mean)
    np.subtract(rows, mean, out=out)
    variance = _squares(out)[:, None]
    np.divide(variance, size, out=variance)
    np.add(variance, eps, out=variance)
    np.divide(out, np.sqrt(variance, out=variance), out=out)
    np.multiply(out, gain, out=out)
    np.add(out, shift, out=out)


def layer_norm(x: npt.ArrayLike, weight: npt.ArrayLike, bias: npt.ArrayLike, eps: float = 1e-5) -> FloatArray:
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axis, x [..., D], weight and bias [D].

    The variance is the biased one (divided by D) and eps stands inside the root: Ba, Kiros and Hinton, "Layer
    Normalization", equation 4, as torch computes it. A row with NaN or infinity becomes NaN throughout. With
    eps = 0 a constant row has no value: it gives 0/0, or its own rounding noise blown up.

    Raises TypeError for another dtype or for unequal ones, ValueError for shapes that do not fit or an eps that
    is negative or not finite.

    >>> layer_norm(np.array([1.0, 3.0]), np.array([1.0, 10.0]), np.array([0.0, 5.0]), eps=0.0)
    array([-1., 15.])
    """
    x = float_array("x", x)
    gain, shift = same_dtype("weight", weight, "x", x), same_dtype("bias", bias, "x", x)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"x has shape {x.shape}, but layer_norm needs a last axis of at least one value")
    if not gain.shape == shift.shape == x.shape[-1:]:
        name, array = ("weight", gain) if gain.shape != x.shape[-1:] else ("bias", shift)
        raise ValueError(f"{name} has shape {array.shape}, but the last axis of x needs {x.shape[-1:]}")
    if (type(eps) is not float and not isinstance(eps, Real)) or not 0 <= eps < math.inf:
        raise ValueError(f"eps is {eps!r}, but it must be a finite number, not negative")
    return by_rows(_layer_norm_rows, x, gain, shift, x.dtype.type(eps))


def _check_ids(name: str, ids: IntArray, size: int) -> None:
    """Refuse ids outside 0 .. size - 1, naming the one that lies farthest outside."""
    if ids.size == 0:
        return
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= size:
        worst = low if -low > high - size else high
        raise ValueError(f"{name} hold {worst}, but the vocabulary has {size} entries: 0 to {size - 1} are allowed")


def _int_array(name: str, x: npt.ArrayLike) -> IntArray:
    array = np.asarray(x)
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name} have dtype {array.dtype}, but integers are needed")
    return array


def embed(ids: npt.ArrayLike, table: npt.ArrayLike | MatrixLike) -> FloatArray:
    """The rows of `table` that `ids` name: ids [...] of an integer dtype, table [V, D], as panels too -> [..., D].

    Raises TypeError for ids that are not integers (bool included) or a table of another dtype; ValueError
    for an id that is negative or not below V, with the worst id and V.

    >>> embed(np.array([2, 0]), np.array([[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]]))
    array([[2. , 2.5],
           [0. , 0.5]])
    """
    ids = _int_array("ids", ids)
    if not isinstance(table, MatrixLike):
        table = float_array("table", table)
    if table.ndim != 2:
        raise ValueError(f"table has shape {table.shape}, but it must be [vocabulary, d_model]")
    _check_ids("ids", ids, table.shape[0])
    return table.take(ids.astype(np.intp), axis=0)


def cross_entropy(logits: npt.ArrayLike, labels: npt.ArrayLike, ignore_index: int = -100) -> np.floating[Any]:
    """The mean of -log_softmax(logits)[label] over the labels that are not `ignore_index`.

    logits [..., V], labels [...] of an integer dtype -> a scalar of the dtype of logits. It is NaN when
    every label is ignored (or there is none), as in torch: the mean of nothing.

    Raises TypeError for wrong dtypes; ValueError for shapes that do not fit or a label outside 0 .. V - 1
    that is not `ignore_index`, with the worst label and V.

    >>> cross_entropy(np.log([[0.25, 0.75], [0.5, 0.5]]), np.array([0, -100])).round(6)
    np.float64(1.386294)
    """
    logits = float_array("logits", logits)
    labels = _int_array("labels", labels)
    if logits.ndim == 0 or logits.shape[-1] == 0 or labels.shape != logits.shape[:-1]:
        raise ValueError(f"labels have shape {labels.shape}, which does not fit logits of shape {logits.shape}")
    kept = labels != operator.index(ignore_index)
    targets = labels[kept]
    _check_ids("labels", targets, logits.shape[-1])
    scalar = logits.dtype.type
    if targets.size == 0:
        return scalar(np.nan)
    log_probabilities = log_softmax(logits[kept])  # [..., V] -> [kept, V]
    picked = log_probabilities[np.arange(targets.size), targets]
    with np.errstate(all="ignore"):
        return scalar(-picked.mean())


def dropout(x: npt.ArrayLike, p: float, rng: "np.random.Generator | None") -> FloatArray:
    """x with each value zeroed with probability p and the others divided by 1 - p. Any shape; dtype of x.

    Inverted scaling, as torch does it: the expectation of the result is x. With p = 0 or without a
    generator it is the identity and returns x itself. The same generator state drops the same places in
    every dtype. A dropped NaN or infinity gives NaN, as 0 times it does.

    Raises TypeError for another dtype or an rng that is no `numpy.random.Generator`; ValueError for p
    outside 0 to 1.

    >>> dropout(np.ones(8), 0.5, np.random.default_rng(0))
    array([2., 0., 0., 0., 2., 2., 2., 2.])
    """
    x = float_array("x", x)
    if not isinstance(p, Real) or not 0 <= p <= 1:
        raise ValueError(f"p is {p!r}, but a probability from 0 to 1 is needed")
    if rng is not None and not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng is a {type(rng).__name__}, but numpy.random.default_rng(seed) or None is needed")
    if p == 0 or rng is None:
        return x
    keep = rng.random(x.shape) >= p
    scale = x.dtype.type(0 if p == 1 else 1 / (1 - np.longdouble(p)))
    with np.errstate(all="ignore"):
        return np.asarray(x * (keep * scale))
