"""How far a single operation rounds in float32: results of correct programs, and the error that its sums let expect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from npblender import ops
from npblender.common.array_types import Array
from npblender.groundtruth.noise.plain_loops import LOOPS
from npblender.groundtruth.noise.units import STANDS_FOR_HIDDEN
from npblender.groundtruth.single_ops.cases import Case
from npblender.groundtruth.single_ops.compute import compute, reordered, shaped
from npblender.transformer.attention import merge_heads

ROUNDING = 2.0**-24 / 3**0.5
"""The rms of one rounding to float32, relative to the result: half an ulp, evenly distributed."""

FLUSHED = 2.0**-126
"""Below this, programs may give 0."""


def float32_results(case: Case, given: Mapping[str, Array], parameters: Mapping[str, Array]) -> Iterator[Array]:
    """Yield a case's output in float32 as correct programs give it: NumPy's kernels, other orders, plain loops."""
    yield compute(case, given, parameters)
    yield from reordered(case, given, parameters, np.random.default_rng(0))
    with np.errstate(all="ignore"):
        for loops in LOOPS:
            yield compute(case, given, parameters, loops)


def _of_product(a: Array, b: Array) -> Array:
    """Estimate the rms error of each value of a @ b, added with one accumulator from left to right.

    Each of n partial sums is rounded. Where the terms have any signs, the sum of k of them is about the root of their
    squares; where they add up, it grows to the whole sum.
    """
    size = a.shape[-1]
    squares = (size / 2 + 1) * (np.square(a) @ np.square(b))
    return np.asarray(ROUNDING * np.sqrt(squares + size / 3 * np.square(a @ b)))


def typical_error(case: Case, given: Mapping[str, Array], parameters: Mapping[str, Array]) -> Array:
    """Estimate the rms error of each value of a case in float32, from the condition of its own sums alone.

    >>> case = Case("x", "scores", {"q": ("q",), "k": ("k",)})
    >>> signs = np.where(np.arange(100) % 2, 1.0, -1.0)[None]
    >>> error = typical_error(case, {"q": signs, "k": np.ones((1, 100))}, {})
    >>> round(float(error[0, 0] / (100 * 2.0**-24)), 3)  # n u |q| |k|, which no loop exceeds, is 100 of these
    0.412
    """
    op = case.op
    if op in ("linear", "logits"):
        error = _of_product(given["x"], parameters["weight"].T)
        if "bias" in parameters:
            error = np.hypot(error, ROUNDING * parameters["bias"].reshape(-1))
        return shaped(case, error)
    if op == "scores":
        return _of_product(given["q"], given["k"].swapaxes(-1, -2))
    if op == "context":
        return merge_heads(_of_product(given["weights"], given["v"]))
    if op in ("softmax", "layer_norm", "log_softmax", "cross_entropy"):
        return _of_rows(case, given, parameters)
    if op in ops.ACTIVATIONS:  # x times a step that is rounded near 1
        return np.asarray(ROUNDING * (np.abs(given["x"]) / 2 + 2 * np.abs(compute(case, given, parameters))))
    return np.zeros_like(compute(case, given, parameters))


def _of_rows(case: Case, given: Mapping[str, Array], parameters: Mapping[str, Array]) -> Array:
    x, op = given["x"], case.op
    size = x.shape[-1]
    total = ROUNDING * (size / 3 + 1) ** 0.5  # of a sum of n positive numbers, relative to it
    right = compute(case, given, parameters)
    if op == "layer_norm":
        mean = x.mean(axis=-1, keepdims=True)
        centred = x - mean
        scale = 1 / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + float(case.settings["eps"]))
        drift = np.abs(mean) * size**0.5 / 3
        of_mean = ROUNDING * np.hypot(0.6 * np.abs(x).mean(axis=-1, keepdims=True), drift)
        weight, bias = np.abs(parameters["weight"]), np.abs(parameters["bias"])
        ends = ROUNDING * np.hypot(2 * weight * scale * np.abs(centred), bias)
        return np.asarray(np.hypot(ends, weight * scale * np.hypot(of_mean, total * np.abs(centred) / 2)))
    top = x.max(axis=-1, keepdims=True)
    below = np.minimum(np.abs(x - top), STANDS_FOR_HIDDEN)
    if op == "softmax":  # a difference is rounded, and its exponential is off by as much
        return np.asarray(right * np.hypot(total, ROUNDING * np.hypot(2, np.minimum(below, 120))) + FLUSHED)
    if op == "log_softmax":
        return np.asarray(np.hypot(total, ROUNDING * (below + np.abs(right))))
    seen = (np.abs(x) < STANDS_FOR_HIDDEN) & np.isfinite(x)
    return np.full_like(right, np.hypot(total, ROUNDING * 2 * np.abs(x[seen]).max(initial=0.0)))
