"""Writes a comparison for programs: one JSON object, of the same keys where nothing could be compared."""

from __future__ import annotations

import math
from typing import Any

from npblender.groundtruth.comparison.causes import likely_causes
from npblender.groundtruth.comparison.findings import PointReport, Report, Side

FORMAT, VERSION = "npblender-comparison", 1


def number(value: float) -> float | str:
    """Convert a number for JSON, which lacks infinity and NaN: they become texts.

    >>> number(0.5), number(float("-inf")), number(float("nan"))
    (0.5, '-Infinity', 'NaN')
    """
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _side(side: Side) -> dict[str, Any]:
    return {"source": side.source, "dtype": side.dtype, "dialect": side.dialect, "points": side.points}


def _point(point: PointReport) -> dict[str, Any]:
    """Convert one point; the keys of its score are null where it has none."""
    found: dict[str, Any] = {
        "name": point.name,
        "op": point.op,
        "status": point.status,
        "mine_name": point.mine_name,
        "reference_shape": list(point.reference_shape),
        "mine_shape": None if point.mine_shape is None else list(point.mine_shape),
        "reference_dtype": point.reference_dtype,
        "mine_dtype": point.mine_dtype,
        "layout": point.layout,
        "factor": point.factor,
        "hidden": point.hidden,
        "remarks": list(point.remarks),
    }
    score = point.score
    measures = (
        "units",
        "units_limit",
        "worst",
        "worst_limit",
        "reference_value",
        "mine_value",
        "max_error",
        "rms_error",
    )
    counts = ("values", "reference_nan", "mine_nan", "reference_infinite", "mine_infinite")
    found |= {name: None if score is None else number(getattr(score, name)) for name in measures}
    found |= {name: None if score is None else getattr(score, name) for name in counts}
    index = None if score is None or score.worst_index is None else list(score.worst_index)
    histogram = () if score is None else score.ulp_histogram
    noise = None if score is None else {"rms": score.noise.rms, "max": score.noise.max, "measured": score.measured}
    bins = [{"up_to": number(bound), "values": count} for bound, count in histogram]
    return found | {"worst_index": index, "ulp_histogram": bins, "noise": noise}


def as_json(report: Report) -> dict[str, Any]:
    """Convert the report to one JSON object.

    `verdict` is "within noise", "diverged", "borderline", "incomplete" or "not comparable", which is `exit_code` 0, 1,
    3, 2 or 2 (130: interrupted), with the reason in `error`. `first_divergence` is a point or null; `last_good` the
    last before it that agrees; `unseen` the points between them that mine lacks, `thin` those that the reference lacks;
    `borderline` the points before it that are as far off as plain float32 loops may be; `lacking` the points that had
    to be there and are missing; `causes` what usually goes wrong there. `points` has an object for every point of the
    reference, in causal order, with the fields of `PointReport` and of its `Score`; infinity and NaN are the texts
    "Infinity", "-Infinity" and "NaN".

    >>> from npblender.groundtruth.comparison.compare import compare
    >>> found = as_json(compare({"logits": [1.0]}, {"logits": [2.0]}))
    >>> found["verdict"], found["first_divergence"], found["exit_code"]
    ('diverged', 'logits', 1)
    """
    first = report.first
    return {
        "format": FORMAT,
        "version": VERSION,
        "verdict": report.verdict,
        "exit_code": report.exit_code,
        "error": f"{len(report.lacking)} points are missing" if report.verdict == "incomplete" else None,
        "refed": report.refed,
        "first_divergence": report.first_divergence,
        "last_good": None if report.last_good is None else report.last_good.name,
        "unseen": list(report.unseen),
        "thin": list(report.thin),
        "borderline": [point.name for point in report.borderline],
        "lacking": list(report.lacking),
        "causes": list(likely_causes(first)),
        "reference": _side(report.reference),
        "mine": _side(report.mine),
        "noise_measured": report.noise_measured,
        "compared": len(report.compared),
        "diverged": [point.name for point in report.diverged],
        "missing": list(report.missing),
        "surplus": list(report.surplus),
        "unmatched_patterns": list(report.unmatched_patterns),
        "notes": list(report.notes),
        "points": [_point(point) for point in report.points],
    }


def failure_as_json(error: str, exit_code: int) -> dict[str, Any]:
    """Make the same object where nothing could be compared: no points, and the reason.

    >>> failure_as_json("there is no file 'x'", 2)["verdict"]
    'not comparable'
    """
    lists = (
        *("unseen", "thin", "borderline", "lacking", "causes", "diverged"),
        *("missing", "surplus", "unmatched_patterns", "notes", "points"),
    )
    nothing = {
        "refed": None,
        "first_divergence": None,
        "last_good": None,
        "reference": None,
        "mine": None,
        "noise_measured": None,
    }
    head = {"format": FORMAT, "version": VERSION, "verdict": "not comparable", "exit_code": exit_code, "error": error}
    return head | nothing | {"compared": 0} | {name: [] for name in lists}
