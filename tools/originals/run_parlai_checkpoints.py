"""Saves models with ParlAI: its own agent's `model` file, and its state dict as safetensors.

    PYTHON -m tools.originals.run_parlai_checkpoints WORK ANSWERS

PYTHON is the interpreter of ParlAI's environment (`python -m tools originals`). For every configuration
WORK/configs/NAME.json an agent with random weights is created and saved to ANSWERS/theirs/NAME-pickled/model, its
state dict under ParlAI's own names to ANSWERS/theirs/NAME-parlai/model.safetensors and, again, to
ANSWERS/theirs/NAME-VARIANT.truth. ParlAI has one head count and one ffn size for both sides: the encoder's are
taken. This file does NOT compare anything: see `tools/differential/checkpoints.py`.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

import torch
from parlai.core.agents import create_agent
from parlai.core.params import ParlaiParser
from safetensors.torch import save_file

from tools.originals.parlai_model import sizes


def create(config: dict[str, Any], folder: Path, seed: int) -> Any:
    """ParlAI's generator with every parameter drawn."""
    folder.mkdir(parents=True)
    special = {config["pad_token_id"]: "__null__", config["bos_token_id"]: "__start__"}
    special[config["eos_token_id"]] = "__end__"
    words = [special.get(index, f"word{index}") for index in range(config["vocab_size"] - 1)]
    words.append("__unk__")
    lines = (f"{word}\t{10**9 - rank}\n" for rank, word in enumerate(words))
    (folder / "model.dict").write_text("".join(lines))
    options = ParlaiParser(True, True).parse_kwargs(
        model="transformer/generator",
        inference="beam",
        no_cuda=True,
        interactive_mode=True,
        optimizer="sgd",
        lr_scheduler="none",
        dict_file=str(folder / "model.dict"),
        truncate=config["max_position_embeddings"],
        **sizes(config),
    )
    agent = create_agent(options)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in agent.model.parameters():
            tensor.normal_(generator=generator)
    return agent


def main() -> int:
    parser = argparse.ArgumentParser(description="Save models with ParlAI.")
    parser.add_argument("work", type=Path)
    parser.add_argument("answers", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    for number, path in enumerate(sorted((options.work / "configs").glob("*.json"))):
        config = json.loads(path.read_text())
        if config["activation_function"] not in ("gelu", "relu"):  # ParlAI has no other
            continue
        theirs = options.answers / "theirs"
        agent = create(config, theirs / f"{path.stem}-pickled", number)
        agent.save(str(theirs / f"{path.stem}-pickled" / "model"))
        state = {name: tensor.contiguous().clone() for name, tensor in agent.model.state_dict().items()}
        (theirs / f"{path.stem}-parlai").mkdir()
        save_file(state, theirs / f"{path.stem}-parlai" / "model.safetensors")
        for variant in ("pickled", "parlai"):
            save_file(state, theirs / f"{path.stem}-{variant}.truth")
    return 0


if __name__ == "__main__":
    sys.exit(main())
