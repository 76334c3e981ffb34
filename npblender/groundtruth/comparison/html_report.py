"""Writes a comparison as one HTML file: the error along the causal order as a picture, and every point in a table.

The file needs no network and no script; everything in it that comes from a trace is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

from npblender.common.printable import printable
from npblender.groundtruth.comparison.causes import likely_causes
from npblender.groundtruth.comparison.findings import PointReport, Report, readings
from npblender.groundtruth.comparison.text_report import as_text, short
from npblender.groundtruth.noise.units import BUG, DIVERGED
from npblender.groundtruth.tracing.points import split_step

STEP, HEIGHT, LEFT, TOP, BOTTOM = 11, 300, 64, 34, 30
LOWEST, HIGHEST = 0.01, 1e7

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --soft: #6b6b6b; --line: #d0d0d0; --paper: #ffffff; --good: #1b7f5c;
 --bad: #c02b2b; --gap: #a0a0a0 }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --soft: #a0a0a0; --line: #444; --paper: #161616;
 --good: #4fc396; --bad: #ff7b72; --gap: #777 } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: var(--ink);
 background: var(--paper) }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
.picture, .wide { overflow-x: auto }
pre { overflow-x: auto; padding: .8rem; border: 1px solid var(--line) }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .15rem .7rem .15rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
td.n { text-align: right } .diverged { color: var(--bad) } .missing { color: var(--soft) }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif } svg .grid { stroke: var(--line) }
svg .limit { stroke: var(--bad); stroke-dasharray: 4 3 } svg .first { stroke: var(--bad) }
svg .good { fill: var(--good) } svg .bad { fill: var(--bad) } svg .gap { fill: none; stroke: var(--gap) }
svg .edge { fill: none; stroke: var(--bad) }
"""


def _shown(text: str) -> str:
    """Escape a text for HTML and for attributes."""
    return escape(printable(text), quote=True)


def _height(units: float) -> float:
    """Compute the height at which a number of units is drawn, on a logarithmic scale, clipped at the edges."""
    if math.isnan(units):
        units = HIGHEST
    clipped = min(max(units, LOWEST), HIGHEST)
    part = math.log(clipped / LOWEST) / math.log(HIGHEST / LOWEST)
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - part)


def _section(name: str) -> str:
    """Name the part of the picture that a point belongs to."""
    step, bare = split_step(name)
    parts = bare.split(".")
    place = f"{parts[0]} {parts[2]}" if parts[1:2] == ["layers"] and len(parts) > 2 else parts[0]
    return f"{step.removesuffix('.')} {place}".strip()


def _picture(report: Report) -> Iterator[str]:
    """Draw the error in units over the points in causal order."""
    width = LEFT + STEP * max(len(report.points), 20) + 20
    yield f'<svg width="{width}" height="{HEIGHT}" viewBox="0 0 {width} {HEIGHT}" role="img">'
    yield "<title>rms error of each point in units of float32 noise, in causal order</title>"
    for exponent in range(-2, 8):
        y = _height(10.0**exponent)
        yield f'<line class="grid" x1="{LEFT}" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**exponent:g}</text>'
    for limit, name in ((DIVERGED, "diverged"), (BUG, "a bug")):
        y = _height(limit)
        yield f'<line class="limit" x1="{LEFT}" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{width - 4}" y="{y - 3:.1f}" text-anchor="end">{name}</text>'
    before, label_end = "", 0.0
    for place, point in enumerate(report.points):
        x = LEFT + STEP * (place + 0.5)
        section = _section(point.name)
        if section != before:
            edge = LEFT + STEP * place
            yield f'<line class="grid" x1="{edge}" x2="{edge}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
            if edge >= label_end:
                yield f'<text x="{edge + 2}" y="{HEIGHT - 10}">{_shown(section)}</text>'
                label_end = edge + 7 * len(section) + 8
            before = section
        if point.name == report.first_divergence:
            yield f'<line class="first" x1="{x}" x2="{x}" y1="{TOP - 8}" y2="{HEIGHT - BOTTOM}"/>'
            anchor = "end" if place > len(report.points) / 2 else "start"
            yield f'<text x="{x}" y="{TOP - 14}" text-anchor="{anchor}">first: {_shown(point.name)}</text>'
        yield _mark(point, x)
    yield "</svg>"


def _mark(point: PointReport, x: float) -> str:
    """Draw a dot for a point that was compared, an empty ring at the foot for one that is missing."""
    if point.status == "missing":
        kind, y, said = "gap", float(HEIGHT - BOTTOM), "missing"
    elif point.score is None:
        kind, y, said = "bad", _height(math.inf), "another shape"
    else:
        kind = {"diverged": "bad", "borderline": "edge"}.get(point.status, "good")
        y, said = _height(point.score.units), f"{short(point.score.units)} units rms, worst {short(point.score.worst)}"
    title = f"<title>{_shown(point.name)}: {_shown(said)}</title>"
    return f'<circle class="{kind}" cx="{x}" cy="{y:.1f}" r="3.5">{title}</circle>'


def _rows(report: Report) -> Iterator[str]:
    for point in report.points:
        score = point.score
        numbers = ["", "", "", ""]
        if score is not None:
            numbers = [short(score.units), short(score.worst), f"{score.max_error:.3g}", f"{score.noise.rms:.3g}"]
        said: list[str] = [point.status if point.status != "diverged" or score is not None else "another shape"]
        said += [*readings(point), *point.remarks]
        kind = {"diverged": "diverged", "borderline": "diverged", "missing": "missing"}.get(point.status, "good")
        shape = "&times;".join(map(str, point.reference_shape)) or "1"
        cells = "".join(f'<td class="n">{_shown(each)}</td>' for each in numbers)
        name, remarks = _shown(point.name), _shown("; ".join(said))
        yield f'<tr class="{kind}"><td>{name}</td><td>{shape}</td>{cells}<td>{remarks}</td></tr>'


def as_html(report: Report) -> str:
    """Format the whole file.

    >>> from npblender.groundtruth.comparison.compare import compare
    >>> page = as_html(compare({"<logits>": [1.0]}, {"<logits>": [2.0]}))
    >>> page.startswith("<!doctype html>"), "<logits>" in page, "&lt;logits&gt;" in page
    (True, False, True)
    """
    verdict = report.verdict if report.first is None else f"diverged at {report.first.name}"
    causes = likely_causes(report.first)
    lines = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>npblender compare: {_shown(verdict)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{_shown(verdict[0].upper() + verdict[1:])}</h1>",
        f"<p>Reference {_shown(report.reference.source)}; compared with it {_shown(report.mine.source)}.</p>",
        "<h2>Error in units of float32 noise, in causal order</h2>",
        '<div class="picture">',
        *_picture(report),
        "</div>",
        "<p>A dot is one point: 1 unit is usual for float32, beyond 10 it is diverged. Red rings are borderline, grey "
        "ones at the foot are points that were not given.</p>",
        *(["<h2>Usual causes</h2><ul>", *(f"<li>{_shown(cause)}</li>" for cause in causes), "</ul>"] if causes else []),
        "<h2>In words</h2>",
        f"<pre>{escape(as_text(report))}</pre>",
        "<h2>Every point</h2>",
        '<div class="wide"><table><tr><th>point</th><th>shape</th><th>units rms</th><th>worst</th><th>max error</th>'
        "<th>a unit</th><th></th></tr>",
        *_rows(report),
        "</table></div></body></html>",
    ]
    return "\n".join(lines) + "\n"
