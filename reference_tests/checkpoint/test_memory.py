"""Loading needs the weights and one tensor more, at most; measured, in a process of its own."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from npblender.checkpoint import save
from npblender.checkpoint.read import BUFFER_BYTES, MOST_THREADS
from npblender.config import BlenderbotSmallConfig
from npblender.transformer.parameters import expected_shapes, random_weights, to_arrays
from reference_tests.support import torch_files as torch

# Large enough that a second copy of anything could not hide: 44 MB, the largest tensor 8 MB.
CONFIG = BlenderbotSmallConfig(
    vocab_size=8192,
    d_model=256,
    encoder_layers=4,
    decoder_layers=4,
    encoder_ffn_dim=1024,
    decoder_ffn_dim=1024,
    encoder_attention_heads=4,
    decoder_attention_heads=4,
)
LARGEST = 4 * 8192 * 256
WEIGHTS = 4 * sum(math.prod(shape) for shape in expected_shapes(CONFIG).values())

FOLDERS = [
    *(("float32", "float32"), ("float16", "float32"), ("float32", "float64")),
    pytest.param("zip", "float32", marks=pytest.mark.slow),
    *(("zip", "float64"), ("transposed", "float32")),
]

MEASURE = """
import sys, tracemalloc
from pathlib import Path
from npblender.checkpoint import load
from npblender.config import BlenderbotSmallConfig
from npblender.transformer.parameters import to_arrays
def most_resident():
    # Not getrusage: there a process starts with the high water mark of the one that started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
traced = sys.argv[4] == "traced"
config = BlenderbotSmallConfig.from_pretrained(sys.argv[1])
load(sys.argv[2], BlenderbotSmallConfig.from_pretrained(sys.argv[2]))  # everything is imported and warm
if traced:
    tracemalloc.start()
before = 0 if traced else most_resident()
weights = load(sys.argv[1], config, dtype=sys.argv[3], allow_pickle=True)
peak = tracemalloc.get_traced_memory()[1] if traced else most_resident()
print(peak - before, sum(array.nbytes for array in to_arrays(weights).values()))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sizes")
    weights = random_weights(CONFIG, 0)
    save(place / "float32", CONFIG, weights)
    save(place / "float16", CONFIG, weights, dtype="float16")
    small = CONFIG.replace(vocab_size=3, d_model=4, encoder_layers=1, decoder_layers=1)
    save(place / "small", small, random_weights(small, 0))
    save_pickled(place / "zip", to_arrays(weights))
    save_pickled(place / "transposed", {name: array.T for name, array in to_arrays(weights).items()})
    return place


def save_pickled(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    """A pytorch_model.bin whose storages hold these arrays; a transposed one is saved as it lies, with its strides."""
    CONFIG.save_pretrained(folder)
    items, contents = {}, {}
    for number, (name, array) in enumerate(arrays.items()):
        shape = expected_shapes(CONFIG)[name]
        strides = torch.steps(shape) if array.shape == shape else torch.steps(shape[::-1])[::-1]
        view = torch.storage("FloatStorage", str(number), array.size)
        items[f"model.{name}" if name != "final_logits_bias" else name] = torch.rebuilt(view, 0, shape, strides)
        contents[str(number)] = array.tobytes()
    content = torch.torch_zip(torch.pickled(torch.dictionary(items)), contents)
    (folder / "pytorch_model.bin").write_bytes(content)


@pytest.mark.parametrize(("stored", "dtype"), FOLDERS)
@pytest.mark.parametrize("how", ["traced", "resident"])
@pytest.mark.slow
def test_peak_memory_is_the_weights_and_one_tensor(stored: str, dtype: str, how: str, folders: Path):
    if how == "resident" and not Path("/proc/self/status").exists():
        pytest.skip("this system does not tell a process its largest resident size")
    command = [sys.executable, "-c", MEASURE, folders / stored, folders / "small", dtype, how]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root)
    peak, weights = map(int, done.stdout.split())
    factor = 2 if dtype == "float64" else 1
    assert weights == factor * WEIGHTS
    assert peak > 0.8 * weights  # it saw the weights at all
    # A tensor whose rows lie within one another is held whole, beside the few rows that are being converted.
    assert peak < weights + factor * LARGEST + (MOST_THREADS * 3 * BUFFER_BYTES if stored == "transposed" else 0)
