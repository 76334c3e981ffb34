"""Measures the elementary operations: how far they are from the exact value, and what an element costs.

Errors are against mpmath, through the slow oracle of `reference_tests/oracles/operations.py`, at seeded points.
Elementwise operations are measured in ulps of the result; the others, whose values can cancel, in ulps of the largest
value of their row: of the terms for a product, of the scores for the loss. Times are of one processor. `--exhaustive`
adds float32 GELU at every float32 from 2^-12 to 16 of either sign, against the float64 GELU (268 million values, about
two minutes).

    python -m tools measure ops [--points N] [--exhaustive] [--write-docs]

`--write-docs` writes the table between the markers in docs/ops.md.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from mpmath import mp, mpf

from npblender import ops
from reference_tests.oracles import operations
from reference_tests.support.asserts import exact, ulp_of, ulps
from tools import ROOT

PAGE = ROOT / "docs" / "ops.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
DTYPES = (np.float32, np.float64, np.longdouble)
ELEMENTWISE = {
    "erf": ops.erf,
    "normal_cdf": ops.normal_cdf,
    "gelu": ops.gelu,
    "gelu_new": ops.gelu_new,
    "silu": ops.silu,
    "relu": ops.relu,
}
GUARANTEES = {
    "erf": "1 ulp in float32 and float64, 2 in longdouble",
    "normal_cdf": "4 ulp, left tail included",
    "gelu": "4 ulp, left tail included",
    "gelu_new": "4 ulp, left tail included",
    "silu": "4 ulp, left tail included",
    "relu": "exact",
    "softmax": "the errors of exp and of a sum in pairs, amplified by the range of the row",
    "log_softmax": "the same, of the row's largest value",
    "layer_norm": "the errors of two sums",
    "linear": "the errors of NumPy's matrix product",
    "embed": "exact",
    "cross_entropy": "as log_softmax",
    "dropout": "two roundings",
}


def lowest(name: str, dtype: Any) -> float:
    """Where the operation's left tail has underflowed."""
    wide = np.finfo(dtype).minexp < -2000
    if name == "silu":
        return {np.float32: -110.0, np.float64: -755.0}.get(dtype, -11420.0 if wide else -755.0)
    if name == "gelu_new":
        return {np.float32: -11.5, np.float64: -21.9}.get(dtype, -54.0 if wide else -21.9)
    return {np.float32: -14.6, np.float64: -38.7}.get(dtype, -151.0 if wide else -38.7)


