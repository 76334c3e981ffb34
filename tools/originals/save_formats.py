"""Saves one model in the file formats that an original's framework writes.

    PYTHON -m tools.originals.save_formats CASE OUT [--few]

PYTHON is the interpreter of an original's environment (`python -m tools originals`); what is saved is what can be
imported there. CASE is a folder with config.json, generation_config.json and weights.safetensors, float32, under
transformers' names of the full model. OUT gets a folder for each way of saving:

    torch and transformers   pickled, pickled-sharded, legacy, legacy-float16, shared, odd, half, brain, double, base
    keras and flax           keras, keras-base, flax, flax-base

With --few it is pickled, legacy, keras and flax only, for models of which several copies would be too large.

This file compares nothing: see `tools/differential/formats.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from safetensors.numpy import load_file

FULL, BASE = "BlenderbotSmallForConditionalGeneration", "BlenderbotSmallModel"
SHARD = "5KB"


def read(case: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    return json.loads((case / "config.json").read_text()), load_file(case / "weights.safetensors")


def of_base(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The bare model's names."""
    return {name.removeprefix("model."): array for name, array in weights.items() if name != "final_logits_bias"}


def save_torch(case: Path, out: Path, few: bool) -> None:
    import torch

    content, weights = read(case)
    config = transformers.BlenderbotSmallConfig.from_dict(content)

    def model_of(class_name: str, arrays: dict[str, np.ndarray]) -> Any:
        model = getattr(transformers, class_name)(config)
        missing, unexpected = model.load_state_dict({k: torch.tensor(v) for k, v in arrays.items()}, strict=False)
        assert not unexpected, unexpected
        assert all("embed_tokens" in name or name == "lm_head.weight" for name in missing), missing
        return model.eval()

    def place(name: str) -> Path:
        folder = out / name
        folder.mkdir(parents=True)
        for file in ("config.json", "generation_config.json"):
            shutil.copy(case / file, folder / file)
        return folder

    full = model_of(FULL, weights)
    state = full.state_dict()
    if few:
        for variant, new in (("pickled", True), ("legacy", False)):
            torch.save(state, place(variant) / "pytorch_model.bin", _use_new_zipfile_serialization=new)
        return
    if int(transformers.__version__.split(".")[0]) < 5:  # the last ones that write pickles themselves
        full.save_pretrained(out / "pickled", safe_serialization=False)
        full.save_pretrained(out / "pickled-sharded", safe_serialization=False, max_shard_size=SHARD)
        model_of(BASE, of_base(weights)).save_pretrained(out / "base", safe_serialization=False)
    else:
        torch.save(state, place("pickled") / "pytorch_model.bin")
        torch.save(model_of(BASE, of_base(weights)).state_dict(), place("base") / "pytorch_model.bin")
    name = "pytorch_model.bin"
    torch.save(state, place("legacy") / name, _use_new_zipfile_serialization=False)
    half = {key: value.half() for key, value in state.items()}
    torch.save(half, place("legacy-float16") / name, _use_new_zipfile_serialization=False)
    for variant, dtype in (("half", torch.float16), ("brain", torch.bfloat16), ("double", torch.float64)):
        torch.save({key: value.to(dtype) for key, value in state.items()}, place(variant) / name)
    # Every parameter a slice of one storage.
    flat = torch.cat([torch.tensor(array).reshape(-1) for array in weights.values()])
    views, at = {}, 0
    for key, array in weights.items():
        views[key] = flat[at : at + array.size].view(array.shape)
        at += array.size
    for variant, new in (("shared", True), ("legacy-shared", False)):
        torch.save(views, place(variant) / name, _use_new_zipfile_serialization=new)
    # Transposed, every second row, nn.Parameter, and an expanded one.
    odd: dict[str, Any] = {}
    for number, (key, array) in enumerate(weights.items()):
        tensor = torch.tensor(array)
        if array.ndim == 2 and number % 3 == 0:
            odd[key] = tensor.t().contiguous().t()
        elif array.ndim == 2 and number % 3 == 1:
            odd[key] = torch.repeat_interleave(tensor, 2, 0)[::2]
        else:
            odd[key] = torch.nn.Parameter(tensor)
    odd["final_logits_bias"] = torch.zeros(1, 1).expand(1, config.vocab_size)
    torch.save(odd, place("odd") / name)


def save_keras_flax(case: Path, out: Path, few: bool) -> None:
    import jax
    import tensorflow as tf

    from tools.originals.exchange import Case
    from tools.originals.run_keras_flax import build_flax, build_keras

    jax.config.update("jax_enable_x64", False)
    tf.keras.backend.set_floatx("float32")
    content, weights = read(case)
    whole = Case("saved", content, "float32", weights, {}, [])
    for class_name, suffix in ((FULL, ""),) if few else ((FULL, ""), (BASE, "-base")):
        build_keras(whole, f"TF{class_name}").save_pretrained(out / f"keras{suffix}")
        model, parameters = build_flax(whole, f"Flax{class_name}")
        model.save_pretrained(out / f"flax{suffix}", params=parameters)


def main() -> int:
    parser = argparse.ArgumentParser(description="Save a model in a framework's formats.")
    parser.add_argument("case", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--few", action="store_true")
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tensorflow  # noqa: F401
    except ImportError:
        save_torch(options.case, options.out, options.few)
    else:
        save_keras_flax(options.case, options.out, options.few)
    return 0


if __name__ == "__main__":
    sys.exit(main())
