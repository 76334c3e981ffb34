"""A comparison for people at a terminal, and for programs as one JSON object.

`as_json` holds everything, `as_text` what helps to find the fault: the first point that diverges, in full, and the rest
in brief. The picture is in `webpage`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from npblender.chat.display import printable
from npblender.groundtruth.causes import causes_of
from npblender.groundtruth.findings import PointReport, Report, Side
from npblender.groundtruth.units import DIVERGED

__all__ = ["FORMAT", "VERSION", "as_json", "as_text", "failure_as_json", "short"]

FORMAT, VERSION = "npblender-comparison", 1

MOST_AFTER = 12
"""Points after the first divergence that a text lists."""

MOST_NAMES = 8
"""Names that a line of a text lists."""


def number(value: float) -> float | str:
    """A number as JSON can hold it: infinity and NaN, which it lacks, as texts.

    >>> number(0.5), number(float("-inf")), number(float("nan"))
    (0.5, '-Infinity', 'NaN')
    """
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _side(side: Side) -> dict[str, Any]:
    return {"source": side.source, "dtype": side.dtype, "dialect": side.dialect, "points": side.points}


def _point(point: PointReport) -> dict[str, Any]:
    """One point; the keys of its score are null where it has none."""
    found: dict[str, Any] = {
        "name": point.name,
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
    measures = ("units", "worst", "worst_limit", "reference_value", "mine_value", "max_error", "rms_error")
    counts = ("values", "reference_nan", "mine_nan", "reference_infinite", "mine_infinite")
    found |= {name: None if score is None else number(getattr(score, name)) for name in measures}
    found |= {name: None if score is None else getattr(score, name) for name in counts}
    index = None if score is None or score.worst_index is None else list(score.worst_index)
    histogram = () if score is None else score.ulp_histogram
    noise = None if score is None else {"rms": score.noise.rms, "max": score.noise.max, "measured": score.measured}
    bins = [{"up_to": number(bound), "values": count} for bound, count in histogram]
    return found | {"worst_index": index, "ulp_histogram": bins, "noise": noise}


def as_json(report: Report) -> dict[str, Any]:
    """The report as one object that JSON can hold: see `docs/porting.md` for its keys.

    >>> from npblender.groundtruth.comparison import compare
    >>> found = as_json(compare({"logits": [1.0]}, {"logits": [2.0]}))
    >>> found["verdict"], found["first_divergence"], found["exit_code"]
    ('diverged', 'logits', 1)
    """
    first = report.first
    return {
        "format": FORMAT,
        "version": VERSION,
        "verdict": "within noise" if first is None else "diverged",
        "exit_code": 0 if first is None else 1,
        "error": None,
        "first_divergence": report.first_divergence,
        "last_good": None if report.last_good is None else report.last_good.name,
        "unseen": list(report.unseen),
        "causes": [] if first is None else list(causes_of(first.name)),
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
    """The same object where nothing could be compared: no points, and the reason.

    >>> failure_as_json("there is no file 'x'", 2)["verdict"]
    'not comparable'
    """
    lists = ("unseen", "causes", "diverged", "missing", "surplus", "unmatched_patterns", "notes", "points")
    nothing = {"first_divergence": None, "last_good": None, "reference": None, "mine": None, "noise_measured": None}
    head = {"format": FORMAT, "version": VERSION, "verdict": "not comparable", "exit_code": exit_code, "error": error}
    return head | nothing | {"compared": 0} | {name: [] for name in lists}


def short(value: float) -> str:
    """A measure in a few characters.

    >>> short(0.98765), short(123456.0), short(3e9), short(float("inf"))
    ('0.988', '123,456', '3.00e+09', 'infinite')
    """
    if not math.isfinite(value):
        return "infinite" if value > 0 else "NaN"
    if value >= 1e7:
        return f"{value:.2e}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def as_text(report: Report) -> str:
    """The report for a terminal, lines without an end. Names are shown so that they can not steer the terminal.

    >>> from npblender.groundtruth.comparison import compare
    >>> print(as_text(compare({"logits": [1.0, 2.0]}, {"logits": [1.0, 2.0]})))
    WITHIN NOISE: all 1 compared points
      largest error  0 units rms at logits
      note           the noise of the reference was not measured: 4 float32 ulps stand in for it
    """
    return "\n".join(map(printable, _lines(report)))


def _lines(report: Report) -> Iterator[str]:
    first = report.first
    if first is None:
        yield f"WITHIN NOISE: all {len(report.compared)} compared points"
        largest = max(report.compared, key=lambda point: 0.0 if point.score is None else point.score.units)
        assert largest.score is not None, "what agrees has a score"
        yield f"  {'largest error':14} {short(largest.score.units)} units rms at {largest.name}"
    else:
        yield f"DIVERGED at {first.name}"
        yield from _first(first)
        yield from _before(report)
        yield from _after(report)
    yield from _readings(report)
    yield from _entry("missing", report.missing, "points of the reference that are not there")
    yield from _entry("surplus", report.surplus, "names that are no point of the reference")
    yield from _entry("unmatched", report.unmatched_patterns, "entries of the table of names that nothing fits")
    notes = list(report.notes)
    if not report.noise_measured:
        notes.append("the noise of the reference was not measured: 4 float32 ulps stand in for it")
    for note in notes:
        yield f"  {'note':14} {note}"


def _reading(point: PointReport) -> str:
    """How mine was read, where it was not taken as it is."""
    said = [] if point.layout is None or (point.score is not None and point.score.values < 2) else [point.layout]
    if point.factor != 1.0:
        said.append(f"times {point.factor:.6g}, for it was not yet divided by sqrt(K)")
    if point.hidden:
        said.append(f"{point.hidden:,} hidden scores by another number than the reference's")
    return "; ".join(said)


def _readings(report: Report) -> Iterator[str]:
    """The points that were not taken as they are, but for the first divergence, which has a line of its own."""
    groups: dict[str, list[str]] = {}
    for point in report.compared:
        if point is not report.first and _reading(point):
            groups.setdefault(_reading(point), []).append(point.name)
    for reading, names in groups.items():
        more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        yield f"  {'read as':14} {reading}: {names[0]}{more}"


def _entry(title: str, names: Sequence[str], about: str = "") -> Iterator[str]:
    """A line of names, cut where there are many."""
    if names:
        more = f", and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
        head = f"{len(names):,} {about}: " if about else ""
        yield f"  {title:14} {head}{', '.join(names[:MOST_NAMES])}{more}"


def _first(point: PointReport) -> Iterator[str]:
    """The first point that diverges, in full."""
    score = point.score
    shape = list(point.reference_shape)
    if score is None:
        yield f"  {'shape':14} {list(point.mine_shape or ())}, and the reference has {shape}: no known layout fits"
    else:
        rms, worst = short(score.units), short(score.worst)
        yield f"  {'error':14} {rms} units rms (noise up to {DIVERGED:g}){', a bug' if point.is_bug else ''}"
        yield f"  {'worst':14} {worst} units (noise up to {score.worst_limit:g}) at {list(score.worst_index or ())}"
        yield f"  {'values there':14} reference {score.reference_value:.9g}, mine {score.mine_value:.9g}"
        yield f"  {'absolute':14} max {score.max_error:.3g}, rms {score.rms_error:.3g}; a unit is {score.noise.rms:.3g}"
        bins = [f"{count:,} to {bound:g}" for bound, count in score.ulp_histogram if count and math.isfinite(bound)]
        beyond = score.ulp_histogram[-1][1]
        shown = ", ".join([*bins, f"{beyond:,} beyond"] if beyond else bins)
        yield f"  {'ulps':14} {score.values:,} values: {shown}"
        for kind in ("nan", "infinite"):
            theirs, mine = getattr(score, f"reference_{kind}"), getattr(score, f"mine_{kind}")
            if theirs or mine:
                yield f"  {'NaN' if kind == 'nan' else kind:14} {mine:,} values, {theirs:,} in the reference"
    if point.mine_name != point.name:
        yield f"  {'from':14} {point.mine_name}"
    if point.mine_dtype not in ("float32", "float64"):
        yield f"  {'dtype':14} {point.mine_dtype}, the reference is {point.reference_dtype}"
    if _reading(point):
        yield f"  {'read as':14} {_reading(point)}"
    for remark in point.remarks:
        yield f"  {'remark':14} {remark}"
    for cause in causes_of(point.name):
        yield f"  {'usual cause':14} {cause}"


def _before(report: Report) -> Iterator[str]:
    if report.last_good is None:
        yield f"  {'before it':14} nothing that was compared"
    else:
        assert report.first is not None
        good = [point for point in report.points[: report.points.index(report.first)] if point.score is not None]
        yield f"  {'before it':14} {len(good):,} points within noise, the last {report.last_good.name}"
    yield from _entry("unseen", report.unseen, "points in between were not given, the fault may lie there")


def _after(report: Report) -> Iterator[str]:
    """The points after the first divergence, in brief."""
    assert report.first is not None
    after = [point for point in report.points[report.points.index(report.first) + 1 :] if point.status != "missing"]
    wrong = [point for point in after if point.status == "diverged"]
    if not after:
        yield f"  {'after it':14} nothing that was compared"
        return
    yield f"  {'after it':14} {len(wrong):,} of {len(after):,} points diverged"
    width = max(len(point.name) for point in after[:MOST_AFTER])
    for point in after[:MOST_AFTER]:
        measure = "another shape" if point.score is None else f"{short(point.score.units):>9} units"
        yield f"    {point.name:{width}} {measure}{'' if point.status == 'diverged' else '  within noise'}"
    if len(after) > MOST_AFTER:
        yield f"    and {len(after) - MOST_AFTER:,} more, which --json and --html have"
