"""The public face: names, signatures, first lines of docstrings, and what each room shows."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from typing import Any

from ..book import Book
from . import Place

ROOMS = ("config", "ops", "tokenizer", "checkpoint", "generation", "chat", "groundtruth", "demo")


def signature(value: Any) -> str:
    """A callable's signature as Python writes it, without the modules of its types; they move."""
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return "none"
    return ", ".join(
        f"{'*' * {'VAR_POSITIONAL': 1, 'VAR_KEYWORD': 2}.get(each.kind.name, 0)}{each.name}"
        f"{'' if each.default is each.empty else f'={each.default!r}'} {each.kind.name.lower()}"
        for each in parameters
    )


def first_line(value: Any) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(value) or "").partition("\n")[0]


def of_class(book: Book, name: str, kind: type) -> None:
    """A class's own attributes and those it inherits, fields of records with their defaults."""
    if dataclasses.is_dataclass(kind):
        for field in dataclasses.fields(kind):
            default = "none" if field.default is dataclasses.MISSING else repr(field.default)
            book.put(f"signature/{name}/field {field.name}", default)
    for each in sorted(dir(kind)):
        if each.startswith("_") and each not in ("__call__", "__init__", "__len__", "__iter__", "__getitem__"):
            continue
        value = inspect.getattr_static(kind, each)
        book.put(f"kind/{name}.{each}", type(value).__name__)
        if callable(getattr(kind, each)):
            book.put(f"signature/{name}.{each}", signature(getattr(kind, each)))
        if not each.startswith("__") and (callable(getattr(kind, each)) or isinstance(value, property)):
            book.put(
                f"doc/{name}.{each}", first_line(value.fget if isinstance(value, property) else getattr(kind, each))
            )


def record(book: Book, place: Place) -> None:
    """The face, and the rooms that are in every layout."""
    import npblender

    book.put("names/npblender", sorted(npblender.__all__))
    book.put("names/dir", sorted(name for name in dir(npblender) if name in npblender.__all__))
    book.put("version", npblender.__version__)
    book.attempt("names/unknown", lambda: npblender.nothing)
    for name in sorted(npblender.__all__):
        value = getattr(npblender, name)
        book.put(f"doc/{name}", first_line(value))
        if inspect.isclass(value):
            of_class(book, name, value)
        elif callable(value):
            book.put(f"signature/{name}", signature(value))
        else:
            book.put(f"value/{name}", value)
    for room in ROOMS:
        module = importlib.import_module(f"npblender.{room}")
        book.put(f"names/npblender.{room}", sorted(getattr(module, "__all__", ())))
