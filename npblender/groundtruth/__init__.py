"""Numbers that a port is checked against: traces, their units of noise, comparison, golden packs."""

from npblender.groundtruth.comparison import compare, compare_refed
from npblender.groundtruth.findings import PointReport, Report
from npblender.groundtruth.inputs import TraceInputs
from npblender.groundtruth.recording import record, trace
from npblender.groundtruth.refed import Refed, refed
from npblender.groundtruth.tracefile import Trace
from npblender.groundtruth.units import Noise, Score, diverged, score

__all__ = [
    "Noise",
    "PointReport",
    "Refed",
    "Report",
    "Score",
    "Trace",
    "TraceInputs",
    "compare",
    "compare_refed",
    "diverged",
    "record",
    "refed",
    "score",
    "trace",
]
