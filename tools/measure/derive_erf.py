"""Derives the coefficients of `npblender/ops/erf_tables.py` from the definition of erf, with mpmath's digits.

Four functions are fitted, all smooth and small, so that plain polynomials do and lose nothing by rounding:

    erf, near        erf(x)/x - 9/8 + 9/32 x^2              for |x| <= 1, in powers of x^2
    erf, tail        (2y + 1) exp(y^2) erfc(y) - 1          for y >= 1, in powers of (y - 4)/(y + 4)
    normal, near     erf(x/sqrt(2))/(2x) - 3/8              for |x| <= 1, in powers of x^2
    normal, tail     (2u + 3/2) exp(u^2/2) Q(u) - 1         for u >= 1, in powers of (u - 5)/(u + 5)

Q(u) = erfc(u/sqrt(2))/2 is the probability that a standard normal variable exceeds u. The tails are what is left
without the steep part: exp(y^2) erfc(y) falls like 1/(sqrt(pi) y), which the factor 2y + 1 balances. The short
binary fractions 9/8, 9/32 and 3/8 take the large part out of the two power series, to be added exactly.

gelu_new needs two constants besides, split so that their products with a short number are exact.

Each fit interpolates at the Chebyshev points of its interval, in 60 digits, and is then written in powers of
the variable; the degree is the smallest whose error, measured on a grid five times as fine, stays below the
bound. The double tables serve float32 and float64, the extended ones longdouble, where a coefficient is the
sum of two doubles.

    python -m tools measure erf            print the module
    python -m tools measure erf --write    write it
    python -m tools measure erf --check    exit 1 if the committed module differs
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from mpmath import binomial, cos, erf, erfc, exp, mp, mpf, nstr, pi, sqrt

MODULE = Path(__file__).resolve().parents[2] / "npblender" / "ops" / "erf_tables.py"
ERF_CENTRE = 4  # the argument that a tail's variable maps to 0: about the one that needs the fewest terms
NORMAL_CENTRE = 5

HEAD = '''"""Coefficients for `error_function`, lowest power first: made by `tools/measure/derive_erf.py`, not by hand.

ERF_NEAR       erf(x)/x - 9/8 + 9/32 x^2        in powers of x^2, for |x| <= 1
ERF_TAIL       (2y + 1) exp(y^2) erfc(y) - 1    in powers of (y - 4)/(y + 4), for y >= 1
NORMAL_NEAR    erf(x/sqrt(2))/(2x) - 3/8        in powers of x^2, for |x| <= 1
NORMAL_TAIL    (2u + 3/2) exp(u^2/2) Q(u) - 1   in powers of (u - 5)/(u + 5), for u >= 1

Q(u) = erfc(u/sqrt(2))/2. The extended tables hold pairs of doubles, whose sum is the coefficient to 106 bits.

