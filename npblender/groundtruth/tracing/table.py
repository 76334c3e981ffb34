"""Prints a trace as a table: one line a point, with its shape and the range of its values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.groundtruth.tracing.trace_file import Trace

HEADINGS = ("name", "shape", "mean", "std", "min", "max")


def statistics(array: NDArray[Any]) -> tuple[float, float, float, float]:
    """Compute mean, standard deviation (of the population), minimum and maximum; NaN if there are no values.

    >>> statistics(np.array([1.0, 2.0, 3.0, 6.0]))
    (3.0, 1.8708286933869707, 1.0, 6.0)
    """
    if array.size == 0:
        return (float("nan"),) * 4
    wide = array.astype(np.longdouble)  # sums and squares of float64's lowest number, which hides scores, fit
    with np.errstate(all="ignore"):
        return float(wide.mean()), float(wide.std()), float(array.min()), float(array.max())


def trace_table(trace: Trace) -> str:
    """Format the table: name, shape, mean, std, min, max, and the noise's rms where it was measured.

    >>> print(trace_table(Trace({"logits": np.array([[1.0, -2.0]])})))
    name    shape   mean  std  min  max
    logits  [1, 2]  -0.5  1.5   -2    1
    """
    rows = [HEADINGS + (("noise",) if trace.noise else ())]
    for name, array in trace.arrays.items():
        row = [name, f"[{', '.join(map(str, array.shape))}]", *(f"{value:.6g}" for value in statistics(array))]
        if trace.noise:
            row.append(f"{trace.noise[name].rms:.3g}" if name in trace.noise else "-")
        rows.append(tuple(row))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) if column < 2 else cell.rjust(width) for column, (cell, width) in cells)
        for cells in (list(enumerate(zip(row, widths, strict=True))) for row in rows)
    )
