"""Names: those of the originals' modules, as the originals' own runs show, and a user's patterns."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npblender import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration, compare
from npblender.groundtruth import Trace, trace
from npblender.groundtruth.comparison.name_patterns import NameTable, Pattern, read_name_table
from npblender.groundtruth.comparison.point_names import PARLAI, TRANSFORMERS, meaning_of, names_of
from npblender.groundtruth.tracing.tensor_file import read_tensors
from npblender.transformer.parameters import from_arrays
from reference_tests.support.asserts import assert_close
from reference_tests.support.compared import arrays, in_float32, reference
from reference_tests.support.tolerances import TOLERANCES
from tools.goldens.files import read_golden
from tools.goldens.modules import ORIGINALS, file_of
from tools.goldens.traces import FORWARD, MODEL, inputs_of

HAND = TOLERANCES["numbers worked out by hand"]

NEVER_HEARD = {"encoder.embed.scaled", "decoder.embed.sum", "log_probabilities"}
"""Between modules in all three, or not computed."""


@cache
def ours(dialect: str, dtype: str = "float64") -> Trace:
    """npblender's trace of what the originals' modules were recorded for."""
    golden = read_golden(MODEL, FORWARD)
    config = BlenderbotSmallConfig.from_dict(golden.case.config)
    weights = {name.removeprefix("model."): array.astype("float32") for name, array in golden.case.weights.items()}
    model = BlenderbotSmallForConditionalGeneration(config, from_arrays(config, weights), dialect=dialect)
    return trace(model, **inputs_of(golden), dtype=dtype)


@cache
def recorded(original: str) -> dict[str, Any]:
    return read_tensors(file_of(original))[0]


@pytest.mark.parametrize("original", ORIGINALS)
def test_the_modules_of_the_originals_are_understood(original: str) -> None:
    """Every point that a module takes or gives is found in the originals' own arrays, and agrees."""
    report = compare(ours(original), file_of(original))
    assert report.diverged == ()
    scores = {name for name in report.missing if name.endswith("scores")}
    assert set(report.missing) - scores == NEVER_HEARD
    assert all(name.endswith("_attn.scores") for name in scores) or original != "parlai", "ParlAI gives masked scores"
    assert len(report.compared) == (76 if original == "parlai" else 71)


@pytest.mark.parametrize("original", ORIGINALS)
def test_what_is_not_understood_is_no_point_of_its_own(original: str) -> None:
    """Among the names left over none gives a point that is missing: they are inputs and repeats."""
    truth = ours(original)
    report = compare(truth, file_of(original))
    seen = [truth.arrays[point.name] for point in report.compared]
    lacking = [truth.arrays[name] for name in report.missing]
    lacking = [each for each in lacking if not any(np.array_equal(each, other) for other in seen)]
    assert lacking
    for name in report.surplus:
        found = recorded(original)[name.partition(" ")[0]]
        assert all(found.shape != each.shape or np.abs(found - each).max() > 1e-5 for each in lacking), name


@pytest.mark.parametrize("original", ORIGINALS)
def test_each_table_says_every_name_that_it_lists(original: str) -> None:
    """An entry of a table that no module has would be a mistake; those of outputs' fields are no modules."""
    table = PARLAI if original == "parlai" else TRANSFORMERS
    names = {name.removeprefix("model.") for name in recorded(original)}
    fields = ("_hidden_states", "_attentions", "past_key_values", "_last_hidden_state", "cross_")
    unrecorded = [
        left.text
        for left, _ in table.entries
        if not any(left.match(name) is not None for name in names) and not any(field in left.text for field in fields)
    ]
    assert unrecorded == []


@pytest.mark.parametrize("original", ["transformers-4", "transformers-5"])
def test_the_fields_of_outputs_are_understood(original: str) -> None:
    """`decoder_hidden_states.1` and the like, as they are saved from an output of npblender or of transformers."""
    golden = read_golden(MODEL, FORWARD)
    answers = golden.answers[original].tensors
    fields = ("encoder_hidden", "decoder_hidden", "encoder_att", "decoder_att", "cross_att", "encoder_last")
    mine = {
        name.removeprefix("0/").replace("/", "."): array
        for name, array in answers.items()
        if name.startswith("0/") and name.removeprefix("0/").startswith(fields)
    }
    assert len(mine) > 8
    report = compare(ours(original), mine)
    assert report.surplus == ()
    assert report.diverged == ()


