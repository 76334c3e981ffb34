"""The operations behind checks of their arguments: what `npblender.ops` exports, for callers outside a forward pass.

Each turns its arguments into arrays, refuses what does not fit with an error that names it, and computes the formula of
`npblender.ops.unchecked` with NumPy's warnings off. No dtype is ever converted: float32, float64 and longdouble are
computed as they come, anything else is refused.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from npblender.common.array_types import FloatArray, IntArray
from npblender.common.printable import shown
from npblender.ops import unchecked
from npblender.ops.packed.matrix_like import Matrix, MatrixLike

FLOAT_CODES = frozenset("fdg")  # NumPy's codes of float32, float64 and longdouble
NATIVE = tuple(np.dtype(code) for code in "fdg")

AnyMatrix: TypeAlias = npt.ArrayLike | MatrixLike


def float_array(name: str, x: npt.ArrayLike) -> FloatArray:
    """Return `x` as an array if its dtype is float32, float64 or longdouble; never convert a dtype.

    Raises TypeError, naming the argument and its dtype, for anything else (integers, float16, complex, a byte-swapped
    float, a masked array).

    >>> float_array("x", [0.5, 1.0])
    array([0.5, 1. ])
    >>> float_array("x", np.ones(3, np.float16))
    Traceback (most recent call last):
        ...
    TypeError: x has dtype float16, but float32, float64 or longdouble is needed: convert it first, \
for example x.astype(np.float32)
    """
    if type(x) is np.ndarray and x.dtype in NATIVE:  # nearly always, and `np.ma` takes long to import
        return x
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be lost: pass {name}.filled(value)")
    array = np.asarray(x)
    if array.dtype.char not in FLOAT_CODES or not array.dtype.isnative:
        raise TypeError(
            f"{name} has dtype {array.dtype}, but float32, float64 or longdouble is needed: "
            f"convert it first, for example {name}.astype(np.float32)"
        )
    return array


def same_dtype(name: str, x: npt.ArrayLike, other_name: str, other: FloatArray) -> FloatArray:
    """Return `x` as a float array of the dtype of `other`; raise TypeError with both dtypes if it differs.

    >>> same_dtype("bias", np.zeros(2), "x", np.zeros(2, np.float32))
    Traceback (most recent call last):
        ...
    TypeError: bias has dtype float64, but x has float32: convert one of them, so that nothing is promoted
    """
    array = float_array(name, x)
    if array.dtype != other.dtype:
        raise TypeError(
            f"{name} has dtype {array.dtype}, but {other_name} has {other.dtype}: "
            "convert one of them, so that nothing is promoted"
        )
    return array


def _int_array(name: str, x: npt.ArrayLike) -> IntArray:
    array = np.asarray(x)
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name} have dtype {array.dtype}, but integers are needed")
    return array


def _check_ids(name: str, ids: IntArray, size: int) -> None:
    """Refuse ids outside 0 .. size - 1, naming the one that lies farthest outside."""
    if ids.size == 0:
        return
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= size:
        worst = low if -low > high - size else high
        raise ValueError(f"{name} hold {worst}, but the vocabulary has {size} entries: 0 to {size - 1} are allowed")


def _elementwise(formula: Callable[[FloatArray], FloatArray]) -> Callable[[npt.ArrayLike], FloatArray]:
    """The function `formula` of each value of x, behind the check of x's dtype."""

    @functools.wraps(formula)
    @np.errstate(all="ignore")
    def operation(x: npt.ArrayLike) -> FloatArray:
        return formula(float_array("x", x))

    return operation


erf, normal_cdf = _elementwise(unchecked.erf), _elementwise(unchecked.normal_cdf)

ACTIVATIONS: Mapping[str, Callable[[npt.ArrayLike], FloatArray]] = MappingProxyType(
    {name: _elementwise(formula) for name, formula in unchecked.ACTIVATIONS.items()}
)
"""The activation functions by name, as in `unchecked.ACTIVATIONS`. Each takes any shape and raises TypeError for a
dtype other than float32, float64 and longdouble."""

gelu, gelu_new, relu, silu = (ACTIVATIONS[name] for name in ("gelu", "gelu_new", "relu", "silu"))


def _along_axis(formula: Callable[[FloatArray], FloatArray], x: npt.ArrayLike, axis: int) -> FloatArray:
    """A formula of the last axis along any axis of x."""
    x, axis = float_array("x", x), operator.index(axis)
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis {axis} does not exist in x of shape {x.shape}")
    if x.shape[axis] == 0:
        raise ValueError(f"axis {axis} of x, of shape {x.shape}, is empty: there is nothing to normalise over")
    return formula(x) if axis == -1 else np.moveaxis(formula(np.moveaxis(x, axis, -1)), -1, axis)


