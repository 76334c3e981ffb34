"""Writes the inputs and outputs of every module of an original, under the module's own path.

    PYTHON -m tools.originals.record_modules CASES OUT.safetensors --original NAME

PYTHON is the interpreter of that original's environment (`python -m tools originals`). The first case of the folder
CASES is built, and its first call is run with a forward hook on every module. `PATH` is the first array that a module
gives, `PATH.output.1` its second, `PATH.input` the first that it takes. The one embedding that both stacks call is
written under its path in the stack that called it. Arrays are copied at once, since ParlAI changes some in place.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from tools.originals.exchange import Case, read_cases


def build(case: Case, original: str) -> torch.nn.Module:
    if original == "parlai":
        from tools.originals import parlai_model

        return parlai_model.build(case)
    from tools.originals import run_transformers

    return run_transformers.build(case, case.calls[0]["class"], case.dtype)


def record(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """Hooks on every module; the dict fills while the model runs."""
    recorded: dict[str, np.ndarray] = {}
    paths: dict[torch.nn.Module, list[str]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        if path and not isinstance(module, torch.nn.ModuleList):
            paths.setdefault(module, []).append(path)

    def keep(name: str, value: Any) -> None:
        if torch.is_tensor(value) and value.is_floating_point():
            recorded.setdefault(name, value.detach().numpy().copy())

    def path_of(module: torch.nn.Module) -> str:
        """The path of this call: of a module with several, the first in a stack that was not recorded yet."""
        inside = [path for path in paths[module] if "encoder." in path or "decoder." in path] or paths[module]
        return next((path for path in inside if path not in recorded), inside[-1])

    def before(module: torch.nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        named = [keywords[name] for name in ("hidden_states", "query") if name in keywords]
        for value in [*arguments, *named][:1]:
            keep(f"{path_of(module)}.input", value)

    def after(module: torch.nn.Module, arguments: Any, keywords: Any, output: Any) -> None:
        path = path_of(module)
        values = list(output.values()) if isinstance(output, dict) else output
        values = list(values) if isinstance(values, tuple | list) else [values]
        for number, value in enumerate(values):
            keep(f"{path}.output.{number}" if number else path, value)

    for module in paths:
        module.register_forward_pre_hook(before, with_kwargs=True)
        module.register_forward_hook(after, with_kwargs=True)
    return recorded


@torch.no_grad()
def run(case: Case, original: str) -> dict[str, np.ndarray]:
    model = build(case, original)
    recorded = record(model)
    arguments = case.calls[0]["arguments"]
    arrays = {name: case.inputs[arguments[name]["array"]] for name in ("input_ids", "attention_mask")}
    target = torch.from_numpy(case.inputs[arguments["decoder_input_ids"]["array"]])
    if original == "parlai":
        pad = case.config["pad_token_id"]
        ids = torch.from_numpy(np.where(arrays["attention_mask"].astype(bool), arrays["input_ids"], pad))
        latent, _ = model.decoder(target, model.encoder(ids))
        return recorded | {"logits": model.output(latent).numpy()}
    given = {name: torch.from_numpy(array) for name, array in arrays.items()}
    output = model(**given, decoder_input_ids=target, output_attentions=True, use_cache=False)
    return recorded | {"logits": output.logits.numpy()}


def main() -> int:
    parser = argparse.ArgumentParser(description="Write what every module of an original takes and gives.")
    parser.add_argument("cases", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--original", required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    case = next(iter(read_cases(options.cases)))
    recorded = run(case, options.original)
    save_file({name: np.array(value, order="C") for name, value in recorded.items()}, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
