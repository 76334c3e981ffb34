"""What this machine can do and what it is called: how fast it reads, how fast it multiplies, and its versions.

Both speeds are the best of several ways, so that a bound made from them is one.
"""

from __future__ import annotations

import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from npblender.ops.packed.blas import WITH_SMALL_KERNELS, core_name

COLUMNS = 512
SHAPES = ((1024, 512, 2048), (1024, 2048, 512), (2048, 2048, 2048))  # of products, the model's own first


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's name, if the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def blas() -> str:
    """The library behind NumPy's products.

    >>> bool(blas())
    True
    """
    built = np.show_config(mode="dicts")
    assert isinstance(built, dict)
    found = built["Build Dependencies"]["blas"]
    return f"{found['name']} {found['version']}"


def has_avx512(machine: dict[str, Any]) -> bool:
    """Whether the BLAS of a machine, as `described`, has kernels for AVX-512.

    >>> has_avx512({"kernels": "SkylakeX"}), has_avx512({"kernels": "Haswell"})
    (True, False)
    """
    return machine["kernels"] in WITH_SMALL_KERNELS


def described(threads: int) -> dict[str, Any]:
    """Names and versions of the machine and of what npblender runs on."""
    return {
        "processor": processor(),
        "cores": cores(),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": blas(),
        "kernels": core_name() or "",
        "simd": ", ".join(np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])),
    }


class Machine:
    """Measures on request. It holds a matrix larger than any cache; a `quick` one does not, and measures little."""

    def __init__(self, threads: int, quick: bool = False) -> None:
        self.threads, megabytes = threads, 8 if quick else 256
        rows = megabytes * 2**20 // (4 * COLUMNS)
        self.matrix = np.full((rows, COLUMNS), 0.5, np.float32)
        self.vector = np.ones(COLUMNS, np.float32)
        self.parts = np.array_split(self.matrix, threads)
        self.flat = [part.reshape(-1) for part in self.parts]
        self.pool = ThreadPoolExecutor(threads)
        rng = np.random.default_rng(0)
        self.products = [
            (rng.standard_normal((m, k), np.float32), rng.standard_normal((n, k), np.float32))
            for m, k, n in SHAPES[: 1 if quick else None]
        ]

    def _seconds(self, call: Any, repeats: int) -> float:
        best = float("inf")
        for _ in range(repeats):
            begin = time.perf_counter()
            call()
            best = min(best, time.perf_counter() - begin)
        return best

    def _spread_out(self, work: Any, parts: list[Any]) -> None:
        list(self.pool.map(work, parts))

    def readers(self) -> dict[str, Any]:
        """Ways to read the matrix once."""
        return {
            "matrix times vector": lambda: self.matrix @ self.vector,
            "matrix times vector, a part a thread": lambda: self._spread_out(lambda p: p @ self.vector, self.parts),
            "greatest, a part a thread": lambda: self._spread_out(np.max, self.flat),
            "dot product, a part a thread": lambda: self._spread_out(lambda p: np.dot(p, p), self.flat),
        }

    def measure(self, repeats: int = 2) -> dict[str, Any]:
        """`bandwidth` in bytes a second and `peak` in operations a second, with what each way reached."""
        size = self.matrix.nbytes
        reads = {name: size / self._seconds(call, repeats) for name, call in self.readers().items()}
        peaks = {}
        for a, b in self.products:
            operations = 2 * a.shape[0] * a.shape[1] * b.shape[0]
            name = f"{a.shape[0]} x {a.shape[1]} x {b.shape[0]}"
            peaks[name] = operations / self._seconds(lambda a=a, b=b: a @ b.T, 2 * repeats)
        return {"bandwidth": max(reads.values()), "peak": max(peaks.values()), "reads": reads, "peaks": peaks}
