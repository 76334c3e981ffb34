"""Computes single operations from their inputs, in any dtype.

`compute` gives a case's output; `reordered` gives the same in exact arithmetic by other orders of summation, from which
its noise is measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from npblender import ops
from npblender.common.array_types import IGNORED_LABEL, Array
from npblender.groundtruth.single_ops.cases import Case
from npblender.transformer.attention import merge_heads, split_heads
from npblender.transformer.masks import hide

NUMPY = SimpleNamespace(
    **{"product": np.matmul, "linear": ops.linear, "layer_norm": ops.layer_norm, "softmax": ops.softmax},
    **{"log_softmax": ops.log_softmax, "cross_entropy": ops.cross_entropy},
)
"""The operations that add many terms; `noise.plain_loops` has others."""


def compute(case: Case, given: Mapping[str, Array], parameters: Mapping[str, Array], by: Any = NUMPY) -> Array:
    """Compute a case's output. `given` and `parameters` are arrays by role, all numbers of one dtype, the output's.

    >>> compute(Case("x", "add", {"a": ("y",), "b": ("z",)}), {"a": np.ones(2), "b": np.ones(2)}, {})
    array([2., 2.])
    """
    op, settings = case.op, case.settings
    if op == "linear":
        return shaped(case, by.linear(given["x"], parameters["weight"], parameters["bias"]))
    if op == "layer_norm":
        return np.asarray(by.layer_norm(given["x"], parameters["weight"], parameters["bias"], settings["eps"]))
    if op == "embed":
        return ops.embed(given["ids"], parameters["table"])
    if op == "scale":
        return np.asarray(given["x"] * given["x"].dtype.type(settings["factor"]))
    if op == "add":
        return given["a"] + given["b"]
    if op == "zero_pads":
        return given["x"] * given["mask"][:, :, None]
    if op == "scores":
        return np.asarray(by.product(given["q"], given["k"].swapaxes(-1, -2)))
    if op == "mask":
        return hide(given["x"], given["mask"], settings["value"])
    if op == "softmax":
        weights = np.asarray(by.softmax(given["x"]))
        return weights * given["head_mask"][:, None, None] if "head_mask" in given else weights
    if op == "context":
        return merge_heads(by.product(given["weights"], given["v"]))
    if op == "logits":
        bias = parameters["bias"][0] if "bias" in parameters else None
        logits = np.asarray(by.linear(given["x"], parameters["weight"], bias))
        if "start_token" in settings:
            logits[..., int(settings["start_token"])] = settings["start_logit"]
        return logits
    if op == "log_softmax":
        return np.asarray(by.log_softmax(given["x"]))
    if op == "cross_entropy":
        return np.asarray(by.cross_entropy(given["x"], given["labels"], IGNORED_LABEL))
    return ops.ACTIVATIONS[op](given["x"])


def shaped(case: Case, y: Array) -> Array:
    """Cut what a linear map gives into heads, [B, T, D] -> [B, H, T, K], and divide it, where the case does so."""
    if "heads" in case.settings:
        y = split_heads(y, int(case.settings["heads"]))
    return np.asarray(y / y.dtype.type(case.settings["divide_by"])) if "divide_by" in case.settings else y


_INNER = {
    "linear": (("x", -1), ("weight", -1)),
    "logits": (("x", -1), ("weight", -1)),
    "scores": (("q", -1), ("k", -1)),
    "context": (("weights", -1), ("v", -2)),
}
"""The axes over which a product sums; permuting both alike changes only the order of the sum."""


def reordered(
    case: Case, given: Mapping[str, Array], parameters: Mapping[str, Array], rng: np.random.Generator
) -> Iterator[Array]:
    """Compute the output by other correct orders: inner axes permuted, columns of a norm or softmax permuted.

    >>> case = Case("x", "scores", {"q": ("q",), "k": ("k",)})
    >>> q, k = np.array([[1.0, 2.0, 3.0]]), np.array([[4.0, 5.0, 6.0]])
    >>> [float(each[0, 0]) for each in reordered(case, {"q": q, "k": k}, {}, np.random.default_rng(0))]
    [32.0, 32.0]
    """
    for _ in range(2):
        if case.op in _INNER:
            (first, axis), (second, other) = _INNER[case.op]
            size = given[first].shape[axis]
            order = rng.permutation(size)
            moved = {name: np.take(array, order, axis) if name == first else array for name, array in given.items()}
            weights = dict(parameters)
            if second in moved:
                moved[second] = np.take(moved[second], order, other)
            else:
                weights[second] = np.take(weights[second], order, other)
            yield compute(case, moved, weights)
        elif case.op in ("layer_norm", "softmax", "log_softmax"):
            order = rng.permutation(given["x"].shape[-1])
            moved = dict(given) | {"x": given["x"][..., order]}
            weights = {name: array[order] for name, array in parameters.items()}
            yield compute(case, moved, weights)[..., np.argsort(order)]