def test_queries_are_divided_where_a_module_gives_them() -> None:
    """`q_proj` is recorded before the division; our own name is of what comes behind it."""
    truth, name = ours("transformers-5"), "encoder.layers.0.self_attn.q"
    raw = recorded("transformers-5")["model.encoder.layers.0.self_attn.q_proj"]
    report = compare(truth, {"model.encoder.layers.0.self_attn.q_proj": raw})
    point = next(point for point in report.compared)
    assert (point.name, point.status) == (name, "within noise")
    assert_close(point.factor, 1 / np.sqrt(5), HAND)
    # a port that divides inside its projection may use the module's name as well
    divided = compare(truth, {"encoder.layers.0.self_attn.q_proj": raw / np.sqrt(np.float32(5))})
    assert divided.first_divergence is None
    assert divided.compared[0].factor == 1.0
    # but one that says it is our point is taken at its word
    never = compare(truth, {name: raw})
    assert never.first is not None
    assert "it would agree times 1/sqrt(5)" in never.first.remarks
    twice = compare(truth, {"encoder.layers.0.self_attn.q_proj": raw / np.float32(5)})
    assert twice.first_divergence == name


@pytest.mark.parametrize("name", reference(True).points)
def test_names_of_steps(name: str) -> None:
    """Every spelling of every point of a trace in steps leads back to it, with `model.` or without."""
    points = reference(True).points
    spelled = names_of(name.split(".", 1)[1] if name.startswith(("prefill", "step")) else name)
    step = name.split(".")[0] + "." if name.startswith(("prefill", "step")) else ""
    for each in (*spelled.transformers, *spelled.parlai):
        for spelling in (f"{step}{each}", f"{step}model.{each}"):
            meaning = meaning_of(spelling, points)
            assert meaning is not None
            assert meaning.point == name
    if name.startswith("decoder.layers.0.encoder_attn.k"):
        inside = meaning_of("prefill.model.decoder.layers.0.encoder_attn.k_proj", points)
        assert inside is not None
        assert inside.point == name


def test_every_point_but_a_few_has_a_name_in_the_originals() -> None:
    bare = {name for name in reference().points if not any(vars(names_of(name)).values())}
    assert bare == {name for name in reference().points if name in NEVER_HEARD or name.endswith(".scores")}


# A user's own table.


def test_a_users_patterns() -> None:
    table = {
        "enc{n+1}_{what}": "encoder.layers.{n}.self_attn.{what}",
        "dec.{rest...}": "decoder.{rest...}",
        "proj.{n}": "encoder.layers.{n}.self_attn.q_proj",
        "never.{n}": "encoder.layers.{n}.output",
    }
    mine = arrays(in_float32())
    renamed = {
        "enc1_q": mine["encoder.layers.0.self_attn.q"],
        "dec.layers.1.ffn.sum": mine["decoder.layers.1.ffn.sum"],
        "proj.0": mine["encoder.layers.0.self_attn.q"] * np.sqrt(np.float32(3)),
        "prefill.what": np.zeros(2),
    }
    report = compare(reference(), renamed, names=table)
    assert report.first_divergence is None
    assert [point.name for point in report.compared] == ["encoder.layers.0.self_attn.q", "decoder.layers.1.ffn.sum"]
    assert report.unmatched_patterns == ("never.{n}",)
    assert report.surplus == ("prefill.what",)


def test_a_users_table_goes_before_all_other_names() -> None:
    """A program may call something else what is a point of ours."""
    mine = {"encoder.states": arrays(in_float32())["decoder.states"]}
    assert compare(reference(), mine).first_divergence == "encoder.states"
    report = compare(reference(), mine, names={"encoder.states": "decoder.states"})
    assert [point.name for point in report.compared] == ["decoder.states"]
    assert report.first_divergence is None


