"""Measures what 16-bit weights cost and save beside float32: the time of three works, and the memory of a process.

    python -m tools measure halves [--write-docs]    # the tables of docs/performance.md

The model has the 90M's sizes and random weights. Each way is a process of its own, which loads it from a float16 file;
a round of a work asks each in turn, and a figure is the median over rounds. Besides: what it takes to make numbers
of 16 bits float32, block by block, beside the product of one row that reads float32.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools import ROOT
from tools.bench.works import CONFIGS
from tools.docs.tables import markdown, write_between_markers

PAGE = ROOT / "docs" / "performance.md"
WAYS = ("float32", "float16", "bfloat16")
WORKS = {"greedy, ms a token": 32, "beam 10, ms a step": 32, "encode 8 x 128, ms": 1}
ROUNDS = 5
COLUMNS, INNER = 2**15, 512  # of the matrix that is converted: 17 million weights


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def resident(field: str) -> float:
    """Megabytes of this process as Linux reports them: VmRSS now, VmHWM at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def serve(folder: str, way: str) -> None:
    """One way's process: a line with a work's name in, its figure out."""
    import numpy as np

    from npblender import BlenderbotSmallForConditionalGeneration

    model = BlenderbotSmallForConditionalGeneration.from_pretrained(folder, dtype=way)
    loaded = resident("VmRSS")
    ids = np.random.default_rng(0).integers(4, model.config.vocab_size, (8, 128))
    search: dict[str, Any] = {"max_new_tokens": 32, "min_new_tokens": 32, "no_repeat_ngram_size": 3}
    works: dict[str, Callable[[], Any]] = {
        "greedy, ms a token": lambda: model.generate(ids[:1, :32], num_beams=1, do_sample=False, **search),
        "beam 10, ms a step": lambda: model.generate(ids[:1, :32], num_beams=10, do_sample=False, **search),
        "encode 8 x 128, ms": lambda: model.get_encoder()(ids),
        "loaded": lambda: None,
        "peak": lambda: None,
    }
    for line in sys.stdin:
        name = line.strip()
        took = seconds(works[name])
        figure = {"loaded": loaded, "peak": resident("VmHWM")}.get(name, 1000 * took / WORKS.get(name, 1))
        print(json.dumps(figure), flush=True)


def measured(folder: Path) -> dict[str, dict[str, float]]:
    """Every way's figures by name."""
    command = [sys.executable, "-m", "tools.measure.halves", "--serve", str(folder)]
    pipe = subprocess.PIPE
    running = {way: subprocess.Popen([*command, way], stdin=pipe, stdout=pipe, text=True) for way in WAYS}

    def ask(way: str, name: str) -> float:
        process = running[way]
        assert process.stdin is not None
        assert process.stdout is not None
        print(name, file=process.stdin, flush=True)
        return float(json.loads(process.stdout.readline()))

    times: dict[str, dict[str, list[float]]] = {way: {name: [] for name in WORKS} for way in WAYS}
    for name in WORKS:  # greedy search first: beams have the matrices turned into panels
        for number in range(ROUNDS + 1):  # the first one warms up
            for way in WAYS:
                took = ask(way, name)
                if number:
                    times[way][name].append(took)
    memory = {"memory once loaded, MiB": "loaded", "memory at most, MiB": "peak"}
    found = {
        way: {
            **{name: statistics.median(each) for name, each in times[way].items()},
            **{name: ask(way, key) for name, key in memory.items()},
        }
        for way in WAYS
    }
    for process in running.values():
        process.communicate()
    return found


def of_models() -> str:
    """The table of whole works."""
    from npblender import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration

    config = BlenderbotSmallConfig(**CONFIGS["90M"])
    with tempfile.TemporaryDirectory() as folder:
        BlenderbotSmallForConditionalGeneration.from_config(config, seed=0).save_pretrained(folder, dtype="float16")
        found = measured(Path(folder))
    plain = found["float32"]
    rows = []
    for name, right in plain.items():
        cells = [f"{found[way][name]:.1f} (x {found[way][name] / right:.2f})" for way in WAYS[1:]]
        rows.append([name, f"{right:.1f}", *cells])
    return markdown(["90M's sizes", *WAYS], rows)


def of_numbers() -> str:
    """The table of conversions."""
    import numpy as np

    from npblender import ops
    from npblender.ops.packed.blas import ONE_THREAD
    from npblender.ops.packed.half_bits import narrow, widen
    from npblender.ops.packed.half_panels import BLOCK
    from npblender.ops.packed.panels import Panels

    matrix = np.random.default_rng(0).standard_normal((COLUMNS, INNER), dtype=np.float32)
    weight, x = Panels.of(matrix), np.ones((1, INNER), np.float32)
    out = np.empty(BLOCK, np.float32)
    stored = {name: narrow(matrix, name).reshape(-1, BLOCK) for name in WAYS[1:]}

    def each_block(way: Callable[[Any], object], blocks: Any) -> Callable[[], None]:
        def work() -> None:
            for block in blocks:
                way(block)

        return work

    def widener(name: str) -> Callable[[Any], object]:
        return lambda block: widen(block, name, out)

    works: dict[str, Callable[[], object]] = {"product of one row with float32": lambda: weight.multiply(x)}
    for name, blocks in stored.items():
        works[f"{name} to float32"] = each_block(widener(name), blocks)
    works["the same for float16 by NumPy's astype"] = each_block(
        lambda block: np.copyto(out, block), stored["float16"].view(np.float16)
    )
    times: dict[str, list[float]] = {name: [] for name in works}
    with ops.use_threads(1), ONE_THREAD:
        for _ in range(2 * ROUNDS):
            for name, work in works.items():
                times[name].append(seconds(work))
    took = {name: statistics.median(each) / matrix.size * 1e9 for name, each in times.items()}
    product = took["product of one row with float32"]
    rows = [[name, f"{nanoseconds:.2f}", f"{nanoseconds / product:.2f}"] for name, nanoseconds in took.items()]
    return markdown(["one thread", "ns a weight", "times the product"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/performance.md")
    parser.add_argument("--serve", nargs=2, metavar=("FOLDER", "WAY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(*arguments.serve)
        return
    text = f"{of_numbers()}\n{of_models()}"
    print(text, end="")
    if arguments.write_docs:
        write_between_markers(PAGE, "halves", text)


if __name__ == "__main__":
    main()
