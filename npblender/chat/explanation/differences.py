"""What two runs have in common, and where they part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from npblender.chat.explanation.runs import Run
from npblender.common.array_types import Array
from npblender.generation.search.parlai import HOPELESS

KINDS = {"encoder": "encoder attention", "decoder": "decoder attention", "cross": "attention to the source"}


@dataclass(frozen=True)
class Difference:
    """One line of a comparison of two runs."""

    what: str
    first: str
    other: str
    same: bool


COMPARED: Mapping[str, Callable[[Run], str]] = {
    "pieces": lambda run: " ".join(token for piece in run.pieces for token in piece.tokens),
    "ids the encoder reads": lambda run: " ".join(map(str, run.source)),
    "search": lambda run: run.search,
    "score of the reply": lambda run: "" if run.score is None else f"{run.score:.6f}",
    "reply": lambda run: run.reply,
}
"""What is compared as texts."""


def differences(first: Run, other: Run) -> tuple[Difference, ...]:
    """Compare two runs: pieces, ids, search, reply, every step's choice, and the arrays whose shapes agree."""
    pairs = [(what, text(first), text(other)) for what, text in COMPARED.items()]
    for step in range(max(len(first.steps), len(other.steps))):
        pairs.append((f"step {step + 1}", _choice(first, step), _choice(other, step)))
    lines = [Difference(*pair, same=pair[1] == pair[2]) for pair in pairs]
    for kind, what in KINDS.items():
        weights = [(run.passed.attentions or {}).get(kind) for run in (first, other)]
        lines.append(_largest(f"{what}: largest difference of a weight", *weights))
    lines.append(_largest("logits: largest difference", first.passed.logits, other.passed.logits))
    return tuple(line for line in lines if line.first or line.other)


def first_parting(first: Run, other: Run) -> int | None:
    """The first step at which two replies differ, from 0; None where they are the same.

    >>> from dataclasses import replace
    >>> from npblender.chat.explanation.passes import Pass
    >>> run = Run("a", (5,), (1, 6), (6, 2), {}, Pass())
    >>> first_parting(run, run), first_parting(run, replace(run, chosen=(6, 7)))
    (None, 1)
    """
    for step in range(max(len(first.chosen), len(other.chosen))):
        if first.chosen[step : step + 1] != other.chosen[step : step + 1]:
            return step
    return None


def _choice(run: Run, step: int) -> str:
    if step >= len(run.steps):
        return ""
    chosen, probability = run.steps[step].chosen, run.steps[step].probability
    return "" if chosen is None or probability is None else f"{run.word(chosen)} {probability:.4f}"


def _largest(what: str, first: Array | None, other: Array | None) -> Difference:
    if first is None or other is None:
        return Difference(what, "", "", True)
    if first.shape != other.shape:
        return Difference(what, f"shape {list(first.shape)}", f"shape {list(other.shape)}", False)
    possible = (first > HOPELESS / 2) & (other > HOPELESS / 2)  # ParlAI's model never says the start token
    with np.errstate(invalid="ignore"):
        apart = np.abs(first.astype(np.float64) - other.astype(np.float64))[possible]
    largest = float(apart.max()) if apart.size else 0.0
    return Difference(what, "", f"{largest:.3g}", largest == 0)