def test_a_users_table_with_steps() -> None:
    mine = {"step1.out": in_float32(True).arrays["step1.logits"], "s2/out": in_float32(True).arrays["step2.logits"]}
    report = compare(reference(True), mine, names={"out": "logits", "s{n}/out": "step{n}.logits"})
    assert [point.name for point in report.compared] == ["step1.logits", "step2.logits"]
    assert report.first_divergence is None


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"a.{n}": "b.{m}"}, r"names: entry 'a.\{n\}': 'b.\{m\}' has \{m\}, which 'a.\{n\}' lacks"),
        ({"a.{n": "b"}, r"entry 'a.\{n': 'a.\{n' has a brace that is no variable"),
        ({"a.{N}": "b"}, "has a brace that is no variable"),
        ({"a.{n}.{n}": "b"}, "has a variable twice"),
        ({"": "b"}, "entry '': a pattern is a text that is not empty"),
        ({"a": ""}, "entry 'a': a pattern is a text that is not empty"),
    ],
)
def test_a_bad_entry_is_named(table: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare(reference(), in_float32(), names=table)


@pytest.mark.parametrize("table", [{"a": 1}, {"a": None}, {1: "a"}, 3])
def test_a_table_is_of_texts(table: Any) -> None:
    with pytest.raises(TypeError, match=r"is no text|names is a int"):
        compare(reference(), in_float32(), names=table)


def test_entries_that_disagree() -> None:
    table = NameTable.make({"x.{n}": "encoder.layers.{n}.output", "x.0": "encoder.states", "{all...}": "{all...}"})
    with pytest.raises(ValueError, match=r"'x.0' fits the entries 'x.\{n\}' and 'x.0', which disagree"):
        compare(reference(), {"x.0": np.zeros(2)}, names=table)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("[1]", ValueError, "must hold one JSON object of patterns, not a list"),
        ("{", ValueError, "is not JSON"),
        ('{"a": "b", "a": "c"}', ValueError, "entry 'a' stands in it twice"),
        ('{"a": 3}', TypeError, "entry 'a': 3 is no text"),
        (b"\xff", ValueError, "is not UTF-8 text"),
        ("[" * 100_000, ValueError, "names.json"),
    ],
)
def test_a_bad_file_of_names(tmp_path: Path, content: str | bytes, error: type[Exception], message: str) -> None:
    path = tmp_path / "names.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(error, match=message) as caught:
        read_name_table(path)
    assert "names.json" in str(caught.value)


def test_a_file_of_names(tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    path.write_text("\ufeff" + json.dumps({"enc.{n}.q": "encoder.layers.{n}.self_attn.q"}), encoding="utf-8")
    report = compare(reference(), {"enc.0.q": in_float32().arrays["encoder.layers.0.self_attn.q"]}, names=path)
    assert report.first_divergence is None
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_name_table(tmp_path / "other.json")


WORDS = st.text("abz019._", min_size=1, max_size=6)


@given(st.integers(0, 40), st.integers(-3, 3), WORDS, WORDS)
def test_a_number_that_is_moved_comes_back(n: int, by: int, before: str, after: str) -> None:
    """What one side fills, it matches again with the same values; a number below 0 is no name."""
    left, right = Pattern(f"{before}[{{n{by:+d}}}]{after}"), Pattern("x.{n}")
    filled = left.fill({"n": str(n)})
    if n + by < 0:
        assert filled is None
    else:
        assert filled == f"{before}[{n + by}]{after}"
        assert left.match(filled) == {"n": str(n)}
        assert right.fill({"n": str(n)}) == f"x.{n}"


@given(st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=4))
def test_one_part_and_many(parts: list[str]) -> None:
    name = ".".join(parts)
    assert Pattern("x.{n}").match(f"x.{name}") == ({"n": name} if len(parts) == 1 else None)
    assert Pattern("x.{n...}").match(f"x.{name}") == {"n": name}
    assert Pattern("x.{n}").match(f"y.{name}") is None


def test_a_long_name_in_an_entry_is_cut() -> None:
    with pytest.raises(ValueError, match="which 'enc' lacks") as refused:
        NameTable.make({"enc": "a.{i" + "9" * 5000 + "}"})
    assert len(str(refused.value)) < 800
