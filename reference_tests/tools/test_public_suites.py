"""The table of what the originals' public suites check: its tests exist, and it counts what it says."""

import ast
from pathlib import Path

import pytest

from tools.differential.public_suites import AREAS, Property, table, verdicts

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_every_test_of_the_table_is_there() -> None:
    for properties in AREAS.values():
        for each in properties:
            assert each.tests or not each.instead, each.what
            for test in each.tests:
                path, name = test.split("::")
                tree = ast.parse((ROOT / "reference_tests" / path).read_text(encoding="utf-8"))
                assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, test


PRINTED = """
PASSED reference_tests/a/test_b.py::test_c[1]
PASSED reference_tests/a/test_b.py::test_c[2]
FAILED reference_tests/a/test_b.py::test_d[x] - AssertionError: no
PASSED reference_tests/a/test_b.py::test_d[y]
SKIPPED [1] reference_tests/a/test_b.py:17: needs the published files
"""


def test_what_pytest_prints_is_read() -> None:
    assert verdicts(PRINTED) == {"a/test_b.py::test_c": "pass", "a/test_b.py::test_d": "fail"}


def test_counts() -> None:
    nodes = {test for properties in AREAS.values() for each in properties for test in each.tests}
    everything = table(dict.fromkeys(nodes, "pass"))
    nothing = table({})
    total = sum(map(len, AREAS.values()))
    opened = sum(not each.tests for properties in AREAS.values() for each in properties)
    purposes = sum(bool(each.instead) for properties in AREAS.values() for each in properties)
    totals = [line for text in (everything, nothing) for line in text.split("\n") if line.startswith("| all ")]
    numbers = [[int(cell) for cell in line.split("|")[2:-1]] for line in totals]
    assert numbers == [[total, total - opened - purposes, purposes, opened], [total, 0, 0, total]]
    assert Property("x").tests == ()
