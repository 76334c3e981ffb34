"""Checks every promise of `tools/torch_trace.py` with both versions of transformers.

    python -m tools compare torch-trace

The model is one of the forward goldens; the promises are in `tools/originals/check_torch_trace.py`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tools.goldens.files import read_golden
from tools.goldens.traces import FORWARD, MODEL, ORIGINALS, write_model
from tools.originals import asking


def main(arguments: list[str] | None = None) -> int:
    argparse.ArgumentParser(description="Check the promises of tools/torch_trace.py.").parse_args(arguments)
    failed = 0
    with tempfile.TemporaryDirectory() as place:
        write_model(read_golden(MODEL, FORWARD), Path(place) / "model")
        for original in ORIGINALS:
            try:
                asking.run(original, "check_torch_trace", Path(place) / "model")
            except RuntimeError as error:
                print(error)
                failed += 1
            else:
                print(f"{original}: every promise holds")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
