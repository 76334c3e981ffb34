"""Many rows times narrow panels: a few panels at a time are joined for large products; no bit of a result changes."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from npblender import ops
from npblender.ops.packed import blas
from npblender.ops.packed.blas import NARROW, ONE_THREAD, WIDE
from npblender.ops.packed.half_panels import HalfPanels
from npblender.ops.packed.panels import Panels
from reference_tests.support.asserts import assert_close
from reference_tests.support.tolerances import TOLERANCES

EXACT = blas.core_name() in blas.WITH_SMALL_KERNELS  # elsewhere the BLAS sums up small products in another order
NEVER = replace(NARROW, many=sys.maxsize)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def products(monkeypatch):
    """The shapes of what matrices are multiplied by, as they come."""
    seen, matmul = [], np.matmul
    monkeypatch.setattr(np, "matmul", lambda a, b, **rest: seen.append(a.shape + b.shape) or matmul(a, b, **rest))
    return seen


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("rows", [NARROW.many, 133, 513])
@pytest.mark.parametrize("shape", [(2048, 512), (512, 2048), (700, 512), (2200, 96)])
def test_joined_panels_give_the_same_bits(shape, rows, threads):
    matrix, bias, x = normal(*shape), normal(shape[0], seed=1), normal(rows, shape[1], seed=2)
    with ops.use_threads(threads), ONE_THREAD:
        joined, apart = (Panels.of(matrix, cut).multiply(x, bias) for cut in (NARROW, NEVER))
    if EXACT:
        assert np.array_equal(joined, apart)
    assert_close(joined, x.astype(np.float64) @ matrix.T + bias, TOLERANCES["float32 against float64"])


def test_sixteen_bits_are_joined_as_float32_is():
    matrix, x = normal(300, 512).astype(np.float16).astype(np.float32), normal(200, 512, seed=1)
    halves = HalfPanels.allocate(matrix.shape, "float16")
    halves.fill(0, matrix)
    assert np.array_equal(halves.multiply(x), Panels.of(matrix, NARROW).multiply(x))


@pytest.mark.parametrize(("rows", "at_a_time"), [(NARROW.many, NARROW.many), (513, 257), (1024, 512)])
def test_each_panel_is_joined_once_for_all_rows(monkeypatch, rows, at_a_time):
    panels, x = Panels.of(normal(2112, 512), NARROW), normal(rows, 512)  # 33 panels, sums in two parts
    seen = products(monkeypatch)
    with ops.use_threads(1):
        panels.multiply(x)
    blocks = -(-rows // at_a_time)
    assert len(seen) == 2 * 2 * blocks  # matrices of 2,048 and of 64 columns, of two parts each
    assert {shape[0] for shape in seen} <= {at_a_time, rows - (blocks - 1) * at_a_time}
    assert {shape[-2:] for shape in seen} == {(256, 2048), (256, 64)}


def test_fewer_rows_and_wide_panels_are_as_before(monkeypatch):
    few, wide = Panels.of(normal(2112, 512), NARROW), Panels.of(normal(2112, 512), WIDE)
    seen = products(monkeypatch)
    few.multiply(normal(NARROW.many - 1, 512))
    assert {shape[-1] for shape in seen} == {64}
    seen.clear()
    wide.multiply(normal(1024, 512))
    assert {shape[-1] for shape in seen} == {2048}
