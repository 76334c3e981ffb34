"""Mistakes of what moves, hides, adds or maps single values: embeddings, masks, sums, scales and activations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from npblender import ops
from npblender.common.array_types import Array
from npblender.groundtruth.comparison.mistakes.operation import FIT, FITTED, Candidates, Operation, as_function, factor
from npblender.groundtruth.noise.units import STANDS_FOR_HIDDEN

MOST_ROWS = 1 << 26
"""The most numbers of a table among whose rows a wrong one is looked for."""

NEAR = 1e-5
"""Two rows are the same if they differ by this part of their largest value."""

MANY = 3
"""So many different rows that are moved by one amount are moved, and not others; as many pairs are listed."""

OTHER_ROWS = "other rows"
"""How the text of rows begins that follow no rule."""

MOSTLY = 0.7
"""Rows that are moved by one amount in more than this part of their places are moved."""

SURE = 0.02
"""A fitted number is one number if what the values give for it lies within this part of it."""


def of_embedding(it: Operation) -> Candidates:
    """Yield mistakes of ids and positions: which rows were taken is read off the wrong array itself."""
    ids, table, own = it.given["ids"], it.parameters["table"], it.case.parameters["table"]
    rows = len(table)
    for shift in (1, 2, -1, -2):
        yield f"ids or positions moved by {shift:+d}", it.again({"ids": np.clip(ids + shift, 0, rows - 1)})
    yield "positions that start at 0 again", it.again({"ids": ids - ids.min()})
    columns = np.broadcast_to(np.arange(ids.shape[-1]), ids.shape)
    yield "positions counted by columns", it.again({"ids": np.minimum(columns, rows - 1)})
    mask = it.known.arrays.get("encoder.attention_mask")
    own_mask = it.known.arrays.get(it.case.name.partition(".embed")[0] + ".self_mask")
    if own_mask is not None:  # [B, 1, T, L]: what the last query sees
        mask = np.broadcast_to(own_mask[:, 0, -1], (len(ids), own_mask.shape[-1]))
    if mask is not None and len(mask) == len(ids) and mask.shape[-1] >= ids.shape[-1]:
        counted = np.maximum(np.cumsum(mask, axis=-1) - 1, 0)[:, -ids.shape[-1] :]
        yield "positions counted by tokens, pads left out", it.again({"ids": np.minimum(counted, rows - 1)})
    yield "the ids of row 0 for all rows", it.again({"ids": np.broadcast_to(ids[:1], ids.shape)})
    yield "ids in reverse order", it.again({"ids": ids[..., ::-1]})
    for name, array in it.known.parameters.items():
        if name != own and array.ndim == 2 and array.shape[1] == table.shape[1] and len(array) > int(ids.max()):
            yield f"rows of {name} in place of {own}", it.again({}, {"table": array.astype(np.float64)})
    taken = rows_taken(table, it.mine)
    if taken is not None and ((taken != ids) & (taken >= 0)).any():
        off = (taken != ids) & (taken >= 0)
        pads = mask is not None and mask.shape == ids.shape and not mask.astype(bool)[off].any()
        if pads and np.unique(taken[off]).size == 1:
            text = f"row {int(taken[off][0])} of {own} at pads"
        else:
            text = _how_taken(ids, taken, own, rows)
        listed = text.startswith(OTHER_ROWS)
        yield f"{text}{FIT if listed else ''}", it.again({"ids": np.where(taken < 0, ids, taken)})


def rows_taken(table: Array, mine: Array) -> Array | None:
    """Find which row of a table each vector is, -1 where it is none; None where most are none.

    >>> table = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    >>> rows_taken(table, table[np.array([[2, 0]])])
    array([[2, 0]])
    """
    if table.size > MOST_ROWS or not mine.size:
        return None
    vectors = mine.reshape(-1, mine.shape[-1])
    direction = np.cos(np.arange(1, table.shape[1] + 1))
    marks, wanted = table @ direction, vectors @ direction
    order = np.argsort(marks)
    right = np.clip(np.searchsorted(marks[order], wanted), 1, len(table) - 1)
    taken = np.full(len(vectors), -1)
    for near in (order[right - 1], order[right]):
        apart = np.abs(table[near] - vectors).max(axis=-1)
        taken = np.where(apart <= NEAR * np.abs(vectors).max(axis=-1), near, taken)
    return taken.reshape(mine.shape[:-1]) if np.mean(taken >= 0) > 0.5 else None


def _how_taken(ids: Array, taken: Array, own: str, rows: int) -> str:
    """Say how the rows that were taken follow from those that were asked for."""
    known = taken >= 0
    asked, got = ids[known], taken[known]
    apart = got - asked
    wrong = apart != 0
    shift = _most_frequent(apart[wrong])
    if (got == (asked + shift) % rows).all():
        return f"ids or positions moved by {shift:+d}, from the end of the table to its beginning"
    if np.unique(asked[wrong]).size >= MANY and (apart[wrong] == shift).all():
        return f"ids or positions moved by {shift:+d} in {int(wrong.sum())} of {got.size} places"
    for bits in (7, 8, 15, 16):
        if (asked >= 1 << bits).any() and (got == asked % (1 << bits)).all():
            return f"ids modulo {1 << bits:,}: kept in {bits} bits"
    if got.max() < asked.max() and (got == np.minimum(asked, got.max())).all():
        return f"ids no larger than {int(got.max()):,}: clipped"
    if np.unique(got).size == 1:
        return f"row {int(got[0])} of {own} everywhere"
    if ids.ndim > 1 and len(ids) > 1 and np.unique(asked[wrong]).size >= MANY:
        usual = [_most_frequent((taken - ids)[n][known[n]]) for n in range(len(ids))]
        moved = np.stack([row + shift for row, shift in zip(ids, usual, strict=True)])
        if any(usual) and np.mean((taken == moved)[known][wrong]) > MOSTLY:
            each = ", ".join(f"{n:+d}" for n in usual[:6])
            carried = ": carried over from row to row" if min(usual) >= 0 and usual == sorted(usual) else ""
            return f"ids or positions moved by an amount of its own in each row of the batch ({each}){carried}"
    pairs = dict.fromkeys(zip(got[wrong].tolist(), asked[wrong].tolist(), strict=True))
    some = ", ".join(f"{a} in place of {b}" for a, b in list(pairs)[:MANY])
    return f"{OTHER_ROWS} of {own}: {some}{', ...' if len(pairs) > MANY else ''}"


def _most_frequent(numbers: Array) -> int:
    values, counts = np.unique(numbers, return_counts=True)
    return int(values[np.argmax(counts)]) if values.size else 0


def of_mask(it: Operation) -> Candidates:
    """Yield mistakes of what may be attended to, and of what hides the rest."""
    x, mask, value = it.given["x"], it.given["mask"], float(it.case.settings["value"])
    queries, keys = x.shape[-2:]
    shown = mask.any(axis=-2, keepdims=True)  # keys that some query sees
    causal = np.tri(queries, keys, keys - queries, dtype=bool)
    wide = np.broadcast_to(mask, x.shape)
    yield "no mask", x
    yield "the causal mask alone, pads attended to", np.where(causal, x, value)
    yield "no causal mask", np.where(shown, x, value)
    yield "a causal mask where all keys may be seen", np.where(wide & causal, x, value)
    for shift, text in ((1, "one key too many"), (-1, "one key too few")):
        moved = np.tri(queries, keys, keys - queries + shift, dtype=bool)
        yield f"a causal mask that shows {text}", np.where(moved & shown, x, value)
        yield f"a causal mask that shows {text}, pads attended to", np.where(moved, x, value)
    if keys > queries:
        upper = np.tri(queries, keys, 0, dtype=bool)
        yield "a causal mask counted from the upper left", np.where(upper & shown, x, value)
        yield "a causal mask counted from the upper left, pads attended to", np.where(upper, x, value)
    yield "the mask turned round", it.again({"mask": ~mask})
    yield "the mask of row 0 for all rows", it.again({"mask": np.broadcast_to(mask[:1], mask.shape)})
    for shift, text in ((-1, "next"), (1, "last")):
        yield f"the mask of the {text} row", it.again({"mask": np.roll(mask, shift, axis=0)})
        yield f"the mask moved by {-shift:+d} along the keys", it.again({"mask": np.roll(mask, shift, axis=-1)})
    yield "the mask read from the right", it.again({"mask": mask[..., ::-1]})
    if mask.shape[1] == 1:
        rows = np.arange(x.shape[1]) % len(mask)
        yield "the mask of row h in head h: its first axis taken for heads", it.again({"mask": mask[rows, 0][None]})
    if queries == keys:
        yield "the mask of queries and keys exchanged", it.again({"mask": wide.swapaxes(-1, -2)})
    places = np.arange(keys)
    for cut in range(1, min(keys, 64)):
        yield f"keys from {cut} on hidden", np.where(wide & (places < cut), x, value)
        yield f"keys before {cut} hidden", np.where(wide & (places >= cut), x, value)
        yield f"keys from {cut} on shown", np.where(wide | (places >= cut), x, value)
        yield f"keys before {cut} shown", np.where(wide | (places < cut), x, value)
    for window in range(1, min(keys, 16)):
        near = causal & ~np.tri(queries, keys, keys - queries - window, dtype=bool)
        yield f"a window of {window} keys", np.where(wide & near, x, value)
    for score in (-1e4, -1e9, -65504.0):
        yield f"{score:g} added to hidden scores", np.where(wide, x, x + score)
        yield f"hidden scores of {score:g}", np.where(wide, x, score)
    yield "hidden scores of 0: the mask multiplied", np.where(wide, x, 0.0)
    yield "the mask added as 0 and 1, not as a large number", x + wide
    yield "the mask of hidden keys added as 1", x + ~wide
    hidden = ~wide & np.isfinite(it.mine)
    held = it.mine[hidden]
    if held.size and held.max() - held.min() <= NEAR * abs(held.max()):
        yield f"hidden scores of {held.max():g}", np.where(wide, x, held.max())


def of_sum(it: Operation) -> Candidates:
    """Yield mistakes of a residual sum: one of the two left out, taken twice, taken off, or from another place."""
    a, b = it.given["a"], it.given["b"]
    first, second = it.case.inputs["a"][0], it.case.inputs["b"][0]
    yield f"{second} left out", a
    yield f"{first} left out", b
    yield f"{second} added twice, {first} not at all (overwritten)", 2 * b
    yield f"{first} added twice, {second} not at all (overwritten)", 2 * a
    yield from it.elsewhere("a")
    yield from it.elsewhere("b")
    both = np.stack([a.ravel(), b.ravel()], axis=-1)
    seen = np.isfinite(it.mine.ravel())
    if seen.sum() > 8:
        (one, two), *_ = np.linalg.lstsq(both[seen], it.mine.ravel()[seen], rcond=None)
        yield f"{first} times {factor(one)} plus {second} times {factor(two)}{FIT}", one * a + two * b
    for name, other in it.known.arrays.items():
        if other.shape == a.shape and other.dtype.kind == "f" and not np.allclose(other, it.right):
            yield f"{name} added{' twice' if name in (first, second) else ', too'}", a + b + other


def of_nothing(it: Operation) -> Candidates:
    """Yield mistakes where the model does nothing: a norm too many, pads set to zero, another point."""
    x = it.given["x"]
    for module, normed in it.normed(x):
        yield f"{module} applied to it: a norm too many", normed
    if x.ndim > 1:
        ones = np.ones(x.shape[-1])
        yield "a norm without parameters applied to it", ops.layer_norm(x, ones, 0 * ones)
    mask = it.known.arrays.get("encoder.attention_mask")
    if mask is not None and mask.shape == x.shape[:-1]:
        yield "states of pads set to zero", x * mask[..., None]
    size = x.shape[-1] if x.ndim else 1
    for text, by in (("sqrt(D)", size**0.5), ("1/sqrt(D)", size**-0.5)):
        yield f"it times {text}", x * by
    yield from it.elsewhere("x")


def of_scale(it: Operation) -> Candidates:
    """Yield mistakes of the embeddings' factor."""
    by = float(it.case.settings["factor"])
    yield "no factor", it.given["x"]
    yield "the factor twice, D and not sqrt(D)", it.right * by
    yield "divided by the factor", it.given["x"] / by


