"""What every maker of goldens hands to the one runner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
