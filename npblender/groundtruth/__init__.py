"""Numbers that a port is checked against: traces, their units of noise, comparison, golden packs."""

from npblender.groundtruth.comparison.compare import compare, compare_refed
from npblender.groundtruth.comparison.findings import PointReport, Report
from npblender.groundtruth.noise.units import Noise, Score, diverged, score
from npblender.groundtruth.single_ops.refed import Refed, refed
from npblender.groundtruth.tracing.inputs import TraceInputs
from npblender.groundtruth.tracing.record import record, trace
from npblender.groundtruth.tracing.trace_file import Trace

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
