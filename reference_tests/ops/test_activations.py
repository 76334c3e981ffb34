"""The activation functions: dtype, shape, values against the oracle, special values, and the mapping by name."""

import importlib

import numpy as np
import pytest
from hypothesis import given

from npblender import ops
from reference_tests.oracles import operations
from reference_tests.support.asserts import assert_close, assert_same, call_text, exact, ulps
from reference_tests.support.strategies import FLOATS, any_floats, float_arrays, layouts, moderate_floats, shapes
from reference_tests.support.tolerances import TOLERANCES

gelu_module = importlib.import_module("npblender.ops.gelu")  # `ops.gelu` is the function
DTYPES = pytest.mark.parametrize("dtype", FLOATS, ids=lambda t: t.__name__)
NAMES = pytest.mark.parametrize("name", sorted(ops.ACTIVATIONS))
LEFT_TAIL = {  # where each underflows, in float32, float64 and a longdouble of wide exponent
    "gelu": (-14.6, -38.7, -151.0),
    "gelu_new": (-11.0, -21.8, -54.0),
    "silu": (-110.0, -755.0, -11420.0),
    "relu": (-1.0, -1.0, -1.0),
}


def lowest(name, dtype):
    return LEFT_TAIL[name][0 if dtype == np.float32 else 2 if np.finfo(dtype).minexp < -2000 else 1]


def against_digits(name, x):
    """Compare an activation with mpmath at every value of x, within its row of the table."""
    f = ops.ACTIVATIONS[name]
    actual = f(x)
    expected = np.array([operations.ELEMENTWISE[name](exact(v)) for v in x], dtype=object)
    errors = np.array([ulps(a, e) for a, e in zip(actual, expected, strict=True)])
    row = TOLERANCES[f"{name}/{x.dtype.type.__name__}"]
    worst = slice(int(errors.argmax()), int(errors.argmax()) + 1)
    assert_close(actual[worst], expected[worst], row, call_text(f, x[worst]))


def low_bits(x, rng):
    return x + (rng.uniform(-1, 1, x.shape) * 2.0**-53).astype(x.dtype) * x


@DTYPES
@NAMES
def test_values_in_the_middle(name, dtype, rng):
    x = np.concatenate([np.linspace(-3, 9, 301), rng.uniform(-1.6, 1.6, 200), np.array([0.5, 1, 2, 3]) / 1024])
    against_digits(name, low_bits(x.astype(dtype), rng))


@DTYPES
@NAMES
def test_values_in_the_left_tail_down_to_zero(name, dtype, rng):
    low = lowest(name, dtype)
    x = np.concatenate([np.linspace(low, -1, 400), rng.uniform(low, 0.97 * low, 200)])
    against_digits(name, low_bits(x.astype(dtype), rng))


@DTYPES
@NAMES
def test_values_of_tiny_and_subnormal_numbers(name, dtype, rng):
    info = np.finfo(dtype)
    steps = info.smallest_subnormal * np.arange(-20, 20).astype(dtype)
    scattered = np.ldexp(rng.uniform(0.5, 1, 150).astype(dtype), rng.integers(info.minexp - info.nmant, -9, 150))
    against_digits(name, np.concatenate([steps, scattered, -scattered]))


