"""A single row times a matrix in rows: the right numbers, the same bits for any threads, and who shares from when."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender import ops
from npblender.ops.packed import lazy_panels
from npblender.ops.packed.lazy_panels import READ_TOGETHER, SOON, LazyPanels, Sharing, multiply_row
from reference_tests.support.asserts import assert_close
from reference_tests.support.panel_cases import SIZES
from reference_tests.support.tolerances import TOLERANCES


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.delenv(lazy_panels.VARIABLE, raising=False)
    monkeypatch.setattr(Sharing, "is_known", False)
    monkeypatch.setattr(Sharing, "begins", READ_TOGETHER)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def test_by_hand():
    y = multiply_row(np.array([[1.0, 2.0], [3.0, -4.0], [0.5, 0.0]]), np.array([[2.0, 10.0]]))
    assert y.tolist() == [[22.0, -34.0, 1.0]]


@given(SIZES, st.integers(0, 9), st.sampled_from([np.float32, np.float64]))
def test_it_is_the_exact_sum_within_its_rounding(size, seed, dtype):
    _, out, inner = size
    matrix, x = numbers(out, inner, seed=seed).astype(dtype), numbers(1, inner, seed=seed + 10).astype(dtype)
    y = multiply_row(matrix, x)
    assert (y.shape, y.dtype) == ((1, out), dtype)
    exact = [math.fsum(float(a) * float(b) for a, b in zip(row, x[0], strict=True)) for row in matrix[:5]]
    sizes = np.abs(matrix[:5].astype(np.float64) * x).sum(axis=1)
    assert (np.abs(y[0, :5] - exact) <= sizes * inner**0.5 * np.finfo(dtype).eps).all()


@given(st.integers(1, 5), st.integers(0, 9))
def test_threads_change_no_bit(threads, seed):
    matrix, x = numbers(67, 130, seed=seed), numbers(1, 130, seed=seed + 1)
    Sharing.begins = 1
    with ops.use_threads(1):
        alone = multiply_row(matrix, x)
    with ops.use_threads(threads):
        assert np.array_equal(multiply_row(matrix, x), alone)


def test_neither_does_the_place_of_a_row():
    matrix, x = numbers(64, 100), numbers(1, 100, seed=1)
    whole = multiply_row(matrix, x)[0]
    assert [multiply_row(matrix[n : n + 1], x)[0, 0] for n in range(64)] == whole.tolist()


def test_another_library_multiplies_as_it_does(monkeypatch):
    matrix, x = numbers(64, 100), numbers(1, 100, seed=1)
    monkeypatch.setattr(lazy_panels, "openblas", lambda: None)
    monkeypatch.setattr(np, "vecdot", None)
    assert np.array_equal(multiply_row(matrix, x), x @ matrix.T)
    Sharing.learn(numbers(4 * READ_TOGETHER // 64, 64))
    assert not Sharing.is_known


@pytest.mark.parametrize(("size", "threads"), [(READ_TOGETHER // 64, 2), (READ_TOGETHER // 64 - 1, 1)])
def test_large_matrices_are_shared(monkeypatch, size, threads):
    asked = []
    monkeypatch.setattr(
        lazy_panels, "run_in_threads", lambda job, parts, count: (asked.append(count), job(0, 0, parts))
    )
    with ops.use_threads(2):
        ops.linear(numbers(1, 64), LazyPanels.of(np.empty((size, 64), np.float32)))
    assert asked == [threads]


@pytest.mark.parametrize(
    ("alone", "together", "begins"), [(4.0, 2.0, SOON), (4.0, 3.5, SOON), (4.0, 3.75, READ_TOGETHER)]
)
def test_it_is_measured_once_with_the_clock(monkeypatch, alone, together, begins):
    now, asked = [0.0], []

    def run(job, parts, count):
        asked.append(count)
        job(0, 0, parts)
        now[0] += together if count == 2 else alone
        now[0] += 100.0 * (asked.count(count) == 1)  # the first one starts a thread

    monkeypatch.setattr(lazy_panels, "run_in_threads", run)
    monkeypatch.setattr(lazy_panels.time, "perf_counter", lambda: now[0])
    matrix = np.zeros((4 * READ_TOGETHER // 64, 64), np.float32)
    with ops.use_threads(1):
        Sharing.learn(matrix)
    assert not Sharing.is_known  # a single thread shares nothing, now
    with ops.use_threads(2):
        Sharing.learn(matrix[:-1])  # too small to know
        assert not asked
        for _ in range(2):
            Sharing.learn(matrix)
    assert asked == [1, 2] * 5
    assert (Sharing.begins, Sharing.is_known) == (begins, True)


def test_the_environment_says_it_instead(monkeypatch):
    monkeypatch.setenv(lazy_panels.VARIABLE, "1000")
    Sharing.learn(np.ones((2, 2)))
    assert (Sharing.begins, Sharing.is_known) == (1000, True)


@pytest.mark.parametrize("word", ["", "0", "-1", "many", "1.5"])
def test_and_other_words_are_refused(monkeypatch, word):
    monkeypatch.setenv(lazy_panels.VARIABLE, word)
    with pytest.raises(ValueError, match=f"NPBLENDER_SHARED_FROM is '{word}', but must be a whole number from 1 on"):
        Sharing.learn(np.ones((2, 2)))


def test_of_rows_before_and_after_packing_the_sums_agree():
    matrix, x = LazyPanels.of(numbers(300, 200)), numbers(1, 200, seed=1)
    before = ops.linear(x, matrix)
    matrix.form(2)
    assert_close(ops.linear(x, matrix), before, TOLERANCES["float32 computed another way"])
