"""Loads and saves model folders with transformers, whichever version is installed.

    PYTHON -m tools.originals.run_checkpoints WORK ANSWERS

PYTHON is the interpreter of that original's environment (`python -m tools originals`). Two things are done:

- Every folder WORK/ours/NAME is loaded into the class that WORK/ours/NAME.json names, with everything that
  `from_pretrained` reports. ANSWERS/ours/NAME.json gets the report, the configuration and the settings of
  generation, ANSWERS/ours/NAME.safetensors the state dict.
- Of every configuration WORK/configs/NAME.json a random model of each class is saved in several ways, to
  ANSWERS/theirs/NAME-VARIANT, and its state dict, tied copies included, to ANSWERS/theirs/NAME-VARIANT.truth.

State dicts are written as float32, which holds float16 and bfloat16 exactly, or as float64. This file does NOT
compare anything: see `tools/differential/checkpoints.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file

FULL, BASE, CAUSAL = (
    "BlenderbotSmallForConditionalGeneration",
    "BlenderbotSmallModel",
    "BlenderbotSmallForCausalLM",
)
SHARD = "20KB"


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, sort_keys=True, default=str) + "\n")


def write_state(path: Path, model: torch.nn.Module) -> None:
    """The whole state dict, every tied copy in full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wide = torch.float64 if model.dtype == torch.float64 else torch.float32
    state = {name: tensor.to(wide).contiguous().clone() for name, tensor in model.state_dict().items()}
    save_file(state, path)


def random_model(class_name: str, config: dict[str, Any], seed: int) -> torch.nn.Module:
    """Every parameter and buffer drawn, so that a tensor that stays behind is seen."""
    model = getattr(transformers, class_name)(transformers.BlenderbotSmallConfig.from_dict(dict(config)))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.normal_(generator=generator)
    return model.eval()


def load_ours(work: Path, answers: Path) -> None:
    for path in sorted((work / "ours").glob("*.json")):
        job = json.loads(path.read_text())
        model, report = getattr(transformers, job["class"]).from_pretrained(
            path.with_suffix(""), torch_dtype=getattr(torch, job["dtype"]), output_loading_info=True
        )
        content = {
            "report": {key: sorted(map(str, value)) for key, value in report.items()},
            "dtype": str(model.dtype).removeprefix("torch."),
            "config": model.config.to_dict(),
            "generation": model.generation_config.to_dict() if model.can_generate() else None,
        }
        write_json(answers / "ours" / path.name, content)
        write_state(answers / "ours" / f"{path.stem}.safetensors", model)


def save_theirs(work: Path, answers: Path) -> None:
    for number, path in enumerate(sorted((work / "configs").glob("*.json"))):
        config = json.loads(path.read_text())

        def keep(
            variant: str,
            model: torch.nn.Module,
            name: str = path.stem,
            tied_copies: bool = False,
            pickled: bool = False,
            **options: Any,
        ) -> None:
            folder = answers / "theirs" / f"{name}-{variant}"
            model.save_pretrained(folder, **options)
            if tied_copies:
                write_state(folder / "model.safetensors", model)
            if pickled:
                (folder / "model.safetensors").unlink()
                torch.save(model.state_dict(), folder / "pytorch_model.bin")
            write_state(answers / "theirs" / f"{name}-{variant}.truth", model)

        full = random_model(FULL, config, 3 * number)
        full.generation_config.num_beams = 4
        full.generation_config.early_stopping = True
        keep("full", full)
        keep("full-sharded", full, max_shard_size=SHARD)
        keep("full-copies", full, tied_copies=True)
        keep("full-pickled", full, pickled=True)
        keep("base", random_model(BASE, config, 3 * number + 1))
        keep("base-sharded", random_model(BASE, config, 3 * number + 1), max_shard_size=SHARD)
        keep("causal", random_model(CAUSAL, config, 3 * number + 2))
        keep("causal-copies", random_model(CAUSAL, config, 3 * number + 2), tied_copies=True)
        keep("full-float16", random_model(FULL, config, 3 * number).half())
        keep("full-bfloat16", random_model(FULL, config, 3 * number).bfloat16())
        keep("full-float64", random_model(FULL, config, 3 * number).double())


def defaults() -> dict[str, Any]:
    """What this version's classes hold when nothing is given."""
    generation = transformers.GenerationConfig
    unset = generation().to_dict()
    if hasattr(generation, "_get_default_generation_params"):  # transformers 5 keeps None until it generates
        unset = generation._get_default_generation_params()
    return {"config": transformers.BlenderbotSmallConfig().to_dict(), "generation": unset}


def main() -> int:
    parser = argparse.ArgumentParser(description="Load and save model folders with transformers.")
    parser.add_argument("work", type=Path)
    parser.add_argument("answers", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    write_json(options.answers / "defaults.json", defaults())
    load_ours(options.work, options.answers)
    save_theirs(options.work, options.answers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