@pytest.mark.parametrize(("low", "high"), [(2.0**-11, 0.1), (0.1, 1), (1, 6.5), (6, 12.6), (12.4, 15)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_float32_gelu_at_many_points(low, high, sign, rng):
    # float64, which the tests above hold against mpmath, is exact enough to judge float32 by
    x = (sign * np.exp(rng.uniform(np.log(low), np.log(high), 150_000))).astype(np.float32)
    assert_close(ops.gelu(x), ops.gelu(x.astype(np.float64)), TOLERANCES["gelu/float32"])


def test_float32_gelu_at_every_node_and_half_way_between():
    cells = np.arange(-12.5 * 2048, 6 * 2048 + 1) / 2048
    for x in (cells, np.nextafter(cells, -20), np.nextafter(cells, 20)):
        single = x.astype(np.float32)
        assert_close(ops.gelu(single), ops.gelu(single.astype(np.float64)), TOLERANCES["gelu/float32"])


@DTYPES
def test_gelu_is_x_or_zero_far_from_zero(dtype, rng):
    x = np.exp(rng.uniform(np.log(10), np.log(3e38), 20_000)).astype(dtype)
    assert_same(ops.gelu(x), x)
    x = -x[x > 152]
    assert_same(ops.gelu(x), np.full_like(x, -0.0))


def test_the_gelu_table_is_read_only():
    for table in (gelu_module._PHI, gelu_module._HALF_DENSITY):
        with pytest.raises(ValueError, match="read-only"):
            table[3] = 0


@DTYPES
@NAMES
def test_special_values(name, dtype):
    x = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, -13_000, 0.0], dtype)
    y = ops.ACTIVATIONS[name](x)
    assert_same(y[:6] + 0, np.array([np.nan, np.inf, 0, 1e30, 0, 0], dtype))
    assert y[6] == 0
    if name != "relu":  # the limits from below, and the sign of zero
        assert np.signbit(y[2:6:2]).all()
        assert_same(ops.ACTIVATIONS[name](-x[6:]), -x[6:])


@pytest.mark.parametrize("name", ["gelu", "gelu_new", "silu"])
@given(float_arrays(elements=moderate_floats(20)))
def test_what_is_below_and_above_zero_adds_up_to_x(name, x):
    # each is x times a distribution function of a symmetric law: f(x) - f(-x) = x
    f = ops.ACTIVATIONS[name]
    assert_close(f(x) - f(-x), x, TOLERANCES["activation of x less that of -x"], call_text(f, x))


@NAMES
@given(float_arrays(elements=any_floats()))
def test_dtype_shape_and_bounds(name, x):
    f = ops.ACTIVATIONS[name]
    y = f(x)
    assert y.dtype == x.dtype
    assert y.shape == x.shape
    assert_same(np.isnan(y), np.isnan(x), call_text(f, x))
    with np.errstate(invalid="ignore"):
        assert ((np.abs(y) <= np.abs(x)) & (y > -0.2785) | np.isnan(x)).all(), call_text(f, x)


@NAMES
@given(float_arrays(shape=shapes(min_dims=1), elements=any_floats()).flatmap(layouts))
def test_a_value_depends_on_nothing_but_its_argument(name, x):
    f = ops.ACTIVATIONS[name]
    together = f(x)
    for index in np.ndindex(x.shape):
        assert_same(f(x[index]), together[index], call_text(f, x))


@NAMES
def test_blocks_do_not_show(name, rng):
    for dtype in (np.float32, np.float64):
        x = (rng.standard_normal(70_001) * 4).astype(dtype)
        x[rng.integers(0, x.size, 40)] = np.array([np.nan, np.inf, -np.inf, -14], dtype)[rng.integers(0, 4, 40)]
        f = ops.ACTIVATIONS[name]
        together = f(x)
        assert_same(f(x[12_345:12_999]), together[12_345:12_999])
        assert_same(f(x.reshape(7, -1)[::-1, ::2] if x.size % 7 == 0 else x[::-2]), together[::-2])


def test_by_hand():
    log3 = np.log(3.0)
    assert_close(ops.silu(np.array([log3, -log3])), np.array([0.75 * log3, -0.25 * log3]), TOLERANCES["silu/float64"])
    assert_same(ops.relu(np.array([-2.0, 3.0])), np.array([0.0, 3.0]))
    assert [f"{v:.6f}" for v in ops.gelu(np.array([-1.0, 1.0]))] == ["-0.158655", "0.841345"]
    assert [f"{v:.6f}" for v in ops.gelu_new(np.array([-1.0, 1.0]))] == ["-0.158808", "0.841192"]


def test_gelu_and_its_approximation_differ_by_what_is_known():
    x = np.linspace(-6, 6, 24_001)
    assert 4.7e-4 < np.abs(ops.gelu(x) - ops.gelu_new(x)).max() < 4.8e-4


def test_the_mapping_has_the_four_names_and_cannot_be_changed():
    assert dict(ops.ACTIVATIONS) == {
        "gelu": ops.gelu,
        "relu": ops.relu,
        "silu": ops.silu,
        "gelu_new": ops.gelu_new,
    }
    with pytest.raises(TypeError):
        ops.ACTIVATIONS["swish"] = ops.silu