GELU_NEW_LINEAR and GELU_NEW_CUBIC: 2 sqrt(2/pi), and 0.044715 times that, each the sum of a short number (24 and 16
bits) and two doubles.
"""
'''


def interpolate(function: Callable[[mpf], mpf], low: mpf, high: mpf, degree: int) -> list[mpf]:
    """Coefficients, in powers of the variable, of the polynomial that meets `function` at Chebyshev points."""
    count = degree + 1
    middle, half = (low + high) / 2, (high - low) / 2
    angles = [pi * (2 * i + 1) / (2 * count) for i in range(count)]
    values = [function(middle + half * cos(a)) for a in angles]
    series = [sum(v * cos(k * a) for v, a in zip(values, angles, strict=True)) for k in range(count)]
    series = [c * (2 if k else 1) / count for k, c in enumerate(series)]
    before, current = [mpf(1)], [mpf(0), mpf(1)]  # Chebyshev's T_0 and T_1 in powers of t
    powers = [mpf(0)] * count
    for k, c in enumerate(series):
        if k > 1:
            doubled = [mpf(0)] + [2 * b for b in current]
            before, current = current, [d - b for d, b in zip(doubled, before + [mpf(0)] * 2, strict=True)]
        for i, t in enumerate(before if k == 0 else current):
            powers[i] += c * t
    return [  # t = (variable - middle)/half, multiplied out
        sum(powers[j] * binomial(j, i) * (-middle) ** (j - i) / half**j for j in range(i, count)) for i in range(count)
    ]


def horner(coefficients: list[mpf], variable: mpf) -> mpf:
    value = mpf(0)
    for c in reversed(coefficients):
        value = value * variable + c
    return value


def fit(function: Callable[[mpf], mpf], low: mpf, high: mpf, bound: mpf) -> tuple[list[mpf], mpf]:
    """The interpolant of least degree whose error stays below `bound`, and that error."""
    for degree in range(8, 64):
        coefficients = interpolate(function, low, high, degree)
        grid = [low + (high - low) * (1 - cos(pi * i / (5 * degree))) / 2 for i in range(5 * degree + 1)]
        error = max(abs(horner(coefficients, g) - function(g)) for g in grid)
        if error < bound:
            return coefficients, error
    raise ValueError("no degree below 64 reaches the bound")


def erf_near(square: mpf) -> mpf:
    ratio = erf(sqrt(square)) / sqrt(square) if square else 2 / sqrt(pi)
    return ratio - mpf(9) / 8 + 9 * square / 32


def erf_tail(s: mpf) -> mpf:
    y = ERF_CENTRE * (1 + s) / (1 - s)
    return (2 * y + 1) * exp(y * y) * erfc(y) - 1


def normal_near(square: mpf) -> mpf:
    ratio = erf(sqrt(square / 2)) / sqrt(square) / 2 if square else 1 / sqrt(2 * pi)
    return ratio - mpf(3) / 8


def normal_tail(s: mpf) -> mpf:
    u = NORMAL_CENTRE * (1 + s) / (1 - s)
    return (2 * u + mpf(3) / 2) * exp(u * u / 2) * erfc(u / sqrt(2)) / 2 - 1


def variable(argument: int, centre: int) -> mpf:
    return mpf(argument - centre) / (argument + centre)


def pair(value: mpf) -> tuple[float, float]:
    """`value` as a double and the double nearest to what that leaves over."""
    head = float(value)
    return head, float(value - mpf(head))


def short_and_pair(value: mpf, bits: int) -> tuple[float, float, float]:
    """`value` as its first `bits` bits, rounded, and a pair of doubles for what that leaves over."""
    exponent = mp.frexp(value)[1]
    short = mp.ldexp(mp.nint(mp.ldexp(value, bits - exponent)), exponent - bits)
    return (float(short), *pair(value - short))


def module_source() -> str:
    """The text of `npblender/ops/erf_tables.py`."""
    mp.dps = 60
    parts = [HEAD]
    plans = (  # 1 - erfc(y) is 1 beyond y = 6 or 7, and Q(u) underflows beyond u = 39 or 152
        ("ERF_NEAR", erf_near, mpf(0), mpf(1), 58),
        ("ERF_NEAR_EXTENDED", erf_near, mpf(0), mpf(1), 70),
        ("ERF_TAIL", erf_tail, variable(1, ERF_CENTRE), variable(6, ERF_CENTRE), 56),
        ("ERF_TAIL_EXTENDED", erf_tail, variable(1, ERF_CENTRE), variable(7, ERF_CENTRE), 67),
        ("NORMAL_NEAR", normal_near, mpf(0), mpf(1), 59),
        ("NORMAL_NEAR_EXTENDED", normal_near, mpf(0), mpf(1), 70),
        ("NORMAL_TAIL", normal_tail, variable(1, NORMAL_CENTRE), variable(39, NORMAL_CENTRE), 57),
        ("NORMAL_TAIL_EXTENDED", normal_tail, variable(1, NORMAL_CENTRE), variable(152, NORMAL_CENTRE), 69),
    )
    for name, target, low, high, bits in plans:
        coefficients, error = fit(target, low, high, mpf(2) ** -bits)
        pairs = [pair(c) for c in coefficients]
        extended = name.endswith("EXTENDED")
        lines = [f"    ({h!r}, {r!r})," if extended else f"    {h!r}," for h, r in pairs]
        kind = "tuple[tuple[float, float], ...]" if extended else "tuple[float, ...]"
        comment = f"# degree {len(pairs) - 1}; the exact polynomial is within {nstr(error, 2)}"
        parts.append("\n".join(["", comment, f"{name}: {kind} = (", *lines, ")\n"]))
    linear = 2 * sqrt(2 / pi)
    for name, value, bits in (("LINEAR", linear, 24), ("CUBIC", mpf("0.044715") * linear, 16)):
        parts.append(f"\nGELU_NEW_{name}: tuple[float, float, float] = {short_and_pair(value, bits)!r}")
    return "".join(parts) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write", action="store_true", help="write npblender/ops/erf_tables.py")
    action.add_argument("--check", action="store_true", help="compare with npblender/ops/erf_tables.py")
    chosen = parser.parse_args()
    source = module_source()
    if chosen.write:
        MODULE.write_text(source, encoding="utf-8")
    elif chosen.check:
        if MODULE.read_text(encoding="utf-8") != source:
            print(f"{MODULE.name} differs from what this tool derives", file=sys.stderr)
            return 1
    else:
        print(source, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