def of_pads(it: Operation) -> Candidates:
    """Yield mistakes of setting the states of pads to 0."""
    x, mask = it.given["x"], it.given["mask"]
    yield "states of pads not set to zero", x
    yield "the mask turned round: tokens set to zero", x * ~mask[..., None]
    yield "the mask of row 0 for all rows", x * mask[:1, :, None]
    yield "the mask read from the right", x * mask[:, ::-1, None]


def of_activation(it: Operation) -> Candidates:
    """Yield mistakes of an activation: other functions, an argument times another number, and what is clipped."""
    x, op = it.given["x"], it.case.op
    for activation, function in ops.ACTIVATIONS.items():
        if activation != op:
            yield f"{activation} in place of {op}", function(x)
    for text, y in _other_functions(x):
        yield f"{text} in place of {op}", y
    yield "no activation", x
    yield f"{op} applied twice", it.again({"x": it.right})
    for limit in (6.0, 10.0):
        yield f"its input clipped at {limit:g}", it.again({"x": np.clip(x, -limit, limit)})
    yield from it.rounded(("x",))
    yield from it.elsewhere("x")
    yield from _fitted(x, it.mine)
    zero = (it.mine == 0) & (it.right != 0)
    for text, limit, there in (
        ("below", x[zero].max(initial=-np.inf), np.less_equal),
        ("above", x[zero].min(initial=np.inf), np.greater_equal),
    ):
        if np.isfinite(limit):
            yield f"0 where its input is {text} {limit:.3g}{FIT}", np.where(there(x, limit), 0, it.right)
    yield f"{FITTED} {op}", it.right + as_function(x, it.mine - it.right)


