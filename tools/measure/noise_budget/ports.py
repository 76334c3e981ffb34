"""Float32 ports of the model that are known to be correct, each run in a process of its own, and how they score.

transformers 4 and 5 are recorded by `tools/torch_trace.py`, ONNX Runtime runs the graph of `tools/onnx_graph`, and
npblender's own float32 is run under other BLAS kernels, thread counts and SIMD extensions than this process has.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from npblender.groundtruth import Score, Trace, score
from tools import ROOT
from tools.measure.noise_budget.models import Model
from tools.originals.environments import oracle_python


@dataclass(frozen=True)
class Port:
    """One way to compute the model in float32."""

    name: str
    dialect: str
    module: str
    environment: str | None = None  # of tools/originals; None = this one
    options: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    threads: int = 1

    def suits(self, model: Model) -> bool:
        """Whether it is worth running: no engine gives a tiny product to two threads."""
        return self.threads == 1 or not model.tiny

    def run(self, model: Model, out: Path) -> tuple[Trace, str]:
        """Its trace, and what it printed. RuntimeError with what it said if it fails."""
        python = sys.executable if self.environment is None else str(oracle_python(self.environment))
        command = [python, "-m", self.module, "--model", str(model.folder), "--inputs", str(model.inputs)]
        variables = {**os.environ, "HF_HUB_OFFLINE": "1", **self.variables}
        command += ["--out", str(out), *self.options]
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{self.name} ended with {done.returncode}:\n{done.stderr[-4000:]}")
        trace = Trace.load(out)
        out.unlink()
        return trace, done.stdout.strip()


def _torch(version: str, threads: int) -> Port:
    named = f"transformers {version}, {threads} thread{'s' if threads > 1 else ''}"
    options = ("--dtype", "float32", "--threads", str(threads))
    name = f"transformers-{version}"
    return Port(named, name, "tools.torch_trace", name, options, {"OMP_NUM_THREADS": str(threads)}, threads)


def _onnx(named: str, dialect: str, *options: str, threads: int = 1) -> Port:
    given = ("--dialect", dialect, "--threads", str(threads), *options)
    return Port(
        f"ONNX Runtime, {named}", dialect, "tools.originals.run_onnx_trace", "onnxruntime", given, threads=threads
    )


def _own(named: str, threads: int = 1, **variables: str) -> Port:
    variables["OPENBLAS_NUM_THREADS"] = str(threads)
    dialect = "transformers-5"
    options = ("--dialect", dialect)
    return Port(named, dialect, "tools.measure.noise_budget.own", options=options, variables=variables, threads=threads)


PORTS = (
    _torch("4", 1),
    _torch("4", 2),
    _torch("5", 1),
    _torch("5", 2),
    _onnx("1 thread", "transformers-5"),
    _onnx("2 threads", "transformers-5", threads=2),
    _onnx("graph not optimised", "transformers-4", "--unfused"),
)
NO_AVX512 = "X86_V4 AVX512_ICL AVX512_SPR AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL"
NO_AVX2 = f"X86_V3 AVX2 FMA3 {NO_AVX512}"
KERNELS = (
    _own("1 thread"),
    _own("2 threads", threads=2),
    *(_own(f"asked for {kernel}", OPENBLAS_CORETYPE=kernel) for kernel in ("Haswell", "Sandybridge", "Nehalem")),
    _own("NumPy without AVX-512", NPY_DISABLE_CPU_FEATURES=NO_AVX512),
    _own("NumPy without AVX2", NPY_DISABLE_CPU_FEATURES=NO_AVX2),
)


def scores(reference: Trace, port: Trace) -> dict[str, Score]:
    """The score of every point that both have. ValueError if they ran other inputs or have nothing in common."""
    mine, theirs = reference.inputs or {}, port.inputs or {}
    for name in mine.keys() & theirs.keys():
        if mine[name] != theirs[name]:
            raise ValueError(f"the two ran other inputs: {name}")
    found = {
        name: score(array, port.arrays[name], reference.noise[name])
        for name, array in reference.arrays.items()
        if name in port.arrays
    }
    if not found:
        raise ValueError("the two have no point in common")
    return found
