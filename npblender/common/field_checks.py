"""Checks of single configuration values: each raises an error that names the field and what would do.

What it does not do: it knows no field's meaning and how no two fields depend on one another.
"""

import math
from collections.abc import Mapping
from typing import Any


def check_mapping(what: str, content: Any) -> None:
    """What a JSON file holds, as Python has it.

    >>> check_mapping("a configuration", [("d_model", 4)])
    Traceback (most recent call last):
    TypeError: a configuration must be a mapping from names to values, not a list
    """
    if not isinstance(content, Mapping):
        raise TypeError(f"{what} must be a mapping from names to values, not a {type(content).__name__}")


def check_size(name: str, value: Any, at_least: int = 1) -> None:
    """A whole number not below `at_least`.

    >>> check_size("d_model", 0)
    Traceback (most recent call last):
    ValueError: d_model must be at least 1, not 0
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < at_least:
        raise ValueError(f"{name} must be at least {at_least}, not {value}")


def check_number(name: str, value: Any, at_least: float = 0.0, at_most: float = math.inf) -> None:
    """A finite number between two bounds.

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
    """True or false, and no number that merely behaves so.

    >>> check_switch("use_cache", 1)
    Traceback (most recent call last):
    TypeError: use_cache must be true or false, not 1
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be true or false, not {value!r}")


def check_token_id(name: str, value: Any, vocab_size: int) -> None:
    """An id of the vocabulary, or None.

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
