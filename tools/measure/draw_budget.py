"""Measures the error budget of two models and draws it: docs/figures/error-budget.svg.

    python -m tools measure budget                # measure, write the figures' numbers, the plot and the page's table
    python -m tools measure budget --redraw       # draw the stored numbers again
    python -m tools measure budget --check        # measure again; status 1 where a number is off by more than noise is

The numbers lie beside the plot in error-budget.json, and a test holds the plot to them. Measuring needs the
environments of transformers 5 and ONNX Runtime (`python -m tools originals`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tools import ROOT
from tools.differential.precision import PUBLISHED_SIZE
from tools.docs.tables import markdown, write_between_markers
from tools.measure.noise_budget.budget import Budget, load, measure, save
from tools.measure.noise_budget.models import demo, random_model
from tools.measure.noise_budget.svg import draw

NUMBERS = ROOT / "docs" / "figures" / "error-budget.json"
PLOT = ROOT / "docs" / "figures" / "error-budget.svg"
PAGE = ROOT / "docs" / "numbers-you-can-trust.md"
FACTOR = 2.0
"""How far a relative error may lie off when it is measured on another machine."""


def measured() -> list[Budget]:
    with tempfile.TemporaryDirectory() as place:
        large = random_model("the 90M's size", PUBLISHED_SIZE, 1, Path(place), 33, 17)
        return [measure(model, Path(place)) for model in (large, demo(Path(place)))]


def table(budgets: list[Budget]) -> str:
    """What a layer adds and what is carried, for the last block of each stack's layers."""
    rows = []
    for budget in budgets:
        for stage in budget.stages:
            if stage.label.endswith("feed-forward") or stage.alone is None:
                alone = "-" if stage.alone is None else f"{stage.alone:.1e}"
                theirs = [f"{value:.1e}" for value in stage.ports.values()]
                rows.append([budget.model, f"`{stage.point}`", alone, f"{stage.carried:.1e}", *theirs])
    return markdown(
        ["model", "point", "this layer alone", "carried: the shipped noise", *budgets[0].stages[0].ports], rows
    )


def differences(old: list[Budget], new: list[Budget]) -> list[str]:
    """Where the numbers of two measurements lie further apart than another machine puts them."""
    wrong = []
    for before, now in zip(old, new, strict=True):
        if [s.point for s in before.stages] != [s.point for s in now.stages] or before.about != now.about:
            return [f"{now.model} is another model: {before.about}, now {now.about}"]
        for first, second in zip(before.stages, now.stages, strict=True):
            for name in ("carried", "alone"):
                one, other = getattr(first, name), getattr(second, name)
                if (one is None) != (other is None) or (one and not 1 / FACTOR <= other / one <= FACTOR):
                    wrong.append(f"{now.model}, {first.point}, {name}: {one}, now {other}")
    return wrong


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redraw", action="store_true", help="draw the stored numbers again")
    parser.add_argument("--check", action="store_true", help="measure again and compare with the stored numbers")
    options = parser.parse_args(arguments)
    if options.check:
        wrong = differences(load(NUMBERS), measured())
        print("\n".join(wrong) if wrong else "the error budget is what is measured")
        return 1 if wrong else 0
    if not options.redraw:
        PLOT.parent.mkdir(exist_ok=True)
        save(measured(), NUMBERS)
    PLOT.write_text(draw(load(NUMBERS)), encoding="utf-8")
    write_between_markers(PAGE, "budget", table(load(NUMBERS)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