@np.errstate(all="ignore")
def softmax(x: npt.ArrayLike, axis: int = -1) -> FloatArray:
    """exp(x) divided by its sum along `axis`. Any shape; dtype of x.

    No finite input overflows; entries of -inf get weight 0. A row that holds NaN or +inf, or nothing but -inf, is NaN
    throughout (0/0, as in torch): a caller who masks must leave each row something finite, or mask with a finite score.

    Raises TypeError for another dtype, ValueError for an axis that does not exist or is empty.

    >>> softmax(np.array([0.0, np.log(3.0)]))
    array([0.25, 0.75])
    """
    return _along_axis(unchecked.softmax, x, axis)


@np.errstate(all="ignore")
def log_softmax(x: npt.ArrayLike, axis: int = -1) -> FloatArray:
    """x minus the logarithm of the sum of exp(x) along `axis`. Any shape; dtype of x.

    Entries of -inf stay -inf; rows with NaN or +inf, or nothing but -inf, are NaN throughout, as in `softmax`.
    Raises as `softmax` does.

    >>> log_softmax(np.array([0.0, np.log(3.0)])).round(6)
    array([-1.386294, -0.287682])
    """
    return _along_axis(unchecked.log_softmax, x, axis)


@np.errstate(all="ignore")
def layer_norm(x: npt.ArrayLike, weight: npt.ArrayLike, bias: npt.ArrayLike, eps: float = 1e-5) -> FloatArray:
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axis, x [..., D], weight and bias [D].

    The variance is the biased one, divided by D: Ba, Kiros and Hinton, "Layer Normalization", equation 4, as torch
    computes it. A row with NaN or infinity becomes NaN throughout. With eps = 0 a constant row has no value: it gives
    0/0, or its own rounding noise blown up.

    Raises TypeError for another dtype or for unequal ones, ValueError for shapes that do not fit or an eps that is
    negative or not finite.

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
    if not isinstance(eps, Real) or not 0 <= eps < math.inf:
        raise ValueError(f"eps is {shown(eps)}, but it must be a finite number, not negative")
    return unchecked.layer_norm(x, gain, shift, x.dtype.type(eps))


def _linear_map(
    x: FloatArray, inner: tuple[int, ...], weight: AnyMatrix, bias: npt.ArrayLike | None
) -> tuple[Matrix, FloatArray | None]:
    """Weight [F, D] and bias [F] that fit rows of shape `inner` = (D,), all of the dtype of x."""
    if not isinstance(weight, MatrixLike) or weight.dtype != x.dtype:
        weight = same_dtype("weight", np.asarray(weight) if isinstance(weight, MatrixLike) else weight, "x", x)
    shape = weight.shape
    if len(shape) != 2:
        raise ValueError(f"weight has shape {shape}, but it must be [out, in]")
    if inner != shape[1:]:
        raise ValueError(f"x has shape {x.shape}, but weight of shape {shape} needs {shape[1]} last")
    if bias is not None:
        bias = same_dtype("bias", bias, "x", x)
        if bias.shape != shape[:1]:
            raise ValueError(f"bias has shape {bias.shape}, but weight, {shape}, needs {shape[:1]}")
    return weight, bias


@np.errstate(all="ignore")
def linear(x: npt.ArrayLike, weight: AnyMatrix, bias: npt.ArrayLike | None = None) -> FloatArray:
    """x @ weight.T + bias: x [..., D], weight [F, D] as transformers stores it, bias [F] or None -> [..., F].

    Raises TypeError for another dtype or for unequal ones, ValueError for shapes that do not fit.

    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]), np.array([0, 0.5, 1]))
    array([[11. , 17.5, 24. ]])
    """
    x = float_array("x", x)
    return unchecked.linear(x, *_linear_map(x, x.shape[-1:], weight, bias))


@np.errstate(all="ignore")
def linears(x: npt.ArrayLike, maps: Sequence[tuple[AnyMatrix, npt.ArrayLike]]) -> list[FloatArray]:
    """`linear` of the same x for several (weight, bias). Where the weights are parts of one matrix, in one product.

    The results may be views of one array. Raises as `linear` does.

    >>> one = np.eye(2)
    >>> [y.tolist() for y in linears(np.array([1.0, 2.0]), [(one, np.zeros(2)), (2 * one, np.ones(2))])]
    [[1.0, 2.0], [3.0, 5.0]]
    """
    x = float_array("x", x)
    checked: list[Any] = [_linear_map(x, x.shape[-1:], weight, bias) for weight, bias in maps]
    return unchecked.linears(x, checked)


