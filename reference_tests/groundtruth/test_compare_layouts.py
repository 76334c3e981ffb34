"""Layouts: what is recognised, what is only remarked, and that no fault is taken for a layout."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npblender import compare
from npblender.groundtruth import Noise, Trace
from npblender.groundtruth.comparison.axis_layouts import axis_layouts, unusual_axis_layouts
from npblender.groundtruth.comparison.findings import PointReport
from npblender.groundtruth.tracing.points import causal_order, head_count, known_point
from reference_tests.support.compared import arrays, in_float32, reference

Array = np.ndarray[Any, Any]
Q, SCORES, CONTEXT = (f"encoder.layers.0.self_attn.{name}" for name in ("q", "masked_scores", "context"))


def merged(x: Array) -> Array:
    return x.transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1)  # [B, H, T, K] -> [B, T, H*K]


def split(x: Array) -> Array:
    return x.reshape(*x.shape[:2], 2, -1).transpose(0, 2, 1, 3)  # [B, T, D] -> [B, H, T, K], the encoder's two heads


def changed(name: str, change: Callable[[Array], Array]) -> PointReport:
    """What is said of a point that was laid out in another way."""
    mine = arrays(in_float32())
    mine[name] = change(mine[name])
    report = compare(reference(), mine)
    return next(point for point in report.points if point.name == name)


USUAL: dict[str, tuple[str, Callable[[Array], Array], str]] = {
    "heads merged": (Q, merged, "[B, S, H*K]"),
    "rows and heads merged": (Q, lambda x: x.reshape(-1, *x.shape[2:]), "[B*H, S, K]"),
    "heads behind tokens": (Q, lambda x: x.transpose(0, 2, 1, 3), "[B, S, H, K]"),
    "heads before rows": (Q, lambda x: x.transpose(1, 0, 2, 3).reshape(-1, *x.shape[2:]), "[H*B, S, K]"),
    "keys transposed": (Q, lambda x: x.transpose(0, 1, 3, 2), "[B, H, K, S]"),
    "tokens first, merged": (Q, lambda x: merged(x).transpose(1, 0, 2), "[S, B, H*K]"),
    "tokens and rows merged": (Q, lambda x: merged(x).reshape(-1, 6), "[B*S, H*K]"),
    "flat": (Q, lambda x: x.ravel(), "[B*H*S*K]"),
    "flat after merging": (Q, lambda x: merged(x).ravel(), "[B*S*H*K]"),
    "a leading axis": (Q, lambda x: x[None], "with more axes of length 1"),
    "scores by row and head": (SCORES, lambda x: x.reshape(-1, 5, 5), "[B*H, S, S]"),
    "heads split": (CONTEXT, split, "[B, H, S, K]"),
    "heads split behind tokens": (CONTEXT, lambda x: x.reshape(2, 5, 2, 3), "[B, S, H, K]"),
    "tokens first": ("encoder.states", lambda x: x.transpose(1, 0, 2), "[S, B, D]"),
    "columns before tokens": ("encoder.states", lambda x: x.transpose(0, 2, 1), "[B, D, S]"),
    "all axes turned round": ("encoder.states", lambda x: x.transpose(2, 1, 0), "[D, S, B]"),
    "rows of tokens": ("encoder.states", lambda x: x.reshape(10, 6), "[B*S, D]"),
    "flat states": ("encoder.states", lambda x: x.ravel(), "[B*S*D]"),
    "one row of positions": ("decoder.embed.positions", lambda x: x[0], "[T, D], the same for every row"),
    "one row of positions, kept": ("decoder.embed.positions", lambda x: x[:1], "[T, D], the same for every row"),
}


@pytest.mark.parametrize("kind", sorted(USUAL))
def test_what_is_recognised_and_said(kind: str) -> None:
    name, change, layout = USUAL[kind]
    point = changed(name, change)
    assert (point.status, point.layout) == ("within noise", layout)
    # the index of the worst value is the reference's, whatever the layout
    plain = changed(name, lambda x: x)
    assert (point.score, plain.layout) == (plain.score, None)


@pytest.mark.parametrize("kind", sorted(set(USUAL) - {"a leading axis"}))
def test_a_fault_in_another_layout_is_found(kind: str) -> None:
    """One wrong value stays wrong, and its place is said in the reference's order."""
    name, change, layout = USUAL[kind]
    place = (1,) * reference().arrays[name].ndim

    def disturb(x: Array) -> Array:
        x[place] += 1.0
        if "same for every row" in layout:
            x[0][place[1:]] += 1.0
        return change(x)

    point = changed(name, disturb)
    assert point.status == "diverged"
    assert point.score is not None
    assert point.score.worst_index is not None
    assert point.score.worst_index[1:] == place[1:]
    assert point.layout == layout


