"""What the training begins with: the weights of a demo's folder, as a network of torch."""

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file

from tools.demo.export import names
from tools.demo.net import Net, Shape


def begin(folder: Path, shape: Shape) -> Net:
    """The network of `shape` whose weights are those of the model in `folder`.

    Rows that the folder lacks (positions that nothing was trained at) stay random.
    """
    torch.manual_seed(19)
    net, kept = Net(shape), load_file(folder / "model.safetensors")
    state = net.state_dict()
    for name, theirs in names(shape).items():
        found = torch.from_numpy(np.concatenate([kept[each] for each in theirs]).astype(np.float32))
        state[name][: len(found)] = found
    net.load_state_dict(state)
    return net
