"""softmax, log_softmax and the loss built on them: values against the oracle, special values, laws, refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender import ops
from reference_tests.oracles import operations
from reference_tests.support.asserts import assert_close, assert_same, call_text, exact
from reference_tests.support.strategies import FLOATS, float_arrays, id_arrays, layouts, moderate_floats, shapes
from reference_tests.support.tolerances import TOLERANCES

DTYPES = pytest.mark.parametrize("dtype", FLOATS, ids=lambda t: t.__name__)
BOTH = pytest.mark.parametrize("name", ["softmax", "log_softmax"])
filled = float_arrays(shape=shapes(min_dims=1, min_side=1), elements=moderate_floats(12))


def row_of(name, x):
    return TOLERANCES[f"{name}/{x.dtype.type.__name__}"]


def against_digits(actual, expected, scores, row, call):
    """Compare with mpmath numbers, `ulp of the max` including the scores: a value near 0 is what is left of them."""
    scale = max(1.0, float(np.abs(scores).max())) if row.reason.startswith("scores") else 0.0
    together = np.empty(len(expected) + 1, object)
    together[:] = [*expected, operations.mpf(scale)]
    assert_close(np.append(actual, scores.dtype.type(scale)), together, row, call)


@BOTH
@given(filled.flatmap(layouts))
def test_values_dtype_and_shape(name, x):
    actual = getattr(ops, name)(x)
    assert actual.dtype == x.dtype
    assert actual.shape == x.shape
    for index in np.ndindex(x.shape[:-1]):
        expected = getattr(operations, name)([exact(v) for v in x[index]])
        call = call_text(getattr(ops, name), x[index])
        against_digits(actual[index], expected, x[index], row_of(name, x), call)


@BOTH
@given(float_arrays(shape=shapes(min_dims=2, min_side=1)), st.data())
def test_any_axis_is_the_last_axis_moved(name, x, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    op = getattr(ops, name)
    expected = np.moveaxis(op(np.ascontiguousarray(np.moveaxis(x, axis, -1))), -1, axis)
    assert_same(op(x, axis=axis), expected, call_text(op, x, axis=axis))


@BOTH
@DTYPES
def test_long_and_many_rows_are_taken_in_blocks(name, dtype, rng):
    op = getattr(ops, name)
    for shape in ((3, 5, 211, 97), (2, 70_001)):
        x = rng.standard_normal(shape).astype(dtype)[..., : 41 if dtype is np.longdouble else None]
        together = op(x)
        last = tuple(n - 1 for n in shape[:-1])
        assert_same(op(x[last]), together[last])
        wide = getattr(ops, name)(x[last].astype(np.longdouble))
        if dtype is not np.longdouble:
            assert_close(together[last], wide, TOLERANCES[f"{name} of long rows/{dtype.__name__}"])


@given(filled)
def test_softmax_sums_to_one_and_lies_between_zero_and_one(x):
    y = ops.softmax(x)
    call = call_text(ops.softmax, x)
    assert ((y >= 0) & (y <= 1)).all(), call
    assert_close(y.sum(axis=-1), np.ones(x.shape[:-1], x.dtype), TOLERANCES["sum of softmax"], call)


@BOTH
@given(filled, st.integers(-64, 64))
def test_a_shift_changes_nothing(name, x, shift):
    rounded = (np.rint(x * 8) / 8).astype(x.dtype)  # so that the shifted scores are exact
    op = getattr(ops, name)
    assert_same(op(rounded + x.dtype.type(shift)), op(rounded), call_text(op, rounded))


@given(filled)
def test_log_softmax_is_the_logarithm_of_softmax(x):
    y = np.exp(ops.log_softmax(x.astype(np.float64)))
    assert_close(y, ops.softmax(x.astype(np.float64)), TOLERANCES["exp of log_softmax"], call_text(ops.log_softmax, x))


@BOTH
@given(filled)
def test_the_order_of_values_is_kept(name, x):
    y = getattr(ops, name)(x)
    order = np.argsort(x, axis=-1)
    assert (np.diff(np.take_along_axis(y, order, -1), axis=-1) >= 0).all(), call_text(getattr(ops, name), x)


@DTYPES
def test_special_values(dtype):
    inf, nan = np.inf, np.nan
    x = np.array([[0, -inf, 0], [nan, 0, 0], [inf, 0, 0], [-inf, -inf, -inf], [1e30, 1e30, -1e30]], dtype)
    lost = [nan, nan, nan]
    assert_same(ops.softmax(x), np.array([[0.5, 0, 0.5], lost, lost, lost, [0.5, 0.5, 0]], dtype))
    half = -np.log(dtype(2))
    expected = np.array([[half, -inf, half], lost, lost, lost, [half, half, -2e30]], dtype)
    expected[4, 2] = dtype(-1e30) - dtype(1e30)
    assert_same(ops.log_softmax(x), expected)


@DTYPES
def test_finite_scores_of_any_size_give_finite_weights(dtype):
    top = np.finfo(dtype).max
    assert_same(ops.softmax(np.array([top, top, -top], dtype)), np.array([0.5, 0.5, 0], dtype))
    assert_same(ops.softmax(np.full(4, -top, dtype)), np.full(4, 0.25, dtype))
    assert_same(ops.log_softmax(np.array([-top], dtype)), np.array([0], dtype))


def test_by_hand():
    x = np.log(np.array([[1.0, 2.0, 5.0], [3.0, 3.0, 2.0]]))
    assert_close(ops.softmax(x), np.array([[1, 2, 5], [3, 3, 2]]) / 8, TOLERANCES["softmax/float64"])
    assert_close(ops.softmax(x, axis=0)[:, 0], np.array([0.25, 0.75]), TOLERANCES["softmax/float64"])
    assert_close(ops.log_softmax(x), np.log(np.array([[1, 2, 5], [3, 3, 2]]) / 8), TOLERANCES["log_softmax/float64"])


@BOTH
def test_what_is_refused(name):
    op = getattr(ops, name)
    for axis in (1, -2):
        with pytest.raises(ValueError, match=rf"axis {axis} does not exist in x of shape \(3,\)"):
            op(np.zeros(3), axis=axis)
    with pytest.raises(ValueError, match=r"axis -1 does not exist in x of shape \(\)"):
        op(np.float64(1.0))
    with pytest.raises(ValueError, match=r"axis -1 of x, of shape \(2, 0\), is empty"):
        op(np.zeros((2, 0)))
    with pytest.raises(TypeError):
        op(np.zeros(3), axis=0.0)
    assert op(np.zeros((0, 2), np.float32)).shape == (0, 2)


@given(float_arrays(shape=shapes(min_dims=2, max_dims=2, min_side=1, max_side=6)), st.data())
def test_cross_entropy_values(logits, data):
    rows, size = logits.shape
    labels = data.draw(id_arrays(size, shape=(rows,))).copy()
    labels[data.draw(st.lists(st.integers(0, rows - 1)))] = -100
    actual = ops.cross_entropy(logits, labels)
    assert actual.dtype == logits.dtype
    assert np.ndim(actual) == 0
    expected = operations.cross_entropy([[exact(v) for v in row] for row in logits], labels.tolist())
    call = call_text(ops.cross_entropy, logits, labels)
    if (labels == -100).all():
        assert np.isnan(actual), call
        return
    against_digits(actual, [expected], logits, row_of("cross_entropy", logits), call)


@DTYPES
def test_cross_entropy_of_any_leading_shape_and_ignored_index(dtype, rng):
    logits = rng.standard_normal((2, 3, 5)).astype(dtype)
    labels = np.array([[0, 4, -100], [2, -100, 1]])
    flat = ops.cross_entropy(logits.reshape(6, 5), labels.reshape(6))
    assert_same(ops.cross_entropy(logits, labels), flat)
    assert_same(ops.cross_entropy(logits, np.where(labels < 0, 3, labels), ignore_index=3), flat)
    assert_same(ops.cross_entropy(logits[0, 0], np.int32(4)), -ops.log_softmax(logits[0, 0])[4])


@DTYPES
def test_cross_entropy_of_nothing_is_nan(dtype):
    assert np.isnan(ops.cross_entropy(np.zeros((2, 3), dtype), np.array([-100, -100])))
    assert np.isnan(ops.cross_entropy(np.zeros((0, 3), dtype), np.zeros(0, np.int64)))


def test_cross_entropy_by_hand():
    logits = np.log(np.array([[1.0, 3.0], [2.0, 2.0], [9.0, 1.0]]))
    expected = (np.log(4) + np.log(2)) / 2
    assert_close(ops.cross_entropy(logits, [0, 1, -100]), np.float64(expected), TOLERANCES["cross_entropy/float64"])


def test_cross_entropy_refusals():
    logits = np.zeros((2, 3))
    with pytest.raises(ValueError, match="labels hold 3, but the vocabulary has 3 entries: 0 to 2 are allowed"):
        ops.cross_entropy(logits, [0, 3])
    with pytest.raises(ValueError, match="labels hold -7, but"):
        ops.cross_entropy(logits, [5, -7])
    with pytest.raises(ValueError, match="labels hold -100, but"):
        ops.cross_entropy(logits, [0, -100], ignore_index=0)
    with pytest.raises(ValueError, match=r"labels have shape \(3,\), which does not fit logits of shape \(2, 3\)"):
        ops.cross_entropy(logits, [0, 1, 2])
    with pytest.raises(TypeError, match="labels have dtype float64"):
        ops.cross_entropy(logits, [0.0, 1.0])
    with pytest.raises(TypeError):
        ops.cross_entropy(logits, [0, 1], ignore_index=-100.0)
