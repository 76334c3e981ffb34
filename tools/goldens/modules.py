"""Has the originals make the files of `reference_tests/golden/modules/`: what each of their modules takes and gives.

    python tools/goldens/modules.py            # write them
    python tools/goldens/modules.py --check    # ask the originals again and compare with the stored files

The model and its inputs are those of the golden traces (see `traces.py`), in float32. npblender rewrites the
files, so that the same content gives the same bytes, and computes nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from npblender.groundtruth.tracing.tensor_file import read_tensors, write_tensors  # noqa: E402
from tools.differential.measure import relative_difference  # noqa: E402
from tools.differential.originals import version_of  # noqa: E402
from tools.goldens.files import read_golden  # noqa: E402
from tools.goldens.forward import BOUNDS  # noqa: E402
from tools.goldens.traces import FORWARD, MODEL  # noqa: E402
from tools.originals.environments import oracle_python  # noqa: E402
from tools.originals.exchange import write_case  # noqa: E402

FOLDER = ROOT / "reference_tests" / "golden" / "modules"
ORIGINALS = ("transformers-4", "transformers-5", "parlai")
DTYPE = "float32"


def file_of(original: str) -> Path:
    return FOLDER / f"{original}.safetensors"


def heard_from(original: str) -> dict[str, Any]:
    """The arrays of all modules of one original, sorted by name. RuntimeError with what it said if it fails."""
    case = read_golden(MODEL, FORWARD).case
    weights = {name: value.astype(DTYPE) for name, value in case.weights.items()}
    with tempfile.TemporaryDirectory() as place:
        write_case(dataclasses.replace(case, dtype=DTYPE, weights=weights), Path(place) / "cases")
        out = Path(place) / "out.safetensors"
        script = ROOT / "tools" / "originals" / "hear_modules.py"
        command = [oracle_python(original), script, Path(place) / "cases", out, "--original", original]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{original} ended with {done.returncode}:\n{done.stderr[-4000:]}")
        return dict(sorted(read_tensors(out)[0].items()))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Have the originals say what their modules take and give.")
    parser.add_argument("--check", action="store_true", help="write nothing; compare with the stored files")
    options = parser.parse_args(arguments)
    wrong = []
    for original in ORIGINALS:
        arrays, file = heard_from(original), file_of(original)
        if options.check:
            stored, said = read_tensors(file)
            if sorted(stored) != sorted(arrays) or said["version"] != version_of(original):
                wrong.append(f"{file.name}: other names, or another version")
                continue
            pairs = {name: relative_difference(arrays[name], stored[name]) for name in arrays}
            wrong += [f"{file.name}, {name}: {far:.3g}" for name, (far, _) in pairs.items() if not far <= BOUNDS[DTYPE]]
            continue
        FOLDER.mkdir(exist_ok=True)
        write_tensors(file, arrays, {"original": original, "version": version_of(original)})
        print(f"{file.relative_to(ROOT)}  {file.stat().st_size:,} bytes, {len(arrays)} arrays")
    if options.check:
        print("\n".join(wrong) if wrong else "the modules give what is stored")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
