"""The losses of the demo's training: from the trainer's log to tools/demo/curve.json, and to docs/training.md.

    python -m tools measure curve --log LOG       # write tools/demo/curve.json from what the trainer has printed
    python -m tools measure curve --write-docs    # put the part about it into the page
    python -m tools measure curve --check         # exit 1 where the page says anything else

A trainer prints `step N: loss X, ...` and, now and then, `step N: development perplexity NAME Y, NAME Y`. A training
that was stopped goes on from an earlier step; what it had printed beyond that step is dropped, and so is a loss of
fewer than half as many steps as usual, as it is printed at a stop. The first name is the set that the training is
watched by. Needs Python only.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tools import ROOT
from tools.docs.tables import between_markers, markdown, write_between_markers

CURVE = ROOT / "tools" / "demo" / "curve.json"
PAGE = ROOT / "docs" / "training.md"
LOSS = re.compile(r"^step (\d+): loss ([\d.]+),")
LOOK = re.compile(r"^step (\d+): development perplexity \S+ ([\d.]+)")
BEGIN = re.compile(r"^[\d,]+ parameters, step (\d+) of")
ROWS = 8
"""How many steps the page shows."""


def curve_of(lines: Iterable[str]) -> dict[str, Any]:
    """The losses in nats a token, by step: of the training, and of the set that it is watched by.

    >>> curve_of(["step 0: development perplexity all 20.0", "step 8: loss 2.5, rate 1", "step 16: loss 2.4, rate 1",
    ...           "9 parameters, step 8 of 16", "step 16: loss 2.3, rate 1"])
    {'steps': [8, 16], 'training': [2.5, 2.3], 'held_out': [[0, 2.9957]]}
    >>> looks = "step 0: development perplexity all 20.0"
    >>> curve_of([looks, *(f"step {step}: loss {step}.0, rate 1" for step in (8, 16, 17, 24))])["training"]
    [8.0, 16.0, 24.0]
    """
    losses: dict[int, float] = {}
    looks: dict[int, float] = {}
    for line in lines:
        if begin := BEGIN.match(line):
            step = int(begin[1])
            losses = {at: loss for at, loss in losses.items() if at <= step}
            looks = {at: loss for at, loss in looks.items() if at <= step}
        elif loss := LOSS.match(line):
            losses[int(loss[1])] = float(loss[2])
        elif look := LOOK.match(line):
            looks[int(look[1])] = round(math.log(float(look[2])), 4)
    if not losses or not looks:
        raise ValueError("the log has no losses of a training, or none of the set that it is watched by")
    between = {step: step - before for before, step in itertools.pairwise([0, *sorted(losses)])}
    usual = Counter(between.values()).most_common(1)[0][0]
    steps = [step for step in between if 2 * between[step] >= usual]  # a mean of a few steps says nothing
    return {
        "steps": steps,
        "training": [losses[step] for step in steps],
        "held_out": [[step, looks[step]] for step in sorted(looks)],
    }


def part(curve: dict[str, Any] | None) -> str:
    """What the page says of the curve, or that none is stored."""
    if curve is None:
        return "The losses of this training were not kept, so that there is no curve to show.\n"
    looks = curve["held_out"]
    chosen = [looks[round(n * (len(looks) - 1) / (ROWS - 1))] for n in range(ROWS)] if len(looks) > ROWS else looks
    rows = []
    for step, loss in chosen:
        near = min(range(len(curve["steps"])), key=lambda n: abs(curve["steps"][n] - step))
        trained = "-" if step == 0 else f"{curve['training'][near]:.2f}"
        rows.append([f"{step:,}", trained, f"{loss:.2f}", f"{math.exp(loss):,.1f}"])
    head = ["step", "loss, learned from", "loss, held out", "perplexity, held out"]
    return f"![The losses of the demo's training, step by step](pictures/training.svg)\n\n{markdown(head, rows)}"


def stored() -> dict[str, Any] | None:
    """The stored curve, if there is one."""
    if not CURVE.is_file():
        return None
    curve: dict[str, Any] = json.loads(CURVE.read_text(encoding="utf-8"))
    return curve


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--log", type=Path, help="what the trainer has printed, from its beginning")
    what.add_argument("--write-docs", action="store_true", help="put the part into docs/training.md")
    what.add_argument("--check", action="store_true", help="exit 1 where the page has something else")
    arguments = parser.parse_args()
    if arguments.log is not None:
        curve = curve_of(arguments.log.read_text(encoding="utf-8").splitlines())
        CURVE.write_text(json.dumps(curve) + "\n", encoding="utf-8")
    elif arguments.write_docs:
        write_between_markers(PAGE, "curve", part(stored()))
    elif arguments.check:
        if between_markers(PAGE, "curve") != part(stored()):
            print("docs/training.md shows another curve: run python -m tools measure curve --write-docs")
            return 1
    else:
        print(part(stored()), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
