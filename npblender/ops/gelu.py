"""The exact GELU, x times the standard normal distribution function Phi of x, in every dtype.

float64 and longdouble use the polynomials of `error_function`. float32, where the model spends its time, uses a table
of Phi at the multiples of 1/1024 and Taylor's formula from the nearest of them, n, with d = x - n:

    Phi(n + d) = Phi(n) + phi(n) (d - n d^2/2 + ...), phi the normal density

The first term left out is below 4e-8 of the result for -12.5 < x. That is fourteen passes over a block that stays
in cache, none of them an exponential, so it costs about the same on machines with and without wide vectors. What
the table does not reach (x below -12.5, where the result approaches the subnormals; infinities; NaN) comes out as
NaN and is computed again in float64. The value of each element depends on that element alone.

Measured (`tools/measure/ops.py`; figures in docs/ops.md): within 4 ulp in float32, float64 and longdouble, in the
whole left tail, subnormal results included.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from npblender.common.array_types import FloatArray
from npblender.ops.error_function import near_or_far, normal_cdf, normal_near, normal_tail
from npblender.ops.threads import SHARED, in_blocks, num_threads, run_in_threads


def gelu(x: FloatArray) -> FloatArray:
    """x * Phi(x), Phi the standard normal distribution function: the exact GELU, which the model uses.

    >>> x = np.array([-1.0, 0.0, 1.0])
    >>> (x * normal_cdf(x)).round(6)
    array([-0.158655,  0.      ,  0.841345])
    >>> gelu(x).round(6)
    array([-0.158655,  0.      ,  0.841345])

    Any shape; dtype of x. gelu(inf) is inf; gelu(-inf) is -0.0, the limit (torch gives NaN there); NaN stays NaN.
    Source: Hendrycks and Gimpel, "Gaussian Error Linear Units", section 2.
    """
    return _gelu_by_table(x) if x.dtype == np.float32 else _gelu_by_polynomials(x)


_CELLS = 1024  # nodes per unit
_LOWEST, _HIGHEST = -12.5, 6.0  # of the nodes; from 5.5 on, Phi is 1 in float32
_BLOCK = 65536  # values: smaller blocks stay in a nearer cache, but threads wait for the interpreter more often
_SHARED_BLOCK = 131072  # with two threads: each pass must outlast the change of threads, and both stay in cache


def _read_only(values: FloatArray) -> npt.NDArray[np.float32]:
    table = values.astype(np.float32)
    table.flags.writeable = False
    return table


def _make_tables() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Phi(n), and half of the density phi(n), at the nodes."""
    nodes = np.arange(_LOWEST, _HIGHEST + 0.5 / _CELLS, 1 / _CELLS)
    distribution, density = normal_cdf(nodes), np.exp(nodes * nodes * -0.5) / np.sqrt(2 * np.pi)
    distribution[0] = np.nan  # stands for everything below: "compute again"
    density[-1] = 0  # stands for everything above, where Phi is 1
    return _read_only(distribution), _read_only(density / 2)


_PHI, _HALF_DENSITY = _make_tables()
# Adding this to x rounds it to a multiple of 1/1024, and leaves the number of that node in the low bits.
_ROUNDER = np.array(1.5 * 2**23 / _CELLS, np.float32)
_FIRST_NODE = np.array((_ROUNDER + np.float32(_LOWEST)).view(np.int32), np.intp)
_TWO = np.array(2, np.float32)


def _gelu_near(x: FloatArray) -> FloatArray:
    return x * normal_near(x)


def _gelu_far(x: FloatArray) -> FloatArray:
    value = np.maximum(x, 0)
    value -= normal_tail(np.abs(x), times_size=True)
    return np.copysign(value, x, out=value)  # -0.0 where the left tail underflows


def _gelu_by_polynomials(x: FloatArray) -> FloatArray:
    return in_blocks(lambda block: near_or_far(block, _gelu_near, _gelu_far), x)


def _gelu_by_table(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    flat = np.ascontiguousarray(x).reshape(-1)
    result = np.empty_like(flat)
    threads, size = (1, _BLOCK) if flat.size < SHARED else (num_threads(), _SHARED_BLOCK)
    size = max(1, min(size, flat.size))
    buffers, indices = np.empty((threads, 3, size), np.float32), np.empty((threads, size), np.intp)

    def job(worker: int, first: int, last: int) -> None:
        piece = slice(first * size, last * size)
        _table_blocks(flat[piece], result[piece], buffers[worker], indices[worker])

    run_in_threads(job, -(-flat.size // size), threads)
    return result.reshape(x.shape)


def _table_blocks(
    flat: npt.NDArray[np.float32],
    result: npt.NDArray[np.float32],
    buffers: npt.NDArray[np.float32],
    indices: npt.NDArray[np.intp],
) -> None:
    """The table's formula, block by block: as many values at a time as the buffers hold."""
    size = len(indices)
    for start in range(0, flat.size, size):
        block, out = flat[start : start + size], result[start : start + size]
        phi, step, density = buffers[:, : block.size]
        index = indices[: block.size]
        np.add(block, _ROUNDER, out=phi)
        np.copyto(index, phi.view(np.int32))
        np.subtract(index, _FIRST_NODE, out=index)
        np.subtract(phi, _ROUNDER, out=out)  # the node n
        np.subtract(block, out, out=step)  # d
        _PHI.take(index, out=phi, mode="clip")
        _HALF_DENSITY.take(index, out=density, mode="clip")
        np.multiply(out, step, out=out)
        np.subtract(_TWO, out, out=out)  # 2 - n d
        np.multiply(out, step, out=out)
        np.multiply(out, density, out=out)
        np.add(out, phi, out=out)
        np.multiply(out, block, out=out)
        if np.isnan(np.minimum.reduce(out)):
            again = np.isnan(out)
            out[again] = _gelu_by_polynomials(block[again])
