"""Float32 sums as plain loops compute them: from left to right, with one accumulator or several, fused or not.

A kernel of NumPy's BLAS adds in blocks, which rounds less than the loops that a port in C, Zig or WGSL begins with.
`Loops` emulates such loops, by which `compute` computes an operation; `run_plainly` evaluates a run with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from npblender.common.array_types import Array
from npblender.groundtruth.single_ops.cases import list_cases, run_arrays
from npblender.groundtruth.single_ops.compute import compute
from npblender.groundtruth.tracing.evaluate import Evaluation, planned_points
from npblender.transformer.parameters import to_arrays

FLOAT32 = np.float32


@dataclass(frozen=True)
class Loops:
    """How a program adds: how many accumulators take turns, and whether a product is rounded before it is added."""

    accumulators: int = 1
    fused: bool = False

    def total(self, x: Array) -> Array:
        """Add along the last axis in float32, [..., n] -> [...].

        >>> one, small = 1.0, 2.0**-24  # half an ulp of 1: added to it one by one, it is lost
        >>> [float(Loops(n).total(np.float32([one, small, small, small])) - 1) * 2**23 for n in (1, 2)]
        [0.0, 1.0]
        """
        lanes = [
            np.add.accumulate(x[..., n :: self.accumulators], axis=-1, dtype=FLOAT32)[..., -1:]
            for n in range(min(self.accumulators, x.shape[-1]))
        ]
        return np.asarray(np.add.accumulate(np.concatenate(lanes, axis=-1), axis=-1, dtype=FLOAT32)[..., -1])

    def product(self, a: Array, b: Array) -> Array:
        """Multiply matrices in float32, [..., N, n] by [..., n, F] -> [..., N, F].

        >>> big, small = np.float32([[1.0, 2.0**-12]]), np.float32([[1.0], [2.0**-12]])
        >>> float(Loops(1).product(big, small)[0, 0])
        1.0
        """
        size, lanes = a.shape[-1], min(self.accumulators, a.shape[-1])
        shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
        sums = [np.zeros(shape, FLOAT32) for _ in range(lanes)]
        columns = np.ascontiguousarray(a.swapaxes(-1, -2))  # [..., n, N]
        wide_a, wide_b = (columns.astype(np.float64), b.astype(np.float64)) if self.fused else (columns, b)
        for n in range(size):
            lane = sums[n % lanes]
            term = wide_a[..., n, :, None] * wide_b[..., n, None, :]  # exact where fused
            if self.fused:
                term += lane
                lane[...] = term
            else:
                lane += term
        for lane in sums[1:]:
            sums[0] += lane
        return sums[0]

    def linear(self, x: Array, weight: Array, bias: Array | None) -> Array:
        """Multiply with a matrix, [..., n] by [F, n] -> [..., F], and add the bias last."""
        y = self.product(x, np.ascontiguousarray(weight.T))
        return y if bias is None else y + bias

    def softmax(self, x: Array) -> Array:
        """Compute exp(x) / sum(exp(x)) over the last axis, the largest x taken off."""
        powers = np.exp(x - x.max(axis=-1, keepdims=True))
        return np.asarray(powers / self.total(powers)[..., None])

    def log_softmax(self, x: Array) -> Array:
        """Compute its logarithm."""
        x = x - x.max(axis=-1, keepdims=True)
        return np.asarray(x - np.log(self.total(np.exp(x)))[..., None])

    def cross_entropy(self, x: Array, labels: Array, ignored: int) -> Array:
        """Compute the mean of -log_softmax at the labels that are not ignored; NaN if all are."""
        kept = labels != ignored
        picked = self.log_softmax(x)[kept][np.arange(kept.sum()), labels[kept]]
        return np.asarray(-self.total(picked) / FLOAT32(picked.size) if picked.size else FLOAT32(np.nan))

    def layer_norm(self, x: Array, weight: Array, bias: Array, eps: float) -> Array:
        """Normalize the last axis, with the mean and then the mean square of what is left of x."""
        size = FLOAT32(x.shape[-1])
        x = x - (self.total(x) / size)[..., None]
        scale = FLOAT32(1) / np.sqrt(self.total(x * x) / size + FLOAT32(eps))
        return np.asarray(x * scale[..., None] * weight + bias)


LOOPS = tuple(Loops(accumulators, fused) for accumulators in (1, 2, 4, 8, 16) for fused in (False, True))
"""The loops over which noise is measured: one accumulator as in C, several as compilers and vector units make them."""


def run_plainly(evaluation: Evaluation, loops: Loops) -> Iterator[tuple[str, Array]]:
    """Evaluate a run in float32 with plain loops and yield every point in causal order, under its name."""
    cases = {case.name: case for case in list_cases(evaluation)}
    known, parameters = run_arrays(evaluation), to_arrays(evaluation.weights)
    previous: Array | None = None
    for name in planned_points(evaluation):
        if name in cases:
            case = cases[name]
            named = {role: parameters[parameter] for role, parameter in case.parameters.items()}
            previous = compute(case, case.gather(known, FLOAT32), named, loops)
            assert previous.dtype == FLOAT32, f"{name} is {previous.dtype}"
        elif name.endswith("embed.scaled"):
            previous = known[name.removesuffix("embed.scaled") + "inputs_embeds"]
        assert previous is not None
        known[name] = previous  # a point that is no operation repeats the one before it
        yield name, previous
