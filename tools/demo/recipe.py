"""How the demo is trained, in numbers: its stages, and the learning rate of every step. Torch is not needed to read it.

A stage is a training of its own: what it reads, how long, how fast. Each begins with the weights of the one before,
rounded to float16 as they are shipped, and with a fresh state of the optimiser.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from .noise import NONE, Noise

SHELF = 256  # batches that are drawn together; shares change between shelves


@dataclass(frozen=True)
class Mix:
    """What a stage's samples are."""

    # (first shelf, share of each corpus); the persona corpus' replies follow best, the others say more
    shares: tuple[tuple[int, dict[str, float]], ...]
    # how many earlier turns a context has, and how often
    turns: tuple[tuple[int, float], ...]
    persona_lines: float  # how often a synthetic conversation's persona lines come first
    noise: Noise = NONE
    relevant: float | None = None  # the part of each corpus' replies, those that gain most (see `relevance`); None: all
    brackets: bool = True  # whether replies with brackets are read; some have a placeholder in them


@dataclass(frozen=True)
class Recipe:
    """One stage. The rate goes along lines through `knots`, (step, part of `rate`); after the last one to zero."""

    stage: str
    seed: int
    steps: int
    mix: Mix
    knots: tuple[tuple[int, float], ...]
    rate: float = 1.5e-3
    batch_size: int = 96
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    clip: float = 1.0
    bfloat16: bool = True  # products in bfloat16, weights and sums in float32


FROM_NOTHING = Recipe(
    stage="from nothing",
    seed=20,
    steps=9200,
    mix=Mix(
        shares=(
            (0, {"chitchat": 0.38, "self_dialogue": 0.38, "persona": 0.24}),
            (8, {"chitchat": 0.30, "self_dialogue": 0.22, "persona": 0.48}),
            (10, {"chitchat": 0.36, "self_dialogue": 0.38, "persona": 0.26}),
            (16, {"chitchat": 0.30, "self_dialogue": 0.49, "persona": 0.21}),
        ),
        turns=((1, 0.34), (2, 0.26), (3, 0.20), (4, 0.12), (6, 0.08)),
        persona_lines=0.30,
    ),
    # the rate comes down twice: the first model, of 4,000 steps, was trained on
    knots=(
        *((0, 0.0), (300, 1.0), (1700, 1.0), (2560, 0.4941), (3400, 0.2685), (4000, 0.0)),
        *((4200, 0.6), (7600, 0.6), (8116, 0.471)),
    ),
)
# most earlier turns are another conversation's and the replies owe much to the last turn, so that this one counts
LAST_TURN = Recipe(
    stage="last turn",
    seed=21,
    steps=557,
    mix=Mix(
        shares=((0, {"chitchat": 0.35, "self_dialogue": 0.30, "persona": 0.35}),),
        turns=((1, 0.25), (2, 0.05), (3, 0.35), (5, 0.25), (7, 0.10)),
        persona_lines=0.10,
        noise=Noise(own_exchanged=0.8, others_exchanged=0.5),
        relevant=0.5,
    ),
    knots=((0, 0.0), (60, 0.6), (557, 0.6)),
)
# and a model's own words stand in the place where they will stand in a chat
OWN_WORDS = Recipe(
    stage="own words",
    seed=22,
    steps=311,
    mix=Mix(
        shares=((0, {"chitchat": 0.35, "self_dialogue": 0.30, "persona": 0.35}),),
        turns=((1, 0.20), (2, 0.05), (3, 0.40), (5, 0.20), (7, 0.15)),
        persona_lines=0.10,
        noise=Noise(own_exchanged=0.85, others_exchanged=0.3, own_words=0.8),
        relevant=0.5,
        brackets=False,
    ),
    knots=((0, 0.0), (60, 0.6), (311, 0.6)),
)
# all turns are as short as people type them
SHORT_TURNS = Recipe(
    stage="short turns",
    seed=23,
    steps=1232,
    mix=Mix(
        shares=((0, {"chitchat": 0.38, "self_dialogue": 0.32, "persona": 0.30}),),
        turns=((1, 0.15), (2, 0.05), (3, 0.40), (5, 0.20), (7, 0.10), (9, 0.10)),
        persona_lines=0.0,
        noise=Noise(own_exchanged=0.85, others_exchanged=0.3, own_words=0.7, longest=16),
        relevant=0.6,
        brackets=False,
    ),
    knots=((0, 0.0), (30, 0.5), (250, 0.5), (473, 0.3285), (1200, 0.3285), (1232, 0.3154)),
)
# and nothing that it said before tells what to say
OTHERS_ALONE = Recipe(
    stage="others alone",
    seed=24,
    steps=2300,
    mix=Mix(
        shares=((0, {"chitchat": 0.38, "self_dialogue": 0.32, "persona": 0.30}),),
        turns=((1, 0.12), (2, 0.03), (3, 0.47), (5, 0.20), (7, 0.10), (9, 0.08)),
        persona_lines=0.0,
        noise=Noise(own_exchanged=1.0, others_exchanged=0.3, own_words=0.9, longest=16),
        relevant=0.6,
        brackets=False,
    ),
    knots=((0, 0.0), (20, 0.4), (350, 0.4), (669, 0.2037), (1231, 0.2037), (1500, 0.2037)),
)
STAGES = (FROM_NOTHING, LAST_TURN, OWN_WORDS, SHORT_TURNS, OTHERS_ALONE)
# What is shipped is a mean of weights. The last stage follows the last turn best but has forgotten how people go on;
# with these parts the mean knows both.
MEAN = ((FROM_NOTHING, 0.1), (SHORT_TURNS, 0.2), (OTHERS_ALONE, 0.7))


def checkpoint(work: Path, stage: str) -> Path:
    """Where a stage keeps its state; its record, at its end, lies beside it with the ending `.json`."""
    return work / f"{stage.replace(' ', '_')}.pt"


def words_before(work: Path, recipe: Recipe) -> Path:
    """Where the words are kept that the model before a stage said."""
    return checkpoint(work, recipe.stage).with_suffix(".words.npz")


def learning_rate(step: int, recipe: Recipe) -> float:
    """The rate of one step: along the knots, and to zero at the end unless the last knot is there already."""
    knots = [*recipe.knots, (recipe.steps, 0.0)]
    first, last = [pair for pair in pairwise(knots) if pair[0][0] <= step][-1]
    along = min(1, (step + (step < knots[1][0]) - first[0]) / (last[0] - first[0]))  # the first step is not at zero
    return recipe.rate * (first[1] + along * (last[1] - first[1]))
