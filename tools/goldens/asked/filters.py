"""Compares the filter cases of a pack with transformers' logits processors."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from npblender.groundtruth.packs.files import PackCase
from npblender.groundtruth.packs.sections.filters import PATH
from npblender.groundtruth.tracing.tensor_file import read_tensors, write_tensors
from tools.differential.originals import version_of
from tools.originals import asking

BOUND = 4e-7
"""Relative: the processors compute in float32."""


def ask(original: str, cases: list[PackCase]) -> dict[str, Any]:
    """The record for the manifest."""
    arrays: dict[str, Any] = {}
    parameters = {}
    for case in cases:
        arrays |= {f"{case.name}/{name}": value for name, value in case.inputs.items()}
        parameters[case.name] = dict(case.parameters)
    with tempfile.TemporaryDirectory() as place:
        asked, answered = Path(place) / "asked.safetensors", Path(place) / "answered.safetensors"
        write_tensors(asked, arrays, {"cases": json.dumps(parameters)})
        asking.run(original, "run_filters", asked, answered)
        answers, _ = read_tensors(answered)
    wrong = [case.name for case in cases if case.name in answers and not _same(case, answers[case.name])]
    record = {"file": PATH, "by": version_of(original), "asked": True, "cases": len(answers)}
    return {**record, "bound": BOUND, "within": not wrong, **({"problems": wrong} if wrong else {})}


def _same(case: PackCase, theirs: np.ndarray) -> bool:
    ours = np.asarray(case.outputs["scores"])
    return bool(np.allclose(ours, theirs, rtol=BOUND, atol=0, equal_nan=True))
