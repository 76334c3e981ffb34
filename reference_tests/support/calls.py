"""Counts calls of Python functions: a measure that, unlike time, is the same on every machine and in every run."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import npblender

ROOT = Path(npblender.__file__).resolve().parent


@contextmanager
def profiled(hook: Callable[[FrameType, str, Any], None]) -> Iterator[None]:
    """`hook` is called for every call of this thread: "call" of a Python function, "c_call" of a C function."""
    before = sys.getprofile()
    sys.setprofile(hook)
    try:
        yield
    finally:
        sys.setprofile(before)


def calls_of(do: Callable[[], Any]) -> Counter[CodeType]:
    """How often each Python function was entered in this thread while `do` ran (a generator at each resumption)."""
    found: Counter[CodeType] = Counter()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            found[frame.f_code] += 1

    with profiled(note):
        do()
    return found


def files_entered(calls: Counter[CodeType]) -> list[str]:
    """The package's files with a function among the calls; that a file was only imported does not count."""
    inside = {
        code.co_filename for code in calls if code.co_name != "<module>" and code.co_filename.startswith(str(ROOT))
    }
    return sorted(Path(name).relative_to(ROOT).as_posix() for name in inside)
