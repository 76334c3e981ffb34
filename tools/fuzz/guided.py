"""Feeds the unpickler and the safetensors header with files that a coverage-guided fuzzer makes up (atheris).

    pip install atheris==3.0.0
    python -m tools fuzz-guided pickle -runs=1000000 -max_len=4096
    python -m tools fuzz-guided safetensors -max_total_time=600

What stands behind the reader's name goes to libFuzzer. It ends with a file and status 1 at the first fault.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

GUIDED = ("pickle", "safetensors", "flax", "torch-legacy", "torch-zip", "parlai")


def main() -> int:
    try:
        import atheris
    except ImportError:
        sys.exit("this task needs atheris: pip install atheris==3.0.0 (Linux and macOS, Python up to 3.13)")
    name, *rest = sys.argv[1:] or [""]
    if name not in GUIDED:
        sys.exit(f"say what to feed: {', '.join(GUIDED)}")
    with atheris.instrument_imports(include=["npblender.checkpoint"]):
        from tools.fuzz.checkpoints import READERS
    reader = READERS[name]
    with tempfile.TemporaryDirectory() as place:
        print(f"guided {name}", flush=True)
        for number, seed in enumerate(reader.seeds()):
            (Path(place) / str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], place, *rest], reader.execute)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
