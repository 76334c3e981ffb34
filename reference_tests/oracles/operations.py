"""Every elementary operation again, straight from its definition, one number at a time: the oracle of `ops`.

Numbers are mpmath's, carried with 50 digits, so that one oracle judges float32, float64 and longdouble, tails and
subnormals included. Nothing is imported from npblender, there are no arrays, and no formula is rearranged for speed or
for accuracy: fifty digits make that unnecessary. Tested itself, in `test_naive`, against numbers solved by hand.

Not here: NaN and infinity, whose meaning the tests of the operations state one by one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from mpmath import mp, mpf

Number: TypeAlias = mpf
Row: TypeAlias = Sequence[mpf]

DIGITS = 50
IGNORED = -100


@mp.workdps(DIGITS)
def erf(x: Number) -> Number:
    return mp.erf(x)


@mp.workdps(DIGITS)
def normal_cdf(x: Number) -> Number:
    return mp.erfc(-x / mp.sqrt(2)) / 2


@mp.workdps(DIGITS)
def gelu(x: Number) -> Number:
    return x * mp.erfc(-x / mp.sqrt(2)) / 2


@mp.workdps(DIGITS)
def gelu_new(x: Number) -> Number:
    z = mp.sqrt(2 / mp.pi) * (x + mpf("0.044715") * x**3)
    return x / (1 + mp.exp(-2 * z))  # (1 + tanh(z))/2 = 1/(1 + exp(-2z)), without thousands of digits cancelling


@mp.workdps(DIGITS)
def relu(x: Number) -> Number:
    return x if x > 0 else mpf(0)


@mp.workdps(DIGITS)
def silu(x: Number) -> Number:
    return x / (1 + mp.exp(-x))


ELEMENTWISE: Mapping[str, Callable[[Number], Number]] = {
    "erf": erf,
    "normal_cdf": normal_cdf,
    "gelu": gelu,
    "gelu_new": gelu_new,
    "relu": relu,
    "silu": silu,
}


@mp.workdps(DIGITS)
def softmax(row: Row) -> list[Number]:
    total = mpf(0)
    for x in row:
        total += mp.exp(x)
    return [mp.exp(x) / total for x in row]


@mp.workdps(DIGITS)
def log_softmax(row: Row) -> list[Number]:
    total = mpf(0)
    for x in row:
        total += mp.exp(x)
    return [x - mp.log(total) for x in row]


@mp.workdps(DIGITS)
def layer_norm(row: Row, weight: Row, bias: Row, eps: Number) -> list[Number]:
    mean = mpf(0)
    for x in row:
        mean += x / len(row)
    variance = mpf(0)
    for x in row:
        variance += (x - mean) ** 2 / len(row)
    return [(x - mean) / mp.sqrt(variance + eps) * w + b for x, w, b in zip(row, weight, bias, strict=True)]


@mp.workdps(DIGITS)
def linear(row: Row, weight: Sequence[Row], bias: Row) -> list[Number]:
    result = []
    for outgoing, b in zip(weight, bias, strict=True):
        total = b
        for x, w in zip(row, outgoing, strict=True):
            total += x * w
        result.append(total)
    return result


def embed(ids: Sequence[int], table: Sequence[Row]) -> list[Row]:
    return [table[i] for i in ids]


@mp.workdps(DIGITS)
def cross_entropy(logits: Sequence[Row], labels: Sequence[int], ignored: int = IGNORED) -> Number:
    total, kept = mpf(0), 0
    for row, label in zip(logits, labels, strict=True):
        if label != ignored:
            total -= log_softmax(row)[label]
            kept += 1
    return total / kept if kept else mp.nan


@mp.workdps(DIGITS)
def dropout(row: Row, p: Number, dropped: Sequence[bool]) -> list[Number]:
    return [mpf(0) if gone else x / (1 - p) for x, gone in zip(row, dropped, strict=True)]
