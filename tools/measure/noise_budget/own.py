"""Traces a model with npblender itself in float32, in a process of its own, and prints the BLAS kernel that ran.

    python -m tools.measure.noise_budget.own --model FOLDER --inputs FILE.json --out FILE --dialect D

Which kernel that is, is decided by the environment (OPENBLAS_CORETYPE, OPENBLAS_NUM_THREADS, NPY_DISABLE_CPU_FEATURES)
before NumPy is loaded. No noise is measured here.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
from pathlib import Path

from npblender import BlenderbotSmallForConditionalGeneration
from npblender.groundtruth import TraceInputs, record

NAMES = ("scipy_openblas_get_corename64_", "openblas_get_corename64_", "openblas_get_corename")


def kernel() -> str:
    """The kernel that OpenBLAS chose, or `unknown` where NumPy has another BLAS or the system hides it."""
    try:
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        return "unknown"
    for library in sorted({line.split()[-1] for line in maps.splitlines() if "openblas" in line}):
        loaded = ctypes.CDLL(library)
        for name in NAMES:
            if hasattr(loaded, name):
                function = getattr(loaded, name)
                function.restype = ctypes.c_char_p
                return str(function().decode())
    return "unknown"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--model", "--inputs", "--out", "--dialect"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(
        options.model, dtype="float32", dialect=options.dialect
    )
    inputs = TraceInputs.from_json(json.loads(Path(options.inputs).read_text()))
    record(model, inputs, noise=False).save(options.out)
    print(kernel())
    return 0


if __name__ == "__main__":
    sys.exit(main())
