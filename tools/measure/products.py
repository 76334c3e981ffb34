"""Times products with panels, and of one row by dot products, beside plain ones, here and as other processors.

    python -m tools measure products                 # prints the table
    python -m tools measure products --write-docs    # and puts it into docs/performance.md
    python -m tools measure products --python PATH   # and times another interpreter, whose NumPy has another BLAS

OpenBLAS chooses its kernels by OPENBLAS_CORETYPE, so that an older processor can be played by a newer one. Each is a
process of its own, and so is each way, since OpenBLAS's threads turn in circles for a while after a product and would
disturb ours; the matrices together do not fit any cache. Products with narrow panels are shared out over our threads,
those with wide ones over the BLAS's, as in a pass that is not cut into groups of rows; dot products are made by one of
ours. Every entry is how many times as long the plain product takes. NPBLENDER_LAYOUT and NPBLENDER_PANELS choose for a
model what `ops.packed` would not.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from tools import ROOT
from tools.docs.tables import markdown, write_between_markers

PAGE = ROOT / "docs" / "performance.md"
CORES = ("", "Haswell", "Sandybridge", "Nehalem")  # the first is what OpenBLAS chooses by itself
ROWS = (1, 4, 10, 32, 128, 1024)
SHAPES = ((512, 512), (2048, 512), (512, 2048))
BYTES = 60_000_000  # of different matrices in turn
ROUNDS = 7
WAYS = {"plain": "", "narrow": "narrow", "wide": "wide", "dots": "none, dot products"}  # and how the table names them


def measure(way: str) -> dict[str, Any]:
    """The seconds of this process a product, in one way, by shape and rows."""
    import numpy as np

    from npblender.ops.packed.blas import CUTS, ONE_THREAD, layout, preferred_cut
    from npblender.ops.packed.lazy_panels import multiply_row
    from npblender.ops.packed.panels import Panels
    from npblender.transformer.execution import threads_of_blas as threads

    rng = np.random.default_rng(0)
    limits: dict[str, AbstractContextManager[None]] = {"plain": nullcontext(), "narrow": ONE_THREAD, "dots": ONE_THREAD}
    multiplications: dict[str, Callable[[Any, Any], Any]] = {
        "plain": lambda x, matrix: x @ matrix.T,
        "dots": lambda x, matrix: multiply_row(matrix, x),
    }
    multiply = multiplications.get(way, lambda x, matrix: matrix.multiply(x))
    seconds = {}
    for rows_out, inner in SHAPES:
        count = max(2, BYTES // (4 * rows_out * inner))
        plain = [rng.standard_normal((rows_out, inner), dtype=np.float32) for _ in range(count)]
        matrices: list[Any] = [Panels.of(matrix, CUTS[way]) for matrix in plain] if way in CUTS else plain
        for rows in ROWS[:1] if way == "dots" else ROWS:
            x = rng.standard_normal((rows, inner), dtype=np.float32)
            times = []
            for _ in range(ROUNDS):
                with threads() if way == "wide" else limits[way]:
                    begun = time.perf_counter()
                    for matrix in matrices:
                        multiply(x, matrix)
                    times.append(time.perf_counter() - begun)
            seconds[f"{rows_out}x{inner} {rows}"] = statistics.median(times) / count
    chosen = "rows" if layout() == "rows" else next(name for name, cut in CUTS.items() if cut is preferred_cut())
    return {"kernels": kernels(), "chosen": chosen, "seconds": seconds}


def kernels() -> str:
    """What multiplies here: the processor that OpenBLAS chose its kernels for, or which other BLAS it is."""
    from npblender.ops.packed import blas
    from tools.bench import machine

    return blas.core_name() or machine.blas()


def run(core: str, python: str = sys.executable) -> dict[str, Any]:
    """All ways with the kernels of one processor, or those of another interpreter's NumPy, and the ratios."""
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    if core:
        environment["OPENBLAS_CORETYPE"] = core
    found = {}
    for way in WAYS:
        command = [python, "-m", "tools.measure.products", "--one", way]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        found[way] = json.loads(done.stdout)
    plain = found["plain"]["seconds"]
    ratios = {
        name: {key: plain[key] / seconds for key, seconds in found[way]["seconds"].items()}
        for way, name in WAYS.items()
        if way != "plain"
    }
    return {**found["plain"], "ratios": ratios}


def table(found: list[dict[str, Any]]) -> str:
    """The ratios, a line a kind of processor, panels and shape."""
    head = ["kernels for", "chosen", "panels", "matrix", *(f"{rows} rows" if rows > 1 else "1 row" for rows in ROWS)]
    lines = []
    for result in found:
        for way, ratios in result["ratios"].items():
            for rows_out, inner in SHAPES:
                keys = [f"{rows_out}x{inner} {rows}" for rows in ROWS]
                values = [f"{ratios[key]:.2f}" if key in ratios else "-" for key in keys]
                lines.append([result["kernels"], result["chosen"], way, f"{rows_out} x {inner}", *values])
    return markdown(head, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/performance.md")
    parser.add_argument("--python", action="append", default=[], metavar="PATH", help="an interpreter besides this one")
    parser.add_argument("--one", choices=list(WAYS), help="this process' own times in one way, as JSON")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    found = table([*map(run, CORES), *(run("", python) for python in arguments.python)])
    print(found, end="")
    if arguments.write_docs:
        write_between_markers(PAGE, "products", found)


if __name__ == "__main__":
    main()
