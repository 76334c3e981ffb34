"""Runs the tests and measures how much of each row of the tolerance table they use; prints the table.

    python -m tools measure tolerances                  # all tests, with the table of support/tolerances.py
    python -m tools measure tolerances --write-docs     # and put it into docs/numbers-you-can-trust.md
    python -m tools measure tolerances reference_tests/ops/test_erf.py    # only some: the rows that they use

Every comparison of the tests within a row goes through `asserts.error_and_bound`; here it is watched while pytest runs.
The last column is the largest error that was seen, in the row's unit. A row that no comparison used is named, and is an
error where all tests ran or the table is to be written, unless its tests need what is not in the repository.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from reference_tests.support import asserts
from reference_tests.support.tolerances import TOLERANCES, Tolerance
from tools import ROOT
from tools.docs.tables import markdown, write_between_markers

PAGE = ROOT / "docs" / "numbers-you-can-trust.md"
MARKED = "tolerances"
ELSEWHERE = frozenset({"published scores", "float32 against transformers", "float64 against longdouble at every point"})
"""Rows of tests that need the real weights, of comparisons that need an original, and of a test that judges scores by
the terms that they sum."""


class Watch:
    """A pytest plugin that remembers the largest share of each row's bound."""

    def __init__(self) -> None:
        self.shares: dict[int, float] = {}
        self.comparisons: dict[int, int] = {}
        self.judge = asserts.error_and_bound

    def pytest_configure(self) -> None:
        asserts.error_and_bound = self.watched

    def watched(self, actual: Any, expected: Any, tolerance: Tolerance) -> tuple[Any, Any]:
        error, bound = self.judge(actual, expected, tolerance)
        if np.all(error <= bound):  # a failure that a test expects is no measurement
            off = np.asarray(error) > 0
            share = float((error[off] / bound[off]).max()) if off.any() else 0.0
            self.shares[id(tolerance)] = max(self.shares.get(id(tolerance), 0.0), share)
            self.comparisons[id(tolerance)] = self.comparisons.get(id(tolerance), 0) + np.size(error)
        return error, bound


def rows(watch: Watch, *, only_used: bool) -> Iterator[list[str]]:
    """The table, a line a row: name, value and unit, reason, measurement, and what was seen now."""
    for name, row in TOLERANCES.items():
        used = id(row) in watch.shares
        if used or not only_used:
            seen = f"{watch.shares[id(row)] * row.value:.2g} of {watch.comparisons[id(row)]:,}" if used else "-"
            yield [name, f"{row.value:g} {row.unit}", row.reason, row.measured, seen]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tests", nargs="*", help="test files (all of them)")
    parser.add_argument("--write-docs", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    watch = Watch()
    paths = options.tests or [str(ROOT / "reference_tests")]
    status = pytest.main(["-q", "-p", "no:cacheprovider", *paths], plugins=[watch])
    header = ["row", "bound", "reason", "measured by", "largest in the tests, of how many values"]
    table = markdown(header, list(rows(watch, only_used=bool(options.tests) and not options.write_docs)))
    print(table)
    unused = [name for name, row in TOLERANCES.items() if id(row) not in watch.shares and name not in ELSEWHERE]
    if unused and (options.write_docs or not options.tests):
        print(f"no test uses: {', '.join(unused)}", file=sys.stderr)
        return 1
    if options.write_docs and status == 0:
        write_between_markers(PAGE, MARKED, table)
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
