"""Measures what loading takes at the published model's size, for each file format, and what the two commands take.

    python -m tools measure formats
    python -m tools measure formats --write-docs    # and put the tables into docs/checkpoints.md

Random weights of the 90M's size are saved by torch, Keras, Flax and ParlAI, and each file is loaded in a process of its
own, in float32. What counts is the largest resident size while it loads, less that after everything was imported and a
tiny model loaded, less the bytes of the model.

`npblender convert` and `npblender verify` are run on the same weights. With the published dictionary (a folder with it
in NPBLENDER_SHARED/checkpoint/blenderbot_small-90M) verify goes to its end: it has the model reply to the published
texts, finds that these replies are not the published ones, and ends with 1. Needs the originals' environments, h5py,
and 3 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from safetensors.numpy import save_file

from npblender.checkpoint import save
from npblender.checkpoint.parameter_names import stored_name
from npblender.config import BlenderbotSmallConfig
from npblender.config.generation_config import GenerationConfig
from npblender.config.parlai_folder import SPECIAL
from npblender.transformer.parameters import FULL_MODEL, expected_shapes, random_weights, to_arrays
from tools import ROOT
from tools.docs.tables import markdown, write_between_markers
from tools.goldens.checkpoints import PARLAI_OPTIONS
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

PROCESS = """
import sys
from pathlib import Path
def resident(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])
"""
MEASURE = f"""{PROCESS}
from npblender.checkpoint import load
from npblender.config import BlenderbotSmallConfig
load(sys.argv[2], BlenderbotSmallConfig.from_pretrained(sys.argv[2]))
config = BlenderbotSmallConfig.from_pretrained(sys.argv[1])
before = resident("VmRSS")
weights = load(sys.argv[1], config, allow_pickle=True)
print(resident("VmHWM") - before)
"""
COMMAND = f"""{PROCESS}
import time
from npblender.cli.main import main
before, begun = resident("VmRSS"), time.perf_counter()
status = main(sys.argv[1:])
print(status, time.perf_counter() - begun, resident("VmHWM") - before, file=sys.stderr)
"""


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)


def write_all(work: Path) -> None:
    """Have every framework save the same sizes below `work`, each in a folder of its own."""
    weights = random_weights(CONFIG, 0)
    save(work / "small", SMALL, random_weights(SMALL, 0))
    save(work / "safetensors", CONFIG, weights)
    case = work / "case"
    CONFIG.save_pretrained(case)
    GenerationConfig().save_pretrained(case)
    arrays = {stored_name(name, FULL_MODEL): array for name, array in to_arrays(weights).items()}
    save_file(arrays, case / "weights.safetensors")
    for original in ("transformers-5", "keras-flax"):
        asking.run(original, "save_formats", case, work, "--few")
    shutil.rmtree(case)
    case.mkdir()
    words = [f"__{name}__" for name in SPECIAL]
    words += [f"w{number}" for number in range(CONFIG.vocab_size - len(words))]
    (case / "model.dict").write_text("".join(f"{word}\t1\n" for word in words))
    (case / "model.dict.codecs").write_text("#version: 0.2\nw 1\n")
    options = {
        **PARLAI_OPTIONS,
        **{"embedding_size": CONFIG.d_model, "ffn_size": CONFIG.encoder_ffn_dim, "n_layers": CONFIG.encoder_layers},
        **{"n_encoder_layers": CONFIG.encoder_layers, "n_decoder_layers": CONFIG.decoder_layers},
        **{"n_heads": CONFIG.encoder_attention_heads, "n_positions": CONFIG.max_position_embeddings},
    }
    (case / "options.json").write_text(json.dumps({"seed": 0, "options": options, "texts": []}))
    asking.run("parlai", "save_parlai", case, work / "parlai")
    (work / "parlai" / "state.safetensors").unlink()


def of_formats(work: Path) -> str:
    """The table of what loading takes."""
    shapes = expected_shapes(CONFIG)
    model, largest = (4 * f(math.prod(shape) for shape in shapes.values()) for f in (sum, max))
    rows = []
    for name in ("safetensors", "pickled", "legacy", "flax", "keras", "parlai"):
        (file,) = [path for path in (work / name).iterdir() if path.stat().st_size > 10**8]
        peak = int(run(MEASURE, work / name, work / "small").stdout)
        more = {"legacy": ", old form", "parlai": " of ParlAI"}.get(name, "")
        rows.append((f"`{file.name}`{more}", *map(_mib, (file.stat().st_size, peak, peak - model))))
    table = markdown(("file", "MiB", "peak, MiB", "beside the model, MiB"), rows)
    return f"The model has {_mib(model)} MiB, its largest tensor {_mib(largest)} MiB.\n\n{table}"


def of_commands(work: Path, dictionary: Path | None) -> str:
    """The table of what the commands take."""
    folder = work / "safetensors"
    calls: dict[str, Iterable[object]] = {
        "convert to float16": ("convert", folder, work / "half", "--dtype", "float16"),
        "convert from `pytorch_model.bin`": ("convert", work / "pickled", work / "new", "--allow-pickle"),
        "verify --no-replies": ("verify", folder, "--no-replies"),
    }
    if dictionary is not None:
        for name in ("vocab.json", "merges.txt", "generation_config.json"):
            shutil.copy(dictionary / name, folder / name)
        calls["verify, with replies to the four published texts"] = ("verify", folder)
    rows = []
    for name, arguments in calls.items():
        done = run(COMMAND, *arguments)
        status, seconds, peak = done.stderr.splitlines()[-1].split()
        replied = done.stdout.count("NOT as published")
        right = "4 of 4 published replies do not come out" in done.stdout if name.endswith("texts") else not replied
        assert right, done.stdout[-2000:]
        assert int(status) == (1 if name.endswith("texts") else 0)
        rows.append((name, f"{float(seconds):.0f}", _mib(int(peak))))
    return markdown(("command", "seconds", "peak, MiB"), rows)


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-docs", action="store_true", help=f"put the tables into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    shared = os.environ.get("NPBLENDER_SHARED")
    dictionary = None if shared is None else Path(shared, "checkpoint", "blenderbot_small-90M")
    with tempfile.TemporaryDirectory() as place:
        write_all(Path(place))
        texts = {"formats": of_formats(Path(place)), "format-commands": of_commands(Path(place), dictionary)}
    for name, text in texts.items():
        print(f"{text}\n")
        if options.write_docs:
            write_between_markers(PAGE, name, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
