"""Answers re-fed cases with NumPy in float32, as a port would: the example of docs/single-operations.md.

python -m tools.docs.refed_answers CASES MODEL OUT
"""

from __future__ import annotations

import sys

import numpy as np

from npblender import BlenderbotSmallForConditionalGeneration
from npblender.groundtruth import Refed
from npblender.groundtruth.single_ops.compute import compute
from npblender.groundtruth.tracing.tensor_file import write_tensors
from npblender.transformer.parameters import to_arrays


def main(arguments: list[str]) -> int:
    cases, folder, out = arguments
    asked = Refed.load(cases)
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(folder)
    parameters = {name: array.astype(np.float32) for name, array in to_arrays(model.weights).items()}
    answers = {}
    for case in asked.cases:
        named = {role: parameters[name] for role, name in case.parameters.items()}
        answers[case.name] = compute(case, asked.inputs_of(case), named)
    write_tensors(out, answers)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
