"""All stages of the training, one after the other, each from what the one before left."""

from pathlib import Path

from . import export, gains, guided, own_words, relevance, training
from .net import Net, Shape
from .recipe import STAGES, Recipe, checkpoint, guided_replies, words_before


def train(work: Path, begin: Path | None = None) -> None:
    """Train every stage in `work` that is not finished; `begin`, a model folder, stands for the first."""
    before: Net | None = None
    for number, recipe in enumerate(STAGES):
        if begin is not None and number == 0:
            before = export.read(begin, Shape())
            continue
        if not finished(work, recipe):
            if recipe.begins:
                before = halved(export.mean(work, recipe.begins, begin))
            if before is not None:
                look_back(work, recipe, before)
            training.train(work, recipe, Shape(), before)
        if not finished(work, recipe):
            return  # stopped
        before = halved(export.load(checkpoint(work, recipe.stage)))


def look_back(work: Path, recipe: Recipe, net: Net) -> None:
    """What a stage needs that the model before it says or finds: made once, and kept in `work`."""
    net.eval()
    words = words_before(work, recipe)
    if any(mix.relevant for _, mix in recipe.mixes) and not (work / relevance.FILE).exists():
        gains.measure(work, net)
    if recipe.answers and not words.exists():
        own_words.generate(work, net, recipe, words)
    if recipe.guided and not (made := guided_replies(work, recipe)).exists():
        guided.generate(work, net, recipe, made)


def finished(work: Path, recipe: Recipe) -> bool:
    """Whether a stage has left its record, which it does at its end."""
    return checkpoint(work, recipe.stage).with_suffix(".json").exists()


def halved(net: Net) -> Net:
    """The network with its weights as they would be shipped."""
    net.load_state_dict({name: weight.half().float() for name, weight in net.state_dict().items()})
    return net
