"""What every maker of goldens hands to the one runner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.goldens.files import Golden, write_golden


@dataclass(frozen=True)
class Made:
    """A golden that has just been computed and is not written yet."""

    file: Path  # or the folder in which it is stored
    about: str  # how much, and by whom; for the report
    write: Callable[[], object]
    differences: Callable[[], list[str]]  # from what is stored, a line each

    def size(self) -> int:
        """Bytes on disk."""
        files = self.file.rglob("*") if self.file.is_dir() else [self.file]
        return sum(path.stat().st_size for path in files if path.is_file())


def made_of(golden: Golden, folder: Path, differences: Callable[[Golden], list[str]]) -> Made:
    """A golden of two files, see `files.py`."""
    file = folder / f"{golden.case.name}.safetensors"
    by = f"by {', '.join(golden.answers)}"
    return Made(file, by, lambda: write_golden(golden, folder), lambda: differences(golden))


def answer_differences(
    golden: Golden, old: Golden, difference: Callable[[np.ndarray, np.ndarray, float], str | None]
) -> list[str]:
    """Where the answers of a golden made now differ from the stored ones, a line each.

    `difference` takes a new tensor, the stored one and the bound, and says in what they differ, if they do.
    """
    wrong = []
    for run, answers in golden.answers.items():
        here, before = f"{golden.case.name}, {run}", old.answers[run]
        if set(before.tensors) != set(answers.tensors) or before.version != answers.version:
            wrong.append(f"{here}: other tensors, or made by {before.version}, now by {answers.version}")
            continue
        for name, array in answers.tensors.items():
            said = difference(array, before.tensors[name], answers.bound)
            wrong += [] if said is None else [f"{here}, {name}: {said}"]
    return wrong
