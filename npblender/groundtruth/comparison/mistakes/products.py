"""Mistakes of matrix products: linear maps, logits, scores, and the mixing of values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

import numpy as np

from npblender import ops
from npblender.common.array_types import Array
from npblender.groundtruth.comparison.mistakes.operation import (
    FIT,
    SUMS,
    TILES,
    Candidates,
    Operation,
    added_in,
    factor,
    moved,
    shortened,
    sources,
)
from npblender.groundtruth.noise.units import STANDS_FOR_HIDDEN
from npblender.groundtruth.single_ops.compute import compute, shaped
from npblender.transformer.attention import merge_heads, split_heads

MOST_HEADS = 32
"""The most heads or rows of a batch each of which is tried in every other's place."""

SAME = 0.9
"""If more than this part of the columns are their own rows, the columns are not read off."""

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
    for module, normed in it.normed(x):
        yield f"{module} applied to its input first (pre-norm)", it.again({"x": normed})
    for text, kept in parts_of_sum(x.shape[-1]):
        yield text, it.again({"x": np.where(kept, x, 0)})
    for more in sorted({-x.shape[-1] % tile for tile in TILES} - {0}):
        yield f"its sum {more} terms too long, into the next rows", it.right + _behind(it, x, weight, more)
    own = it.case.parameters["weight"]
    if weight.shape[0] == weight.shape[1]:
        yield f"{own} transposed", it.again({}, {"weight": weight.T})
    else:
        yield f"{own} read by columns, as [in, out]", it.again({}, {"weight": weight.T.reshape(weight.shape)})
    for module, other in it.other_modules():
        if "bias" in other:
            yield f"the parameters of {module}", it.again({}, other)
        yield f"{module}.weight in place of {own}", it.again({}, {"weight": other["weight"]})
    yield from it.rounded(("x", "weight"))
    yield from it.elsewhere("x")
    yield from it.increased("x")
    yield from columns_taken(it)


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


