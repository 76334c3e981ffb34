"""Trusted numbers for checking a port: traces, their float32 noise, comparison, single operations, golden packs.

In reading order:
    tracing      record every named array of a run
    noise        how far correct float32 programs lie apart, and errors in units of that
    comparison   the first point at which a port diverges, and why
    single_ops   every operation alone, fed with recorded inputs
    packs        folders of golden data for ports
    explained    a trace as a page, and where a second one parts from it
    exercises    functions of the model for readers to write, and their grader
    published, folder_report     what is known of the published model, and whether a folder holds it
"""

from npblender.groundtruth.comparison.compare import compare, compare_refed
from npblender.groundtruth.comparison.findings import PointReport, Report
from npblender.groundtruth.explained import explain_trace
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
    "explain_trace",
    "record",
    "refed",
    "score",
    "trace",
]
