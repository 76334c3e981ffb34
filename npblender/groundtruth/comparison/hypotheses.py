"""Explains a wrong output by recomputing its operation with one mistake, from the reference's own inputs.

Each hypothesis is a mistake that ports make: an operand in half precision, a bias left out, another epsilon, another
layer's weights. The one that reproduces the wrong array best is reported, if it leaves little of the error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from npblender import ops
from npblender.common.array_types import Array
from npblender.groundtruth.noise.units import STANDS_FOR_HIDDEN
from npblender.groundtruth.single_ops.cases import Case
from npblender.groundtruth.single_ops.compute import compute
from npblender.transformer.attention import merge_heads, split_heads

EXPLAINED = 0.15
"""A hypothesis explains an error if it leaves at most this part of its rms."""

NEARER = 0.9
"""A later hypothesis must leave less than this part of what the best before it leaves."""

MOST_TERMS = 1 << 22
"""The most terms of a product that are added again in float16."""

MOST_OTHERS = 60
"""The most other points or parameters of the same shape that are tried in an operand's place."""

Arrays = Mapping[str, Array]
Candidates = Iterator[tuple[str, Array]]
Again = Callable[..., Array]


@dataclass(frozen=True, eq=False)
class Weights:
    """What an operation can be recomputed from: cases by point, arrays of the reference, parameters by name."""

    cases: Mapping[str, Case] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)
    parameters: Arrays = field(default_factory=dict)


def half(x: Array) -> Array:
    """Round to float16."""
    return np.clip(x, -65504, 65504).astype(np.float16).astype(x.dtype)


def brain(x: Array) -> Array:
    """Round to bfloat16: eight bits of mantissa.

    >>> brain(np.array([1.0, 1.00390625, 1.01]))
    array([1.       , 1.       , 1.0078125])
    """
    mantissa, exponent = np.frexp(x)
    return np.asarray(np.ldexp(np.round(np.ldexp(mantissa, 8)), exponent - 8))


def whole_steps(x: Array, axis: int | None = -1) -> Array:
    """Round to 127 steps of the largest value, of each row or of all (int8)."""
    step = np.abs(x).max(axis=axis, keepdims=True) / 127
    return np.asarray(np.round(x / np.where(step == 0, 1, step)) * step)


ROUNDINGS: Mapping[str, Callable[[Array], Array]] = {
    "float16 (or TF32)": half,
    "bfloat16": brain,
    "int8, a scale a row": whole_steps,
    "int8, one scale": lambda x: whole_steps(x, None),
}


def explain(name: str, known: Weights, mine: Array) -> str | None:
    """Return the mistake that reproduces `mine` best at a point, or None where no hypothesis does.

    >>> case = Case("y", "layer_norm", {"x": ("x",)}, {"weight": "w", "bias": "b"}, {"eps": 1e-5})
    >>> known = Weights({"y": case}, {"x": np.array([[0.0, 1e-3, 2e-3]])}, {"w": np.ones(3), "b": np.zeros(3)})
    >>> explain("y", known, ops.layer_norm(known.arrays["x"], np.ones(3), np.zeros(3), 1e-6))
    'it would be right with eps 1e-06 in place of 1e-05'
    """
    case = known.cases.get(name)
    if case is None or any(each not in known.arrays for names in case.inputs.values() for each in names):
        return None
    if any(each not in known.parameters for each in case.parameters.values()):
        return None
    given = case.gather(known.arrays, np.float64)
    parameters = {role: known.parameters[each].astype(np.float64) for role, each in case.parameters.items()}
    with np.errstate(all="ignore"):
        right = compute(case, given, parameters)
        if right.shape != mine.shape:
            return None
        limit = EXPLAINED * _distance(right, mine)
        best: dict[bool, tuple[float, str | None]] = {True: (limit, None), False: (limit, None)}
        for text, wrong in _candidates(case, given, parameters, right, mine, known):
            last_resort = text.startswith("an approximated")  # it follows the array wherever that goes
            distance = _distance(wrong, mine) if wrong.shape == mine.shape else np.inf
            if distance < NEARER * best[last_resort][0]:
                best[last_resort] = distance, text
    finite = bool((np.isfinite(mine) | ~np.isfinite(right)).all())
    found = best[False][1] or (best[True][1] if finite else None)
    return None if found is None else f"it would be right with {found}"


def _distance(a: Array, b: Array) -> float:
    shown = (np.abs(a) < STANDS_FOR_HIDDEN) & (np.abs(b) < STANDS_FOR_HIDDEN) & np.isfinite(a) & np.isfinite(b)
    apart = np.where(shown, a - np.where(shown, b, 0), np.where(_same(a, b), 0.0, 1e9))
    return float(np.sqrt(np.mean(np.square(apart))))