def _behind(it: Operation, x: Array, weight: Array, more: int) -> Array:
    """Compute what a sum has besides if it goes on for some terms behind the end of both rows; 0 behind the last."""
    size = x.shape[-1]
    left, right = (np.concatenate([each.ravel(), np.zeros(more)]) for each in (x, weight))
    ends_of_x = (np.arange(x.size // size)[:, None] + 1) * size + np.arange(more)
    ends_of_w = (np.arange(len(weight))[:, None] + 1) * size + np.arange(more)
    total = (left[ends_of_x] @ right[ends_of_w].T).reshape(*x.shape[:-1], -1)
    return shaped(it.case, total)


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
        yield "its bias alone: the product left out, or a matrix of 0", np.where(np.isfinite(part), part, it.right)
        share = 1 + float((it.mine - it.right)[seen] @ part[seen] / np.square(part).sum())
        yield f"its bias times {factor(share)}{FIT}", it.right + (share - 1) * part
    for shift in (1, -1):
        which = "the next" if shift == -1 else "the last"
        yield f"its bias off by one: every column has {which} one's", it.again({}, {"bias": np.roll(bias, shift, -1)})
        moved = np.roll(bias, shift, -1)
        moved[..., -1 if shift == -1 else 0] = 0
        yield f"its bias off by one, 0 at the end: every column has {which} one's", it.again({}, {"bias": moved})
    for name, other in it.others("bias"):
        yield f"{name} in place of {it.case.parameters['bias']}", it.again({}, {"bias": other})
    if "divide_by" in it.case.settings:
        root = float(it.case.settings["divide_by"])
        yield "its bias not divided by sqrt(K), the product alone", without + (it.right - without) * root


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
            ("queries divided by sqrt(H), the number of heads", heads**0.5),
            ("queries divided by the root of sqrt(K)", root**0.5),
            ("queries multiplied by sqrt(K)", 1 / root),
        ):
            yield text, it.right * (root / by)


def _added_in_half(it: Operation) -> Candidates:
    x, weight = it.given["x"], it.parameters["weight"]
    if x[..., 0].size * weight.size > MOST_TERMS:
        return
    for name, bits in SUMS.items():
        terms = shortened(x[..., None, :] * weight, bits)
        total = added_in(terms, bits) + it.parameters.get("bias", np.zeros(1)).reshape(-1)
        yield f"its sum kept in {name}", shaped(it.case, total)


def columns_taken(it: Operation) -> Candidates:
    """Yield the output of the rows that the wrong columns themselves show, of any matrix of the same block."""
    own, x = it.case.parameters["weight"], it.given["x"]
    block = own.rpartition(".")[0].rpartition(".")[0]
    if not block or x[..., 0].size < 4:
        return
    fitting = (name for name, array in it.known.parameters.items() if array.shape[1:] == x.shape[-1:])
    of_block = (name for name in fitting if name.startswith(block) and name.endswith(".weight"))
    names = list(dict.fromkeys([own, *of_block]))
    every = [ops.linear(x, *(_matrix_and_bias(it, name))) for name in names]
    columns = np.concatenate(every, axis=-1).reshape(-1, sum(each.shape[-1] for each in every))
    mine = it.mine
    if "heads" in it.case.settings:
        mine = merge_heads(mine * float(it.case.settings.get("divide_by", 1)))
    mine = mine.reshape(len(columns), -1)
    found = sources(columns.T, mine.T, 0)
    size = it.parameters["weight"].shape[0]
    if found is None or np.mean(found == np.arange(len(found))) > SAME:
        return
    output = shaped(it.case, columns[:, found].reshape(*x.shape[:-1], -1))
    starts = np.cumsum([0] + [each.shape[-1] for each in every])
    which = np.searchsorted(starts, found, side="right") - 1
    yield _said_of_columns(it, names, which, found - starts[which], size) + FIT, output


def _matrix_and_bias(it: Operation, name: str) -> tuple[Array, Array | None]:
    bias = it.known.parameters.get(name.removesuffix("weight") + "bias")
    weight = it.known.parameters[name].astype(np.float64)
    return weight, None if bias is None or bias.size != len(weight) else bias.reshape(-1).astype(np.float64)


def _said_of_columns(it: Operation, names: list[str], which: Array, rows: Array, size: int) -> str:
    """Say which rows of which matrices the columns are; of queries, keys and values fused in one, how it was cut."""
    order = {"q_proj": 0, "k_proj": 1, "v_proj": 2}
    kinds = np.array([order.get(name.split(".")[-2], 9) for name in names])[which]
    heads = int(it.case.settings.get("heads", 1))
    if "heads" in it.case.settings and kinds.max() < 3:
        own = order[names[0].split(".")[-2]]
        column, one = np.arange(size), size // heads
        fused = column // one * 3 * one + own * one + column % one
        if (kinds * size + rows == fused).all():
            return "rows of queries, keys and values fused as [3, H, K] and read as [H, 3, K]"
        apart = own * size + column
        if (kinds * size + rows == apart % one + (apart // one % 3) * size + apart // one // 3 * one).all():
            return "rows of queries, keys and values fused as [H, 3, K] and read as [3, H, K]"
    there = np.flatnonzero((which > 0) | (rows != np.arange(size)))
    listed = [f"column {n} is row {int(rows[n])} of {names[int(which[n])]}" for n in there[:3]]
    return f"other rows of its matrix: {', '.join(listed)}{', ...' if len(there) > 3 else ''}"


def of_attention(it: Operation) -> Candidates:
    """Yield mistakes of scores and of contexts."""
    roles = ("q", "k") if it.case.op == "scores" else ("weights", "v")
    first, other = it.given[roles[0]], it.given[roles[1]]
    yield from it.rounded(roles)
    for role in roles:
        yield from it.elsewhere(role)
    right = other if it.case.op == "scores" else other.swapaxes(-1, -2)
    for name, bits in SUMS.items() if first.size * right.shape[2] <= MOST_TERMS else ():
        total = added_in(shortened(first[..., :, None, :] * right[..., None, :, :], bits), bits)
        yield f"its sum kept in {name}", total if it.case.op == "scores" else merge_heads(total)
    yield from _of_rows_and_heads(it, roles[1])
    yield from _taken_from(it, roles, 1, "H")
    yield from _taken_from(it, roles, 0, "B")
    keys = other.shape[2]
    for shift in [n for n in (1, -1, 2, -2) if abs(n) < keys]:
        yield f"its keys moved by {shift}", it.again({roles[1]: np.roll(other, shift, axis=2)})
    if keys > 1:
        yield "its keys in reverse order", it.again({roles[1]: other[:, :, ::-1]})
    if other.size <= MOST_TERMS:
        for read, array in _misread(other, "BHLK"):
            yield f"its {roles[1]}, laid out as [B, H, L, K], read as {read}", it.again({roles[1]: array})
    if it.case.op == "scores":
        size = first.shape[-1]
        for text, times in (
            ("scores divided by sqrt(K) again", size**-0.5),
            ("scores times sqrt(K)", size**0.5),
            ("scores divided by K again", 1 / size),
            ("scores divided by sqrt(D)", (size * first.shape[1]) ** -0.5),
        ):
            yield text, it.right * times
        for text, kept in parts_of_sum(size):
            yield text, it.again({"q": np.where(kept, first, 0)})
        return
    for text, kept in parts_of_sum(keys):
        yield text.replace("term", "key"), it.again({"weights": np.where(kept, first, 0)})
    mixed = first @ other  # [B, H, T, K]
    apart = mixed.transpose(0, 2, 3, 1).reshape(it.right.shape)
    yield "heads merged by columns: a token's heads stand side by side", apart
    yield "heads merged without a transpose", mixed.reshape(it.right.shape)


def _taken_from(it: Operation, roles: tuple[str, str], axis: int, letter: str) -> Candidates:
    """Yield the output with, for every head or row of the batch, the keys or values that the wrong output shows."""
    first, other = it.given[roles[0]], it.given[roles[1]]
    size = other.shape[axis]
    if not 1 < size <= MOST_HEADS:
        return
    mine = it.mine if it.case.op == "scores" else split_heads(it.mine, first.shape[1])
    right = other.swapaxes(-1, -2) if it.case.op == "scores" else other
    taken, output = [], np.zeros_like(mine)
    for n in range(size):
        here = (slice(None),) * axis + (n,)
        every = [np.take(first, n, axis) @ np.take(right, m, axis) for m in range(size)] + [np.zeros_like(mine[here])]
        apart = [float(np.square(each - mine[here]).sum()) for each in every]
        taken.append(int(np.argmin(apart)) if apart[n] > min(apart) * 1.01 + 1e-12 else n)
        output[here] = every[taken[-1]]
    if taken == list(range(size)):
        return
    said = [
        f"{'0' if m == size else f'that of {letter} = {m}'} at {letter} = {n}" for n, m in enumerate(taken) if m != n
    ]
    listed = ", ".join(said[:4]) + (", ..." if len(said) > 4 else "")
    yield f"another {roles[1]}: {listed}{FIT}", output if it.case.op == "scores" else merge_heads(output)


def _misread(array: Array, letters: str) -> Iterator[tuple[str, Array]]:
    """Yield an array as it is when its memory is taken for that of its axes in another order.

    >>> [(read, array.tolist()) for read, array in _misread(np.array([[1, 2, 3], [4, 5, 6]]), "TD")]
    [('[D, T]', [[1, 3, 5], [2, 4, 6]])]
    """
    for order in list(permutations(range(array.ndim)))[1:]:
        sizes = [array.shape[axis] for axis in order]
        read = array.reshape(sizes).transpose(np.argsort(order))
        yield f"[{', '.join(letters[axis] for axis in order)}]", read


def _of_rows_and_heads(it: Operation, role: str) -> Candidates:
    """Yield the output with the keys or values of other rows of the batch, and of other heads."""
    other: Array = it.given[role]
    rows, heads = other.shape[:2]
    for row in range(1, rows):
        yield f"the {role} of row {row - 1} in row {row}, too", it.again({role: moved(other, row - 1, row)})
        yield f"the {role} of row {row} in row {row - 1}, too", it.again({role: moved(other, row, row - 1)})
    for place, axis in (("row", 0), ("head", 1)):
        if other.shape[axis] > 1:
            yield (
                f"the {role} of {place} 0 in every {place}",
                it.again({role: np.take(other, other.shape[axis] * [0], axis)}),
            )
            yield f"the {role} of the next {place} in every {place}", it.again({role: np.roll(other, -1, axis)})
            yield f"the {role} of the {place} before in every {place}", it.again({role: np.roll(other, 1, axis)})
    if heads > 1:
        for text, taken in (("h // 2", np.arange(heads) // 2), ("h // 2 * 2", np.arange(heads) // 2 * 2)):
            yield f"the {role} of head {text} in head h", it.again({role: other[:, taken]})
        yield f"the {role} in another order of heads, the last first", it.again({role: other[:, ::-1]})
