"""Measures what loading takes at the published model's size, for each file format: memory beside the model.

    python -m tools measure formats
    python -m tools measure formats --write-docs    # and put the table into docs/checkpoints.md

Random weights of the 90M's size are saved by torch, Keras and Flax, and each file is loaded in a process of its own, in
float32. What counts is the largest resident size while it loads, less that after everything was imported and a tiny
model loaded, less the bytes of the model. Needs the originals' environments, h5py, and 2 GB of disk.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
from pathlib import Path

from safetensors.numpy import save_file

from npblender.checkpoint import save
from npblender.checkpoint.parameter_names import stored_name
from npblender.config import BlenderbotSmallConfig
from npblender.config.generation_config import GenerationConfig
from npblender.transformer.parameters import FULL_MODEL, expected_shapes, random_weights, to_arrays
from tools import ROOT
from tools.docs.tables import markdown, write_between_markers
from tools.originals import asking

PAGE = ROOT / "docs" / "checkpoints.md"
CONFIG = BlenderbotSmallConfig(vocab_size=54944, scale_embedding=True)
SMALL = CONFIG.replace(
    vocab_size=7,
    d_model=4,
    encoder_layers=1,
    decoder_layers=1,
    encoder_attention_heads=1,
    decoder_attention_heads=1,
    encoder_ffn_dim=4,
    decoder_ffn_dim=4,
)

MEASURE = """
import json, sys
from pathlib import Path
from npblender.checkpoint import load
from npblender.config import BlenderbotSmallConfig
from npblender.transformer.parameters import parameters
def resident(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])
load(sys.argv[2], BlenderbotSmallConfig.from_pretrained(sys.argv[2]))
config = BlenderbotSmallConfig.from_pretrained(sys.argv[1])
before = resident("VmRSS")
weights = load(sys.argv[1], config, allow_pickle=True)
print(resident("VmHWM") - before)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-docs", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    weights = random_weights(CONFIG, 0)
    shapes = expected_shapes(CONFIG)
    model, largest = (4 * f(math.prod(shape) for shape in shapes.values()) for f in (sum, max))
    rows = []
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        save(work / "small", SMALL, random_weights(SMALL, 0))
        save(work / "safetensors", CONFIG, weights)
        case = work / "case"
        CONFIG.save_pretrained(case)
        GenerationConfig().save_pretrained(case)
        arrays = {stored_name(name, FULL_MODEL): array for name, array in to_arrays(weights).items()}
        save_file(arrays, case / "weights.safetensors")
        asking.run("transformers-5", "save_formats", case, work, "--few")
        asking.run("keras-flax", "save_formats", case, work, "--few")
        for name in ("safetensors", "pickled", "legacy", "flax", "keras"):
            (file,) = [path for path in (work / name).iterdir() if path.stat().st_size > 10**8]
            command = [sys.executable, "-c", MEASURE, str(work / name), str(work / "small")]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            peak = int(done.stdout)
            rows.append(
                (
                    f"`{file.name}`" + (", old form" if name == "legacy" else ""),
                    f"{file.stat().st_size / 2**20:.0f}",
                    f"{peak / 2**20:.0f}",
                    f"{(peak - model) / 2**20:.0f}",
                )
            )
    table = markdown(("file", "MiB", "peak, MiB", "beside the model, MiB"), rows)
    text = f"The model has {model / 2**20:.0f} MiB, its largest tensor {largest / 2**20:.0f} MiB.\n\n{table}"
    print(text)
    if options.write_docs:
        write_between_markers(PAGE, "formats", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
