"""Checks of one setting or argument: each raises an error that names it and says what would be accepted.

They know no setting's meaning, and not how two of them depend on one another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def check_mapping(what: str, content: Any) -> None:
    """Refuses what is no mapping, such as a list from a JSON file.

    >>> check_mapping("a configuration", [("d_model", 4)])
    Traceback (most recent call last):
    TypeError: a configuration must be a mapping from names to values, not a list
    """
    if not isinstance(content, Mapping):
        raise TypeError(f"{what} must be a mapping from names to values, not a {type(content).__name__}")


def check_whole(name: str, value: Any, at_least: int = 0, *, or_numpy: bool = False) -> int:
    """Returns a whole number not below `at_least`, as Python's int; with `or_numpy` NumPy's are accepted too.

    Settings that go to JSON take Python's own only.

    >>> check_whole("max_length", np.int64(3), at_least=1, or_numpy=True)
    3
    >>> check_whole("d_model", 0, at_least=1)
    Traceback (most recent call last):
    ValueError: d_model must be at least 1, not 0
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer if or_numpy else int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < at_least:
        raise ValueError(f"{name} must be at least {at_least}, not {value}")
    return int(value)


def check_number(name: str, value: Any, at_least: float = 0.0, at_most: float = math.inf) -> None:
    """Refuses what is no finite number between two bounds.

    >>> check_number("dropout", 1.5, at_most=1.0)
    Traceback (most recent call last):
    ValueError: dropout must be between 0 and 1, not 1.5
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not (math.isfinite(value) and at_least <= value <= at_most):
        bound = f"at least {at_least:g} and finite" if at_most == math.inf else ""
        raise ValueError(f"{name} must be {bound or f'between {at_least:g} and {at_most:g}'}, not {value!r}")


def check_switch(name: str, value: Any) -> None:
    """Refuses everything but true and false, even numbers that behave like them.

    >>> check_switch("use_cache", 1)
    Traceback (most recent call last):
    TypeError: use_cache must be true or false, not 1
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be true or false, not {value!r}")


def switch_or_default(name: str, value: Any, default: bool) -> bool:
    """Returns True or False as given, by Python or NumPy, and the default for None.

    >>> switch_or_default("use_cache", None, True), switch_or_default("use_cache", False, True)
    (True, False)
    """
    if value is None:
        return default
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True, False or None, not {value!r}")
    return bool(value)


def check_token_id(name: str, value: Any, vocab_size: int) -> None:
    """Refuses what is neither an id of the vocabulary nor None.

    >>> check_token_id("eos_token_id", 7, vocab_size=5)
    Traceback (most recent call last):
    ValueError: eos_token_id 7 is no token: vocab_size 5 leaves the ids 0 to 4; choose one of them, or None
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a token id or None, not {value!r}")
    if not 0 <= value < vocab_size:
        raise ValueError(
            f"{name} {value} is no token: vocab_size {vocab_size} leaves the ids 0 to {vocab_size - 1}; "
            f"choose one of them, or None"
        )


def closest_name(name: Any, names: Iterable[str]) -> str | None:
    """Returns the name that a misspelt one was probably meant to be, or None.

    >>> closest_name("tempreature", ["temperature", "top_k"])
    'temperature'
    """
    import difflib  # only for a refusal: an import of 10 ms

    near = difflib.get_close_matches(str(name), list(names), n=1)
    return near[0] if near else None