WRONG: dict[str, tuple[str, Callable[[Array], Array], str]] = {
    "heads never split": (
        Q,
        lambda x: merged(x).reshape(x.shape),
        "in another order, as the flat order of [B, S, H, K]",
    ),
    "v transposed": (
        "encoder.layers.0.self_attn.v",
        lambda x: x.transpose(0, 1, 3, 2).reshape(x.shape),
        "in another order, as the flat order of [B, H, K, S]",
    ),
    "heads merged the wrong way": (
        CONTEXT,
        lambda x: x.reshape(2, 5, 2, 3).transpose(0, 1, 3, 2).reshape(2, 5, 6),
        "transposed, as [B, S, K*H]",
    ),
    "heads merged without transposing": (
        CONTEXT,
        lambda x: split(x).reshape(2, 5, 6),
        "in another order, as the flat order of [B, H, S, K]",
    ),
    "scores of keys by queries": (
        "encoder.layers.0.self_attn.scores",
        lambda x: x.transpose(0, 1, 3, 2),
        "transposed, as [B, H, S, S]",
    ),
}


@pytest.mark.parametrize("kind", sorted(WRONG))
def test_a_fault_of_the_same_shape_is_a_fault(kind: str) -> None:
    """What has the reference's shape is taken as it stands; the order in which it would agree is said."""
    name, change, remark = WRONG[kind]
    point = changed(name, change)
    assert (point.status, point.layout) == ("diverged", None)
    assert f"it would agree {remark}" in point.remarks


@pytest.mark.parametrize(("part", "which"), [(slice(None, -1), "first"), (slice(1, None), "last")])
@pytest.mark.parametrize("axis", [2, 3])
def test_a_part_is_named_where_two_axes_have_one_letter(axis: int, part: slice, which: str) -> None:
    """The scores of an encoder have its tokens twice, as queries and as keys."""
    point = changed("encoder.layers.0.self_attn.scores", lambda x: x[(slice(None),) * axis + (part,)])
    assert f"it is the {which} 4 of the reference's 5 along S" in point.remarks


def test_values_that_disagree_in_every_layout_are_no_layout() -> None:
    point = changed(Q, lambda x: merged(x)[:, ::-1])
    assert point.status == "diverged"
    assert point.layout == "[B, S, H*K]", "the nearest reading"
    assert not any(remark.startswith("it would agree") for remark in point.remarks)


@given(
    st.permutations(range(4)),
    st.lists(st.sampled_from([1, 2, 3]), min_size=4, max_size=4),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=100)
def test_no_false_recognition(order: list[int], sizes: list[int], seed: int) -> None:
    """Axes exchanged: recognised exactly where the shape tells, and with the right values; otherwise a divergence."""
    x = np.random.default_rng(seed).normal(size=sizes)
    truth = Trace({Q: x}, {Q: Noise(1e-7, 3e-7)}, dtype="float64")
    mine = x.transpose(order)
    point = compare(truth, {Q: mine}).points[0]
    same = mine.shape == x.shape
    kept = [axis for axis in order if sizes[axis] != 1] == [axis for axis in range(4) if sizes[axis] != 1]
    alike = [n for n in mine.shape if n != 1] == [n for n in x.shape if n != 1]
    if kept:
        assert point.status == "within noise"
        assert (point.layout is None) == same
    else:
        assert point.status == ("diverged" if alike else "within noise")
        assert point.layout is None or point.layout.startswith("[") != alike


