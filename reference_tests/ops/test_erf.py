"""erf and the normal distribution function against mpmath's digits: the whole line, tails, subnormals, specials."""

import numpy as np
import pytest
from hypothesis import given

from npblender import ops
from npblender.ops import error_function as module
from npblender.ops.threads import BLOCK
from reference_tests.oracles import operations
from reference_tests.support.asserts import assert_close, assert_same, call_text, exact, ulps
from reference_tests.support.strategies import FLOATS, any_floats, float_arrays
from reference_tests.support.tolerances import TOLERANCES

DTYPES = pytest.mark.parametrize("dtype", FLOATS, ids=lambda t: t.__name__)
FUNCTIONS = {"erf": ops.erf, "normal_cdf": ops.normal_cdf}


def against_digits(name, x):
    """Compare one of the functions with mpmath at every value of x, within its row of the table."""
    actual = FUNCTIONS[name](x)
    expected = np.array([operations.ELEMENTWISE[name](exact(v)) for v in x], dtype=object)
    row = TOLERANCES[f"{name}/{x.dtype.type.__name__}"]
    errors = np.array([ulps(a, e) for a, e in zip(actual, expected, strict=True)])
    worst = slice(int(errors.argmax()), int(errors.argmax()) + 1)
    assert_close(actual[worst], expected[worst], row, call_text(FUNCTIONS[name], x[worst]))


def low_bits(x, rng):
    """x with its last bits filled, where the dtype has more of them than a double."""
    return x + (rng.uniform(-1, 1, x.shape) * 2.0**-53).astype(x.dtype) * x


@DTYPES
def test_erf_on_a_dense_grid(dtype, rng):
    against_digits("erf", low_bits(np.linspace(-7, 7, 1401).astype(dtype), rng))


@DTYPES
@pytest.mark.parametrize(("low", "high"), [(0.9, 1.1), (0.2, 0.3), (3.7, 4), (5.6, 6.1), (6.4, 7.1)])
def test_erf_where_its_formula_changes_and_where_it_becomes_one(dtype, low, high, rng):
    against_digits("erf", low_bits(rng.uniform(low, high, 250).astype(dtype), rng))


@DTYPES
def test_erf_of_tiny_and_subnormal_numbers(dtype, rng):
    info = np.finfo(dtype)
    steps = info.smallest_subnormal * np.arange(60).astype(dtype)
    scattered = np.ldexp(rng.uniform(0.5, 1, 300).astype(dtype), rng.integers(info.minexp - info.nmant, 0, 300))
    against_digits("erf", np.concatenate([steps, -scattered]))


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="longdouble is no wider than float64 here")
@pytest.mark.parametrize(("low", "high"), [(1e-3, 0.5), (0.5, 0.9), (0.9, 1.0), (1.0, 1.1), (1.1, 6)])
def test_float64_erf_is_within_an_ulp_at_many_points(low, high, rng):
    # longdouble, which the tests above hold against mpmath, is exact enough to judge by: 100 times as many points
    x = rng.uniform(low, high, 60_000)
    assert_close(ops.erf(x), ops.erf(x.astype(np.longdouble)), TOLERANCES["erf/float64"])


@DTYPES
def test_normal_cdf_from_the_last_subnormal_to_one(dtype, rng):
    wide = np.finfo(dtype).minexp < -2000
    lowest = {np.float32: -14.3, np.float64: -38.5}.get(dtype, -150.9 if wide else -38.5)
    x = np.concatenate(
        [np.linspace(lowest, -1, 600), rng.uniform(lowest, lowest * 0.97, 150), np.linspace(-1.1, 9, 500)]
    )
    against_digits("normal_cdf", low_bits(x.astype(dtype), rng))


@DTYPES
def test_special_values(dtype):
    inf, nan = np.inf, np.nan
    x = np.array([nan, inf, -inf, 0.0, -0.0, 1e30, -1e30, 40, -40], dtype)
    assert_same(ops.erf(x), np.array([nan, 1, -1, 0.0, -0.0, 1, -1, 1, -1], dtype))
    expected = np.array([nan, 1, 0, 0.5, 0.5, 1, 0, 1, 0], dtype)
    if np.finfo(dtype).minexp < -2000:  # where 40 deviations are still a number
        expected[-1] = ops.normal_cdf(x[-1:])[0]
        assert 0 < expected[-1] < 1e-300
    assert_same(ops.normal_cdf(x), expected)
    assert_same(ops.erf(np.array(inf, dtype)), np.array(1, dtype))
    assert ops.erf(np.zeros((2, 0, 3), dtype)).shape == (2, 0, 3)


@given(float_arrays(elements=any_floats()))
def test_erf_is_odd_bit_by_bit(x):
    assert_same(ops.erf(-x), -ops.erf(x), call_text(ops.erf, x))


@given(float_arrays(elements=any_floats()))
def test_erf_and_cdf_keep_their_bounds_and_what_is_not_a_number(x):
    for function, low in ((ops.erf, -1), (ops.normal_cdf, 0)):
        y = function(x)
        assert_same(np.isnan(y), np.isnan(x), call_text(function, x))
        assert ((y >= low) & (y <= 1) | np.isnan(y)).all(), call_text(function, x)


@DTYPES
def test_both_grow(dtype):
    x = np.linspace(-8, 8, 20_001).astype(dtype)
    assert (np.diff(ops.erf(x)) >= 0).all()
    assert (np.diff(ops.normal_cdf(x)) >= 0).all()


def test_float32_erf_grows_from_each_number_to_the_next():
    start = np.float32(0.99).view(np.int32)
    x = np.arange(start, start + 400_000, dtype=np.int32).view(np.float32)  # across the change of formula at 1
    assert (np.diff(ops.erf(x)) >= 0).all()


@DTYPES
def test_a_value_does_not_depend_on_its_neighbours(dtype, rng):
    x = (rng.standard_normal(2 * BLOCK + 7) * 3).astype(dtype)
    x[rng.integers(0, x.size, 50)] = np.array([np.nan, np.inf, -np.inf, 1e30], dtype)[rng.integers(0, 4, 50)]
    for function in (ops.erf, ops.normal_cdf):
        together = function(x)
        for start, stop in ((0, 1), (5, 13), (BLOCK - 3, BLOCK + 2), (x.size - 1, x.size)):
            assert_same(function(x[start:stop]), together[start:stop])
        assert_same(function(x[::-3]), together[::-3])


@DTYPES
def test_by_hand(dtype):
    # Abramowitz and Stegun, tables 7.1 and 26.1
    assert [f"{v:.7f}" for v in ops.erf(np.array([0.5, 1.0, 2.0], dtype))] == ["0.5204999", "0.8427008", "0.9953223"]
    phi = ops.normal_cdf(np.array([-1.0, 1.0, 2.0], dtype))
    assert [f"{v:.6f}" for v in phi] == ["0.158655", "0.841345", "0.977250"]


def test_constants_follow_the_width_of_the_dtype():
    assert module._constants(np.float64) == module._DOUBLE
    assert len(module._DOUBLE.normal_tail) < len(module._constants(np.longdouble).normal_tail) or (
        np.finfo(np.longdouble).nmant == 52
    )
