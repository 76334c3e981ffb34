"""Has the originals make the traces of `reference_tests/golden/traces/`.

    python tools/goldens/traces.py            # write them
    python tools/goldens/traces.py --check    # make them again and compare with the stored ones

Both transformers trace one tiny model of the forward goldens, in float64 and float32, and step by step in float64,
through `tools/torch_trace.py`; ONNX Runtime traces it in float32, through the graph of `tools/onnx_graph`. The
numbers are theirs; npblender only rewrites the files so that the same content gives the same bytes. `--check` also
runs `tools/originals/check_torch_trace.py`, which asks the helper for all that it promises.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from npblender.checkpoint import save  # noqa: E402
from npblender.config import BlenderbotSmallConfig  # noqa: E402
from npblender.groundtruth.tracing.trace_file import Trace  # noqa: E402
from npblender.transformer.parameters import from_arrays  # noqa: E402
from tools.differential.measure import relative_difference  # noqa: E402
from tools.goldens.files import Golden, read_golden  # noqa: E402
from tools.goldens.forward import BOUNDS  # noqa: E402
from tools.measure.noise_budget.models import Model  # noqa: E402
from tools.measure.noise_budget.ports import Port  # noqa: E402
from tools.originals.environments import oracle_python  # noqa: E402

FORWARD = ROOT / "reference_tests" / "golden" / "forward"
FOLDER = ROOT / "reference_tests" / "golden" / "traces"
MODEL, CALL = "gelu-scaled", 0
WHOLE, STEPS = (), ("--steps", "--prefill", "2")
KINDS = {("whole", "float64"): WHOLE, ("whole", "float32"): WHOLE, ("steps", "float64"): STEPS}
ORIGINALS = ("transformers-4", "transformers-5")
RUNTIME = "onnxruntime"


def inputs_of(golden: Golden) -> dict[str, list[list[int]]]:
    """The arrays of the traced call, as a JSON file of inputs holds them."""
    arguments = golden.case.calls[CALL]["arguments"]
    names = ("input_ids", "attention_mask", "decoder_input_ids")
    return {name: golden.case.inputs[arguments[name]["array"]].tolist() for name in names}


def write_model(golden: Golden, folder: Path) -> None:
    """The golden's model as a folder of float32 weights."""
    config = BlenderbotSmallConfig.from_dict(golden.case.config)
    arrays = {name.removeprefix("model."): value.astype("float32") for name, value in golden.case.weights.items()}
    save(folder, config, from_arrays(config, arrays))


def ports() -> Iterator[tuple[Path, Port]]:
    """Every file, and who makes it."""
    for original in ORIGINALS:
        for (kind, dtype), flags in KINDS.items():
            options = (*flags, "--dtype", dtype, "--threads", "1")
            yield file_of(original, kind, dtype), Port(original, original, "tools/torch_trace.py", original, options)
    dialect = ORIGINALS[-1]
    options = ("--dialect", dialect)
    runtime = Port("ONNX Runtime", dialect, "tools/originals/run_onnx_trace.py", RUNTIME, options)
    yield file_of(RUNTIME, "whole", "float32"), runtime


def file_of(original: str, kind: str, dtype: str) -> Path:
    return FOLDER / f"{kind}-{original}-{dtype}.safetensors"


def differences(name: str, old: Trace, new: Trace) -> list[str]:
    """Where a trace made now differs from the stored one by more than another machine's rounding may."""
    if old.points != new.points or old.producer != new.producer or old.inputs != new.inputs:
        return [f"{name}: other points or inputs, or made by {old.producer}, now by {new.producer}"]
    bound = BOUNDS[str(new.dtype)]
    pairs = {point: relative_difference(new.arrays[point], old.arrays[point]) for point in new.points}
    return [f"{name}, {point}: {far:.3g}; {where}" for point, (far, where) in pairs.items() if not far <= bound]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Have the originals make the golden traces.")
    parser.add_argument("--check", action="store_true", help="write nothing; compare with the stored files")
    options = parser.parse_args(arguments)
    golden = read_golden(MODEL, FORWARD)
    wrong = []
    with tempfile.TemporaryDirectory() as place:
        model, inputs = Path(place) / "model", Path(place) / "inputs.json"
        write_model(golden, model)
        inputs.write_text(json.dumps(inputs_of(golden)))
        for file, port in ports():
            trace, _ = port.run(Model(MODEL, "", model, inputs), Path(place) / "trace")
            if options.check:
                wrong += differences(file.name, Trace.load(file), trace)
                continue
            FOLDER.mkdir(exist_ok=True)
            trace.save(file)
            print(f"{file.relative_to(ROOT)}  {file.stat().st_size:,} bytes, {len(trace.points)} points")
        for original in ORIGINALS if options.check else ():
            script = ROOT / "tools" / "originals" / "check_torch_trace.py"
            done = subprocess.run([oracle_python(original), script, model], capture_output=True, text=True)
            wrong += [f"{original}: {done.stdout}{done.stderr[-4000:]}"] if done.returncode else []
    if options.check:
        print("\n".join(wrong) if wrong else "the golden traces are what the originals compute")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
