"""Reads one field of a request's body, checked: strict about types, and null stands for a field that is not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from npblender.chat.serve.errors import ApiError, refused
from npblender.chat.serve.limits import MOST_CHARACTERS, MOST_STOP_CHARACTERS, MOST_STOPS
from npblender.common.checks import check_number, check_switch, check_whole
from npblender.common.printable import shown

Body = Mapping[str, Any]


def check_object(body: Any, name: str | None = None) -> Body:
    """Refuse a body, or a field of this name, that is no JSON object; leaves out what is null.

    >>> check_object({"model": "demo", "n": None})
    {'model': 'demo'}
    """
    if not isinstance(body, Mapping):
        raise ApiError(400, f"{name or 'the body'} must be a JSON object, not {shown(body)}", param=name)
    return {name: value for name, value in body.items() if value is not None}


def whole(body: Body, name: str, default: int | None, at_least: int, at_most: int | None = None) -> int | None:
    """A whole number."""
    found: int | None = _field(body, name, default, check_whole, at_least, at_most)
    return found


def number(body: Body, name: str, at_least: float, at_most: float) -> float | None:
    """A number between two bounds, None where it is not there."""
    found = _field(body, name, None, check_number, at_least, at_most)
    return None if found is None else float(found)


def switch(body: Body, name: str, default: bool = False) -> bool:
    """true or false."""
    return bool(_field(body, name, default, check_switch))


def text(value: Any, where: str, most: int = MOST_CHARACTERS) -> str:
    """A text of Unicode characters, not too long."""
    if not isinstance(value, str):
        raise ApiError(400, f"{where} must be a text, not {shown(value)}", param=where)
    if len(value) > most:
        raise ApiError(400, f"{where} has {len(value)} characters; {most} are allowed", param=where)
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ApiError(400, f"{where} holds half a character (a lone surrogate), which is no text", param=where)
    return value


def stops(body: Body) -> tuple[str, ...]:
    """The texts of `stop`: one, or a few.

    >>> stops({"stop": "you"}), stops({"stop": ["a", "b"]}), stops({})
    (('you',), ('a', 'b'), ())
    """
    given = body.get("stop", ())
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list | tuple):
        raise ApiError(400, f"stop must be a text or a list of texts, not {shown(given)}", param="stop")
    if len(listed) > MOST_STOPS:
        raise ApiError(400, f"stop holds {len(listed)} texts; {MOST_STOPS} are allowed", param="stop")
    found = tuple(text(each, "stop", MOST_STOP_CHARACTERS) for each in listed)
    if not all(found):
        raise ApiError(400, "stop holds an empty text, which every reply contains", param="stop")
    return found


def _field(body: Body, name: str, default: Any, check: Callable[..., Any], *bounds: float | None) -> Any:
    """A field as one of the package's checks returns it; the default where it is not there."""
    try:
        return check(name, body[name], *bounds) if name in body else default
    except (TypeError, ValueError) as error:
        found = refused(error)
        found.param = name
        raise found from error
