"""What the training begins with: the first demo's weights in a wider vocabulary and with more layers in its encoder.

The first demo was trained from nothing for some hours on the three older corpora (see README.md); its folder is in the
history of the repository. A layer that it lacks is put on top, and at first lets states through almost unchanged.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file

from tools.demo import vectors
from tools.demo.export import names
from tools.demo.net import Net, Shape
from tools.demo.pieces import Cutter

SEED = 19


def begin(folder: Path, cut: Cutter, shape: Shape) -> Net:
    """A network of `shape` from the model in `folder`, which has as many layers or fewer, and another vocabulary."""
    torch.manual_seed(SEED)
    net, kept = Net(shape), load_file(folder / "model.safetensors")
    state = net.state_dict()
    for name, theirs in names(shape).items():
        if name == "shared.weight" or theirs[0] not in kept:
            continue
        found = torch.from_numpy(np.concatenate([kept[each] for each in theirs]).astype(np.float32))
        state[name][: len(found)] = found[: len(state[name])]
    old = kept["model.shared.weight"].astype(np.float32)
    made = vectors.embeddings(old, Cutter(folder), cut.entries, vectors.glove(), SEED)
    state["shared.weight"][: len(made)] = torch.from_numpy(made)
    layers = [n for n in range(shape.encoder_layers) if f"model.encoder.layers.{n}.fc1.weight" in kept]
    for number in range(len(layers), shape.encoder_layers):
        top = f"encoder.{len(layers) - 1}.norm"
        for part in ("self_attn.out", "fc2"):
            state[f"encoder.{number}.{part}.weight"] *= 0.1
        state[f"encoder.{number}.norm.weight"].copy_(state[f"{top}.weight"])
        state[f"encoder.{number}.norm.bias"].copy_(state[f"{top}.bias"])
    net.load_state_dict(state)
    return net