@given(st.lists(st.sampled_from([1, 2, 3]), min_size=3, max_size=4), st.data())
@settings(max_examples=100)
def test_every_layout_reads_what_it_names(sizes: list[int], data: st.DataObject) -> None:
    """Written out axis by axis: the value at an index of the reference comes from where the layout's name says."""
    axes = {3: "B T D", 4: "B H T K"}[len(sizes)]
    shape = tuple(sizes)
    x = np.arange(np.prod(shape)).reshape(shape)
    order = data.draw(st.permutations(range(len(sizes))))
    groups = data.draw(st.lists(st.booleans(), min_size=len(sizes) - 1, max_size=len(sizes) - 1))
    moved = x.transpose(order)
    found: list[int] = []
    for place, size in enumerate(moved.shape):
        if place and groups[place - 1]:
            found[-1] *= size
        else:
            found.append(size)
    mine = moved.reshape(found)
    every = [*axis_layouts(axes, shape, mine.shape), *unusual_axis_layouts(axes, shape, mine.shape)]
    read = [mine if layout is None else layout.read(mine) for layout in every]
    assert all(each.shape == shape for each in read)
    assert any((each == x).all() for each in read), "the layout in which it was written is among them"
    straight = [each for each in read if (each == x).all()]
    if x.size > 1:
        assert len({layout.places for layout in every if layout is not None}) >= len(straight) - 1


def test_every_order_of_axes_is_tried_once() -> None:
    """Of distinct sizes, the 24 orders of four axes: as it is, and 23 others."""
    shape = (2, 3, 5, 7)
    strange = unusual_axis_layouts("B H T K", shape, shape)
    assert len({layout.places for layout in strange}) == len(strange) == 23
    assert {layout.order for layout in strange} == set(permutations(range(4))) - {(0, 1, 2, 3)}
    square = unusual_axis_layouts("H T K", (2, 4, 4), (2, 4, 4))
    assert len({layout.places for layout in square}) == len(square) == 5


# Other remarks.


def test_a_factor_is_said() -> None:
    never = changed(Q, lambda x: x * np.sqrt(np.float32(3)))
    assert never.status == "diverged"
    assert "it would agree times 1/sqrt(3)" in never.remarks
    twice = changed(Q, lambda x: x / np.sqrt(np.float32(3)))
    assert "it would agree times sqrt(3)" in twice.remarks
    assert "it would agree times -1" in changed(Q, lambda x: -x).remarks
    assert "it would agree times 0.333333, which is 1/K" in changed(Q, lambda x: 3 * x).remarks


def test_a_missing_bias_is_said() -> None:
    bias = np.linspace(-0.1, 0.2, 6, dtype=np.float32)
    remark = "it would agree plus one amount per column of the last axis, the same in every row: a bias"
    assert remark in changed("encoder.layers.0.ffn.output", lambda x: x - bias).remarks
    assert remark not in changed("encoder.layers.0.ffn.output", lambda x: x - bias * x).remarks


def test_a_missing_final_bias_is_said_beside_a_start_logit() -> None:
    """The logit of the start token is set, not computed: its column has no bias and spoils nothing."""
    bias = np.linspace(-0.1, 0.2, 11, dtype=np.float32)
    point = changed("logits", lambda x: np.where(x < -1e18, x, x - bias))
    assert any(remark.endswith("a bias") for remark in point.remarks)


def test_an_array_of_another_point_is_said() -> None:
    k = arrays(in_float32())["encoder.layers.0.self_attn.k"]
    assert "it agrees with the reference's encoder.layers.0.self_attn.k" in changed(Q, lambda _: k).remarks


def test_where_it_is_wrong_is_said() -> None:
    def second_head(x: Array) -> Array:
        x[:, 1] += 1
        return x

    assert "wrong only at H = 1 of 0..1" in changed(Q, second_head).remarks


def test_remarks_are_made_of_the_first_divergence_alone() -> None:
    mine = {name: 2 * array for name, array in arrays(in_float32()).items()}
    report = compare(reference(), mine)
    assert report.first is not None
    assert report.first.remarks
    assert all(not point.remarks for point in report.points[1:])


# What a name says.


def test_names_tell_axes_order_and_heads() -> None:
    for steps in (False, True):
        truth = reference(steps)
        names = list(truth.points)
        assert causal_order(sorted(names, reverse=True)) == names
        for name, array in truth.arrays.items():
            point = known_point(name)
            assert point is not None
            assert len(point.axes.split()) == array.ndim
        contexts = [name for name in names if name.endswith("_attn.context")]
        heads = {name: 2 if name.startswith("encoder") else 3 for name in contexts}
        assert {name: head_count(name, truth.arrays, None) for name in contexts} == heads
        only = {name: truth.arrays[name] for name in contexts}
        assert {name: head_count(name, only, truth.config) for name in contexts} == heads
        assert {head_count(name, only, None) for name in contexts} == {None}
    assert causal_order(["logits", "x"]) is None