@np.errstate(all="ignore")
def mlp(
    x: npt.ArrayLike,
    fc1: tuple[AnyMatrix, npt.ArrayLike],
    activation: Callable[[FloatArray], FloatArray],
    fc2: tuple[AnyMatrix, npt.ArrayLike],
    between: Callable[[str, FloatArray], FloatArray] | None = None,
) -> FloatArray:
    """linear(activation(linear(x, *fc1)), *fc2): [..., D] -> [..., F] -> [..., D], a feed-forward block.

    `fc1` and `fc2` are (weight, bias); `activation` is of each value alone. `between`, if it is given, is called with
    "hidden" and what the activation gets, then with "activation" and what it gives, and returns what goes on in its
    place. Raises as `linear` does.

    >>> one, zero = np.eye(2), np.zeros(2)
    >>> mlp(np.array([1.0, -2.0]), (one, zero), relu, (3 * one, zero))
    array([3., 0.])
    """
    x = float_array("x", x)
    first: Any = _linear_map(x, x.shape[-1:], *fc1)
    second: Any = _linear_map(x, first[0].shape[:1], *fc2)
    return unchecked.mlp(x, first, activation, second, between)


@np.errstate(all="ignore")
def products(a: npt.ArrayLike, b: npt.ArrayLike) -> FloatArray:
    """a @ b for stacks of matrices, [B, H, T, K] @ [B, H, K, L] -> [B, H, T, L].

    Raises TypeError for another dtype or for unequal ones, ValueError for shapes that do not fit.

    >>> products(np.ones((1, 2, 1, 3)), np.ones((1, 2, 3, 1))).ravel()
    array([3., 3.])
    """
    a = float_array("a", a)
    b = same_dtype("b", b, "a", a)
    if not (a.ndim == b.ndim == 4 and a.shape[:2] == b.shape[:2] and a.shape[3] == b.shape[2]):
        raise ValueError(f"a of shape {a.shape} and b of shape {b.shape} are not [B, H, T, K] and [B, H, K, L]")
    return unchecked.products(a, b)


def embed(ids: npt.ArrayLike, table: AnyMatrix) -> FloatArray:
    """The rows of `table` that `ids` name: ids [...] of an integer dtype, table [V, D], as panels too -> [..., D].

    Raises TypeError for ids that are not integers (bool included) or a table of another dtype; ValueError for an id
    that is negative or not below V, with the worst id and V.

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
    return unchecked.embed(ids, table)


@np.errstate(all="ignore")
def cross_entropy(logits: npt.ArrayLike, labels: npt.ArrayLike, ignore_index: int = -100) -> np.floating[Any]:
    """The mean of -log_softmax(logits)[label] over the labels that are not `ignore_index`.

    logits [..., V], labels [...] of an integer dtype -> a scalar of the dtype of logits. It is NaN when every label is
    ignored (or there is none), as in torch: the mean of nothing.

    Raises TypeError for wrong dtypes; ValueError for shapes that do not fit or a label outside 0 .. V - 1 that is not
    `ignore_index`, with the worst label and V.

    >>> cross_entropy(np.log([[0.25, 0.75], [0.5, 0.5]]), np.array([0, -100])).round(6)
    np.float64(1.386294)
    """
    logits = float_array("logits", logits)
    labels, ignored = _int_array("labels", labels), operator.index(ignore_index)
    if logits.ndim == 0 or logits.shape[-1] == 0 or labels.shape != logits.shape[:-1]:
        raise ValueError(f"labels have shape {labels.shape}, which does not fit logits of shape {logits.shape}")
    _check_ids("labels", labels[labels != ignored], logits.shape[-1])
    return unchecked.cross_entropy(logits, labels, ignored)


@np.errstate(all="ignore")
def dropout(x: npt.ArrayLike, p: float, rng: np.random.Generator | None) -> FloatArray:
    """x with each value zeroed with probability p and the others divided by 1 - p. Any shape; dtype of x.

    Inverted scaling, as torch does it: the expectation of the result is x. With p = 0 or without a generator it is the
    identity and returns x itself. The same generator state drops the same places in every dtype. A dropped NaN or
    infinity gives NaN, as 0 times it does.

    Raises TypeError for another dtype or an rng that is no `numpy.random.Generator`; ValueError for p outside 0 to 1.

    >>> dropout(np.ones(8), 0.5, np.random.default_rng(0))
    array([2., 0., 0., 0., 2., 2., 2., 2.])
    """
    x = float_array("x", x)
    if not isinstance(p, Real) or not 0 <= p <= 1:
        raise ValueError(f"p is {shown(p)}, but a probability from 0 to 1 is needed")
    if rng is not None and not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng is a {type(rng).__name__}, but numpy.random.default_rng(seed) or None is needed")
    return x if rng is None else unchecked.dropout(x, p, rng)
