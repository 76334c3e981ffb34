"""What all adapters share: a clock around a call, and a short mark of what came out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from typing import Any


def timed(call: Callable[..., Any], inputs: Iterable[Any]) -> tuple[list[float], list[Any]]:
    """The seconds and the result of each call."""
    seconds, results = [], []
    for given in inputs:
        begin = time.perf_counter()
        result = call(given)
        seconds.append(time.perf_counter() - begin)
        results.append(result)
    return seconds, results


def mark(lists_of_ids: Iterable[Iterable[int]]) -> str:
    """A mark that is the same for the same lists of ids.

    >>> mark([[1, 2], [3]]) == mark([(1, 2), (3,)]), mark([[1, 2]]) == mark([[1], [2]])
    (True, False)
    """
    text = ";".join(",".join(str(int(i)) for i in ids) for ids in lists_of_ids)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
