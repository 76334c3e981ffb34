"""What adapters share: a clock around a call, the settings of a search, and a short mark of what came out."""

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


def search_settings(new: int, beams: int, blocks: bool) -> dict[str, Any]:
    """A search for `new` tokens in the words of transformers and npblender, which must search alike.

    >>> search_settings(32, 10, True)["no_repeat_ngram_size"]
    3
    """
    size = 3 if blocks else 0
    return {
        "num_beams": beams,
        "do_sample": False,
        "min_new_tokens": new,
        "max_new_tokens": new,
        "no_repeat_ngram_size": size,
        "encoder_no_repeat_ngram_size": size,
    }


def mark(lists_of_ids: Iterable[Iterable[int]]) -> str:
    """A mark that is the same for the same lists of ids.

    >>> mark([[1, 2], [3]]) == mark([(1, 2), (3,)]), mark([[1, 2]]) == mark([[1], [2]])
    (True, False)
    """
    text = ";".join(",".join(str(int(i)) for i in ids) for ids in lists_of_ids)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
