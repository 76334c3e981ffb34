"""The kinds of values that settings of generation take: each with its words for people and its check.

A check raises TypeError for a wrong type and ValueError for a value out of range, and names the setting. Relations
between two settings are checked in `generation.plan`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from npblender.common.checks import check_number, check_switch, check_whole
from npblender.common.printable import shown


def as_tuples(value: Any) -> Any:
    """Turn lists at any depth into tuples, so that settings are values: hashable, and never changed later.

    >>> as_tuples([[5, 6], [7]])
    ((5, 6), (7,))
    """
    return tuple(map(as_tuples, value)) if isinstance(value, list | tuple) else value


def flat_ids(value: Any) -> Iterator[int]:
    """Yield the token ids in a value, at whatever depth.

    >>> list(flat_ids(((5, 6), 7)))
    [5, 6, 7]
    """
    if isinstance(value, tuple):
        for each in value:
            yield from flat_ids(each)
    elif value is not None:
        yield value


@dataclass(frozen=True)
class Kind:
    """What values a setting takes."""

    text: str  # in words, for a table of settings
    type: str  # what a caller may write, as a type of `call_options`
    check: Callable[[str, Any], Any]  # called as check(name, value); raises for a value that is none of this kind
    normal: Callable[[Any], Any] | None = None  # from the forms that callers and files may use to the one that is kept
    ids: Callable[[Any], Iterator[int]] | None = None  # the token ids in a value, if it holds some of the vocabulary


MOST_STEPS = 2**63 - 1  # the largest whole number of a setting: what an array's length or index can be
MOST_ROWS = 1 << 16
"""The most paths, or replies, of one source: 65,536. Each has a cache, megabytes for the published model."""


def whole(at_least: int, at_most: int = MOST_STEPS) -> Kind:
    """Whole numbers from `at_least` on; what is beyond `at_most` is refused before anything is allocated for it."""
    return Kind(f"whole number from {at_least}", "Whole", partial(check_whole, at_least=at_least, at_most=at_most))


def _above_0(name: str, value: Any) -> None:
    check_number(name, value, at_least=-math.inf)
    if value <= 0:
        raise ValueError(f"{name} must be above 0, not {shown(value)}")


def number(at_least: float = -math.inf, at_most: float = math.inf) -> Kind:
    """Finite numbers within two bounds."""
    bounds = f" from {at_least:g}" * (at_least > -math.inf) + f" to {at_most:g}" * (at_most < math.inf)
    return Kind(f"number{bounds}", "Real", partial(check_number, at_least=at_least, at_most=at_most))


def _token_id(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a token id, not {shown(value)}")
    if value < 0:
        raise ValueError(f"{name} must be a token id, at least 0, not {value}; None stands for no such token")


def _one_for_all(value: Any) -> Any:
    """transformers takes a list of one id a source; where they are the same it is that id."""
    value = as_tuples(value)
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


def _start_id(name: str, value: Any) -> None:
    if isinstance(value, tuple):
        raise ValueError(
            f"{name} is one id for all rows, not {shown(list(value))}; for rows that begin differently pass "
            f"decoder_input_ids=[[id], ...], and one of these ids as {name}"
        )
    _token_id(name, value)


def _token_ids(name: str, value: Any) -> None:
    if not isinstance(value, tuple):
        raise TypeError(f"{name} must be a list of token ids, not {shown(value)}")
    for each in value:
        _token_id(name, each)


def _id_or_ids(name: str, value: Any) -> None:
    (_token_ids if isinstance(value, tuple) else _token_id)(name, value)


def _phrase(name: str, value: Any) -> None:
    _token_ids(name, value)
    if not value:
        raise ValueError(f"{name} holds an empty list where a word's token ids belong")


def _check_some(name: str, value: tuple[Any, ...]) -> None:
    if not value:
        raise ValueError(f"{name} is empty; None stands for none, as in transformers")


def _phrases(name: str, value: Any, choices: bool = False) -> None:
    if not isinstance(value, tuple):
        raise TypeError(f"{name} must be a list of lists of token ids, not {shown(value)}")
    _check_some(name, value)
    for each in value:
        several = choices and isinstance(each, tuple) and len(each) > 0 and isinstance(each[0], tuple)
        (_phrases if several else _phrase)(name, each)


def _biases(name: str, value: Any) -> None:
    if not isinstance(value, tuple) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
        raise TypeError(f"{name} must be a list of pairs [token ids, bias], not {shown(value)}")
    _check_some(name, value)
    for ids, bias in value:
        _phrase(name, ids)
        check_number(f"{name}'s bias", bias, at_least=-math.inf)


def _pairs(value: Any) -> Any:
    """transformers' older form of biases is a mapping {(id, ...): bias}."""
    return as_tuples(tuple(value.items()) if isinstance(value, Mapping) else value)


def _biased_ids(value: Any) -> Iterator[int]:
    return flat_ids(tuple(phrase for phrase, _ in value))


def _early_stopping(name: str, value: Any) -> None:
    if not (isinstance(value, bool) or value == "never"):
        raise ValueError(f'{name} must be true, false or "never", not {shown(value)}')


def _texts(name: str, value: Any) -> None:
    texts = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(each, str) for each in texts):
        raise TypeError(f"{name} must be a text or a list of texts, not {shown(value)}")
    if not all(texts):
        raise ValueError(f"{name} holds an empty text, which every reply contains")


def _decay(name: str, value: Any) -> None:
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError(f"{name} must be a pair [start, factor], not {shown(value)}")
    check_whole(f"{name}'s start", value[0], at_least=0)
    check_number(f"{name}'s factor", value[1])


def _share_above_0(name: str, value: Any) -> None:
    check_number(name, value, at_most=1.0)
    if value == 0:
        raise ValueError(f"{name} must be above 0, to 1, not {shown(value)}")


SWITCH = Kind("true or false", "Switch", check_switch)
ABOVE_0 = Kind("number above 0", "Real", _above_0)
SHARE = number(0.0, 1.0)
SHARE_ABOVE_0 = Kind("number above 0, to 1", "Real", _share_above_0)
START_ID = Kind("token id", "Whole | WholeNumbers", _start_id, _one_for_all)
EARLY_STOPPING = Kind('true, false or "never"', "EarlyStopping", _early_stopping)
TEXTS = Kind("text, or list of texts", "Texts", _texts, as_tuples)
DECAY = Kind("[start, factor]", "Decay", _decay, as_tuples)
SPECIAL_ID = Kind("token id", "Whole", _token_id, as_tuples)
SPECIAL_IDS = Kind("token id, or list of them", "Whole | WholeNumbers", _id_or_ids, as_tuples)
ID = Kind("token id", "Whole", _token_id, as_tuples, flat_ids)
ID_OR_IDS = Kind("token id, or list of them", "Whole | WholeNumbers", _id_or_ids, as_tuples, flat_ids)
IDS = Kind("list of token ids", "WholeNumbers", _token_ids, as_tuples, flat_ids)
PHRASES = Kind("list of phrases, each a list of token ids", "Phrases", _phrases, as_tuples, flat_ids)
_choices = partial(_phrases, choices=True)
PHRASES_OR_CHOICES = Kind("list of phrases, or of lists of phrases", "PhrasesOrChoices", _choices, as_tuples, flat_ids)
BIASES = Kind("list of [phrase, bias]", "Biases", _biases, _pairs, _biased_ids)
