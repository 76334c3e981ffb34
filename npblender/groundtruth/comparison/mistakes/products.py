"""Mistakes of matrix products: linear maps, logits, scores, and the mixing of values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from npblender import ops
from npblender.common.array_types import Array
from npblender.groundtruth.comparison.mistakes.operation import TILES, Candidates, Operation, moved
from npblender.groundtruth.noise.units import STANDS_FOR_HIDDEN
from npblender.groundtruth.single_ops.compute import compute
from npblender.transformer.attention import merge_heads, split_heads

MOST_TERMS = 1 << 22
"""The most terms of a product that are added again in float16."""


def of_linear(it: Operation) -> Candidates:
    """Yield mistakes of a linear map, and of the logits."""
    yield from _of_biases(it)
    yield from _of_heads_and_roots(it)
    if "start_token" in it.case.settings:
        free = {name: value for name, value in it.case.settings.items() if name != "start_token"}
        yield "the start token's logit left alone", compute(replace(it.case, settings=free), it.given, it.parameters)
    else:
        yield from _added_in_half(it)
    x, weight = it.given["x"], it.parameters["weight"]
    for name, gain in it.known.parameters.items():
        module = name.removesuffix(".weight")
        if name.endswith("norm.weight") and gain.shape == x.shape[-1:]:
            bias = it.known.parameters[f"{module}.bias"].astype(np.float64)
            normed = ops.layer_norm(x, gain.astype(np.float64), bias)
            yield f"{module} applied to its input first (pre-norm)", it.again({"x": normed})
    for text, kept in parts_of_sum(x.shape[-1]):
        yield text, it.again({"x": np.where(kept, x, 0)})
    own = it.case.parameters["weight"]
    if weight.shape[0] == weight.shape[1]:
        yield f"{own} transposed", it.again({}, {"weight": weight.T})
    else:
        yield f"{own} read by columns, as [in, out]", it.again({}, {"weight": weight.T.reshape(weight.shape)})
    for name, other in it.others("weight"):
        module = name.removesuffix("weight")
        bias_of = it.known.parameters.get(f"{module}bias")
        if "bias" in it.parameters and bias_of is not None and bias_of.shape == it.parameters["bias"].shape:
            both = {"weight": other, "bias": bias_of.astype(np.float64)}
            yield f"the parameters of {module.rstrip('.')}", it.again({}, both)
        yield f"{name} in place of {own}", it.again({}, {"weight": other})
    yield from it.rounded(("x", "weight"))
    yield from it.elsewhere("x")


def parts_of_sum(size: int) -> Iterator[tuple[str, Array]]:
    """Yield which terms of a sum a loop may forget, as a mask of those that it adds.

    >>> [(text, int(kept.sum())) for text, kept in parts_of_sum(6)][:3]
    [('the last term of its sum left out', 5), ('the first term of its sum left out', 5), \
('the last 2 terms of its sum left out', 4)]
    """
    places = np.arange(size)
    if size > 1:
        yield "the last term of its sum left out", places < size - 1
        yield "the first term of its sum left out", places > 0
    for left in sorted({size % tile for tile in TILES} - {0, 1, size}):
        yield f"the last {left} terms of its sum left out", places < size - left
    if size > 3:
        for text, kept in (("second", places < size // 2), ("first", places >= size // 2)):
            yield f"the {text} half of its sum left out", kept
        yield "every other term of its sum left out", places % 2 == 0


def _of_biases(it: Operation) -> Candidates:
    if "bias" not in it.parameters:
        return
    bias = it.parameters["bias"]
    without = it.again({}, {"bias": np.zeros_like(bias)})
    part = it.right - without
    seen = (np.abs(it.right) < STANDS_FOR_HIDDEN) & np.isfinite(it.mine)
    part = np.where(seen, part, 0)
    if part.any():
        times = 1 + round(float((it.mine - it.right)[seen] @ part[seen] / np.square(part).sum()))
        text = {0: "its bias left out", 2: "its bias added twice"}.get(times, f"its bias added {times} times")
        yield text, it.right + (times - 1) * part
        yield "its bias taken off, not added", it.right - 2 * part
    for shift in (1, -1):
        which = "the next" if shift == -1 else "the last"
        yield f"its bias off by one: every column has {which} one's", it.again({}, {"bias": np.roll(bias, shift, -1)})
    for name, other in it.others("bias"):
        yield f"{name} in place of {it.case.parameters['bias']}", it.again({}, {"bias": other})
    if "divide_by" in it.case.settings:
        factor = float(it.case.settings["divide_by"])
        yield "its bias not divided by sqrt(K), the product alone", without + (it.right - without) * factor


def _of_heads_and_roots(it: Operation) -> Candidates:
    if "heads" not in it.case.settings:
        return
    batch, heads, length, size = it.right.shape
    merged = merge_heads(it.right).reshape(batch, length, size, heads)
    yield "heads cut by columns: column c of head h is c*H + h", merged.transpose(0, 3, 1, 2)
    laid = merge_heads(it.right).reshape(batch, heads, length, size)
    yield "[B, T, D] taken for [B, H, T, K] as it lies in memory, without a transpose", laid
    if "divide_by" in it.case.settings:
        root = float(it.case.settings["divide_by"])
        for text, by in (
            ("queries not divided by sqrt(K)", 1.0),
            ("queries divided by sqrt(K) twice", root**2),
            ("queries divided by sqrt(D), not sqrt(K)", root * heads**0.5),
            ("queries divided by the root of sqrt(K)", root**0.5),
            ("queries multiplied by sqrt(K)", 1 / root),
        ):
            yield text, it.right * (root / by)


def _added_in_half(it: Operation) -> Candidates:
    x, weight = it.given["x"], it.parameters["weight"]
    if x[..., 0].size * weight.size > MOST_TERMS:
        return
    terms = (x[..., None, :] * weight).astype(np.float16)
    total = np.add.accumulate(terms, axis=-1, dtype=np.float16)[..., -1].astype(np.float64)
    total = total + it.parameters.get("bias", np.zeros(1)).reshape(-1)
    if "heads" in it.case.settings:
        total = split_heads(total, int(it.case.settings["heads"])) / float(it.case.settings.get("divide_by", 1))
    yield "its sum kept in float16", total


def of_attention(it: Operation) -> Candidates:
    """Yield mistakes of scores and of contexts."""
    roles = ("q", "k") if it.case.op == "scores" else ("weights", "v")
    first, other = it.given[roles[0]], it.given[roles[1]]
    yield from it.rounded(roles)
    for role in roles:
        yield from it.elsewhere(role)
    yield from _of_rows_and_heads(it, roles[1])
    keys = other.shape[2]
    for shift in [n for n in (1, -1, 2, -2) if abs(n) < keys]:
        yield f"its keys moved by {shift}", it.again({roles[1]: np.roll(other, shift, axis=2)})
    if keys > 1:
        yield "its keys in reverse order", it.again({roles[1]: other[:, :, ::-1]})
    swapped = other.swapaxes(-1, -2).reshape(other.shape)
    yield f"its {roles[1]} read as [K, L], not [L, K]", it.again({roles[1]: swapped})
    if it.case.op == "scores":
        size = first.shape[-1]
        for text, factor in (
            ("scores divided by sqrt(K) again", size**-0.5),
            ("scores times sqrt(K)", size**0.5),
            ("scores divided by K again", 1 / size),
            ("scores divided by sqrt(D)", (size * first.shape[1]) ** -0.5),
        ):
            yield text, it.right * factor
        for text, kept in parts_of_sum(size):
            yield text, it.again({"q": np.where(kept, first, 0)})
        return
    for text, kept in parts_of_sum(keys):
        yield text.replace("term", "key"), it.again({"weights": np.where(kept, first, 0)})
    batch, heads, length, size = it.given["v"].shape[0], first.shape[1], first.shape[2], other.shape[3]
    apart = (first @ other).transpose(0, 2, 3, 1).reshape(batch, length, heads * size)
    yield "heads merged by columns: a token's heads stand side by side", apart
    yield "heads merged without a transpose", (first @ other).reshape(batch, length, heads * size)


def _of_rows_and_heads(it: Operation, role: str) -> Candidates:
    """Yield the output with the keys or values of other rows of the batch, and of other heads."""
    other: Array = it.given[role]
    rows, heads = other.shape[:2]
    for row in range(1, rows):
        yield f"the {role} of row {row - 1} in row {row}, too", it.again({role: moved(other, row - 1, row)})
        yield f"the {role} of row {row} in row {row - 1}, too", it.again({role: moved(other, row, row - 1)})
    if rows > 1:
        yield f"the {role} of row 0 in every row", it.again({role: np.broadcast_to(other[:1], other.shape)})
        yield f"the {role} of the next row in every row", it.again({role: np.roll(other, -1, axis=0)})
        yield f"the {role} of the row before in every row", it.again({role: np.roll(other, 1, axis=0)})
    if heads > 1:
        yield f"the {role} of head 0 in every head", it.again({role: np.broadcast_to(other[:, :1], other.shape)})
        yield f"the {role} of the next head in every head", it.again({role: np.roll(other, -1, axis=1)})
        yield f"the {role} of the head before in every head", it.again({role: np.roll(other, 1, axis=1)})
        shared = other[:, np.arange(heads) // 2]
        yield f"the {role} of head h // 2 in head h", it.again({role: shared})
        yield f"the {role} in another order of heads, the last first", it.again({role: other[:, ::-1]})
