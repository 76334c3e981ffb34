"""Writes a comparison for programs: one JSON object, of the same keys where nothing could be compared."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

from npblender.groundtruth.comparison.causes import likely_causes
from npblender.groundtruth.comparison.findings import PointReport, Report, Side
from npblender.groundtruth.noise.units import Score

FORMAT, VERSION = "npblender-comparison", 1
NOWHERE = Side("", None, None, 0)


def number(value: float) -> float | str:
    """Convert a number for JSON, which lacks infinity and NaN: they become texts.

    >>> number(0.5), number(float("-inf")), number(float("nan"))
    (0.5, '-Infinity', 'NaN')
    """
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _fields(record: Any, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of a record, tuples as lists and numbers as JSON has them."""
    found = {}
    for name, value in vars(record).items():
        if name not in without:
            found[name] = list(value) if isinstance(value, tuple) else value
            found[name] = number(value) if isinstance(value, float) else found[name]
    return found


def _point(point: PointReport) -> dict[str, Any]:
    """Convert one point; the keys of its score are null where it has none."""
    score, own = point.score, ("noise", "measured", "alone", "ulp_histogram")
    if score is None:
        nothing = {field.name: None for field in fields(Score) if field.name not in own}
        return _fields(point, ("score",)) | nothing | {"ulp_histogram": [], "noise": None}
    noise = {"rms": score.noise.rms, "max": score.noise.max, "measured": score.measured}
    bins = [{"up_to": number(bound), "values": count} for bound, count in score.ulp_histogram]
    return _fields(point, ("score",)) | _fields(score, own) | {"ulp_histogram": bins, "noise": noise}


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
    lists = ("unseen", "thin", "lacking", "missing", "surplus", "unmatched_patterns", "notes")
    return {
        **{"format": FORMAT, "version": VERSION, "verdict": report.verdict, "exit_code": report.exit_code},
        "error": f"{len(report.lacking)} points are missing" if report.verdict == "incomplete" else None,
        "first_divergence": report.first_divergence,
        "last_good": None if report.last_good is None else report.last_good.name,
        **{"refed": report.refed, "noise_measured": report.noise_measured},
        **{name: list(getattr(report, name)) for name in lists},
        "borderline": [point.name for point in report.borderline],
        "causes": list(likely_causes(report.first)),
        "reference": _fields(report.reference),
        "mine": _fields(report.mine),
        "compared": len(report.compared),
        "diverged": [point.name for point in report.diverged],
        "points": [_point(point) for point in report.points],
    }


def failure_as_json(error: str, exit_code: int) -> dict[str, Any]:
    """Make the same object where nothing could be compared: no points, and the reason.

    >>> failure_as_json("there is no file 'x'", 2)["verdict"]
    'not comparable'
    """
    nothing = as_json(Report(NOWHERE, NOWHERE, ()))
    unknown = dict.fromkeys(("refed", "reference", "mine", "noise_measured"))
    return nothing | unknown | {"verdict": "not comparable", "exit_code": exit_code, "error": error}
