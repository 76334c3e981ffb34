"""The numbers that truth is computed with: mpmath's where it is installed, else Python's float64.

The definitions in `operations` are written once, over this record. Neither kind of number passes through
`npblender.ops`, whose results they judge.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

DIGITS = 60
"""Decimal digits of mpmath's numbers: enough for a left tail in which fifty of them cancel."""


@dataclass(frozen=True)
class Arithmetic:
    """One kind of number: how it is made from a float, and its functions beyond +, -, * and /."""

    name: str
    number: Callable[[float], Any]
    fsum: Callable[[Iterable[Any]], Any]
    exp: Callable[[Any], Any]
    log: Callable[[Any], Any]
    sqrt: Callable[[Any], Any]
    erf: Callable[[Any], Any]
    erfc: Callable[[Any], Any]
    pi: Any


def _exp(x: float) -> float:
    return math.exp(x) if x < 709.7 else math.inf


LIBM = Arithmetic(
    "Python's math in float64, sums rounded once",
    *(float, math.fsum, _exp, math.log, math.sqrt, math.erf, math.erfc, math.pi),
)


def _multiprecision() -> Arithmetic | None:
    try:
        mpmath = importlib.import_module("mpmath")
    except ImportError:
        return None
    mp = mpmath.mp.clone()
    mp.dps = DIGITS
    name = f"mpmath {mpmath.__version__}, {DIGITS} digits"
    return Arithmetic(name, mp.mpf, mp.fsum, mp.exp, mp.log, mp.sqrt, mp.erf, mp.erfc, mp.pi)


def best() -> Arithmetic:
    """Return mpmath's numbers if it is installed, else float64."""
    return _multiprecision() or LIBM


def by_name(name: str) -> Arithmetic | None:
    """Return the arithmetic of a name in a manifest; None if it is not installed.

    >>> by_name(LIBM.name) is LIBM, by_name("an abacus")
    (True, None)
    """
    return next((each for each in (LIBM, _multiprecision()) if each is not None and each.name == name), None)
