"""Runs the functions of a file over the cases of the tasks, and says what is right and which number is the first wrong.

The file is run as a program is: check only files that you would run.
"""

from __future__ import annotations

import copy
import os
import runpy
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from npblender.common.printable import shown
from npblender.groundtruth.exercises.tasks import TASKS, Case, Task

Verdict = Literal["right", "wrong", "not written", "stopped"]

CLOSE = 1e-9
"""Answers that are off by less than this, as a share of the largest number, are right: whatever the order of a sum."""


@dataclass(frozen=True)
class Finding:
    """What became of one task: the verdict, and sentences about what is wrong."""

    task: Task
    verdict: Verdict
    says: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The finding as text, the verdict in the first line."""
        first = f"{self.task.number:2}. {self.task.title:40} {self.verdict}"
        return [first.rstrip(), *(f"      {sentence}" for sentence in self.says)]


def check_file(path: str | os.PathLike[str], numbers: Sequence[int] | None = None) -> list[Finding]:
    """Run a file of solutions and check the tasks of the given numbers, or all of them.

    Raises FileNotFoundError if there is no such file, and ValueError if it cannot be run or has none of the functions.
    """
    place = Path(path)
    if not place.is_file():
        raise FileNotFoundError(f"there is no file {str(place)!r}; `npblender exercises start {place.name}` makes one")
    try:
        names = runpy.run_path(str(place), run_name="exercises")
    except (Exception, SystemExit) as error:
        raise ValueError(f"{place.name} cannot be run: {_where(error, place)}") from error
    functions = {name: value for name, value in names.items() if callable(value)}
    needed = {name for task in TASKS for name in task.needs}
    if not needed & set(functions):
        raise ValueError(f"{place.name} has none of the functions {', '.join(sorted(needed))}")
    chosen = [task for task in TASKS if numbers is None or task.number in numbers]
    return [check(task, functions, place) for task in chosen]


def check(task: Task, functions: Mapping[str, Callable[..., Any]], place: Path = Path()) -> Finding:
    """Run one task's cases one by one, up to the first that is not right."""
    missing = [name for name in task.needs if name not in functions]
    if missing:
        return Finding(task, "not written", (f"there is no function {missing[0]}",))
    for number, case in enumerate(task.cases, start=1):
        given = copy.deepcopy(case.arguments)
        try:
            with np.errstate(all="ignore"):
                found = task.compute(functions, *given)
        except NotImplementedError:
            return Finding(task, "not written")
        except Exception as error:
            return Finding(task, "stopped", (f"case {number}, {case.says}: {_where(error, place)}",))
        right = task.right(*case.arguments)
        wrong = first_difference(found, right, task.parts)
        if wrong is None and not _same_arguments(given, case.arguments):
            wrong = "the result is right, but an argument was changed in place: work on a copy"
        if wrong is not None:
            says = [f"case {number}, {case.says}: {wrong}", *_named(task, case, found)]
            return Finding(task, "wrong", tuple(says))
    return Finding(task, "right")


def first_difference(found: Any, right: Any, parts: Sequence[str] = ()) -> str | None:
    """What is wrong with an answer, in words: its kind, its shape, or its first wrong number. None if it is right.

    >>> first_difference(np.array([1.0, 2.0]), np.array([1.0, 3.0]))
    'number [1] is 2, must be 3'
    >>> first_difference(["a", "b"], ["a", "c"])
    "item [1] is 'b', must be 'c'"
    >>> first_difference(None, np.array([1.0]))
    'it returns None; is there a `return`?'
    """
    if found is None:
        return "it returns None; is there a `return`?"
    if isinstance(right, dict):
        in_order = ((name, array, right[name]) for name, array in found.items())
        return _first_wrong_array(in_order, "the first wrong point is ")
    if parts:
        if not isinstance(found, tuple | list) or len(found) != len(parts):
            return f"it must return {len(parts)} arrays: {', '.join(parts)}"
        return _first_wrong_array(zip(parts, found, right, strict=True))
    if isinstance(right, list):
        return _first_wrong_item(found, right)
    try:
        array = np.asarray(found, np.float64)
    except (TypeError, ValueError):
        return f"it returns {type(found).__name__}, must be an array"
    if array.shape != np.shape(right):
        return f"the shape is {list(array.shape)}, must be {list(np.shape(right))}"
    return _first_wrong_number(array, np.asarray(right, np.float64))


def _first_wrong_number(array: np.ndarray, right: np.ndarray) -> str | None:
    with np.errstate(invalid="ignore"):
        wrong = np.argwhere(~(np.abs(array - right) <= CLOSE * max(1.0, float(np.abs(right).max(initial=0.0)))))
    if not len(wrong):
        return None
    at = tuple(int(n) for n in wrong[0])
    counted = "" if len(wrong) == 1 else f"; {len(wrong)} of {right.size} numbers are wrong"
    return f"number {list(at)} is {array[at]:.7g}, must be {right[at]:.7g}{counted}"


def _first_wrong_item(found: Any, right: list[Any]) -> str | None:
    if isinstance(found, str) or not hasattr(found, "__iter__"):
        return f"it returns {type(found).__name__}, must be a list"
    items = [item.item() if isinstance(item, np.generic) else item for item in found]
    for at, (item, wanted) in enumerate(zip(items, right, strict=False)):
        if item != wanted:
            return f"item [{at}] is {shown(item)}, must be {shown(wanted)}"
    return None if len(items) == len(right) else f"there are {len(items)} items, must be {len(right)}: {right}"


def _first_wrong_array(named: Iterable[tuple[str, Any, Any]], said: str = "") -> str | None:
    for name, array, wanted in named:
        wrong = first_difference(array, wanted)
        if wrong is not None:
            return f"{said}{name}: {wrong}"
    return None


def _named(task: Task, case: Case, found: Any) -> list[str]:
    """The usual mistake that gives the same wrong answer in this case, if there is one."""
    for says, mistaken in task.mistakes.items():
        with np.errstate(all="ignore"):
            wrong = mistaken(*copy.deepcopy(case.arguments))
        if _same(found, wrong, task.parts) and not _same(wrong, task.right(*case.arguments), task.parts):
            return [f"perhaps: {says}"]
    return []


def _same(found: Any, other: Any, parts: Sequence[str]) -> bool:
    """Whether two answers are equal, where NaN equals NaN."""
    if parts:
        pairs = zip(found, other, strict=False) if isinstance(found, tuple | list) else ()
        return isinstance(found, tuple | list) and len(found) == len(parts) and all(_same(a, b, ()) for a, b in pairs)
    if isinstance(other, list):
        return first_difference(found, other) is None
    try:
        return bool(np.shape(found) == np.shape(other) and np.allclose(found, other, CLOSE, CLOSE, equal_nan=True))
    except TypeError:
        return False


def _same_arguments(given: tuple[Any, ...], before: tuple[Any, ...]) -> bool:
    """Whether no array and no dictionary was changed."""
    return all(
        np.array_equal(one, other) if isinstance(one, np.ndarray) else callable(one) or one == other
        for one, other in zip(given, before, strict=True)
    )


def _where(error: BaseException, place: Path) -> str:
    """An error with the line of the file that it came from."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(place.name)]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines and place.name else None
    return f"{type(error).__name__}: {error}" + ("" if line is None else f" (line {line})")
