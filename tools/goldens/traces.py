"""Golden traces: every named point of one tiny model of the forward goldens, as the originals compute it.

Both transformers trace it in float64 and float32, and step by step in float64, through `tools/torch_trace.py`; ONNX
Runtime traces it in float32, through the graph of `tools/onnx_graph`. The numbers are theirs; npblender only rewrites
the files, so that the same content gives the same bytes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from npblender.checkpoint import save
from npblender.config import BlenderbotSmallConfig
from npblender.groundtruth.tracing.trace_file import Trace
from npblender.transformer.parameters import from_arrays
from tools import ROOT
from tools.differential.measure import relative_difference
from tools.goldens.files import Golden, read_golden
from tools.goldens.forward import BOUNDS
from tools.goldens.made import Made
from tools.measure.noise_budget.models import Model
from tools.measure.noise_budget.ports import Port

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
            yield file_of(original, kind, dtype), Port(original, original, "tools.torch_trace", original, options)
    dialect = ORIGINALS[-1]
    options = ("--dialect", dialect)
    runtime = Port("ONNX Runtime", dialect, "tools.originals.run_onnx_trace", RUNTIME, options)
    yield file_of(RUNTIME, "whole", "float32"), runtime


def file_of(original: str, kind: str, dtype: str) -> Path:
    return FOLDER / f"{kind}-{original}-{dtype}.safetensors"


def differences(file: Path, new: Trace) -> list[str]:
    """Where a trace made now differs from the stored one by more than another machine's rounding may."""
    name, old = file.name, Trace.load(file)
    if old.points != new.points or old.producer != new.producer or old.inputs != new.inputs:
        return [f"{name}: other points or inputs, or made by {old.producer}, now by {new.producer}"]
    bound = BOUNDS[str(new.dtype)]
    pairs = {point: relative_difference(new.arrays[point], old.arrays[point]) for point in new.points}
    return [f"{name}, {point}: {far:.3g}; {where}" for point, (far, where) in pairs.items() if not far <= bound]


def made() -> Iterator[Made]:
    """Every file of `ports`."""
    golden = read_golden(MODEL, FORWARD)
    with tempfile.TemporaryDirectory() as place:
        model, inputs = Path(place) / "model", Path(place) / "inputs.json"
        write_model(golden, model)
        inputs.write_text(json.dumps(inputs_of(golden)))
        for file, port in ports():
            trace, _ = port.run(Model(MODEL, "", model, inputs), Path(place) / "trace")
            yield Made(
                file,
                f"{len(trace.points)} points",
                partial(trace.save, file),
                partial(differences, file, trace),
            )