def _other_functions(x: Array) -> Iterator[tuple[str, Array]]:
    sigmoid = 1 / (1 + np.exp(-x))
    yield "x sigmoid(1.702 x) (quick GELU)", x / (1 + np.exp(-1.702 * x))
    yield "erf(x) in place of erf(x / sqrt(2)) in GELU, x (1 + erf(x)) / 2,", x * (1 + ops.erf(x)) / 2
    yield "x (1 + erf(x / sqrt(2))), without the half,", x * (1 + ops.erf(x / 2**0.5))
    yield "the normal distribution alone, without x,", (1 + ops.erf(x / 2**0.5)) / 2
    yield "tanh", np.tanh(x)
    yield "sigmoid", sigmoid
    yield "ELU", np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
    yield "leaky ReLU (0.01)", np.where(x > 0, x, 0.01 * x)
    yield "ReLU squared", np.square(np.maximum(x, 0))
    yield "softplus", np.logaddexp(0, x)
    yield "mish", x * np.tanh(np.logaddexp(0, x))
    yield "hard swish", x * np.clip(x / 6 + 0.5, 0, 1)


def _fitted(x: Array, mine: Array) -> Candidates:
    """Yield x times a step from 0 to 1, by a sigmoid, tanh or erf, whose numbers are read off the wrong array."""
    seen = np.isfinite(mine) & (np.abs(x) > 1e-2) & (np.abs(x) < STANDS_FOR_HIDDEN)
    step = mine[seen] / x[seen]
    usable = (step > 0.005) & (step < 0.995) & (np.abs(step - 0.5) > 0.02)
    if usable.sum() < 8:
        return
    at, step = x[seen][usable], step[usable]
    slope = _constant(np.log(step / (1 - step)) / at)
    if slope is not None:
        yield f"x sigmoid({factor(slope)} x) in place of it{FIT}", x / (1 + np.exp(-slope * x))
    grid = np.linspace(-3, 3, 6001)
    slope = _constant(np.interp(2 * step - 1, ops.erf(grid), grid) / at)
    if slope is not None:
        yield f"erf({factor(slope)} x) in place of erf(x / sqrt(2)){FIT}", x * (1 + ops.erf(slope * x)) / 2
    terms = np.stack([at, at**3], axis=-1)
    (a, b), *_ = np.linalg.lstsq(terms, np.arctanh(2 * step - 1), rcond=None)
    if abs(b) > SURE * abs(a):
        text = f"x (1 + tanh({a:.4g} x + {b:.4g} x^3)) / 2 in place of it; gelu_new has 0.7979 and 0.03568{FIT}"
        yield text, x * (1 + np.tanh(a * x + b * x**3)) / 2


def _constant(found: Array) -> float | None:
    middle = float(np.median(found))
    return middle if np.mean(np.abs(found - middle) < SURE * abs(middle)) > 0.9 else None
