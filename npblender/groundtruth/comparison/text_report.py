"""Writes a comparison for the terminal: the first point that diverges in full, and the rest in brief."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from npblender.common.printable import printable
from npblender.groundtruth.comparison.causes import likely_causes
from npblender.groundtruth.comparison.commands import globs_of, needs_file, trace_command
from npblender.groundtruth.comparison.findings import PointReport, Report, points_before
from npblender.groundtruth.noise.units import FALLBACK_ULPS

MOST_AFTER = 12
"""How many points after the first divergence are listed."""

MOST_FULL = 5
"""How many single operations are described in full."""

MOST_NAMES = 8
"""How many names a line lists."""


def short(value: float) -> str:
    """Write a measure in a few characters.

    >>> short(0.98765), short(123456.0), short(3e9), short(float("inf"))
    ('0.988', '123,456', '3.00e+09', 'infinite')
    """
    if not math.isfinite(value):
        return "infinite" if value > 0 else "NaN"
    if value >= 1e7:
        return f"{value:.2e}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def as_text(report: Report) -> str:
    """Format the report, lines without a final newline. Control characters in names are escaped.

    >>> from npblender.groundtruth.comparison.compare import compare
    >>> print(as_text(compare({"logits": [1.0, 2.0]}, {"logits": [1.0, 2.0]})))
    WITHIN NOISE: 1 of 1 points compared
      largest error  0 units rms at logits
      note           the noise of the reference was not measured: 16 float32 ulps stand in for it
    """
    return "\n".join(map(printable, _lines(report)))


def _lines(report: Report) -> Iterator[str]:
    first = report.first
    things = "operations" if report.refed else "points"
    counted = f"{len(report.compared):,} of {len(report.points):,} {things} compared"
    if first is None:
        if report.verdict == "incomplete":
            yield f"INCOMPLETE: {counted}, and what was compared is within noise"
            names = ", ".join(report.lacking[:MOST_NAMES]) + (", ..." if len(report.lacking) > MOST_NAMES else "")
            missing = f"{len(report.lacking):,} points are missing ({names})"
            yield f"  {'why':14} {missing}; --require GLOB says which ones are enough"
        elif report.verdict == "borderline":
            yield f"BORDERLINE at {report.borderline[0].name}: {counted}"
        else:
            yield f"WITHIN NOISE: {counted}"
        largest = max(report.compared, key=lambda point: 0.0 if point.score is None else point.score.units)
        assert largest.score is not None, "what agrees has a score"
        yield f"  {'largest error':14} {short(largest.score.units)} units rms at {largest.name}"
        yield from _borderline(report)
    elif report.refed:
        yield f"DIVERGED in {len(report.diverged):,}: {counted}, each from the reference's inputs"
        for point in report.diverged[:MOST_FULL]:
            yield f"{point.name} ({point.op})"
            yield from _first(point)
        yield from _entry("diverged, too", [point.name for point in report.diverged[MOST_FULL:]])
    else:
        yield f"DIVERGED at {first.name}: {counted}"
        yield from _first(first)
        yield from _before(report)
        yield from _borderline(report)
        yield from _after(report)
    yield from _by_op(report)
    yield from _readings(report)
    odd = [point for point in report.compared if _is_odd(point) and point is not report.first]
    for dtype in dict.fromkeys(str(point.mine_dtype) for point in odd):
        yield from _entry("dtype", [point.name for point in odd if point.mine_dtype == dtype], f"points in {dtype}")
    yield from _entry("missing", report.missing, "points of the reference that are not there")
    yield from _entry("surplus", report.surplus, "names that are no point of the reference")
    yield from _entry("unmatched", report.unmatched_patterns, "entries of the table of names that nothing fits")
    notes = list(report.notes)
    if not report.noise_measured:
        notes.append(f"the noise of the reference was not measured: {FALLBACK_ULPS:g} float32 ulps stand in for it")
    for note in notes:
        yield f"  {'note':14} {note}"


def _borderline(report: Report) -> Iterator[str]:
    """List the borderline points, with the command that decides whether they are rounding."""
    points = report.borderline
    if not points:
        return
    for point in points[:MOST_FULL]:
        score = point.score
        assert score is not None
        size = f"{short(score.units)} units rms, worst {short(score.worst)} of {score.worst_limit:.3g}"
        yield f"  {'borderline':14} {point.name}: {size}"
    yield from _entry("borderline, too", [point.name for point in points[MOST_FULL:]])
    later = "" if report.first is None else ", or here, since a later point diverges"
    yield f"  {'':14} as far as a plain float32 loop may be; look here only if a later point diverges{later}"
    command = trace_command(report.inputs, "--refed", "--out", "CASES.safetensors")
    yield f"  {'':14} decided by: {command}; npblender compare --refed CASES.safetensors ANSWERS{needs_file(command)}"


def _by_op(report: Report) -> Iterator[str]:
    """Write the largest error of each kind of single operation."""
    kinds: dict[str, list[PointReport]] = {}
    for point in report.compared:
        if point.op is not None:
            kinds.setdefault(point.op, []).append(point)
    for op, points in kinds.items():
        worst = max(points, key=lambda point: math.inf if point.score is None else point.score.units)
        units = "another shape" if worst.score is None else f"{short(worst.score.units)} units rms"
        wrong = sum(point.status == "diverged" for point in points)
        yield f"  {op:14} {wrong:,} of {len(points):,} diverged; largest error {units} at {worst.name}"


def _reading(point: PointReport) -> str:
    """Say how mine was read, unless it was compared as it is."""
    said = [] if point.layout is None or (point.score is not None and point.score.values < 2) else [point.layout]
    if point.factor != 1.0:
        said.append(f"times {point.factor:.6g}, for it was not yet divided by sqrt(K)")
    if point.hidden:
        said.append(f"{point.hidden:,} hidden scores by another number than the reference's")
    return "; ".join(said)


def _is_odd(point: PointReport) -> bool:
    """Whether mine has a dtype too narrow for the comparison: half precision, integers."""
    return point.mine_dtype != point.reference_dtype and point.mine_dtype not in ("float32", "float64")


def _readings(report: Report) -> Iterator[str]:
    """List the points that were not compared as they are, except the first divergence, which has its own line."""
    groups: dict[str, list[str]] = {}
    for point in report.compared:
        if point is not report.first and _reading(point):
            groups.setdefault(_reading(point), []).append(point.name)
    for reading, names in groups.items():
        more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        yield f"  {'read as':14} {reading}: {names[0]}{more}"


def _entry(title: str, names: Sequence[str], about: str = "") -> Iterator[str]:
    """Write a line of names, cut where there are many."""
    if names:
        more = f", and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
        head = f"{len(names):,} {about}: " if about else ""
        yield f"  {title:14} {head}{', '.join(names[:MOST_NAMES])}{more}"


def _first(point: PointReport) -> Iterator[str]:
    """Describe a point that diverges, in full."""
    score = point.score
    shape = list(point.reference_shape)
    if score is None:
        yield f"  {'shape':14} {list(point.mine_shape or ())}, and the reference has {shape}: no known layout fits"
    else:
        rms, worst = short(score.units), short(score.worst)
        yield f"  {'error':14} {rms} units rms (noise up to {score.units_limit:g}){', a bug' if point.is_bug else ''}"
        yield f"  {'worst':14} {worst} units (noise up to {score.worst_limit:.3g}) at {list(score.worst_index or ())}"
        yield f"  {'values there':14} reference {score.reference_value:.9g}, mine {score.mine_value:.9g}"
        one = f"{score.noise.rms:.3g}" if score.noise.rms else "half a float32 ulp: nothing is rounded here"
        yield f"  {'absolute':14} max {score.max_error:.3g}, rms {score.rms_error:.3g}; a unit is {one}"
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
    if _is_odd(point):
        yield f"  {'dtype':14} {point.mine_dtype}, the reference is {point.reference_dtype}"
    if _reading(point):
        yield f"  {'read as':14} {_reading(point)}"
    for remark in point.remarks:
        yield f"  {'remark':14} {remark}"
    for cause in likely_causes(point):
        yield f"  {'usual cause':14} {cause}"


def _before(report: Report) -> Iterator[str]:
    if report.last_good is None:
        yield f"  {'before it':14} nothing that was compared"
    else:
        good = [point for point in points_before(report) if point.score is not None]
        yield f"  {'before it':14} {len(good):,} points within noise, the last {report.last_good.name}"
    yield from _entry("unseen", report.unseen, "points in between were not given, the fault may lie there")
    yield from _entry("unseen", report.thin, "points in between are not in the reference, the fault may lie there")
    if report.thin:
        globs = [word for glob in globs_of(report.thin)[:4] for word in ("--points", f"'{glob}'")]
        command = trace_command(report.inputs, *globs, "--dtype", "float64", "--out", "MORE.safetensors")
        yield f"  {'':14} shown by: {command}{needs_file(command)}"


def _after(report: Report) -> Iterator[str]:
    """List the points after the first divergence, in brief."""
    after = [point for point in report.points[len(points_before(report)) + 1 :] if point.status != "missing"]
    wrong = [point for point in after if point.status == "diverged"]
    if not after:
        yield f"  {'after it':14} nothing that was compared"
        return
    yield f"  {'after it':14} {len(wrong):,} of {len(after):,} points diverged"
    width = max(len(point.name) for point in after[:MOST_AFTER])
    for point in after[:MOST_AFTER]:
        measure = "another shape" if point.score is None else f"{short(point.score.units):>9} units"
        yield f"    {point.name:{width}} {measure}{'' if point.status == 'diverged' else f'  {point.status}'}"
    if len(after) > MOST_AFTER:
        yield f"    and {len(after) - MOST_AFTER:,} more, which --json and --html have"
