"""Counts calls of Python functions: a measure that, unlike time, is the same on every machine and in every run."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import npblender

ROOT = Path(npblender.__file__).resolve().parent


def calls_of(do: Callable[[], Any]) -> Counter[CodeType]:
    """How often each Python function was entered in this thread while `do` ran (a generator at each resumption)."""
    found: Counter[CodeType] = Counter()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            found[frame.f_code] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        do()
    finally:
        sys.setprofile(before)
    return found


def files_entered(calls: Counter[CodeType]) -> list[str]:
    """The package's files with a function among the calls; that a file was only imported does not count."""
    inside = {
        code.co_filename for code in calls if code.co_name != "<module>" and code.co_filename.startswith(str(ROOT))
    }
    return sorted(Path(name).relative_to(ROOT).as_posix() for name in inside)
