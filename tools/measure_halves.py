"""Times what weights stored in 16 bits would cost: their conversion to float32, beside a product that reads float32.

    python tools/measure_halves.py [--write-docs]    # the table of docs/performance.md

Conversion goes block by block, so that each stays in cache; the product is that of one row with all of them.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from npblender import ops  # noqa: E402
from tools.differential.tables import markdown, write_between_markers  # noqa: E402

PAGE = ROOT / "docs" / "performance.md"
INNER, COLUMNS = 512, 2**16  # 33 million weights
BLOCK = 2**15
ROUNDS = 5


def seconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def converted(stored: np.ndarray) -> None:
    """Every block in float32, one after another in the same place; bfloat16 is the upper half of float32."""
    wide = np.empty(BLOCK, np.uint32)
    for start in range(0, stored.size, BLOCK):
        block = stored[start : start + BLOCK]
        if block.dtype == np.uint16:
            np.left_shift(block, 16, out=wide, dtype=np.uint32)
        else:
            np.copyto(wide.view(np.float32), block)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/performance.md")
    arguments = parser.parse_args()
    matrix = np.random.default_rng(0).standard_normal((COLUMNS, INNER), dtype=np.float32)
    weight, x = ops.Panels.of(matrix), np.ones((1, INNER), np.float32)
    with ops.use_threads(1), ops.ONE_THREAD:
        product = seconds(lambda: weight.multiply(x))
    rows = [["product of one row with float32", f"{product / matrix.size * 1e9:.2f}", "1.00"]]
    flat = matrix.reshape(-1)
    for name, stored in (
        ("float16 to float32", flat.astype(np.float16)),
        ("bfloat16 to float32", (flat.view(np.uint32) >> 16).astype(np.uint16)),
    ):
        took = seconds(lambda stored=stored: converted(stored))
        rows.append([name, f"{took / matrix.size * 1e9:.2f}", f"{took / product:.2f}"])
    text = markdown(["one thread", "ns a weight", "times the product"], rows)
    print(text, end="")
    if arguments.write_docs:
        write_between_markers(PAGE, "halves", text)


if __name__ == "__main__":
    main()
