"""Pictures of stored measurements: float32's error by layer, and the training curve of the demo."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from tools import ROOT
from tools.pictures.svg import WIDTH, Picture

BUDGET = ROOT / "docs" / "figures" / "error-budget.json"
CURVE = ROOT / "tools" / "demo" / "curve.json"
"""{"steps": [...], "training": [...], "held_out": [[step, loss], ...]}: losses in nats a token, by step."""

LEFT, RIGHT = 52, 12


def axis(picture: Picture, ticks: Sequence[tuple[float, str]], place: Callable[[float], float]) -> None:
    """Draw horizontal lines with their numbers."""
    for value, name in ticks:
        y = place(value)
        picture.path(f"M{LEFT} {y:.1f}H{WIDTH - RIGHT}", "grid")
        picture.text(LEFT - 6, y + 4, name, "soft small end")


def draw_error() -> str:
    """The relative float32 error after every block, of the demo and of a random model of the 90M's size."""
    budgets = json.loads(BUDGET.read_text(encoding="utf-8"))
    picture = Picture(
        "Float32's error by layer",
        "The relative error of float32 after every block, in causal order through encoder and decoder, on a "
        "logarithmic scale. Blue: the demo. Orange: random weights of the 90M's size.",
    )
    errors = [stage["carried"] for budget in budgets for stage in budget["stages"]]
    low, high = math.floor(math.log10(min(errors))), math.ceil(math.log10(max(errors)))
    top, height = 44, 180

    def place(value: float) -> float:
        return top + height * (1 - (math.log10(value) - low) / (high - low))

    axis(picture, [(10.0**e, f"1e{e}") for e in range(low, high + 1)], place)
    picture.text(8, 16, "relative error (rms) after each block, float32 against float64", "soft small")
    for budget, kind, line in zip(budgets, ("other", "dot"), ("otherline", "blue"), strict=True):
        stages = budget["stages"]
        step = (WIDTH - LEFT - RIGHT) / (len(stages) - 1)
        spots = [(LEFT + n * step, place(stage["carried"])) for n, stage in enumerate(stages)]
        picture.path("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in spots), line)
        for x, y in spots:
            picture.dot(x, y, kind, 2.2)
        decoder = next(n for n, stage in enumerate(stages) if stage["point"].startswith("decoder."))
        foot = top + height + (14 if kind == "dot" else 28)
        picture.text(LEFT, foot, budget["model"], f"{kind} small")
        picture.text(LEFT + decoder * step, foot, "| decoder", f"{kind} small")
    return picture.finished(top + height + 40)


def draw_curve() -> str | None:
    """The losses of the demo's training; None where no curve is stored."""
    if not CURVE.is_file():
        return None
    curve: dict[str, Any] = json.loads(CURVE.read_text(encoding="utf-8"))
    steps, training, held_out = curve["steps"], curve["training"], curve["held_out"]
    picture = Picture(
        "The training of the demo",
        f"Loss in nats a token over {max(steps):,} steps: blue on the texts it learns from, orange on texts held out. "
        f"At the end {training[-1]:.2f} and {held_out[-1][1]:.2f}.",
    )
    every = [*training, *(loss for _, loss in held_out)]
    low, high, top, height = math.floor(min(every)), math.ceil(max(every)), 40, 190

    def spot(step: float, loss: float) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - RIGHT) * step / max(steps)
        return x, top + height * (1 - (loss - low) / (high - low))

    axis(picture, [(loss, str(loss)) for loss in range(low, high + 1)], lambda loss: spot(0, loss)[1])
    picture.text(8, 16, "loss, nats a token: training blue, held out orange", "soft small")
    for kind, line in (("blue", zip(steps, training, strict=True)), ("otherline", held_out)):
        spots = [spot(*each) for each in line]
        picture.path("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in spots), kind)
    picture.text(WIDTH - RIGHT, top + height + 16, f"{max(steps):,} steps", "soft small end")
    return picture.finished(top + height + 26)
