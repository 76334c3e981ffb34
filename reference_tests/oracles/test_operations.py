"""The oracle of the operations, tested: numbers solved by hand, published digits, and definitions it does not use."""

import pytest
from mpmath import mp, mpf

from reference_tests.oracles import operations


@pytest.fixture(autouse=True)
def _digits():
    with mp.workdps(40):
        yield


def close(value, expected, digits=30):
    return abs(value - expected) <= mpf(10) ** -digits * max(1, abs(expected))


def test_erf_has_the_published_digits():
    # Abramowitz and Stegun, table 7.1
    for x, digits in (("0.5", "0.5204998778"), ("1", "0.8427007929"), ("1.5", "0.9661051465"), ("2", "0.9953222650")):
        assert mp.nstr(operations.erf(mpf(x)), 10, strip_zeros=False) == digits


@pytest.mark.parametrize("x", ["-3.25", "-0.5", "0", "0.001", "0.75", "1", "4.5"])
def test_erf_is_the_integral_and_the_power_series(x):
    x = mpf(x)
    assert close(operations.erf(x), 2 / mp.sqrt(mp.pi) * mp.quad(lambda t: mp.exp(-t * t), [0, x]))
    series = sum((-1) ** n * x ** (2 * n + 1) / (mp.factorial(n) * (2 * n + 1)) for n in range(120))
    assert close(operations.erf(x), 2 / mp.sqrt(mp.pi) * series)


@pytest.mark.parametrize("x", ["-6", "-1.25", "0", "2"])
def test_normal_cdf_is_the_integral_of_the_density(x):
    x = mpf(x)
    area = mp.quad(lambda t: mp.exp(-t * t / 2), [-mp.inf, -8, x]) / mp.sqrt(2 * mp.pi)
    assert close(operations.normal_cdf(x), area, 20)
    assert close(operations.gelu(x), x * area, 20)


def test_normal_cdf_keeps_its_digits_in_the_tail():
    # the continued fraction of Mills' ratio, which needs no cancellation
    x, fraction = mpf(20), mpf(20)
    for n in range(200, 0, -1):
        fraction = x + n / fraction
    expected = mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi) / fraction
    assert abs(operations.normal_cdf(-x) / expected - 1) < mpf(10) ** -30


def test_activations_by_hand():
    assert [operations.relu(mpf(x)) for x in (-2, 0, 3)] == [0, 0, 3]
    assert close(operations.silu(mp.log(3)), mp.log(3) * 3 / 4)  # the logistic function of log 3 is 3/4
    assert close(operations.silu(-mp.log(3)), -mp.log(3) / 4)
    assert operations.gelu(mpf(0)) == operations.gelu_new(mpf(0)) == 0
    assert close(operations.gelu(mpf(1)), mpf("0.84134474606854294859"), 19)  # one standard deviation
    assert close(operations.gelu_new(mpf(1)), mpf("0.841191990608"), 11)


@pytest.mark.parametrize("x", ["-7.5", "-1", "-0.001", "0.25", "3"])
def test_gelu_new_is_its_definition_by_tanh(x):
    x = mpf(x)
    with mp.workdps(100):  # 1 + tanh(z) cancels 50 digits at -7.5
        expected = x / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (x + mpf("0.044715") * x**3)))
    assert abs(operations.gelu_new(x) / expected - 1) < mpf(10) ** -30


def test_softmax_by_hand():
    row = [mp.log(1), mp.log(2), mp.log(5)]
    assert all(close(a, mpf(b) / 8) for a, b in zip(operations.softmax(row), (1, 2, 5), strict=True))
    assert all(close(a, mp.log(mpf(b) / 8)) for a, b in zip(operations.log_softmax(row), (1, 2, 5), strict=True))


def test_layer_norm_by_hand():
    # mean 4, squares 9, 1, 1, 9: variance 5; with eps 4 the root is 3
    row, weight, bias = [mpf(v) for v in (1, 3, 5, 7)], [mpf(v) for v in (1, 3, 6, 2)], [mpf(v) for v in (0, 5, 0, 1)]
    assert operations.layer_norm(row, weight, bias, mpf(4)) == [-1, 4, 2, 3]


def test_linear_by_hand():
    weight = [[mpf(3), mpf(4)], [mpf(5), mpf(6)], [mpf(7), mpf(8)]]  # three out, two in
    assert operations.linear([mpf(1), mpf(2)], weight, [mpf(0), mpf(-7), mpf(1)]) == [11, 10, 24]


def test_embed_by_hand():
    assert operations.embed([2, 0, 2], [[1], [2], [3]]) == [[3], [1], [3]]


def test_cross_entropy_by_hand():
    logits = [[mp.log(1), mp.log(3)], [mp.log(2), mp.log(2)], [mp.log(9), mp.log(1)]]
    assert close(operations.cross_entropy(logits, [0, 1, -100]), (mp.log(4) + mp.log(2)) / 2)
    assert close(operations.cross_entropy(logits, [7, 7, 1], ignored=7), mp.log(10))
    assert mp.isnan(operations.cross_entropy(logits, [-100] * 3))


def test_dropout_by_hand():
    assert operations.dropout([mpf(3), mpf(5)], mpf(1) / 4, [False, True]) == [4, 0]
