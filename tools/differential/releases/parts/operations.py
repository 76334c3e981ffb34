"""The public operations on random numbers, on special ones, and on what they refuse."""

from __future__ import annotations

# ruff: noqa: B023  (what `attempt` is given it calls at once)
from collections.abc import Callable
from typing import Any

import numpy as np

from npblender import ops

from ..book import Book
from . import Place

Call = Callable[[Any], Any]
CALLS: dict[str, Call] = {  # each applied to x [rows, columns], at least 2 rows and 3 columns
    "erf": ops.erf,
    "gelu": ops.gelu,
    "gelu_new": ops.gelu_new,
    "relu": ops.relu,
    "silu": ops.silu,
    "softmax": ops.softmax,
    "softmax of columns": lambda x: ops.softmax(x, 0),
    "log_softmax": ops.log_softmax,
    "layer_norm": lambda x: ops.layer_norm(x, x[0], x[1]),
    "layer_norm with eps": lambda x: ops.layer_norm(x, x[0], x[1], 1e-12),
    "linear": lambda x: ops.linear(x, x, x[:, 0]),
    "linear without a bias": lambda x: ops.linear(x, x),
    "linear of three axes": lambda x: ops.linear(x[None], x, x[:, 0]),
    "linears": lambda x: ops.linears(x, [(x, x[:, 0]), (x[::-1], x[:, 1])]),
    "products": lambda x: ops.products(x[None, None], np.swapaxes(x[None, None], 2, 3)),
    "embed": lambda x: ops.embed([1, 0], x),
    "cross_entropy": lambda x: ops.cross_entropy(x[:2], [2, -100]),
    "dropout": lambda x: ops.dropout(x, 0.5, np.random.default_rng(0)),
}
SHAPES = ((2, 3), (5, 7), (3, 64), (17, 256), (64, 512), (3, 5000))
DTYPES = ("float32", "float64", "longdouble")
FOREIGN = ("int64", "int32", "bool", "float16", "complex128", ">f4", ">f8", "object", "U3")


def special(dtype: str) -> Any:
    """Every pair of numbers that are treated apart."""
    info = np.finfo(dtype)
    values = [np.nan, np.inf, -np.inf, 0.0, -0.0, info.max, -info.max, info.tiny, info.smallest_subnormal]
    values += [-40, -800, 800, 1, -1, 0.5, -5.5, 1e-10]
    return np.array([[a, b, 1] for a in values for b in values], dtype)


def record(book: Book, place: Place) -> None:
    """Values first, refusals then."""
    for name, call in CALLS.items():
        for dtype in DTYPES:
            rng = np.random.default_rng(5)
            for shape in SHAPES:
                x = (rng.standard_normal(shape) * 3).astype(dtype)
                book.attempt(f"{name}/{dtype}/{list(shape)}", lambda x=x: call(x))  # type: ignore[misc]
            with np.errstate(all="ignore"):
                book.attempt(f"{name}/{dtype}/special", lambda: call(special(dtype)))
                rows = np.split(special(dtype), len(special(dtype)))
                pairs = [np.concatenate([row, row[:, ::-1]]) for row in rows]
                book.attempt(f"{name}/{dtype}/special rows", lambda: [call(pair) for pair in pairs], samples=False)
        for dtype in FOREIGN:
            book.attempt(f"{name}/foreign {dtype}", lambda d=dtype: call(np.ones((2, 3)).astype(d)))  # type: ignore[misc]
        masked = np.ma.masked_array(np.ones((2, 3)), mask=np.eye(2, 3, dtype=bool))
        book.attempt(f"{name}/masked", lambda: call(masked))
        book.attempt(f"{name}/lists", lambda: call([[0.5, 1.0, -2.0], [0.25, -0.5, 1.5]]))
        book.attempt(f"{name}/a text", lambda: call("abc"))
        book.attempt(f"{name}/a number", lambda: call(0.5))
        book.attempt(f"{name}/nothing", lambda: call(np.zeros((0, 3))))
        book.attempt(f"{name}/ragged", lambda: call([[1.0], [1.0, 2.0]]))
    x = np.linspace(-30, 30, 400_001)
    for name in ("erf", "gelu", "gelu_new", "silu"):
        for dtype in DTYPES:
            book.put(f"{name}/{dtype}/the line", CALLS[name](x.astype(dtype)))
    wrong: dict[str, Call] = {
        "linear of other widths": lambda x: ops.linear(x, x[:, :-1]),
        "linear of mixed dtypes": lambda x: ops.linear(x, x.astype(np.float32)),
        "linear with a long bias": lambda x: ops.linear(x, x, x[0]),
        "layer_norm of another width": lambda x: ops.layer_norm(x, x[0, :-1], x[1, :-1]),
        "layer_norm with a negative eps": lambda x: ops.layer_norm(x, x[0], x[1], -1.0),
        "embed past the end": lambda x: ops.embed([99], x),
        "embed with floats": lambda x: ops.embed([0.5], x),
        "cross_entropy past the end": lambda x: ops.cross_entropy(x, [99, 0]),
        "cross_entropy of another length": lambda x: ops.cross_entropy(x, [0]),
        "dropout of everything": lambda x: ops.dropout(x, 1.5, np.random.default_rng(0)),
        "dropout without numbers": lambda x: ops.dropout(x, 0.5, None),
        "softmax of another axis": lambda x: ops.softmax(x, 7),
        "no threads": lambda x: ops.use_threads(0).__enter__(),
    }
    for name, call in wrong.items():
        book.attempt(f"wrong/{name}", lambda c=call: c(np.ones((2, 3))))  # type: ignore[misc]
