"""Random calls of random tiny models: every argument that changes a number is used in some of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..book import Book
from ..frozen.models import DIALECTS, Case, draw_case
from ..places import find
from . import Place

CASES = 140
"""Calls in each of the three dialects; as many again in dialects that mix them."""


def one_call(book: Book, name: str, case: Case, dtype: str) -> None:
    """One call in one dtype, with a tap and without, and its trace where it can be traced."""
    model = case.model(np.dtype(dtype))
    points: list[tuple[str, Any]] = []
    outputs = {"output_attentions": True, "output_hidden_states": True}
    tap = lambda point, array: points.append((point, np.array(array)))  # noqa: E731
    book.attempt(f"{name}/tapped", lambda: model(**case.arguments, **outputs, tap=tap), samples=False)
    book.points(f"{name}/points", points)
    book.attempt(f"{name}/plain", lambda: model(**case.arguments))


def record(book: Book, place: Place) -> None:
    """Calls in float64 and float32, and traces of some in steps."""
    from npblender import trace

    for at, dialect in enumerate((*DIALECTS, None)):
        for number in range(CASES):
            case = draw_case(np.random.default_rng([21, at, number]), dialect)
            name = f"{dialect.name if dialect else 'mixed'}/{number}"
            book.put(f"{name}/drawn", [case.kind, dataclasses.asdict(case.dialect), case.arguments], samples=False)
            one_call(book, f"{name}/float64", case, "float64")
            one_call(book, f"{name}/float32", case, "float32")
            fields = {field.name for field in dataclasses.fields(find("TraceInputs"))}
            if number % 4 == 0 and set(case.arguments) <= fields:
                given = {key: value for key, value in case.arguments.items() if key != "labels"}
                found = trace(case.model(np.float32), **given, steps=True, noise=number % 16 == 0)
                book.points(f"{name}/trace", found.arrays.items())
                book.put(f"{name}/noise", found.noise)
