"""Compares two runs of one port on the same inputs: what differs between them is a race or memory not written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from npblender.groundtruth.tracing.points import causal_order
from npblender.groundtruth.tracing.trace_file import Trace


@dataclass(frozen=True)
class RunsReport:
    """The points that differ between two runs, in causal order where it is known, with how many values do."""

    points: int  # that both have
    differing: tuple[tuple[str, int, int], ...]  # name, values that differ, values
    only_one: tuple[str, ...]  # names that one of the two lacks

    @property
    def exit_code(self) -> int:
        """0: the same bits; 1: not; 2: nothing to compare."""
        return 1 if self.differing or self.only_one else 0 if self.points else 2

    def lines(self) -> list[str]:
        """The report as text."""
        if not self.points:
            return ["the two runs have no point in common"]
        if not self.exit_code:
            return [f"THE SAME: {self.points:,} points, bit by bit"]
        lines = []
        if self.differing:
            first = self.differing[0]
            lines.append(f"NOT THE SAME from {first[0]} on: {len(self.differing):,} of {self.points:,} points differ")
            lines.append("  a race, or memory that was not written: one port gives one result for the same inputs")
            lines += [f"  {name}: {wrong:,} of {total:,} values" for name, wrong, total in self.differing[:12]]
        if self.only_one:
            lines.append(f"  {len(self.only_one):,} names are in one run only: {', '.join(self.only_one[:8])}")
        return lines


def compare_runs(first: Trace, second: Trace) -> RunsReport:
    """Compare two runs bit by bit. NaN equals NaN, -0 does not equal 0.

    >>> one = Trace({"encoder.states": np.zeros(3), "logits": np.ones(2)})
    >>> compare_runs(one, Trace({"logits": np.array([1.0, 2.0]), "encoder.states": np.zeros(3)})).lines()[0]
    'NOT THE SAME from logits on: 1 of 2 points differ'
    """
    common = [name for name in first.arrays if name in second.arrays]
    differing = []
    for name in causal_order(common) or common:
        a, b = first.arrays[name], second.arrays[name]
        if a.shape != b.shape or a.dtype != b.dtype:
            differing.append((name, max(a.size, b.size), max(a.size, b.size)))
            continue
        same = (a == b) & (np.signbit(a) == np.signbit(b)) | ((a != a) & (b != b)) if a.dtype.kind == "f" else a == b
        if not same.all():
            differing.append((name, int((~same).sum()), a.size))
    lone = [name for name in (*first.arrays, *second.arrays) if name not in common]
    return RunsReport(len(common), tuple(differing), tuple(lone))
