"""Draws error budgets as one SVG file, by hand: lines, circles and texts. The same budgets give the same bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from tools.measure.noise_budget.budget import Budget, Stage

WIDTH, PANEL, LEFT, RIGHT, TOP, BOTTOM = 900, 250, 62, 16, 46, 118
PORT_COLOURS = {"transformers 5": "#c2571a", "ONNX Runtime": "#2e7d4f"}
CARRIED, ALONE, GRID = "#1f4e9c", "#7a5aa6", "#d9d9d9"
STYLE = "text{font:11px sans-serif;fill:#333333}.small{font-size:9px}.title{font-size:13px;font-weight:bold}"


def _text(x: float, y: float, text: str, *, kind: str = "", anchor: str = "start", turn: float = 0) -> str:
    turned = f' transform="rotate({turn:g} {x:.1f} {y:.1f})"' if turn else ""
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}{turned}>{escape(text)}</text>'


def _line(points: Sequence[tuple[float, float]], colour: str, width: float = 1.5, dash: str = "") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dashed}/>'


def _circle(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="none" stroke="{colour}" stroke-width="1.3"/>'


def _pieces(stages: Sequence[Stage], value: Callable[[Stage], float | None], each_layer: bool) -> list[list[int]]:
    """Indices of the stages that have a value, split where a stack, or every layer, begins anew."""
    pieces: list[list[int]] = [[]]
    for n, stage in enumerate(stages):
        anew = stage.label.endswith("self-attention") if each_layer else stage.label == "embedding"
        if anew or value(stage) is None:
            pieces.append([])
        if value(stage) is not None:
            pieces[-1].append(n)
    return [piece for piece in pieces if piece]


def panel(budget: Budget, top: float) -> list[str]:
    """One model's plot, whose upper edge lies at `top`."""
    stages = budget.stages
    every = [v for s in stages for v in (s.carried, s.largest, s.alone, *s.ports.values()) if v]
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)))
    step = (WIDTH - LEFT - RIGHT) / len(stages)

    def x(n: int) -> float:
        return LEFT + step * (n + 0.5)

    def y(value: float) -> float:
        return top + PANEL * (high - math.log10(max(value, 10.0**low))) / (high - low)

    drawn = [_text(LEFT, top - 12, f"{budget.model}: {budget.about}", kind="title")]
    for power in range(low, high + 1):
        drawn.append(_line([(LEFT, y(10.0**power)), (WIDTH - RIGHT, y(10.0**power))], GRID, 1))
        drawn.append(_text(LEFT - 6, y(10.0**power) + 4, f"1e{power}", anchor="end"))
    one = top + PANEL * (high - math.log10(2.0**-24)) / (high - low)
    drawn.append(_line([(LEFT, one), (WIDTH - RIGHT, one)], "#999999", 1, "2 3"))
    drawn.append(_text(WIDTH - RIGHT, one - 3, "half a float32 ulp of 1", kind="small", anchor="end"))
    for side, begin in (("encoder", 0), ("decoder", next(n for n, s in enumerate(stages) if s.point[:3] == "dec"))):
        drawn.append(_text(x(begin) - step / 2 + 3, top + 12, side))
        if begin:
            drawn.append(_line([(x(begin) - step / 2, top), (x(begin) - step / 2, top + PANEL)], "#999999", 1))
    for value, colour, width, dash in (
        (lambda s: s.largest, CARRIED, 1, "4 3"),
        (lambda s: s.carried, CARRIED, 2, ""),
        (lambda s: s.alone, ALONE, 1.5, ""),
    ):
        for piece in _pieces(stages, value, each_layer=colour == ALONE):
            drawn.append(_line([(x(n), y(value(stages[n]) or 0)) for n in piece], colour, width, dash))
    for n, stage in enumerate(stages):
        drawn += [_circle(x(n), y(value), PORT_COLOURS[name]) for name, value in stage.ports.items()]
        drawn.append(_text(x(n) + 3, top + PANEL + 10, stage.label, kind="small", anchor="end", turn=-60))
    return drawn


def draw(budgets: Sequence[Budget]) -> str:
    """All budgets, one below the other, with a legend on top."""
    height = TOP + len(budgets) * (PANEL + BOTTOM)
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>Relative error of float32 after every block of the model</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    legend = [
        ("shipped noise, rms", CARRIED, "line"),
        ("shipped noise, max", CARRIED, "dash"),
        ("one layer alone", ALONE, "line"),
        *((name, colour, "circle") for name, colour in PORT_COLOURS.items()),
    ]
    for n, (name, colour, kind) in enumerate(legend):
        x = LEFT + n * 160
        mark = _line([(x, 14), (x + 24, 14)], colour, 2, "4 3" if kind == "dash" else "")
        drawn += [_circle(x + 12, 14, colour) if kind == "circle" else mark, _text(x + 30, 18, name)]
    for n, budget in enumerate(budgets):
        drawn += panel(budget, TOP + n * (PANEL + BOTTOM))
    return "\n".join([*drawn, "</svg>"]) + "\n"
