"""What a pack is checked with (`Subject`), and what the check of one file finds (`Tally`, `Verdict`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from npblender.common.array_types import Array
from npblender.common.printable import shown
from npblender.config.dialect import Dialect
from npblender.groundtruth.noise.units import Noise, diverged, score
from npblender.groundtruth.tracing.evaluate import changed_weights
from npblender.models import BlenderbotSmallForConditionalGeneration
from npblender.tokenizer import BlenderbotSmallTokenizer

SCORE_BOUND = 5e-5
"""The relative bound of scores, float32 against float64 through a whole model (a row of the tests' tolerances)."""


@dataclass(frozen=True)
class Subject:
    """The model that makes or checks a pack, in the pack's dialect, and the folder that it was loaded from."""

    model: BlenderbotSmallForConditionalGeneration
    folder: Path

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype in which the model computes."""
        return self.model.dtype

    @property
    def has_texts(self) -> bool:
        """Whether the folder has a tokenizer."""
        return all((self.folder / name).is_file() for name in ("vocab.json", "merges.txt"))

    def tokenizer(self, dialect: Dialect) -> BlenderbotSmallTokenizer:
        """Load the folder's tokenizer in any dialect. Raises FileNotFoundError if it has none."""
        return BlenderbotSmallTokenizer.from_pretrained(self.folder, dialect=dialect)

    def sibling(self, dtype: DTypeLike) -> Subject:
        """Make the same model with its weights in another dtype."""
        return self.with_parameters(lambda name, array: array.astype(dtype))

    def with_parameters(self, change: Callable[[str, Array], Array]) -> Subject:
        """Make the same model with `change(name, array)` in the place of every parameter."""
        model = self.model
        weights = changed_weights(model.config, model.weights, change)
        changed = type(model)(model.config, weights, dialect=model.dialect, generation_config=model.generation_config)
        return replace(self, model=changed)


@dataclass(frozen=True)
class Verdict:
    """Whether a file agrees, in one line, and what does not."""

    good: bool
    summary: str
    problems: tuple[str, ...] = ()


class Tally:
    """Collects what the checks of one file find, and the largest error in units among them."""

    def __init__(self) -> None:
        self.count = 0
        self.worst_units = 0.0
        self.worst_name = ""
        self.problems: list[str] = []

    def compare(self, name: str, reference: ArrayLike, mine: ArrayLike, noise: Noise | None) -> None:
        """Judge one array by its noise."""
        self.count += 1
        expected, found = np.asarray(reference), np.asarray(mine)
        if expected.shape != found.shape:
            self.problems.append(f"{name} has shape {found.shape}, and the pack {expected.shape}")
            return
        result = score(expected, found, noise)
        if result.units >= self.worst_units:
            self.worst_units, self.worst_name = result.units, name
        if diverged(result):
            at = "" if result.worst_index is None else f" at {list(result.worst_index)}"
            self.problems.append(
                f"{name}: {result.units:.3g} units of noise (worst {result.worst:.3g}{at}: "
                f"{shown(result.mine_value)}, and the pack has {shown(result.reference_value)})"
            )

    def equal(self, name: str, reference: Any, mine: Any) -> None:
        """Judge values that must be equal."""
        self.count += 1
        if reference != mine:
            self.problems.append(f"{name} is {_short(mine)}, and the pack has {_short(reference)}")

    def scores(self, name: str, reference: Any, mine: Any) -> None:
        """Judge a score or a list of them, None where there is none: the first that is too far off is a problem."""
        self.count += 1
        pairs = [(name, reference, mine)]
        if isinstance(reference, list) and isinstance(mine, list) and len(reference) == len(mine):
            pairs = [(f"{name}[{n}]", *pair) for n, pair in enumerate(zip(reference, mine, strict=True))]
        for which, theirs, ours in pairs:
            numbers = isinstance(theirs, int | float) and isinstance(ours, int | float)
            if theirs != ours and not (numbers and abs(theirs - ours) <= SCORE_BOUND * max(1.0, abs(theirs))):
                self.problems.append(f"{which} scores {_short(ours)}, and the pack has {_short(theirs)}")
                return

    def verdict(self, what: str) -> Verdict:
        """Make the verdict on a file of so many `what`."""
        units = f", at most {self.worst_units:.2f} units ({self.worst_name})" if self.worst_name else ""
        return Verdict(not self.problems, f"{self.count} {what}{units}", tuple(self.problems))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
