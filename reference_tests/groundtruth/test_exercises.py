"""The exercises: right answers are right by independent definitions, usual mistakes are named, and so are places."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mpf

from npblender.groundtruth.exercises import TASKS, check_file, skeleton
from npblender.groundtruth.exercises.encoder_pass import encoder_of_the_demo
from npblender.groundtruth.exercises.grading import check, first_difference
from npblender.groundtruth.exercises.tasks import RANKS, Task, by_number, merged
from reference_tests.oracles import operations as oracle
from reference_tests.oracles.model import softmax as plain_softmax
from reference_tests.oracles.tokenizer import rounds
from reference_tests.support.asserts import assert_close
from reference_tests.support.cli_runs import run_cli
from reference_tests.support.tolerances import TOLERANCES

REPOSITORY = Path(__file__).parents[2]
SOLUTIONS = REPOSITORY / "docs" / "solutions" / "solutions.py"
SKELETON = Path(str(skeleton.__file__))
RIGHT = {name: value for name, value in runpy.run_path(str(SOLUTIONS)).items() if callable(value)}


def test_the_solutions_are_right() -> None:
    findings = check_file(SOLUTIONS)
    assert [finding.verdict for finding in findings] == ["right"] * 10
    assert len({name for task in TASKS for name in task.needs}) == 8


def test_the_skeleton_is_not_written() -> None:
    findings = check_file(SKELETON)
    assert [(finding.verdict, finding.says) for finding in findings] == [("not written", ())] * 10
    written = {name for name in runpy.run_path(str(SKELETON)) if not name.startswith("_")} - {"math", "np", "Callable"}
    assert written == {name for task in TASKS for name in task.needs}


# --- What is right, by definitions that share nothing with the package.


@given(st.text("lower", min_size=1, max_size=8))
def test_merges_are_those_of_the_definition(word: str) -> None:
    *_, last = [None, *rounds(word, sorted(RANKS, key=RANKS.__getitem__))]
    symbols = last[1] if last is not None else [*word[:-1], word[-1] + "</w>"]
    assert merged(word, RANKS) == symbols


def test_the_right_numbers_are_those_of_the_definitions() -> None:
    for case in by_number(2).cases:
        (x,) = case.arguments
        rows = x.reshape(-1, x.shape[-1])
        expected = [[float(p) for p in oracle.softmax([mpf(n) for n in row.tolist()])] for row in rows]
        assert_close(by_number(2).right(x), np.reshape(expected, x.shape), TOLERANCES["numbers worked out by hand"])
    for case in by_number(3).cases:
        x, weight, bias = (array.tolist() for array in case.arguments)
        expected = [[float(n) for n in oracle.layer_norm(row, weight, bias, mpf("1e-5"))] for row in x]
        assert_close(by_number(3).right(*case.arguments), expected, TOLERANCES["numbers worked out by hand"])
    for case in by_number(4).cases:
        (x,) = case.arguments
        expected = [float(oracle.gelu(mpf(n))) for n in x.ravel().tolist()]
        assert_close(by_number(4).right(x).ravel(), expected, TOLERANCES["numbers worked out by hand"])


@pytest.mark.parametrize("number", [6, 7])
def test_right_attention_is_that_of_plain_lists(number: int) -> None:
    for case in by_number(number).cases:
        q, k, v, mask = case.arguments
        found = by_number(number).right(*case.arguments)
        for h, t in np.ndindex(*q.shape[:2]):
            keys = [n for n in range(k.shape[1]) if mask[t, n]]
            weights = plain_softmax([float(q[h, t] @ k[h, n]) / q.shape[2] ** 0.5 for n in keys])
            mixed = sum(w * v[h, n] for w, n in zip(weights, keys, strict=True))
            assert_close(found[h, t], mixed, TOLERANCES["numbers worked out by hand"])


def test_the_right_answers_of_the_other_tasks_by_hand() -> None:
    heads = by_number(5).right(*by_number(5).cases[0].arguments)
    assert heads.tolist() == [[[0, 1], [4, 5], [8, 9]], [[2, 3], [6, 7], [10, 11]]]
    replies = [by_number(9).right(*case.arguments) for case in by_number(9).cases]
    assert replies == [[0, 1, 2, 3], [0, 2, 2, 2, 2]]
    beams, tokens, sums = by_number(10).right(*by_number(10).cases[0].arguments)
    assert (beams.tolist(), tokens.tolist()) == ([0, 1, 0], [0, 1, 1])
    assert_close(np.exp(sums - [-0.5, -1.2, -0.5]), [0.7, 0.9, 0.2], TOLERANCES["numbers worked out by hand"])


def test_the_encoder_has_every_layer() -> None:
    points = encoder_of_the_demo("hi !")
    first, *_, last = points
    assert (first, last) == ("encoder.embed.norm", "encoder.states")
    assert "encoder.layers.1.ffn.norm" in points


# --- What the grader says.

MISTAKES = [
    pytest.param(task, says, mistaken, id=f"{task.number}-{says[:40]}")
    for task in TASKS
    for says, mistaken in task.mistakes.items()
    if task.number != 6
]


@pytest.mark.parametrize(("task", "says", "mistaken"), MISTAKES)
def test_a_usual_mistake_is_wrong_and_named(task: Task, says: str, mistaken: Callable[..., Any]) -> None:
    finding = check(task, {**RIGHT, task.needs[0]: mistaken})
    assert finding.verdict == "wrong"
    assert finding.says[-1] == f"perhaps: {says}"


def test_a_mistake_that_does_not_touch_the_case_is_not_accused() -> None:
    """Task 6 has no mask, so wrong masks pass there, and fail in task 7."""
    unmasked = by_number(6).mistakes["the mask is not used"]
    functions = {**RIGHT, "attention": unmasked}
    assert check(by_number(6), functions).verdict == "right"
    assert check(by_number(7), functions).verdict == "wrong"


@given(data=st.data())
def test_the_first_wrong_number_is_named(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    right = np.random.default_rng(0).standard_normal(shape)
    wrong = right.copy()
    places = data.draw(st.lists(st.integers(0, right.size - 1), min_size=1, max_size=3, unique=True))
    for place in places:
        wrong.flat[place] += data.draw(st.sampled_from([1e-3, -2.0, np.nan, np.inf]))
    said = first_difference(wrong, right)
    assert said is not None
    assert said.startswith(f"number {[int(n) for n in np.unravel_index(min(places), shape)]} is ")
    assert ("numbers are wrong" in said) == (len(places) > 1)


@given(st.integers(0, 2**32 - 1))
def test_rounding_is_not_wrong(seed: int) -> None:
    right = np.random.default_rng(seed).standard_normal((3, 4))
    noisy = right * (1 + np.random.default_rng(seed + 1).uniform(-1e-12, 1e-12, right.shape))
    assert first_difference(noisy, right) is None


WRONG_KINDS: list[tuple[int, Callable[..., Any], str, str]] = [
    (2, lambda x: None, "wrong", "it returns None; is there a `return`?"),
    (2, lambda x: x[0], "wrong", "the shape is [3], must be [2, 3]"),
    (2, lambda x: "text", "wrong", "it returns str, must be an array"),
    (2, lambda x: 1 / 0, "stopped", "ZeroDivisionError: division by zero"),
    (1, lambda word, ranks: word, "wrong", "it returns str, must be a list"),
    (1, lambda word, ranks: ["low"], "wrong", "there are 1 items, must be 2: ['low', 'er</w>']"),
    (9, lambda *a: [0, 1, 0, 3], "wrong", "item [2] is 0, must be 2"),
    (10, lambda *a: (a[0], a[1]), "wrong", "it must return 3 arrays: beams, tokens, sums"),
    (10, lambda p, s, w: (np.array([1, 0, 0]), np.array([1, 0, 1]), s), "wrong", "beams: number [0] is 1, must be 0"),
]


@pytest.mark.parametrize(("number", "function", "verdict", "says"), WRONG_KINDS)
def test_what_is_wrong_in_kind(number: int, function: Callable[..., Any], verdict: str, says: str) -> None:
    task = by_number(number)
    finding = check(task, {task.needs[0]: function})
    assert finding.verdict == verdict
    assert f": {says}" in finding.says[0]


def test_an_argument_changed_in_place_is_noticed() -> None:
    def softmax(x: np.ndarray) -> np.ndarray:
        x -= x.max(axis=-1, keepdims=True)
        return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)

    finding = check(by_number(2), {"softmax": softmax})
    assert finding.verdict == "wrong"
    assert "an argument was changed in place" in finding.says[0]


@pytest.mark.parametrize(
    ("name", "point"),
    [
        ("layer_norm", "encoder.embed.norm"),
        ("split_heads", "encoder.layers.0.self_attn.q"),
        ("attention", "encoder.layers.0.self_attn.context"),
        ("gelu", "encoder.layers.0.ffn.activation"),
    ],
)
def test_the_first_wrong_point_of_the_encoder_is_that_of_the_wrong_function(name: str, point: str) -> None:
    wrong = {**RIGHT, name: lambda *arguments: RIGHT[name](*arguments) * 1.001}
    finding = check(by_number(8), wrong)
    assert finding.verdict == "wrong"
    assert f"the first wrong point is {point}: number [" in finding.says[0]


# --- The command.


def test_start_and_check(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    assert run_cli("exercises", "start", mine).code == 0
    assert run_cli("exercises", "check", mine).lines[-1] == "0 of 10 right"
    again = run_cli("exercises", "start", mine)
    assert (again.code, "is there already" in again.err) == (2, True)
    lost = run_cli("exercises", "start", tmp_path / "gone" / "mine.py")
    assert (lost.code, "there is no folder" in lost.err) == (2, True)


def test_check_has_an_exit_code_and_chooses_tasks(tmp_path: Path) -> None:
    assert run_cli("exercises", "check", SOLUTIONS).code == 0
    mine = tmp_path / "mine.py"
    mine.write_text("import math\ndef gelu(x):\n    return math.erf(x)\n", encoding="utf-8")
    result = run_cli("exercises", "check", mine, "--task", 4, "--task", 5)
    assert result.code == 1
    assert len(result.lines) == 5
    assert "TypeError" in result.lines[1]
    assert "(line 3)" in result.lines[1]
    assert result.lines[-2:] == ["      there is no function split_heads", "0 of 2 right"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("def gelu(x)\n    pass\n", "mine.py cannot be run: SyntaxError: expected ':'"),
        ("import sys\nsys.exit('no')\n", "mine.py cannot be run: SystemExit: no (line 2)"),
        ("x = 1\n", "mine.py has none of the functions attention, beam_step"),
        (None, "there is no file"),
    ],
)
def test_a_file_that_cannot_be_checked_is_refused(content: str | None, says: str, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    if content is not None:
        mine.write_text(content, encoding="utf-8")
    result = run_cli("exercises", "check", mine)
    assert result.code == 2
    assert says in result.err
    assert len(result.err.splitlines()) == 1


def test_a_task_that_is_not_there_is_refused() -> None:
    result = run_cli("exercises", "check", SOLUTIONS, "--task", 11)
    assert (result.code, "there is no task 11" in result.err) == (2, True)


def test_the_page_has_every_task_with_its_function() -> None:
    page = (REPOSITORY / "docs" / "exercises.md").read_text(encoding="utf-8")
    for task in TASKS:
        named = "the last four" if len(task.needs) > 1 else f"`{task.needs[0]}`"
        assert f"| {task.number} | {named} |" in page