def _same(a: Array, b: Array) -> Array:
    hidden = (a <= -STANDS_FOR_HIDDEN) & (b <= -STANDS_FOR_HIDDEN)
    return np.asarray(hidden | (a == b) | (np.isnan(a) & np.isnan(b)))


def _candidates(case: Case, given: Arrays, parameters: Arrays, right: Array, mine: Array, known: Weights) -> Candidates:
    """Yield every hypothesis with its output; texts follow "it would be right with"."""

    def again(changed: Arrays | None = None, weights: Arrays | None = None, **settings: float) -> Array:
        altered = Case(case.name, case.op, case.inputs, case.parameters, dict(case.settings) | settings)
        return compute(altered, {**given, **(changed or {})}, {**parameters, **(weights or {})})

    def rounded(roles: tuple[str, ...]) -> Candidates:
        for kind, to in ROUNDINGS.items():
            for role in roles:
                one = {role: to(given[role])} if role in given else {}
                two = {role: to(parameters[role])} if role in parameters else {}
                named = case.parameters.get(role) or f"its input {' and '.join(case.inputs[role])}"
                yield f"{named} in {kind}", again(one, two)
            if "float16" in kind:
                both = {role: to(given[role]) for role in roles if role in given}
                yield f"both operands in {kind}", again(both, {r: to(parameters[r]) for r in roles if r in parameters})

    def elsewhere(role: str) -> Candidates:
        """Another point of the same shape in an input's place."""
        named = case.inputs[role]
        others = [
            each for each, array in known.arrays.items() if array.shape == given[role].shape and each not in named
        ]
        for other in others[:MOST_OTHERS] if len(named) == 1 and given[role].dtype.kind == "f" else []:
            yield f"{other} in place of {named[0]}", again({role: known.arrays[other].astype(np.float64)})

    op = case.op
    if op in ("linear", "logits"):
        yield from _of_products(case, given, parameters, right, mine, known, again)
        yield from rounded(("x", "weight"))
        yield from elsewhere("x")
    elif op in ("scores", "context"):
        roles = ("q", "k") if op == "scores" else ("weights", "v")
        yield from rounded(roles)
        for role in roles:
            yield from elsewhere(role)
        other = given[roles[1]]
        for row in range(1, len(other)):
            yield f"the {roles[1]} of row {row - 1} in row {row}, too", again({roles[1]: _copied(other, row - 1, row)})
            yield f"the {roles[1]} of row {row} in row {row - 1}, too", again({roles[1]: _copied(other, row, row - 1)})
        yield f"the {roles[1]} of row 0 in every row", again({roles[1]: np.broadcast_to(other[:1], other.shape)})
        for shift in (1, -1):
            yield f"its keys moved by {shift}", again({roles[1]: np.roll(other, shift, axis=2)})
        if op == "scores":
            yield "scores divided by sqrt(K) again", right / given["q"].shape[-1] ** 0.5
            yield "scores times sqrt(K)", right * given["q"].shape[-1] ** 0.5
        elif given["weights"].shape[-1] > 1:
            yield "its last key left out", merge_heads(given["weights"][..., :-1] @ given["v"][:, :, :-1])
    elif op == "layer_norm":
        yield from _of_norms(case, given, parameters, mine, known, again)
        yield from elsewhere("x")
    elif op == "softmax":
        x = given["x"]
        yield "the softmax over the queries", ops.softmax(x, axis=-2)
        yield "the softmax over the heads", ops.softmax(x, axis=1)
        yield "powers of 2 in place of e", ops.softmax(x * np.log(2))
        yield "its head mask left out", ops.softmax(x)
        below = x - x.max(axis=-1, keepdims=True)
        ratio = np.log(mine / mine.max(axis=-1, keepdims=True))
        powers = np.exp(_as_function(below, ratio))
        yield "an approximated exp", powers / powers.sum(axis=-1, keepdims=True)
        yield from elsewhere("x")
    elif op == "add":
        yield f"{case.inputs['b'][0]} left out", given["a"]
        yield f"{case.inputs['a'][0]} left out", given["b"]
        yield from elsewhere("a")
        yield from elsewhere("b")
    elif op == "mask":
        yield from _of_masks(case, given, again)
    elif op == "embed":
        yield from _of_rows(case, given, parameters, known, again)
    elif op == "scale":
        yield "no factor", given["x"]
        yield "the factor twice", right * float(case.settings["factor"])
    elif op == "zero_pads":
        yield "states of pads not set to zero", given["x"]
    elif op in ops.ACTIVATIONS:
        for activation, function in ops.ACTIVATIONS.items():
            if activation != op:
                yield f"{activation} in place of {op}", function(given["x"])
        yield "no activation", given["x"]
        for limit in (6.0, 10.0):
            yield f"its result clipped at {limit:g}", np.minimum(right, limit)
            yield f"its input clipped at {limit:g}", again({"x": np.clip(given["x"], -limit, limit)})
        yield from elsewhere("x")
        yield f"an approximated {op}", right + _as_function(given["x"], mine - right)
    elif op == "cross_entropy":
        count = int((given["labels"] >= 0).sum())
        yield "the sum in place of the mean", right * count
        yield "the mean over ignored labels, too", right * count / max(given["labels"].size, 1)


