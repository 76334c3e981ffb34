"""Mistakes of what is normalized: LayerNorm, softmax, log-softmax and the loss."""

from __future__ import annotations

import numpy as np

from npblender import ops
from npblender.common.array_types import IGNORED_LABEL, Array
from npblender.groundtruth.comparison.mistakes.operation import (
    FIT,
    FITTED,
    SUMS,
    TILES,
    Candidates,
    Operation,
    added_in,
    as_function,
    factor,
    shortened,
)
from npblender.groundtruth.comparison.mistakes.products import parts_of_sum
from npblender.groundtruth.noise.units import STANDS_FOR_HIDDEN

SURE = 0.05
"""A fitted number is one number if what the rows give for it lies within this part of it."""


def of_layer_norm(it: Operation) -> Candidates:
    """Yield mistakes of LayerNorm."""
    x, eps = it.given["x"], float(it.case.settings["eps"])
    weight, bias = it.parameters["weight"], it.parameters["bias"]
    centred = x - x.mean(axis=-1, keepdims=True)
    variance, size = np.square(centred).mean(axis=-1, keepdims=True), x.shape[-1]
    yield from _of_eps(it, centred, variance)

    def with_variance(other: Array, numerator: Array = centred) -> Array:
        return np.asarray(numerator / np.sqrt(other + eps) * weight + bias)

    yield "eps outside the root", centred / (np.sqrt(variance) + eps) * weight + bias
    yield "eps added twice", centred / np.sqrt(variance + 2 * eps) * weight + bias
    yield "the variance divided by n - 1", with_variance(variance * size / (size - 1))
    yield "the mean not taken off", with_variance(np.square(x).mean(axis=-1, keepdims=True), x)
    yield "the mean not taken off what is divided", with_variance(variance, x)
    yield "the squares' mean in place of the variance", with_variance(np.square(x).mean(axis=-1, keepdims=True))
    yield "the variance in place of its root", centred / (variance + eps) * weight + bias
    yield "the squares' sum in place of their mean", with_variance(variance * size)
    for text, kept in parts_of_sum(size):
        rest = x - np.where(kept, x, 0).sum(axis=-1, keepdims=True) / size
        both, one = (np.square(np.where(kept, each, 0)).sum(axis=-1, keepdims=True) / size for each in (rest, centred))
        yield f"{text}, of mean and variance", with_variance(both, rest)
        yield f"{text}, of the variance", with_variance(one)
    yield "no norm: its input as it is", x
    yield "its weight and bias alone: neither the mean taken off nor divided by a deviation", x * weight + bias
    yield "not divided by a deviation", centred * weight + bias
    yield "its weight not applied", it.again({}, {"weight": np.ones_like(weight)})
    yield "its weight plus 1", it.again({}, {"weight": 1 + weight})
    yield "its bias left out", it.again({}, {"bias": np.zeros_like(bias)})
    yield "its bias added twice", it.again({}, {"bias": 2 * bias})
    yield "its weight and bias exchanged", it.again({}, {"weight": bias, "bias": weight})
    yield "neither weight nor bias", it.again({}, {"weight": np.ones_like(weight), "bias": np.zeros_like(bias)})
    yield "the norm taken twice", it.again({"x": it.right})
    along = x.mean(axis=1, keepdims=True)
    for name, bits in SUMS.items():
        mean = added_in(x, bits)[..., None] / size
        squares = added_in(np.square(x - mean), bits)[..., None] / size
        yield f"its sums kept in {name}", with_variance(squares, x - mean)
    yield "the norm over the tokens", (x - along) / np.sqrt(x.var(axis=1, keepdims=True) + eps) * weight + bias
    whole = x - x.mean(axis=(1, 2), keepdims=True)
    over_both = np.square(whole).mean((1, 2), keepdims=True)
    yield "the norm over tokens and columns together", with_variance(over_both, whole)
    own = it.case.parameters["weight"]
    for module, other in it.other_modules():
        if module.endswith("norm"):
            yield f"the parameters of {module}", it.again({}, other)
            yield f"{module}.weight in place of {own}", it.again({}, {"weight": other["weight"]})
            yield f"{module}.bias in place of {it.case.parameters['bias']}", it.again({}, {"bias": other["bias"]})
    yield from it.elsewhere("x")
    yield from it.increased("x")
    yield from it.rounded(("x", "weight"))
    scaled = centred * weight
    seen = np.square(scaled).sum(axis=-1, keepdims=True)
    fitted = ((it.mine - bias) * scaled).sum(axis=-1, keepdims=True) / np.where(seen == 0, 1, seen)
    yield f"{FITTED} 1 / sqrt", scaled * fitted + bias


