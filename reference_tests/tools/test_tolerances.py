"""The table of tolerances is the only one: no test and no comparison brings a number of its own."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reference_tests.support import asserts
from reference_tests.support.tolerances import TOLERANCES, UNITS, Tolerance
from tools.measure import tolerances

TESTS = Path(__file__).parents[1]
TOOLS = TESTS.parent / "tools"
PAGE = TESTS.parent / "docs" / "numbers-you-can-trust.md"
LOOSE = {"allclose", "isclose", "approx", "assert_allclose", "assert_almost_equal", "assert_array_almost_equal"}
COMPARING = sorted([*TESTS.rglob("*.py"), *(TOOLS / "differential").glob("*.py"), *(TOOLS / "goldens").glob("*.py")])
KEPT_APART = {
    "test_parlai_search.py": {"isclose"},  # whether a score is that of a blocked path, -1e20
    "drop_in.py": {"isclose"},  # whether two originals answer alike, each in its own float32
}
"""What a file may use in spite of the rule, for something that is no tolerance."""

NO_BOUND = re.compile(r"< 1e-300|noise\[.*\]\.(rms|max) < |<=? 5\.(?:1|001)e-05")
"""Small numbers that are no tolerances: an underflow, what measured noise must stay below to be noise, and half of the
fourth decimal, to which a page's numbers are rounded."""


def loose_calls(source: str) -> Iterator[tuple[int, str]]:
    """Every call of a comparison that brings tolerances of its own, if only by default."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in LOOSE:
                yield node.lineno, name


def literal_bounds(source: str) -> Iterator[tuple[int, str]]:
    """Every `... <= 1e-6`: an upper bound so small that it can only be a tolerance."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            for operator, right in zip(node.ops, node.comparators, strict=True):
                small = isinstance(right, ast.Constant) and isinstance(right.value, float) and 0 < right.value < 1e-4
                if isinstance(operator, ast.LtE | ast.Lt) and small:
                    yield node.lineno, ast.unparse(node)


@pytest.mark.slow
def test_no_file_brings_tolerances_of_its_own() -> None:
    loose, bounds = [], []
    for file in COMPARING:
        source, allowed = file.read_text(encoding="utf-8"), KEPT_APART.get(file.name, set())
        loose += [f"{file.name}:{line} {name}" for line, name in loose_calls(source) if name not in allowed]
        bounds += [f"{file.name}:{line} {text}" for line, text in literal_bounds(source) if not NO_BOUND.search(text)]
    assert not loose, "compare with assert_close and a row of the table"
    assert not bounds, "a bound of its own"


def test_the_rule_sees_what_it_forbids() -> None:
    source = "assert np.allclose(a, b)\nassert x == pytest.approx(1, rel=2)\nassert abs(a - b) <= 1e-6\nassert a > 1e-6"
    assert [name for _, name in loose_calls(source)] == ["allclose", "approx"]
    assert [line for line, _ in literal_bounds(source)] == [3]


def test_every_row_is_whole_and_says_what_measured_it() -> None:
    for name, row in TOLERANCES.items():
        assert row.unit in UNITS, name
        assert row.value >= 0, name
        assert len(row.reason) > 10 or name.startswith("relu"), name
        assert re.search(r"\d", row.measured) or "not measured here" in row.measured or "print" in row.measured, name


def test_every_row_is_used() -> None:
    sources = "\n".join(file.read_text(encoding="utf-8") for file in COMPARING if file.name != "tolerances.py")
    for name in TOLERANCES:
        stem = name.partition("/")[0]
        built = "{name}" in sources and f'"{stem.removesuffix(" of long rows")}"' in sources
        assert f'"{name}"' in sources or f'"{stem}/' in sources or built, f"no test names the row {name!r}"


@pytest.mark.parametrize(
    ("unit", "expected", "bound"),
    [
        ("ulp", [1.0, -3.0, 0.0], [2.0**-22, 2.0**-21, 2.0**-148]),
        ("ulp of the max", [1.0, -3.0, 0.0], [2.0**-21] * 3),
        ("relative", [1.0, -3.0, 0.0], [2.0, 6.0, 0.0]),
        ("relative above 1", [0.5, -3.0, 0.0], [2.0, 6.0, 2.0]),
        ("of the max", [1.0, -3.0, 0.0], [6.0] * 3),
        ("absolute", [1.0, -3.0, 0.0], [2.0] * 3),
    ],
)
def test_bounds_by_unit(unit: str, expected: list[float], bound: list[float]) -> None:
    row = Tolerance(2, unit, "", "")
    assert row.bound(np.array(expected), np.float32).tolist() == bound
    inside, outside = (np.float32(np.array(expected)[:2] + np.array(bound)[:2] * share) for share in (0.5, 1.5))
    asserts.assert_close(inside, np.float32(expected[:2]), row)
    with pytest.raises(AssertionError, match="outside 2"):
        asserts.assert_close(outside, np.float32(expected[:2]), row)


def test_the_watch_sees_every_comparison_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asserts, "error_and_bound", asserts.error_and_bound)  # put back afterwards
    watch, row = tolerances.Watch(), TOLERANCES["dropout"]
    watch.pytest_configure()
    asserts.assert_close(np.array([1.0 + 2.0**-52, 1.0]), np.array([1.0, 1.0]), row)
    with pytest.raises(AssertionError):
        asserts.assert_close(2.0, 1.0, row)
    assert watch.comparisons == {id(row): 2}
    assert watch.shares[id(row)] * row.value == 1
    (line,) = tolerances.rows(watch, only_used=True)
    assert line[0] == "dropout"
    assert line[-1] == "1 of 2"


def test_the_page_shows_this_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    table = page.split("<!-- tolerances:begin -->")[1].split("<!-- tolerances:end -->")[0]
    shown = [[cell.strip() for cell in line.split("|")[1:5]] for line in table.strip().splitlines()[2:]]
    made = [[name, f"{row.value:g} {row.unit}", row.reason, row.measured] for name, row in TOLERANCES.items()]
    assert shown == made, "python -m tools measure tolerances --write-docs"
