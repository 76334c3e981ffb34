"""How far a single operation rounds in float32: results of correct programs, and the error that its sums let expect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from npblender.common.array_types import Array
from npblender.groundtruth.noise.plain_loops import LOOPS, compute_plainly
from npblender.groundtruth.single_ops.cases import Case
from npblender.groundtruth.single_ops.compute import compute, reordered
from npblender.transformer.attention import merge_heads, split_heads

ROUNDING = 2.0**-24 / 3**0.5
"""The rms of one rounding to float32, relative to the result: half an ulp, evenly distributed."""


def float32_results(case: Case, given: Mapping[str, Array], parameters: Mapping[str, Array]) -> Iterator[Array]:
    """Yield a case's output in float32 as correct programs give it: NumPy's kernels, other orders, plain loops."""
    yield compute(case, given, parameters)
    yield from reordered(case, given, parameters, np.random.default_rng(0))
    with np.errstate(all="ignore"):
        for loops in LOOPS:
            yield compute_plainly(case, given, parameters, loops)


def _of_product(a: Array, b: Array) -> Array:
    """The rms error of a @ b added with one accumulator, where the n terms have any signs.

    Each of n partial sums is rounded; after k terms it is about the root of the sum of their k squares.
    """
    size = a.shape[-1]
    return np.asarray(ROUNDING * np.sqrt((size / 2 + 1) * (np.square(a) @ np.square(b))))


def typical_error(case: Case, given: Mapping[str, Array], parameters: Mapping[str, Array]) -> Array:
    """Estimate the rms error of each value of a case in float32, from the condition of its sums alone.

    >>> case = Case("x", "scores", {"q": ("q",), "k": ("k",)})
    >>> error = typical_error(case, {"q": np.ones((1, 100)), "k": np.ones((1, 100))}, {})
    >>> round(float(error[0, 0] / (100 * 2.0**-24)), 3)  # n u |q| |k|, which no loop exceeds, is 100 of these
    0.412
    """
    op = case.op
    if op in ("linear", "logits"):
        error = _of_product(given["x"], parameters["weight"].T)
        if "heads" in case.settings:
            error = split_heads(error, int(case.settings["heads"]))
        return np.asarray(error / float(case.settings.get("divide_by", 1.0)))
    if op == "scores":
        return _of_product(given["q"], given["k"].swapaxes(-1, -2))
    if op == "context":
        return merge_heads(_of_product(given["weights"], given["v"]))
    size = given["x"].shape[-1] if "x" in given and given["x"].ndim else 1
    total = ROUNDING * (size / 3 + 1) ** 0.5  # of a sum of n positive numbers, relative to it
    if op == "softmax":
        return np.asarray(compute(case, given, parameters) * total)
    if op == "layer_norm":
        x = given["x"] - given["x"].mean(axis=-1, keepdims=True)
        scale = 1 / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + float(case.settings["eps"]))
        of_mean = total * np.abs(given["x"]).mean(axis=-1, keepdims=True) / size**0.5
        return np.asarray(np.abs(parameters["weight"]) * scale * np.hypot(of_mean, total * np.abs(x) / 2))
    if op in ("log_softmax", "cross_entropy"):
        return np.full_like(compute(case, given, parameters), total)
    return np.zeros_like(compute(case, given, parameters))