def _of_eps(it: Operation, centred: Array, variance: Array) -> Candidates:
    """Yield the usual other epsilons, and the one that the wrong rows themselves have, if all have the same."""
    eps = float(it.case.settings["eps"])
    for other in (1e-6, 1e-12, 1e-3, 1e-4, 1e-8, 0.0):
        yield f"eps {other:g} in place of {eps:g}", it.again({}, {}, eps=other)
    scaled = centred * it.parameters["weight"]
    squares = np.square(scaled).sum(axis=-1)
    scale = ((it.mine - it.parameters["bias"]) * scaled).sum(axis=-1) / np.where(squares == 0, 1, squares)
    found = (1 / np.square(np.where(scale == 0, np.nan, scale)) - variance[..., 0])[squares > 0]
    found = found[np.isfinite(found)]
    middle = float(np.median(found)) if found.size else 0.0
    if middle > 0 and np.mean(np.abs(found - middle) < SURE * middle) > 0.8:
        yield f"eps {middle:.2g} in place of {eps:g}{FIT}", it.again({}, {}, eps=middle)


def of_softmax(it: Operation) -> Candidates:
    """Yield mistakes of the softmax."""
    x = it.given["x"]
    top = x.max(axis=-1, keepdims=True)
    powers = np.exp(x - top)
    total = powers.sum(axis=-1, keepdims=True)
    heads = it.given["head_mask"][:, None, None] if "head_mask" in it.given else np.ones(1)
    yield "the softmax over the queries", ops.softmax(x, axis=-2) * heads
    yield "the softmax over the heads", ops.softmax(x, axis=1) * heads
    yield "powers of 2 in place of e", ops.softmax(x * np.log(2)) * heads
    if "head_mask" in it.given:
        yield "its head mask left out", ops.softmax(x)
    yield "its exponentials not divided by their sum", powers * heads
    yield "its exponentials not divided by their sum, and the largest score not taken off", np.exp(x) * heads
    for more in range(1, 32):
        keys = "1 key" if more == 1 else f"{more} keys"
        yield f"{keys} of score 0 more in its sum: padding", powers / (total + more * np.exp(-top)) * heads
    for left in sorted({1, *(x.shape[-1] % tile for tile in TILES)} - {0, x.shape[-1]}):
        keys = "key" if left == 1 else f"{left} keys"
        yield f"the last {keys} left out of its sum", powers / powers[..., :-left].sum(-1, keepdims=True) * heads
    for name, bits in SUMS.items():
        yield f"its sum kept in {name}", powers / added_in(powers, bits)[..., None] * heads
        short = shortened(np.exp(shortened(x - top, bits)), bits)
        yield f"its exponentials in {name}", short / short.sum(axis=-1, keepdims=True) * heads
        yield f"exponentials and sum in {name}", short / added_in(short, bits)[..., None] * heads
        yield f"its scores in {name}", ops.softmax(shortened(x, bits)) * heads
    plain = np.exp(x.astype(np.float32)).astype(np.float64)
    yield "exp(x) / sum(exp(x)), the largest score not taken off", plain / plain.sum(axis=-1, keepdims=True) * heads
    nothing = (top <= -STANDS_FOR_HIDDEN) | ~np.isfinite(top)
    yield "0 in rows that hide every key", np.where(nothing, 0, it.right)
    parts = it.mine / it.mine.max(axis=-1, keepdims=True)
    least = float(parts[np.isfinite(parts)].min(initial=1.0))
    floor = np.maximum(powers, least)
    text = f"exponentials no smaller than {least:.2g}, so that hidden keys weigh something{FIT}"
    yield text, floor / floor.sum(axis=-1, keepdims=True) * heads
    yield "the sigmoid of each score", 1 / (1 + np.exp(-x)) * heads
    yield "the logarithm of it", np.log(it.right)
    yield "its scores as they are", x
    below, ratio = x - top, np.log(it.mine / it.mine.max(axis=-1, keepdims=True))
    seen = np.isfinite(ratio) & (below < 0) & (below > -60)
    if seen.any() and np.square(below[seen]).sum() > 0:
        times = float((ratio[seen] @ below[seen]) / np.square(below[seen]).sum())
        yield f"its scores times {factor(times)}{FIT}", ops.softmax(x * times) * heads
    yield from it.elsewhere("x")
    smooth = np.exp(as_function(below, ratio))
    yield f"{FITTED} exp", smooth / smooth.sum(axis=-1, keepdims=True) * heads


