"""Has ParlAI save an agent as it saves one after training, and reply to texts with it.

    PYTHON -m tools.originals.save_parlai CASE OUT

PYTHON is the interpreter of ParlAI's environment (`python -m tools originals`). CASE is a folder with model.dict,
model.dict.codecs and options.json, which holds the agent's options, a seed for its weights, and texts to reply to. OUT
gets what `agent.save` writes (model with the optimizer's state, model.opt), the dictionary, replies.json with what the
saved agent replies once it was loaded again, and the state dict as state.safetensors, for comparison.

Options that name places of this machine are left out of model.opt. This file compares nothing: see
`tools/differential/formats.py`.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from parlai.core.agents import create_agent, create_agent_from_model_file
from parlai.core.message import Message
from parlai.core.params import ParlaiParser
from safetensors.torch import save_file

PLACES = ("datapath", "parlai_home", "download_path", "starttime")


def reply(agent: Any, text: str) -> dict[str, Any]:
    """One reply with the texts and scores of all finished hypotheses, and the ids that the text became."""
    agent.reset()
    observed = agent.observe(Message(text=text, episode_done=True))
    ids = [int(index) for index in observed["text_vec"]]
    answer = agent.act()
    return {
        "text": text,
        "ids": ids,
        "reply": answer["text"],
        "beams": [[words, float(score)] for words, score, *_ in answer["beam_texts"]],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Save an agent with ParlAI and reply with it.")
    parser.add_argument("case", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    case, out = arguments.case.resolve(), arguments.out.resolve()
    asked = json.loads((case / "options.json").read_text())
    out.mkdir(parents=True, exist_ok=True)
    for name in ("model.dict", "model.dict.codecs"):
        shutil.copy(case / name, out / name)
    os.chdir(out)  # so that the options name files without a place
    options = ParlaiParser(True, True).parse_kwargs(
        model="transformer/generator", no_cuda=True, dict_file="model.dict", **asked["options"]
    )
    torch.manual_seed(asked["seed"])  # what it draws itself: biases
    agent = create_agent(options)
    generator = torch.Generator().manual_seed(asked["seed"])
    with torch.no_grad():
        for tensor in agent.model.parameters():
            if tensor.dim() > 1:
                tensor.normal_(generator=generator).mul_(tensor.shape[-1] ** -0.5)
    for tensor in agent.model.parameters():
        tensor.grad = torch.zeros_like(tensor)
    agent.optimizer.step()  # by nothing, so that the file holds the optimizer's state and the weights stay
    agent.save("model")
    content = json.loads(Path("model.opt").read_text())
    for holder in (content, content.get("override", {})):
        for name in PLACES:
            holder.pop(name, None)
    Path("model.opt").write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    for extra in ("model.dict.opt",):
        Path(extra).unlink(missing_ok=True)
    loaded = create_agent_from_model_file("model", {"no_cuda": True, "interactive_mode": True, **asked["options"]})
    replies = [reply(loaded, text) for text in asked["texts"]]
    Path("replies.json").write_text(json.dumps(replies, indent=1, sort_keys=True) + "\n")
    state = {name: tensor.contiguous().clone() for name, tensor in agent.model.state_dict().items()}
    save_file(state, "state.safetensors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