def points(name: str, dtype: Any, count: int, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Named regions of the line, `count` points in each."""

    def spread(low: float, high: float) -> np.ndarray:
        values = rng.uniform(low, high, count).astype(dtype)
        return values + (rng.uniform(-1, 1, count) * 2.0**-53).astype(dtype) * values  # longdouble's last bits too

    tiny = np.ldexp(rng.uniform(-1, 1, count).astype(dtype), rng.integers(np.finfo(dtype).minexp - 30, 0, count))
    yield "the left tail", spread(lowest(name, dtype), -1)
    yield "the middle", np.concatenate([spread(-1.2, 1.2), spread(0.9, 1.1), spread(1, 9)])
    yield "the tiny", tiny


def elementwise_errors(name: str, dtype: Any, count: int) -> tuple[float, float]:
    """The largest error in ulps, in the left tail and elsewhere."""
    rng = np.random.default_rng(1)
    worst = {}
    for region, x in points(name, dtype, count, rng):
        y = ELEMENTWISE[name](x)
        worst[region] = max(ulps(b, operations.ELEMENTWISE[name](exact(a))) for a, b in zip(x, y, strict=True))
    return worst["the left tail"], max(worst["the middle"], worst["the tiny"])


def of_the_row(actual: np.ndarray, expected: list[mpf], size: float) -> float:
    """The largest error of a row, in ulps at `size`."""
    unit = ulp_of(mpf(size), actual.dtype)
    return max(float(abs(exact(a) - e) / unit) for a, e in zip(actual, expected, strict=True))


def row_errors(name: str, dtype: Any, count: int) -> float:
    """The largest error over `count` rows, in ulps of the row's largest value (see the module)."""
    rng = np.random.default_rng(2)
    worst = 0.0
    for _ in range(count):
        size = int(rng.integers(2, 70))
        x = (rng.standard_normal(size) * rng.choice([0.1, 1, 6])).astype(dtype)
        weight, bias = rng.standard_normal((2, size)).astype(dtype)
        row, largest = [exact(v) for v in x], 0.0
        if name in ("softmax", "log_softmax"):
            actual, expected = getattr(ops, name)(x), getattr(operations, name)(row)
        elif name == "layer_norm":
            actual = ops.layer_norm(x, weight, bias)
            arguments = [exact(v) for v in weight], [exact(v) for v in bias], exact(dtype(1e-5))
            expected = operations.layer_norm(row, *arguments)
        elif name == "linear":
            matrix = rng.standard_normal((7, size)).astype(dtype)
            actual = ops.linear(x, matrix, bias[:1].repeat(7))
            expected = operations.linear(row, [[exact(v) for v in r] for r in matrix], [exact(bias[0])] * 7)
            largest = float((np.abs(matrix) @ np.abs(x)).max())  # a sum is judged by its terms
        else:
            label = int(rng.integers(size))
            actual = np.asarray([ops.cross_entropy(x, np.int64(label))])
            expected = [operations.cross_entropy([row], [label])]
            largest = float(np.abs(x).max())  # a loss near 0 is what is left of the scores
        largest = max(largest, *(float(abs(e)) for e in expected), float(np.finfo(dtype).tiny))
        worst = max(worst, of_the_row(actual, expected, largest))
    return worst


def dropout_error(dtype: Any) -> float:
    x = np.random.default_rng(3).standard_normal(2000).astype(dtype)
    y = ops.dropout(x, 0.1, np.random.default_rng(4))
    keep = 1 - mpf(0.1)
    return max(ulps(b, exact(a) / keep) for a, b in zip(x, y, strict=True) if b)


def nanoseconds(call: Callable[[], Any], elements: int, rounds: int) -> float:
    """The least time of a call on one processor, per element."""
    call()
    times = []
    for _ in range(rounds):
        begin = time.thread_time()
        call()
        times.append(time.thread_time() - begin)
    return min(times) / elements * 1e9


def cost(name: str, dtype: Any) -> float:
    """Nanoseconds an element at the sizes of one layer of the 90M model on 8 rows of 128 tokens."""
    rng = np.random.default_rng(5)
    long = dtype is np.longdouble
    rounds = 2 if long else 9

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(dtype)

    if name in ELEMENTWISE:
        x = normal(8 if long else 1024, 2048)
        return nanoseconds(lambda: ELEMENTWISE[name](x), x.size, rounds)
    if name in ("softmax", "log_softmax"):
        x = normal(8, 1 if long else 16, 128, 128)
        return nanoseconds(lambda: getattr(ops, name)(x), x.size, rounds)
    x = normal(64 if long else 1024, 512)
    if name == "layer_norm":
        return nanoseconds(lambda: ops.layer_norm(x, x[0], x[1]), x.size, rounds)
    if name == "embed":
        ids = rng.integers(0, len(x), 1024)
        return nanoseconds(lambda: ops.embed(ids, x), 1024 * 512, rounds)
    if name == "dropout":
        return nanoseconds(lambda: ops.dropout(x, 0.1, rng), x.size, rounds)
    labels = rng.integers(0, 512, len(x))
    return nanoseconds(lambda: ops.cross_entropy(x, labels), x.size, rounds)


def error_text(name: str, dtype: Any, count: int) -> str:
    if name in ELEMENTWISE and name != "relu":
        tail, rest = elementwise_errors(name, dtype, count)
        return f"{max(tail, rest):.2f}" if name == "erf" else f"{tail:.2f} / {rest:.2f}"
    if name in ("relu", "embed"):
        return "0"
    return f"{dropout_error(dtype) if name == 'dropout' else row_errors(name, dtype, max(20, count // 20)):.2f}"


def table(count: int) -> Iterator[str]:
    wide = np.finfo(np.longdouble).nmant + 1
    yield (
        f"NumPy {np.__version__}, {platform.machine()}, longdouble of {wide} bits; {count} points a region, "
        f"{max(20, count // 20)} rows an operation. Two numbers are the left tail (x < -1) and the rest."
    )
    yield ""
    yield "| operation | promised | ulp float32 | float64 | longdouble | ns float32 | float64 | longdouble |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, guarantee in GUARANTEES.items():
        errors = [error_text(name, t, count) for t in DTYPES]
        costs = ["that of BLAS", "", ""] if name == "linear" else [f"{cost(name, t):.2f}" for t in DTYPES]
        yield f"| `{name}` | {guarantee} | {' | '.join(errors)} | {' | '.join(costs)} |"


def exhaustive() -> str:
    """The largest error of float32 GELU over every float32 from 2^-12 to 16, of either sign."""
    worst, at, seen = 0.0, 0.0, 0
    first, last = (int(np.float32(v).view(np.int32)) for v in (2.0**-12, 16.0))
    for start in range(first, last, 2**20):
        bits = np.arange(start, min(last, start + 2**20), dtype=np.int32)
        for x in (bits.view(np.float32), -bits.view(np.float32)):
            truth = ops.gelu(x.astype(np.float64))
            info = np.finfo(np.float32)
            exponent = np.maximum(np.frexp(truth)[1] - 1, int(info.minexp)) - int(info.nmant)
            error = np.abs(ops.gelu(x) - truth) / np.ldexp(1.0, exponent)
            index = int(error.argmax())
            seen += x.size
            if error[index] > worst:
                worst, at = float(error[index]), float(x[index])
    return f"float32 GELU at {seen:,} values: at most {worst:.3f} ulp, at x = {at:.8g}."


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=2000, help="points a region (2000)")
    parser.add_argument("--exhaustive", action="store_true", help="float32 GELU at every value as well")
    parser.add_argument("--write-docs", action="store_true", help="write the table into docs/ops.md")
    chosen = parser.parse_args()
    mp.dps = operations.DIGITS
    lines = []
    for line in table(chosen.points):
        print(line, flush=True)
        lines.append(line)
    if chosen.exhaustive:
        line = exhaustive()
        print("\n" + line)
        lines += ["", line]
    if chosen.write_docs:
        page = PAGE.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        after = rest.split(END)[1]
        PAGE.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
