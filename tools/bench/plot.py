"""Draws time per step against the bound, as an SVG written by hand: along a reply, and by the number of beams.

What lies between a line and the dashed one below it is what could still be saved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from tools.bench.peers import PEERS

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 460, 310, 50, 48, 14, 44  # of a panel, and its margins
COLOURS = {"npblender": "#0b6bcb", "transformers": "#c25700", "onnxruntime": "#6a4fb3"}
GREY = "#777777"


@dataclass(frozen=True)
class Curve:
    """One line of a panel."""

    label: str
    colour: str
    x: Sequence[float]
    y: Sequence[float]
    dashed: bool = False


def ticks(top: float, wanted: int = 5) -> list[float]:
    """Round numbers from 0 to at least `top`.

    >>> ticks(37.0)
    [0.0, 10.0, 20.0, 30.0, 40.0]
    """
    if top <= 0:
        raise ValueError(f"an axis from 0 to {top} has no length")
    rough = top / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    return [step * n for n in range(math.ceil(top / step - 1e-9) + 1)]


def _line(curve: Curve, points: str) -> str:
    dash = ' stroke-dasharray="5 4"' if curve.dashed else ""
    return f'<polyline points="{points}" fill="none" stroke="{curve.colour}" stroke-width="1.6"{dash}/>'


def panel(curves: Sequence[Curve], title: str, axis: str, left: float) -> str:
    """One panel of milliseconds over `axis`, moved to the right by `left`."""
    marks = ticks(max(max(curve.y) for curve in curves))
    first, last = (pick(v for curve in curves for v in curve.x) for pick in (min, max))
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return LEFT + (x - first) / (last - first) * across, TOP + (1 - y / marks[-1]) * down

    parts = [
        f'<g transform="translate({left},0)">',
        f'<text x="{LEFT}" y="18" font-weight="bold">{escape(title)}</text>',
    ]
    for mark in marks:
        y = at(first, mark)[1]
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{mark:g}</text>')
    steps = [first + (last - first) * n / 3 for n in range(4)]
    for value in sorted({round(step) for step in steps}):
        x = at(value, 0)[0]
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value}</text>')
    parts.append(f'<text x="{LEFT + across / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(axis)}</text>')
    across_legend = float(LEFT)
    for curve in curves:
        label = f'<text x="{across_legend + 20:.0f}" y="36" fill="{curve.colour}">{escape(curve.label)}</text>'
        parts.append(f"{_line(curve, f'{across_legend:.0f},32 {across_legend + 16:.0f},32')}{label}")
        across_legend += 40 + 6.4 * len(curve.label)
        points = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in zip(curve.x, curve.y, strict=True))
        parts.append(_line(curve, points))
    return "\n".join([*parts, "</g>"])


def drawn(growth: Mapping[str, Any]) -> str:
    """The SVG of what was measured of `steps` and `widths`. ValueError if neither was."""
    panels = []
    if "steps" in growth:
        curves = []
        for name, found in growth["steps"]["engines"].items():
            y = found["milliseconds"]
            label = PEERS[name].about.split(",")[0]
            curves.append(Curve(label, COLOURS.get(name, GREY), range(2, len(y) + 2), y))
        x = curves[0].x
        curves.append(Curve("bound", GREY, x, [growth["steps"]["bound_ms"]] * len(x), dashed=True))
        panels.append((curves, "Greedy: milliseconds a step", "token of the reply"))
    if "widths" in growth:
        found = growth["widths"]
        curves = [
            Curve("npblender", COLOURS["npblender"], found["beams"], found["milliseconds"]),
            Curve("bound", GREY, found["beams"], found["bound_ms"], dashed=True),
        ]
        panels.append((curves, "Beam search: milliseconds a step", "beams"))
    if not panels:
        raise ValueError("a plot needs the works `steps` or `widths`")
    size = f'width="{WIDTH * len(panels)}" height="{HEIGHT}" viewBox="0 0 {WIDTH * len(panels)} {HEIGHT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    body = [panel(*given, left=WIDTH * n) for n, given in enumerate(panels)]
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *body, "</svg>\n"])
