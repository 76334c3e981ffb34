"""A mistake planted into the C port of docs/port-example, and how the tool's answer to it is scored.

The five lists were written one after another from what people who port transformer models get wrong, each before any
of its faults was compared, and with the scores' criterion. After each the search for causes was improved, so the count
of a list is the one made when it was first compared (`COUNTED`); what it gives now shows only that nothing was lost.

- *right*: the first point is the one where the fault acts, and the first remark there names the cause: `right` finds
  it. A later remark may name it where the first is true of the fault and narrows it down: `half` finds that.
- *half*: the first point is right, and some remark there is true and narrows the cause down without naming it: `half`.
- *wrong*: another point, no remark, or a first remark that is neither of the two.

What usually goes wrong at a kind of point is printed by the report as well, and does not count: only evidence does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Grade = Literal["right", "half", "wrong"]

HELPERS = """
static float shortened(float x, int bits, int nearest) { /* x with so many bits of mantissa, rounded or cut */
    int exponent;
    float m = ldexpf(frexpf(x, &exponent), bits);
    return ldexpf(nearest ? rintf(m) : truncf(m), exponent - bits);
}
static float *in_int8(const float *x, int rows, int n) { /* every row in steps of a 127th of its largest value */
    float *y = get((size_t)rows * n * 4);
    for (int r = 0; r < rows; r++) {
        float top = 1e-30f;
        for (int i = 0; i < n; i++) top = fmaxf(top, fabsf(x[(size_t)r * n + i]));
        for (int i = 0; i < n; i++) y[(size_t)r * n + i] = rintf(x[(size_t)r * n + i] / top * 127) * top / 127;
    }
    return y;
}
static float fast_exp(float x) { /* the bits of the exponent, filled in from a straight line */
    union { int32_t bits; float value; } y = {(int32_t)(12102203.0f * fmaxf(x, -87) + 1064866805.0f)};
    return y.value;
}
static float fast_root(float x) { /* 1 / sqrt(x) by a magic number and one step of Newton's */
    union { float value; int32_t bits; } y = {x};
    y.bits = 0x5f3759df - (y.bits >> 1);
    return y.value * (1.5f - 0.5f * x * y.value * y.value);
}
"""
"""Functions that faults use; they come before the model."""


@dataclass(frozen=True)
class PortFault:
    """A mistake as an edit of port.c, the reference that shows it, and what its right answer looks like."""

    what: str
    edits: Sequence[tuple[str, str]]  # pieces of port.c that occur once, and what stands there instead
    point: str  # where it first acts
    right: str  # a regular expression: what names the cause
    half: str = "(?!)"  # what is true of it, and narrower than its point
    reference: str = "tiny/batch"  # the pass of a golden pack in which it is looked for

    def planted(self, source: str) -> str:
        """port.c with the mistake."""
        before, after = "/* --- the model:", HELPERS + "/* --- the model:"
        for old, new in ((before, after), *self.edits):
            if source.count(old) != 1:
                raise ValueError(f"{self.what!r}: port.c has {old!r} {source.count(old)} times, not once")
            source = source.replace(old, new)
        return source

    def grade(self, point: str | None, remarks: Sequence[str]) -> Grade:
        """Scores an answer: the first point that diverges, and the remarks there.

        >>> fault = PortFault("eps", (), "norm", r"eps of 1e-06", r"\\beps\\b")
        >>> fault.grade("norm", ["eps of 1e-06"]), fault.grade("norm", ["another eps"]), fault.grade("q", ["eps"])
        ('right', 'half', 'wrong')
        """
        if point != self.point or not remarks:
            return "wrong"
        names, narrows = (
            [bool(re.search(pattern, each, re.IGNORECASE)) for each in remarks] for pattern in (self.right, self.half)
        )
        if names[0] or (narrows[0] and any(names)):
            return "right"
        return "half" if narrows[0] else "wrong"
