"""Matrices kept in 16 bits: the right numbers, and products in float32."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender import ops
from npblender.ops.linear import fuses
from npblender.ops.packed import blas, fused_mlp
from npblender.ops.packed.blas import NARROW
from npblender.ops.packed.half_bits import FORMATS, fits, narrow, widen
from npblender.ops.packed.half_panels import HalfPanels
from npblender.ops.packed.panels import Panels
from reference_tests.support.asserts import assert_close
from reference_tests.support.half_cases import IN_BOTH, matrix, rounded, same_bits, values_of
from reference_tests.support.panel_cases import SIZES
from reference_tests.support.stored import bfloat16_bits
from reference_tests.support.tolerances import TOLERANCES


@pytest.fixture(params=["panels", "rows", "by-use"])
def either_layout(request, lay_out_as, cut_as):
    """Whatever this machine prefers for float32, in narrow panels, as 16 bits always are."""
    lay_out_as(request.param)
    cut_as("narrow")
    return request.param


def kept(plain, stored):
    halves = HalfPanels.allocate(plain.shape, stored)
    halves.fill(0, plain)
    return halves


@IN_BOTH
def test_every_pattern_there_is(stored):
    bits = np.arange(2**16, dtype=np.uint16)
    values = values_of(bits, stored)
    finite = np.isfinite(values)
    assert finite.sum() == {"float16": 2**16 - 2 * 2**10, "bfloat16": 2**16 - 2 * 2**7}[stored]
    assert same_bits(widen(bits[finite], stored, np.empty(finite.sum(), np.float32)), values[finite])
    assert np.array_equal(narrow(values[finite], stored), bits[finite])
    assert [fits(bits[n : n + 1], stored) for n in range(0, 2**16, 61)] == finite[::61].tolist()
    assert fits(bits[finite], stored)


@IN_BOTH
def test_what_lies_between_two_patterns_goes_to_the_nearer_or_the_even_one(stored):
    """Every gap's middle, and the float32 next to it on either side."""
    bits = np.arange(2**15, dtype=np.uint16)
    values = values_of(bits, stored)
    low = bits[:-1][np.isfinite(values[1:])]
    middle = ((values_of(low, stored).astype(np.float64) + values_of(low + 1, stored)) / 2).astype(np.float32)
    assert np.array_equal(narrow(middle, stored), low + (low & 1))
    below, above = np.nextafter(middle, np.float32(0)), np.nextafter(middle, np.float32(np.inf))
    exact = np.abs(middle) >= np.finfo(np.float32).tiny  # below, the middle of bfloat16's gaps is no less exact
    assert np.array_equal(narrow(below, stored)[exact], low[exact])
    assert np.array_equal(narrow(above, stored)[exact], low[exact] + 1)
    assert np.array_equal(narrow(-above, stored), narrow(above, stored) | np.uint16(0x8000))


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1), st.sampled_from(FORMATS))
def test_rounding_is_the_oracles(numbers, stored):
    array = np.array(numbers, np.float32)
    with np.errstate(over="ignore"):
        expected = array.astype(np.float16).view(np.uint16) if stored == "float16" else bfloat16_bits(array)
    assert np.array_equal(narrow(array, stored), expected)


@given(SIZES, st.sampled_from(FORMATS))
def test_products_are_those_of_the_rounded_matrix(sizes, stored):
    given_rows, rows, inner = sizes
    x, plain, bias = matrix(given_rows, inner, 1), matrix(rows, inner, 2), matrix(1, rows, 3)[0]
    wide = rounded(plain, stored)
    exact = x.astype(np.float64) @ wide.astype(np.float64).T
    size = np.abs(x).astype(np.float64) @ np.abs(wide).astype(np.float64).T
    for shift in (None, bias):
        y = kept(plain, stored).multiply(x, shift)
        right, bound = (exact, size) if shift is None else (exact + shift, size + np.abs(shift))
        assert y.shape == (given_rows, rows)
        assert y.dtype == np.float32
        assert (np.abs(y - right) <= (inner + 1) * np.finfo(np.float32).eps * bound).all()
        assert same_bits(
            y, Panels.of(wide, NARROW).multiply(x, shift)
        )  # the kernels see the same numbers in the same order


