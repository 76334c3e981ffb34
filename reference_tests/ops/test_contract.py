"""What every operation keeps to: dtypes it refuses, arguments it leaves alone, warnings it does not raise."""

import threading

import numpy as np
import pytest

from npblender import ops
from npblender.ops import threads, unchecked
from reference_tests.support.asserts import assert_same
from reference_tests.support.strategies import FLOATS, read_only

CALLS = {  # each operation applied to x [2, 3]
    "erf": ops.erf,
    "normal_cdf": ops.normal_cdf,
    "gelu": ops.gelu,
    "gelu_new": ops.gelu_new,
    "relu": ops.relu,
    "silu": ops.silu,
    "softmax": ops.softmax,
    "log_softmax": ops.log_softmax,
    "layer_norm": lambda x: ops.layer_norm(x, x[0], x[1]),
    "linear": lambda x: ops.linear(x, x, x[:, 0]),
    "linears": lambda x: ops.linears(x, [(x, x[:, 0])])[0],
    "mlp": lambda x: ops.mlp(x, (x, x[:, 0]), ops.relu, (x.T, x[0])),
    "products": lambda x: ops.products(x[None, None], x.T[None, None]),
    "embed": lambda x: ops.embed([1, 0], x),
    "cross_entropy": lambda x: ops.cross_entropy(x, [2, 0]),
    "dropout": lambda x: ops.dropout(x, 0.5, np.random.default_rng(0)),
}
NAMES = pytest.mark.parametrize("name", sorted(CALLS))
FOREIGN = ["int64", "int32", "bool", "float16", "complex128", ">f4", ">f8", "object", "U3"]


def test_every_operation_is_here():
    assert set(ops.__all__) - {"ACTIVATIONS", "num_threads", "use_threads"} == set(CALLS)
    assert set(unchecked.__all__) - {"ACTIVATIONS"} == set(CALLS)
    assert list(ops.ACTIVATIONS) == list(unchecked.ACTIVATIONS)


@NAMES
@pytest.mark.parametrize("dtype", FLOATS, ids=lambda t: t.__name__)
def test_without_checks_the_numbers_are_the_same(name, dtype, rng, monkeypatch):
    """In every bit, whatever is in the array: a pass computes what the checked operations compute."""
    x = rng.standard_normal((2, 3)).astype(dtype)
    x[1, 1] = -np.inf
    checked = CALLS[name](x)
    for each in unchecked.__all__:
        monkeypatch.setattr(ops, each, getattr(unchecked, each))
    of_arrays = {  # where a call above passes lists
        "embed": lambda x: ops.embed(np.array([1, 0]), x),
        "cross_entropy": lambda x: ops.cross_entropy(x, np.array([2, 0])),
    }
    with np.errstate(all="ignore"):
        assert_same(of_arrays.get(name, CALLS[name])(x), checked)


@NAMES
@pytest.mark.parametrize("dtype", FOREIGN)
def test_other_dtypes_are_refused_by_name(name, dtype):
    x = np.ones((2, 3)).astype(dtype)
    with pytest.raises(TypeError, match=r"(x|a|table|logits) has dtype .*float32, float64 or longdouble"):
        CALLS[name](x)


@NAMES
def test_a_masked_array_is_refused(name):
    with pytest.raises(TypeError, match="is a masked array"):
        CALLS[name](np.ma.masked_array(np.ones((2, 3)), mask=np.eye(2, 3)))


@NAMES
@pytest.mark.parametrize("dtype", FLOATS, ids=lambda t: t.__name__)
def test_dtype_is_kept_and_arguments_are_left_alone(name, dtype, rng):
    x = rng.standard_normal((2, 3)).astype(dtype)
    before = x.copy()
    result = CALLS[name](read_only(x))
    assert result.dtype == x.dtype
    assert_same(x, before)
    if name not in ("embed", "cross_entropy"):
        result += 1  # a new array, not a view of x
        assert_same(x, before)


@NAMES
@pytest.mark.parametrize("dtype", FLOATS, ids=lambda t: t.__name__)
def test_no_value_raises_a_warning_whatever_the_caller_has_set(name, dtype):
    info = np.finfo(dtype)
    values = [
        np.nan,
        np.inf,
        -np.inf,
        0.0,
        -0.0,
        info.max,
        -info.max,
        info.tiny,
        info.smallest_subnormal,
        -40,
        -800,
        800,
    ]
    with np.errstate(all="raise"):
        for a in values:
            for b in values:
                CALLS[name](np.array([[a, b, 1], [b, a, -1]], dtype))


@NAMES
def test_lists_and_scalars_are_float64(name):
    nested = [[0.5, 1.0, -2.0], [0.25, -0.5, 1.5]]
    takes_rows = name in ("layer_norm", "linear", "linears", "mlp", "products")  # whose calls above index x
    assert CALLS[name](np.array(nested) if takes_rows else nested).dtype == np.float64


def test_scalars_give_arrays_without_axes():
    for f in (ops.erf, ops.normal_cdf, *ops.ACTIVATIONS.values()):
        for value in (0.5, np.float32(0.5), np.array(0.5, np.longdouble)):
            result = f(value)
            assert isinstance(result, np.ndarray)
            assert result.shape == ()
            assert result.dtype == np.asarray(value).dtype


def test_blocks_cover_every_element(rng):
    for size in (0, 1, threads.BLOCK - 1, threads.BLOCK, threads.BLOCK + 1, 3 * threads.BLOCK + 5):
        x = rng.standard_normal(size)
        assert_same(threads.in_blocks(np.negative, x), -x)

    def negate(rows, out):
        np.negative(rows, out=out)

    for shape in ((0, 3), (1, 3), (5000, 17), (3, 40_000), (2, 3, 5)):
        x = rng.standard_normal(shape)
        assert_same(threads.by_rows(negate, x), -x)


def test_threads_share_rows_equally(rng):
    """Rows, not the blocks that they are taken in: the log-probabilities of ten beams are five blocks."""
    shares: dict[int, int] = {}

    def negate(rows, out):
        me = threading.get_ident()
        shares[me] = shares.get(me, 0) + len(rows)
        assert rows.nbytes <= threads.ROW_BLOCK
        np.negative(rows, out=out)

    x = rng.standard_normal((10, 54_944)).astype(np.float32)
    with ops.use_threads(2):
        assert_same(threads.by_rows(negate, x), -x)
    assert list(shares.values()) == [5, 5]


def test_no_thread_raises_a_warning_either():
    """Whatever the caller has set: large arrays are shared out over threads, each of which has settings of its own."""
    x = np.full((600, 1000), np.float32(3e38))
    x[::2, 0] = np.inf
    x[1::2, 0] = -np.inf
    with ops.use_threads(3), np.errstate(all="raise"):
        assert np.isnan(ops.softmax(x)[0]).all()
        assert np.isnan(ops.layer_norm(x, x[0], x[1])).all()
        assert ops.gelu(x)[0, 0] == np.inf
        assert np.isinf(ops.products(x[None, None], x.T[None, None])[0, 0, 2, 4])
