"""All stages of the training, one after the other, each from what the one before left."""

from pathlib import Path

from . import export, own_words, relevance, training
from .net import Net, Shape
from .recipe import STAGES, Recipe, checkpoint


def train(work: Path, begin: Path | None = None) -> None:
    """Train every stage in `work` that is not finished; `begin`, a model folder, stands for the first.

    What the later stages need of a model, its own words and the relevance of replies, is the first stage's.
    """
    before: Net | None = None
    for number, recipe in enumerate(STAGES):
        if number or begin is None:
            if not finished(work, recipe):
                training.train(work, recipe, Shape(), before)
            if not finished(work, recipe):
                return  # stopped
            before = halved(export.load(checkpoint(work, recipe.stage)))
        else:
            before = export.read(begin, Shape())
        if number == 0:
            look_back(work, before)


def look_back(work: Path, net: Net) -> None:
    """What a model says itself in the training conversations, and what it finds relevant there; each only once."""
    net.eval()
    if not (work / own_words.FILE).exists():
        own_words.generate(work, net)
    if not (work / relevance.FILE).exists():
        relevance.measure(work, net)


def finished(work: Path, recipe: Recipe) -> bool:
    """Whether a stage has left its record, which it does at its end."""
    return checkpoint(work, recipe.stage).with_suffix(".json").exists()


def halved(net: Net) -> Net:
    """The network with its weights as they would be shipped."""
    net.load_state_dict({name: weight.half().float() for name, weight in net.state_dict().items()})
    return net