@given(SIZES, st.sampled_from(FORMATS))
def test_they_stand_for_their_matrix(sizes, stored):
    _, rows, inner = sizes
    plain = matrix(rows, inner)
    halves, wide = kept(plain, stored), rounded(plain, stored)
    assert same_bits(np.asarray(halves), wide)
    assert (halves.shape, halves.size, halves.ndim, len(halves)) == (wide.shape, wide.size, 2, rows)
    assert halves.dtype == np.float32
    assert halves.nbytes == 2 * Panels.of(plain, NARROW).size + 2 * (-rows % min(64, rows)) * inner
    ids = np.random.default_rng(0).integers(0, rows, (2, 3))
    assert same_bits(halves.take(ids), wide[ids])
    assert same_bits(ops.embed(ids, halves), wide[ids])
    assert np.array_equal(halves[ids], wide[ids])
    assert np.array_equal(halves.T, wide.T)
    assert np.array_equal(halves.astype(np.float64), wide)
    assert np.array_equal(2 * halves + 1, 2 * wide + 1)
    assert np.array_equal(halves.mean(axis=0), wide.mean(axis=0))
    assert same_bits(values_of(halves.bits(), stored), wide)
    with pytest.raises(ValueError, match="copy"):
        np.array(halves, copy=False)


@IN_BOTH
@pytest.mark.parametrize("given_rows", [1, 2, 10, 62, 200])
def test_results_do_not_depend_on_the_number_of_threads_or_blocks(given_rows, stored, monkeypatch):
    halves = replace(kept(matrix(700, 512), stored), cut=replace(NARROW, shared=1))
    x, bias = matrix(given_rows, 512, 1), matrix(1, 700, 3)[0]
    first = halves.multiply(x, bias)
    for count in (1, 2, 3, 64):
        for block in (1, 2**16, 2**30):
            monkeypatch.setattr("npblender.ops.packed.half_panels.BLOCK", block)
            with ops.use_threads(count):
                again = halves.multiply(x, bias)
            if blas.core_name() in blas.WITH_SMALL_KERNELS or given_rows < NARROW.many:
                assert same_bits(again, first)  # elsewhere large products have other kernels at their edges
            assert_close(again, first, TOLERANCES["float32 computed another way"])


@IN_BOTH
@pytest.mark.parametrize("given_rows", [1, 4, 61])
def test_a_feed_forward_block_in_one_is_its_steps(given_rows, stored, either_layout):
    first, second, x = kept(matrix(2048, 512), stored), kept(matrix(512, 2048), stored), matrix(given_rows, 512, 1)
    one, two = matrix(1, 2048, 2)[0], matrix(1, 512, 3)[0]
    steps = ops.linear(ops.relu(ops.linear(x, first, one)), second, two)
    with ops.use_threads(3):
        assert fuses(x, first, second) == (either_layout != "rows")
        whole = fused_mlp.compute(x, (first, one), ops.relu, (second, two))
    if blas.core_name() in blas.WITH_SMALL_KERNELS:
        assert same_bits(whole, steps)
    assert_close(whole, steps, TOLERANCES["float32 against float64"])


@IN_BOTH
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 3.4e38])
def test_what_is_not_finite_there_is_refused(stored, number):
    """Also a NaN whose rounding would carry into its sign."""
    for value in (np.float32(number), np.uint32(0x7FFFFFFF).view(np.float32)):
        if stored == "bfloat16" and value == np.float32(3.4e38):
            assert np.isinf(values_of(bfloat16_bits(value), stored))
        with pytest.raises(OverflowError, match=f"not finite as {stored}"):
            kept(np.array([[1, value]], np.float32), stored)


def test_the_largest_numbers_are_kept():
    for stored, largest, next_one in (("float16", 65504, 65520), ("bfloat16", 3.3895314e38, 3.3961775e38)):
        assert np.asarray(kept(np.array([[largest]], np.float32), stored))[0, 0] == np.float32(largest)
        with pytest.raises(OverflowError, match="not finite"):
            kept(np.array([[next_one]], np.float32), stored)
