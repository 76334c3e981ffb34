"""layer_norm, linear, embed and dropout: values against the oracle, special values, laws, refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender import ops
from npblender.ops import operations
from reference_tests.oracles import operations as naive
from reference_tests.support.asserts import assert_close, assert_same, call_text, exact
from reference_tests.support.strategies import (
    FLOATS,
    float_arrays,
    float_dtypes,
    id_arrays,
    layouts,
    moderate_floats,
    seeds,
)
from reference_tests.support.tolerances import TOLERANCES

DTYPES = pytest.mark.parametrize("dtype", FLOATS, ids=lambda t: t.__name__)


@st.composite
def norm_arguments(draw):
    dtype, size = draw(float_dtypes()), draw(st.integers(2, 7))
    leading = draw(st.lists(st.integers(0, 3), max_size=2))
    arrays = [draw(float_arrays((*leading, size), dtype, moderate_floats(8)))]
    arrays += [draw(float_arrays((size,), dtype, moderate_floats(3))) for _ in range(2)]
    return [draw(layouts(a)) for a in arrays]


@st.composite
def linear_arguments(draw):
    dtype, inner, outer = draw(float_dtypes()), draw(st.integers(0, 7)), draw(st.integers(1, 5))
    leading = draw(st.lists(st.integers(0, 3), max_size=2))
    shapes = ((*leading, inner), (outer, inner), (outer,))
    return [draw(layouts(draw(float_arrays(s, dtype, moderate_floats(8))))) for s in shapes]


def numbers(array):
    return [exact(v) for v in array]


@given(norm_arguments())
def test_layer_norm_values_dtype_and_shape(arguments):
    x, weight, bias = arguments
    actual = ops.layer_norm(x, weight, bias)
    assert actual.dtype == x.dtype
    assert actual.shape == x.shape
    eps = exact(x.dtype.type(1e-5))
    for index in np.ndindex(x.shape[:-1]):
        expected = naive.layer_norm(numbers(x[index]), numbers(weight), numbers(bias), eps)
        # the error is that of the mean, magnified by the root: a row of nearly equal values magnifies most
        spread = float(np.std(x[index].astype(float)))
        magnified = float(np.abs(x[index]).max()) / np.hypot(spread, 0.003) * float(np.abs(weight).max())
        scale = max(magnified, float(np.abs(bias).max()), 1.0)
        together = np.array([*expected, naive.mpf(scale)], dtype=object)
        call = call_text(ops.layer_norm, x[index], weight, bias)
        row = TOLERANCES[f"layer_norm/{x.dtype.type.__name__}"]
        assert_close(np.append(actual[index], x.dtype.type(scale)), together, row, call)


@DTYPES
def test_layer_norm_gives_mean_zero_and_variance_one(dtype, rng):
    x = (rng.standard_normal((300, 512)) * 4 + 2).astype(dtype)
    y = ops.layer_norm(x, np.ones(512, dtype), np.zeros(512, dtype), eps=0.0)
    row = TOLERANCES[f"moments of layer_norm/{dtype.__name__}"]
    assert_close(y.astype(np.longdouble).mean(axis=-1), np.zeros(300), row)
    assert_close(np.square(y.astype(np.longdouble)).mean(axis=-1), np.ones(300), row)


@DTYPES
def test_layer_norm_forgets_shift_and_scale(dtype, rng):
    x = np.rint(rng.standard_normal((40, 16)) * 64).astype(dtype) / 64
    weight, bias = rng.standard_normal((2, 16)).astype(dtype)
    plain = ops.layer_norm(x, weight, bias, eps=0.0)
    assert_close(ops.layer_norm(x * 8, weight, bias, eps=0.0), plain, TOLERANCES[f"layer_norm/{dtype.__name__}"])
    assert_close(ops.layer_norm(x + 4, weight, bias, eps=0.0), plain, TOLERANCES[f"layer_norm/{dtype.__name__}"])


def test_layer_norm_by_hand():
    # mean 4, squares 9, 1, 1, 9: variance 5 (not 20/3, the unbiased one); with eps 4 inside the root, 3
    for dtype in FLOATS:
        x, weight, bias = (np.array(v, dtype) for v in ([1, 3, 5, 7], [1, 3, 6, 2], [0, 5, 0, 1]))
        assert_same(ops.layer_norm(x, weight, bias, eps=4), np.array([-1, 4, 2, 3], dtype))


@DTYPES
def test_layer_norm_special_values(dtype):
    ones, zeros = np.ones(3, dtype), np.zeros(3, dtype)
    x = np.array([[np.nan, 0, 1], [np.inf, 0, 1], [-np.inf, np.inf, 1], [2, 2, 2]], dtype)
    y = ops.layer_norm(x, ones, zeros)
    assert np.isnan(y[:3]).all()
    assert_same(y[3], zeros)
    assert np.isnan(ops.layer_norm(x[3], ones, zeros, eps=0.0)).all()
    assert ops.layer_norm(np.zeros((0, 3), dtype), ones, zeros).shape == (0, 3)


@pytest.mark.parametrize("others", [False, True], ids=["this BLAS", "as with another BLAS"])
def test_layer_norm_rows_depend_neither_on_each_other_nor_on_their_place(rng, monkeypatch, others):
    if others:
        monkeypatch.setattr(operations, "openblas", lambda: None)
    for dtype in (np.float32, np.float64):
        x, weight, bias = rng.standard_normal((700, 193)).astype(dtype), *rng.standard_normal((2, 193)).astype(dtype)
        together = ops.layer_norm(x, weight, bias)
        assert_same(ops.layer_norm(x[333:350], weight, bias), together[333:350])
        assert_same(ops.layer_norm(x[333:350].copy(), weight, bias), together[333:350])


def test_layer_norm_is_the_same_with_another_blas_but_for_rounding(rng, monkeypatch):
    x, weight, bias = rng.standard_normal((40, 193)), *rng.standard_normal((2, 193))
    here = ops.layer_norm(x, weight, bias)
    monkeypatch.setattr(operations, "openblas", lambda: None)
    assert_close(ops.layer_norm(x, weight, bias), here, TOLERANCES["float64 computed another way"])


def test_layer_norm_refusals():
    x, w = np.zeros((2, 3)), np.zeros(3)
    with pytest.raises(ValueError, match=r"weight has shape \(4,\), but the last axis of x needs \(3,\)"):
        ops.layer_norm(x, np.zeros(4), w)
    with pytest.raises(ValueError, match=r"bias has shape \(1, 3\), but the last axis of x needs \(3,\)"):
        ops.layer_norm(x, w, np.zeros((1, 3)))
    with pytest.raises(TypeError, match="bias has dtype float32, but x has float64"):
        ops.layer_norm(x, w, w.astype(np.float32))
    for eps in (-1e-5, np.inf, np.nan, "1e-5"):
        with pytest.raises(ValueError, match="eps is"):
            ops.layer_norm(x, w, w, eps=eps)
    for empty in (np.zeros((2, 0)), np.float64(1)):
        with pytest.raises(ValueError, match="needs a last axis of at least one value"):
            ops.layer_norm(empty, np.zeros(0), np.zeros(0))


@given(linear_arguments())
def test_linear_values_dtype_and_shape(arguments):
    x, weight, bias = arguments
    actual = ops.linear(x, weight, bias)
    assert actual.dtype == x.dtype
    assert actual.shape == (*x.shape[:-1], len(weight))
    for index in np.ndindex(x.shape[:-1]):
        expected = naive.linear(numbers(x[index]), [numbers(w) for w in weight], numbers(bias))
        sizes = np.abs(weight.astype(float)) @ np.abs(x[index].astype(float)) + np.abs(bias.astype(float))
        together = np.array([*expected, naive.mpf(float(sizes.max()))], dtype=object)  # a sum is judged by its terms
        row = TOLERANCES[f"linear/{x.dtype.type.__name__}"]
        call = call_text(ops.linear, x[index], weight, bias)
        assert_close(np.append(actual[index], x.dtype.type(sizes.max())), together, row, call)


@given(linear_arguments())
def test_linear_without_bias_is_linear_with_zeros(arguments):
    x, weight, bias = arguments
    assert_same(ops.linear(x, weight) + 0, ops.linear(x, weight, np.zeros_like(bias)) + 0)


@DTYPES
def test_linear_is_linear(dtype, rng):
    small = [rng.integers(-50, 50, shape).astype(dtype) for shape in ((3, 5, 11), (3, 5, 11), (7, 11), (7,))]
    x, y, weight, bias = small  # whole numbers this small are exact in every dtype
    both = ops.linear(x + 3 * y, weight, bias)
    assert_same(both + 3 * bias, ops.linear(x, weight, bias) + 3 * ops.linear(y, weight, bias))
    assert_same(ops.linear(x, np.eye(11, dtype=dtype), np.zeros(11, dtype)), x)


def test_linear_by_hand():
    weight = np.array([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])  # three out, two in
    for dtype in FLOATS:
        y = ops.linear(np.array([1, 2], dtype), weight.astype(dtype), np.array([0, -7, 1], dtype))
        assert_same(y, np.array([11, 10, 24], dtype))


def test_linear_lets_nan_and_infinity_flow():
    for dtype in FLOATS:
        x = np.array([[np.nan, 1], [np.inf, 1], [1, 2]], dtype)
        y = ops.linear(x, np.array([[0, 1], [2, 1]], dtype), np.array([1, 1], dtype))
        assert_same(y, np.array([[np.nan, np.nan], [np.nan, np.inf], [3, 5]], dtype))


def test_linear_refusals():
    x, weight = np.zeros((2, 3)), np.zeros((4, 3))
    with pytest.raises(ValueError, match=r"x has shape \(2, 3\), but weight of shape \(3, 4\) needs 4 last"):
        ops.linear(x, weight.T)
    with pytest.raises(ValueError, match=r"weight has shape \(3,\), but it must be \[out, in\]"):
        ops.linear(x, np.zeros(3))
    with pytest.raises(ValueError, match=r"bias has shape \(3,\), but weight, \(4, 3\), needs \(4,\)"):
        ops.linear(x, weight, np.zeros(3))
    with pytest.raises(TypeError, match="weight has dtype float32, but x has float64"):
        ops.linear(x, weight.astype(np.float32))
    with pytest.raises(TypeError, match="bias has dtype float32, but x has float64"):
        ops.linear(x, weight, np.zeros(4, np.float32))
    with pytest.raises(ValueError, match=r"x has shape \(\), but"):
        ops.linear(np.float64(1), weight)


@given(st.data())
def test_embed_takes_the_rows_that_are_named(data):
    table = data.draw(float_arrays(shape=(data.draw(st.integers(1, 9)), data.draw(st.integers(0, 4)))))
    kind = data.draw(st.sampled_from((np.int64, np.int32, np.uint8, np.uint64)))
    ids = data.draw(id_arrays(len(table), dtype=kind))
    y = ops.embed(ids, table)
    assert y.dtype == table.dtype
    assert y.shape == (*ids.shape, table.shape[1])
    expected = naive.embed(ids.reshape(-1).tolist(), table)
    for row, wanted in zip(y.reshape(ids.size, table.shape[1]), expected, strict=True):
        assert_same(row, wanted, call_text(ops.embed, ids, table))


def test_embed_gives_a_copy_and_takes_lists():
    table = np.arange(6.0).reshape(3, 2)
    y = ops.embed([[2, 0]], table)
    assert_same(y, np.array([[[4.0, 5.0], [0.0, 1.0]]]))
    y[:] = -1
    assert_same(table, np.arange(6.0).reshape(3, 2))


def test_embed_refusals():
    table = np.zeros((5, 2))
    with pytest.raises(ValueError, match="ids hold 9, but the vocabulary has 5 entries: 0 to 4 are allowed"):
        ops.embed([[1, 5], [9, -1]], table)
    with pytest.raises(ValueError, match="ids hold -1, but the vocabulary has 5 entries"):
        ops.embed([0, -1], table)
    with pytest.raises(ValueError, match="ids hold 18446744073709551615, but"):
        ops.embed(np.array([2**64 - 1], np.uint64), table)
    for ids in ([0.0], [True], ["1"], []):
        with pytest.raises(TypeError, match="ids have dtype"):
            ops.embed(ids, table)
    with pytest.raises(ValueError, match=r"table has shape \(5,\), but it must be \[vocabulary, d_model\]"):
        ops.embed([0], np.zeros(5))
    with pytest.raises(ValueError, match="ids hold 0, but the vocabulary has 0 entries"):
        ops.embed([0], np.zeros((0, 2)))


@given(float_arrays(), st.floats(0, 1, exclude_max=True), seeds())
def test_dropout_values(x, p, seed):
    y = ops.dropout(x, p, np.random.default_rng(seed))
    assert y.dtype == x.dtype
    assert y.shape == x.shape
    dropped = np.random.default_rng(seed).random(x.shape) < p
    expected = np.empty(x.shape, object)
    expected.reshape(-1)[:] = naive.dropout(numbers(x.reshape(-1)), naive.mpf(p), dropped.reshape(-1))
    assert_close(y, expected, TOLERANCES["dropout"], call_text(ops.dropout, x, p) + f"  # seed {seed}")


@given(float_arrays())
def test_dropout_without_chance_or_generator_is_the_identity(x):
    assert ops.dropout(x, 0.0, np.random.default_rng(1)) is x
    assert ops.dropout(x, 0.5, None) is x


@DTYPES
def test_dropout_keeps_the_expectation_and_drops_alike_in_every_dtype(dtype):
    x = np.full((500, 400), 3, dtype)
    y = ops.dropout(x, 0.1, np.random.default_rng(7))
    share = float((y == 0).mean())
    # 200,000 draws: the standard error of the share is 0.0007, that of the mean 0.0022
    assert abs(share - 0.1) < 0.003
    assert abs(float(y.mean()) - 3) < 0.01
    assert_same((y == 0), ops.dropout(x.astype(np.float64), 0.1, np.random.default_rng(7)) == 0)
    assert_same(np.unique(y), np.array([0, dtype(3) * dtype(1 / (1 - np.longdouble(0.1)))], dtype))


def test_dropout_of_everything():
    assert_same(ops.dropout(np.ones(5), 1, np.random.default_rng(0)), np.zeros(5))


def test_dropout_refusals():
    for p in (-0.1, 1.1, np.nan, "0.1", None):
        with pytest.raises(ValueError, match="a probability from 0 to 1 is needed"):
            ops.dropout(np.zeros(2), p, None)
    for rng in (0, np.random.RandomState(0), np.random):
        with pytest.raises(TypeError, match=r"numpy\.random\.default_rng"):
            ops.dropout(np.zeros(2), 0.1, rng)
