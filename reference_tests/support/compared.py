"""Traces to compare: one reference with its noise, and the same run in float32. Asserts nothing."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from npblender.groundtruth import Trace, trace
from npblender.groundtruth.tracing.tensor_file import write_tensors
from npblender.models.example import example_model

Array = np.ndarray[Any, Any]

FFN = "encoder.layers.0.ffn"
INPUTS: dict[str, Any] = {
    "input_ids": [[5, 6, 7, 8, 0], [9, 3, 4, 10, 6]],  # S = 5; the first row ends in a pad
    "decoder_input_ids": [[1, 9, 4, 5], [1, 7, 8, 2]],  # T = 4, neither a number of heads nor a size of them
}


@cache
def reference(steps: bool = False, dtype: str = "float64", dialect: str = "parlai") -> Trace:
    """The truth, with measured noise."""
    return trace(example_model(), **INPUTS, steps=steps, dtype=dtype, dialect=dialect)


@cache
def in_float32(steps: bool = False, dialect: str = "parlai") -> Trace:
    """What a correct port gives."""
    return trace(example_model(), **INPUTS, steps=steps, dtype="float32", dialect=dialect, noise=False)


def arrays(of: Trace) -> dict[str, Array]:
    """Copy that may be changed."""
    return {name: array.copy() for name, array in of.arrays.items()}


def write_files(place: Path) -> Path:
    """Files that `npblender compare` reads, right and wrong ones."""
    reference().save(place / "ref")
    in_float32().save(place / "good")
    wrong = arrays(in_float32())
    wrong[f"{FFN}.activation"][0, 1, 2] += 0.25
    wrong[f"{FFN}.output"] = wrong[f"{FFN}.output"][:, :3]
    wrong["encoder.states"][1, 0, 0] = np.nan
    wrong["logits"][0, 0, 0] = np.inf
    wrong["x<b>\x1b[31m"] = np.zeros(2)
    del wrong[f"{FFN}.hidden"]
    write_tensors(place / "wrong", wrong)
    np.savez(place / "strange.npz", other=np.zeros(3))
    (place / "half").write_bytes((place / "good").read_bytes()[:5000])
    (place / "empty").write_bytes(b"")
    (place / "names").write_text(json.dumps({"mine.{n}": "encoder.layers.{n}.output"}))
    (place / "bad-names").write_text(json.dumps({"mine.{n}": "encoder.layers.{m}.output"}))
    return place
