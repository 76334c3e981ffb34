"""The package `onnx` reads the tensors that golden packs are converted to; npblender writes them without it."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from npblender.groundtruth.packs.convert import onnx
from tools.originals.environments import oracle_python

READS = """
import sys, onnx, onnx.numpy_helper
for path in sys.argv[1:]:
    tensor = onnx.TensorProto()
    tensor.ParseFromString(open(path, "rb").read())
    array = onnx.numpy_helper.to_array(tensor)
    print(tensor.name, array.dtype, array.tolist())
"""


def test_the_onnx_package_reads_what_npblender_writes(tmp_path: Path) -> None:
    try:
        python = oracle_python("onnxruntime")
    except FileNotFoundError as error:
        pytest.skip(f"the package onnx is not there to read with ({error}); the format is parsed by hand above")
    arrays = [np.arange(6, dtype=np.int64).reshape(2, 3), np.array(1.5, np.float32), np.array([True, False])]
    for number, array in enumerate(arrays):
        (tmp_path / f"{number}.pb").write_bytes(onnx.tensor_proto(f"t{number}", array))
    command = [python, "-c", READS, *(tmp_path / f"{number}.pb" for number in range(3))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["t0 int64 [[0, 1, 2], [3, 4, 5]]", "t1 float32 1.5", "t2 bool [True, False]"]
