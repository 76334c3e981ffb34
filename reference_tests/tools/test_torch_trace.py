"""The helper that traces a torch model: its names, its files, and that the recorded traces are npblender's numbers.

torch is not needed here. `python -m tools goldens traces --check` runs the helper in both transformers' environments.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npblender import BlenderbotSmallConfig
from npblender.config.dialect import resolve_dialect
from npblender.groundtruth.tracing.evaluate import Evaluation, evaluate
from npblender.groundtruth.tracing.inputs import TraceInputs, check_inputs
from npblender.groundtruth.tracing.points import catalogue, decoder_points, head_points
from npblender.groundtruth.tracing.trace_file import Trace
from reference_tests.support.forward_checks import assert_near
from reference_tests.support.golden_model import model_of
from reference_tests.support.tolerances import TOLERANCES
from tools import torch_trace
from tools.goldens.files import read_golden
from tools.goldens.traces import FOLDER, FORWARD, KINDS, MODEL, ORIGINALS, file_of, inputs_of, ports

GOLDEN = read_golden(MODEL, FORWARD)
CASES = [(original, *kind) for original in ORIGINALS for kind in KINDS]
TOLERANCE = {"float64": "float64 against transformers", "float32": "float32 against ParlAI"}


def points_of(original: str, dtype: str, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    model, found = model_of(GOLDEN.case, original, dtype), {}
    dialect = resolve_dialect(original)
    run = check_inputs(model.config, model.weights, dialect, TraceInputs.from_json(inputs))
    evaluate(
        Evaluation(model.config, dialect, model.weights, run), lambda name, a: found.__setitem__(name, np.array(a))
    )
    return found


def test_names_are_those_of_the_catalogue_in_its_order() -> None:
    for encoder, decoder in ((1, 2), (3, 1)):
        config = BlenderbotSmallConfig(encoder_layers=encoder, decoder_layers=decoder)
        for labels in (False, True):
            expected = [point.name for point in catalogue(config, labels=labels)]
            assert torch_trace.point_names(encoder, decoder, labels=labels) == expected
    alone = [point.name for point in (*decoder_points(2, cross=False), *head_points())]
    assert torch_trace.point_names(None, 2) == alone


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_what_transformers_computed_is_what_npblender_computes(case: tuple[str, str, str]) -> None:
    """Every point of both programs; only what an original does not compute is missing from its trace."""
    original, kind, dtype = case
    trace = Trace.load(file_of(*case))
    assert (trace.dialect, trace.dtype) == (original, dtype)
    assert trace.producer is not None
    assert trace.producer["transformers"].startswith(original[-1] + ".")
    assert trace.inputs is not None
    assert {name: trace.inputs[name] for name in inputs_of(GOLDEN)} == inputs_of(GOLDEN)
    mine = points_of(original, dtype, dict(trace.inputs))
    assert [name for name in mine if name in trace.points] == list(trace.points), "in causal order"
    missing = {name for name in mine if name not in trace.points}
    silent = ("q", "log_probabilities") if original == "transformers-5" else ("log_probabilities",)
    assert missing == {name for name in mine if name.rsplit(".", 1)[-1] in silent}
    for name, array in trace.arrays.items():
        assert array.dtype == dtype
        assert_near(name, mine[name], array, TOLERANCES[TOLERANCE[dtype]])
    assert (kind == "steps") == any(name.startswith("step3.") for name in trace.points)


def test_the_traces_are_all_there_and_small() -> None:
    files = set(FOLDER.iterdir())
    assert files == {file for file, _ in ports()}
    assert files > {file_of(*case) for case in CASES}
    assert sum(file.stat().st_size for file in files) < 800_000


def test_a_saved_trace_reads_back(tmp_path: Path) -> None:
    config = dict.fromkeys(torch_trace.SIZES, 1)
    recorded = {"logits": np.array([[[1.5, 2.5]]]), "decoder.states": np.zeros((1, 1, 1))}
    made = torch_trace.TorchTrace({"torch": "0"}, "transformers-5", "float64", config, {"input_ids": [[1]]}, recorded)
    made.save(tmp_path / "t.safetensors")
    read = Trace.load(tmp_path / "t.safetensors")
    assert read.points == ("decoder.states", "logits"), "in causal order, not as they were recorded"
    assert read.inputs == {"input_ids": [[1]]}
    assert (read.producer, read.dialect, read.config, dict(read.noise)) == ({"torch": "0"}, made.dialect, config, {})
    assert np.array_equal(read.arrays["logits"], recorded["logits"])


@pytest.mark.parametrize(
    ("content", "named"),
    [({"input_ids": [[1]], "head_mask": [[1]]}, "head_mask"), ({"labels": [[1]]}, "no input_ids")],
)
def test_inputs_that_would_not_be_honoured_are_refused(content: dict[str, Any], named: str, tmp_path: Path) -> None:
    (tmp_path / "inputs.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=named):
        torch_trace.read_inputs(tmp_path / "inputs.json")


@pytest.mark.parametrize(
    "content",
    [
        {"input_ids": [[1]], "steps": True},
        {"input_ids": [[1]], "decoder_input_ids": [[1]], "steps": True, "prefill": 2},
        {"input_ids": [[1]], "decoder_input_ids": [[1]], "labels": [[1]], "steps": True},
    ],
)
def test_steps_without_their_target_are_refused(
    content: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "inputs.json").write_text(json.dumps(content))
    paths = [str(tmp_path / name) for name in ("model", "inputs.json", "out")]
    with pytest.raises(SystemExit, match="2"):
        torch_trace.main(["--model", paths[0], "--inputs", paths[1], "--out", paths[2]])
    assert "steps need decoder_input_ids" in capsys.readouterr().err
    assert FORWARD.exists()