def _as_function(x: Array, y: Array) -> Array:
    """Interpolate y as a function of x, each value from its neighbours in x: y itself, if it is a smooth function."""
    seen = np.isfinite(x) & np.isfinite(y) & (np.abs(x) < STANDS_FOR_HIDDEN)
    if seen.sum() < 8:
        return np.full_like(y, np.nan)
    order = np.argsort(x[seen], kind="stable")
    a, b = x[seen][order], y[seen][order]
    smooth = b.copy()
    smooth[1:-1:2] = np.interp(a[1:-1:2], a[::2], b[::2])
    smooth[2:-1:2] = np.interp(a[2:-1:2], a[1::2], b[1::2])
    out = np.array(y)
    out[seen] = smooth[np.argsort(order, kind="stable")]
    return out


def _copied(array: Array, source: int, to: int) -> Array:
    changed = array.copy()
    changed[to] = array[source]
    return changed


def _of_products(
    case: Case, given: Arrays, parameters: Arrays, right: Array, mine: Array, known: Weights, again: Again
) -> Candidates:
    weight, x = parameters["weight"], given["x"]
    if "bias" in parameters:
        bias = right - again({}, {"bias": np.zeros_like(parameters["bias"])})
        seen = np.abs(right) < STANDS_FOR_HIDDEN
        if np.square(bias[seen]).sum() > 0:
            times = 1 + round(float(((mine - right)[seen] @ bias[seen]) / np.square(bias[seen]).sum()))
            text = {0: "its bias left out", 2: "its bias added twice"}.get(times, f"its bias added {times} times")
            yield text, right + (times - 1) * bias
    if "heads" in case.settings:
        batch, heads, length, size = right.shape
        merged = merge_heads(right).reshape(batch, length, size, heads)
        yield "heads cut by columns: column c of head h is c*H + h", merged.transpose(0, 3, 1, 2)
    if "start_token" in case.settings:
        free = {name: value for name, value in case.settings.items() if name != "start_token"}
        yield "the start token's logit left alone", compute(replace(case, settings=free), given, parameters)
    elif x[..., 0].size * weight.size <= MOST_TERMS:
        terms = (x[..., None, :] * weight).astype(np.float16)
        total = np.add.accumulate(terms, axis=-1, dtype=np.float16)[..., -1].astype(np.float64)
        total = total + parameters.get("bias", np.zeros(1)).reshape(-1)
        if "heads" in case.settings:
            total = split_heads(total, int(case.settings["heads"])) / float(case.settings.get("divide_by", 1))
        yield "its sum kept in float16", total
    for name, gain in known.parameters.items():
        module = name.removesuffix(".weight")
        if name.endswith("norm.weight") and gain.shape == x.shape[-1:]:
            normed = ops.layer_norm(x, gain.astype(np.float64), known.parameters[f"{module}.bias"].astype(np.float64))
            yield f"{module} applied to its input first (pre-norm)", again({"x": normed})
    for place, text in ((-1, "last"), (0, "first")):
        cut = x.copy()
        cut[..., place] = 0
        yield f"the {text} term of its sum left out", again({"x": cut})
    if weight.shape[0] == weight.shape[1]:
        yield f"{case.parameters['weight']} transposed", again({}, {"weight": weight.T})
    own = case.parameters["weight"]
    others = [name for name, array in known.parameters.items() if array.shape == weight.shape and name != own]
    for name in others[:MOST_OTHERS]:
        module = name.removesuffix("weight")
        bias_of = known.parameters.get(f"{module}bias")
        changed = {"weight": known.parameters[name].astype(np.float64)}
        if "bias" in parameters and bias_of is not None and bias_of.shape == parameters["bias"].shape:
            changed["bias"] = bias_of.astype(np.float64)
            yield f"the parameters of {module.rstrip('.')}", again({}, changed)
        yield f"{name} in place of {own}", again({}, {"weight": changed["weight"]})


