"""All stages of the training, one after the other, each from what the one before left."""

from pathlib import Path

from . import export, training
from .net import Net, Shape
from .recipe import STAGES, Recipe, checkpoint


def train(work: Path, begin: Path | None = None) -> None:
    """Train every stage in `work` that is not finished; `begin`, a model folder, stands for the first."""
    before: Net | None = None
    for recipe in STAGES:
        if begin is not None and recipe is STAGES[0]:
            before = export.read(begin, Shape())
            continue
        if not finished(work, recipe):
            training.train(work, recipe, Shape(), before)
            if not finished(work, recipe):
                return  # stopped
        before = halved(export.load(checkpoint(work, recipe.stage)))


def finished(work: Path, recipe: Recipe) -> bool:
    """Whether a stage has left its record, which it does at its end."""
    return checkpoint(work, recipe.stage).with_suffix(".json").exists()


def halved(net: Net) -> Net:
    """The network with its weights as they would be shipped."""
    state = {name: weight.half().float() for name, weight in net.state_dict().items()}
    net.load_state_dict(state)
    return net
