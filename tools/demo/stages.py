"""All stages of the training, one after the other, each from what the one before left."""

from pathlib import Path

from . import export, own_words, relevance, training
from .net import Net, Shape
from .recipe import STAGES, Recipe, checkpoint


def train(work: Path, begin: Path | None = None) -> None:
    """Train every stage in `work` that is not finished; `begin`, a model folder, stands for the first."""
    first: Net | None = None
    before: Net | None = None
    for recipe in STAGES:
        if first is None and begin is not None:
            first = before = export.read(begin, Shape())
            continue
        if not finished(work, recipe):
            if first is not None:
                look_back(work, recipe, first)
            training.train(work, recipe, Shape(), before)
        if not finished(work, recipe):
            return  # stopped
        before = halved(export.load(checkpoint(work, recipe.stage)))
        first = first or before


def look_back(work: Path, recipe: Recipe, net: Net) -> None:
    """What a stage needs that the first stage's model says or finds: made once, and kept in `work`."""
    net.eval()
    if recipe.mix.noise.own_words and not (work / own_words.FILE).exists():
        own_words.generate(work, net)
    if recipe.mix.relevant and not (work / relevance.FILE).exists():
        relevance.measure(work, net)


def finished(work: Path, recipe: Recipe) -> bool:
    """Whether a stage has left its record, which it does at its end."""
    return checkpoint(work, recipe.stage).with_suffix(".json").exists()


def halved(net: Net) -> Net:
    """The network with its weights as they would be shipped."""
    net.load_state_dict({name: weight.half().float() for name, weight in net.state_dict().items()})
    return net