def _of_norms(case: Case, given: Arrays, parameters: Arrays, mine: Array, known: Weights, again: Again) -> Candidates:
    x, eps = given["x"], float(case.settings["eps"])
    weight, bias = parameters["weight"], parameters["bias"]
    for other in (1e-6, 1e-12, 1e-3, 1e-4, 1e-8, 0.0):
        yield f"eps {other:g} in place of {eps:g}", again({}, {}, eps=other)
    centred = x - x.mean(axis=-1, keepdims=True)
    variance, size = np.square(centred).mean(axis=-1, keepdims=True), x.shape[-1]
    yield "eps outside the root", centred / (np.sqrt(variance) + eps) * weight + bias
    yield "the variance divided by n - 1", centred / np.sqrt(variance * size / (size - 1) + eps) * weight + bias
    yield "the mean not taken off", x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + eps) * weight + bias
    yield "its weight not applied", again({}, {"weight": np.ones_like(weight)})
    yield "its bias left out", again({}, {"bias": np.zeros_like(bias)})
    axis = x.mean(axis=1, keepdims=True)
    yield "the norm over the tokens", (x - axis) / np.sqrt(x.var(axis=1, keepdims=True) + eps) * weight + bias
    scaled = centred * weight
    seen = np.square(scaled).sum(axis=-1, keepdims=True)
    yield "an approximated 1 / sqrt", scaled * (((mine - bias) * scaled).sum(axis=-1, keepdims=True) / seen) + bias
    own = case.parameters["weight"]
    for name, array in known.parameters.items():
        module = name.removesuffix("weight")
        if name != own and name.endswith("norm.weight") and array.shape == weight.shape:
            both = {"weight": array.astype(np.float64), "bias": known.parameters[f"{module}bias"].astype(np.float64)}
            yield f"the parameters of {module.rstrip('.')}", again({}, both)


def _of_masks(case: Case, given: Arrays, again: Again) -> Candidates:
    x, mask, value = given["x"], given["mask"], float(case.settings["value"])
    queries, keys = x.shape[-2:]
    shown = mask.any(axis=-2, keepdims=True)  # keys that some query sees
    causal = np.tri(queries, keys, keys - queries, dtype=bool)
    yield "no mask", x
    yield "the causal mask alone, pads attended to", np.where(causal, x, value)
    yield "no causal mask", np.where(shown, x, value)
    for shift, text in ((1, "one key too many"), (-1, "one key too few")):
        moved = np.tri(queries, keys, keys - queries + shift, dtype=bool)
        yield f"a causal mask that shows {text}", np.where(moved & shown, x, value)
        yield f"a causal mask that shows {text}, pads attended to", np.where(moved, x, value)
    if keys > queries:
        upper = np.tri(queries, keys, 0, dtype=bool)
        yield "a causal mask counted from the upper left", np.where(upper & shown, x, value)
        yield "a causal mask counted from the upper left, pads attended to", np.where(upper, x, value)
    yield "the mask turned round", again({"mask": ~mask})
    yield "the mask of row 0 for all rows", again({"mask": np.broadcast_to(mask[:1], mask.shape)})
    for score in (-1e4, -1e9, -65504.0):
        yield f"{score:g} added to hidden scores", np.where(np.broadcast_to(mask, x.shape), x, x + score)
        yield f"hidden scores of {score:g}", np.where(np.broadcast_to(mask, x.shape), x, score)
    yield "hidden scores of 0: the mask multiplied", np.where(np.broadcast_to(mask, x.shape), x, 0.0)


def _of_rows(case: Case, given: Arrays, parameters: Arrays, known: Weights, again: Again) -> Candidates:
    ids, table, own = given["ids"], parameters["table"], case.parameters["table"]
    for shift in (1, 2, -1, -2):
        moved = np.clip(ids + shift, 0, len(table) - 1)
        yield f"ids or positions moved by {shift:+d}", again({"ids": moved})
    yield "positions that start at 0 again", again({"ids": ids - ids.min()})
    columns = np.broadcast_to(np.arange(ids.shape[-1]), ids.shape)
    yield "positions counted by columns", again({"ids": np.minimum(columns, len(table) - 1)})
    for name, array in known.parameters.items():
        if name != own and array.ndim == 2 and array.shape[1] == table.shape[1] and len(array) > int(ids.max()):
            yield f"rows of {name} in place of {own}", again({}, {"table": array.astype(np.float64)})