def of_log_softmax(it: Operation) -> Candidates:
    """Yield mistakes of the log-softmax: of its sum, its base, and the largest score that is taken off."""
    x = it.given["x"]
    top = x.max(axis=-1, keepdims=True)
    powers = np.exp(x - top)
    total = powers.sum(axis=-1, keepdims=True)
    yield "the largest score forgotten beside the logarithm of the sum", x - np.log(total)
    yield "the largest score taken off twice", x - 2 * top - np.log(total)
    yield "the largest score alone taken off: the sum forgotten", x - top
    yield "the sum taken off, not its logarithm", x - top - total
    yield "a logarithm to base 2 of its sum (log2)", x - top - np.log2(total)
    yield "a logarithm to base 10 of its sum (log10)", x - top - np.log10(total)
    yield "logarithms to base 2 (log2)", it.right / np.log(2)
    yield "logarithms to base 10 (log10)", it.right / np.log(10)
    yield "the probabilities, not their logarithm", np.exp(it.right)
    yield "the logits as they are", x
    yield "the sign turned round", -it.right
    yield "the softmax over the tokens", ops.log_softmax(x, axis=1)
    for text, kept in parts_of_sum(x.shape[-1]):
        rest = np.where(kept, powers, 0).sum(axis=-1, keepdims=True)
        yield text, x - top - np.log(np.where(rest > 0, rest, np.nan))
    yield from it.elsewhere("x")


def of_cross_entropy(it: Operation) -> Candidates:
    """Yield mistakes of the loss: which labels count, what the sum is divided by, and the logarithm's base."""
    labels, x = it.given["labels"], it.given["x"]
    kept = labels != IGNORED_LABEL
    count = max(int(kept.sum()), 1)
    yield "the sum in place of the mean", it.right * count
    yield "the mean over ignored labels, too", it.right * count / max(labels.size, 1)
    yield "the sum divided by the rows of the batch, not by the labels", it.right * count / max(len(labels), 1)
    counted = [n for n in range(len(labels)) if kept[n].any()]
    means = [ops.cross_entropy(x[n : n + 1], labels[n : n + 1], IGNORED_LABEL) for n in counted]
    yield "the mean of the rows' means", np.asarray(np.mean(means) if means else np.nan)
    yield "the sign turned round", -it.right
    yield "a logarithm to base 2", it.right / np.log(2)
    yield "the perplexity, exp of the loss", np.exp(it.right)
    logs = ops.log_softmax(x)
    nothing = np.full_like(labels[:, :1], IGNORED_LABEL)
    for text, other in (
        ("the labels shifted by one token once more", np.concatenate([labels[:, 1:], nothing], axis=1)),
        ("the labels of the token before", np.concatenate([nothing, labels[:, :-1]], axis=1)),
    ):
        yield text, np.asarray(ops.cross_entropy(x, other, IGNORED_LABEL))
    wrapped = np.take_along_axis(logs, (labels % x.shape[-1])[..., None], -1)[..., 0]
    yield "ignored labels counted, -100 from the end of the vocabulary", np.asarray(-wrapped.mean())
    zeros = np.where(kept, labels, 0)
    yield "ignored labels counted as token 0", np.asarray(ops.cross_entropy(x, zeros, IGNORED_LABEL))
    last = np.where(np.arange(labels.shape[-1]) == labels.shape[-1] - 1, labels, IGNORED_LABEL)
    yield "the last label alone", np.asarray(ops.cross_entropy(x, last, IGNORED_LABEL))
    yield "the last label left out", np.asarray(ops.cross_entropy(x, np.where(last == labels, IGNORED_LABEL, labels)))
