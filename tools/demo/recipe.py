"""How the demo is trained, in numbers: its stages, and the learning rate of every step. Torch is not needed to read it.

A stage is a training of its own: what it reads, how long, how fast. Each begins with the weights of the one before,
rounded to float16 as they are shipped, and with a fresh state of the optimiser.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from .noise import NONE, Noise

SHELF = 256  # batches that are drawn together; shares change between shelves


@dataclass(frozen=True)
class Guided:
    """Replies that the model before a stage gives when it is guided (see `guided`), in place of the corpora's."""

    contexts: int  # that it replies to
    part: float  # of them is kept, what gains most from the last turn
    seed: int
    guidance: float = 0.5  # how far away from what it would say to others
    others: int = 2  # how many others
    likely: float = 0.1  # of the likeliest token's probability is the least that a token may have
    draws: int = 2  # random replies, beside a greedy one, that the best is taken of


@dataclass(frozen=True)
class Mix:
    """What samples are."""

    name: str
    # (first shelf, share of each corpus); the persona corpus' replies follow best, the others say more
    shares: tuple[tuple[int, dict[str, float]], ...]
    # how many earlier turns a context has, and how often
    turns: tuple[tuple[int, float], ...]
    persona_lines: float  # how often a synthetic conversation's persona lines come first
    noise: Noise = NONE
    relevant: float | None = None  # the part of each corpus' replies, those that gain most (see `relevance`); None: all
    on_topic: bool = False  # whether replies that begin with "so," are left out of that part
    brackets: bool = True  # whether replies with brackets are read; some have a placeholder in them
    guided: Guided | None = None  # whose replies stand for those of people; None: theirs are read


@dataclass(frozen=True)
class Recipe:
    """One stage. The rate goes along lines through `knots`, (step, part of `rate`); after the last one to zero."""

    stage: str
    seed: int
    steps: int
    mixes: tuple[tuple[float, Mix], ...]  # the part of the samples that each gives
    knots: tuple[tuple[int, float], ...]
    rate: float = 1.5e-3
    batch_size: int = 96
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    clip: float = 1.0
    words: str | None = None  # the stage whose answers of a model are read again, instead of new ones
    begins: tuple[tuple[str, float], ...] = ()  # the mean of these stages' weights; else those of the stage before
    bfloat16: bool = True  # products in bfloat16, weights and sums in float32

    @property
    def guided(self) -> Guided | None:
        """What it reads of a guided model's replies."""
        return next((mix.guided for _, mix in self.mixes if mix.guided), None)

    @property
    def answers(self) -> bool:
        """Whether it reads what the model before it answers."""
        return any(mix.noise.own_words > 0 for _, mix in self.mixes)


FROM_NOTHING = Recipe(
    stage="from nothing",
    seed=20,
    steps=9200,
    mixes=(
        (
            1.0,
            Mix(
                name="everything",
                shares=(
                    (0, {"chitchat": 0.38, "self_dialogue": 0.38, "persona": 0.24}),
                    (8, {"chitchat": 0.30, "self_dialogue": 0.22, "persona": 0.48}),
                    (10, {"chitchat": 0.36, "self_dialogue": 0.38, "persona": 0.26}),
                    (16, {"chitchat": 0.30, "self_dialogue": 0.49, "persona": 0.21}),
                ),
                turns=((1, 0.34), (2, 0.26), (3, 0.20), (4, 0.12), (6, 0.08)),
                persona_lines=0.30,
            ),
        ),
    ),
    # the rate comes down twice: the first model, of 4,000 steps, was trained on
    knots=(
        *((0, 0.0), (300, 1.0), (1700, 1.0), (2560, 0.4941), (3400, 0.2685), (4000, 0.0)),
        *((4200, 0.6), (7600, 0.6), (8116, 0.471)),
    ),
)
PEOPLE = Mix(  # conversations as they were
    name="people",
    shares=((0, {"chitchat": 0.37, "self_dialogue": 0.41, "persona": 0.22}),),
    turns=((1, 0.20), (2, 0.20), (3, 0.25), (4, 0.25), (6, 0.10)),
    persona_lines=0.30,
)
# a chat: short turns, one's own earlier words are a model's answers, and what is replied owes much to the last turn
CHAT = Mix(
    name="chat",
    shares=((0, {"chitchat": 0.37, "self_dialogue": 0.33, "persona": 0.30}),),
    turns=((1, 0.15), (3, 0.45), (5, 0.20), (7, 0.12), (9, 0.08)),
    persona_lines=0.0,
    noise=Noise(own_exchanged=1.0, others_exchanged=0.2, own_words=0.95, longest=16),
    relevant=0.6,
    brackets=False,
)
# most of what it reads is as a chat will be, the rest keeps it a model of how people go on
IN_A_CHAT = Recipe(
    stage="in a chat",
    seed=25,
    steps=5320,
    mixes=((0.45, PEOPLE), (0.55, CHAT)),
    knots=((0, 0.0), (200, 0.7), (5320, 0.7)),
)
# Of people it reads whole conversations only, so that nothing but the other kind teaches how one begins.
AT_LENGTH = replace(PEOPLE, name="people at length", turns=((2, 0.10), (3, 0.30), (4, 0.40), (6, 0.20)))
STRICTER = replace(CHAT, name="chat, stricter", relevant=0.5, on_topic=True)
TO_THE_POINT = Recipe(
    stage="to the point",
    seed=26,
    steps=4100,
    mixes=((0.40, AT_LENGTH), (0.60, STRICTER)),
    knots=((0, 0.0), (100, 0.65), (2500, 0.65), (4100, 0.5482)),
)
# Answers that fit made it go on from its own words all the same; most are answers to other turns now.
WORDS_APART = replace(
    STRICTER,
    name="chat, words apart",
    turns=((1, 0.20), (3, 0.36), (5, 0.20), (7, 0.14), (9, 0.10)),
    noise=Noise(own_exchanged=1.0, others_exchanged=0.3, own_words=0.95, fitting=0.2, longest=16),
)
OTHERS_ALONE = Recipe(
    stage="others alone",
    seed=27,
    steps=8000,
    mixes=((0.35, AT_LENGTH), (0.65, WORDS_APART)),
    knots=((0, 0.0), (50, 0.5), (1500, 0.5), (8000, 0.0)),
)
# Then, slowly, more of people again: the stage before has drawn it away from how they go on.
PEOPLE_AGAIN = Recipe(
    stage="people again",
    seed=28,
    steps=1100,
    mixes=((0.60, AT_LENGTH), (0.40, WORDS_APART)),
    knots=((0, 0.0), (30, 0.12), (1100, 0.0)),
    words="others alone",
)
# What a model says is better when it is guided to the last turn; it learns to say it by itself.
GUIDED_CHAT = replace(
    WORDS_APART,
    name="chat, guided",
    relevant=None,
    on_topic=False,
    brackets=True,
    guided=Guided(contexts=32_000, part=0.75, seed=41),
)
GUIDED = Recipe(
    stage="guided",
    seed=29,
    steps=3000,
    mixes=((0.40, AT_LENGTH), (0.15, WORDS_APART), (0.45, GUIDED_CHAT)),
    knots=((0, 0.0), (50, 0.4), (3000, 0.3)),
    words="others alone",
)
# The mean of both is better than either; it is guided once more, to shorter turns and more strictly chosen.
GUIDED_AGAIN = Recipe(
    stage="guided again",
    seed=30,
    steps=4500,
    mixes=(
        (0.40, AT_LENGTH),
        (
            0.60,
            replace(
                GUIDED_CHAT,
                name="chat, guided again",
                turns=((1, 0.20), (3, 0.30), (5, 0.20), (7, 0.16), (9, 0.14)),
                noise=replace(WORDS_APART.noise, longest=12),
                guided=Guided(contexts=42_000, part=0.6, seed=42),
            ),
        ),
    ),
    knots=((0, 0.0), (50, 0.3), (1000, 0.3), (4500, 0.0)),
    begins=(("people again", 0.5), ("guided", 0.5)),
)
# Guided replies are to the point, and odd at times; people's make it plain again.
PLAIN = Recipe(
    stage="plain",
    seed=32,
    steps=1600,
    mixes=((0.50, AT_LENGTH), (0.50, WORDS_APART)),
    knots=((0, 0.0), (30, 0.12), (1600, 0.0)),
    words="others alone",
    begins=(("guided again", 0.45), ("people again", 0.5), ("from nothing", 0.05)),
)
STAGES = (FROM_NOTHING, IN_A_CHAT, TO_THE_POINT, OTHERS_ALONE, PEOPLE_AGAIN, GUIDED, GUIDED_AGAIN, PLAIN)
# What is shipped is a mean of weights: a little of the first stage makes it more like people, at next to no cost.
MEAN = (("from nothing", 0.05), ("plain", 0.95))


def checkpoint(work: Path, stage: str) -> Path:
    """Where a stage keeps its state; its record, at its end, lies beside it with the ending `.json`."""
    return work / f"{stage.replace(' ', '_')}.pt"


def words_before(work: Path, recipe: Recipe) -> Path:
    """Where the words are kept that the model before a stage said."""
    return checkpoint(work, recipe.words or recipe.stage).with_suffix(".words.npz")


def guided_replies(work: Path, recipe: Recipe) -> Path:
    """Where the replies are kept that the model before a stage gave when it was guided."""
    return checkpoint(work, recipe.stage).with_suffix(".guided.npz")


def learning_rate(step: int, recipe: Recipe) -> float:
    """The rate of one step: along the knots, and to zero at the end unless the last knot is there already."""
    knots = [*recipe.knots, (recipe.steps, 0.0)]
    first, last = [pair for pair in pairwise(knots) if pair[0][0] <= step][-1]
    along = min(1, (step + (step < knots[1][0]) - first[0]) / (last[0] - first[0]))  # the first step is not at zero
    return recipe.rate * (first[1] + along * (last[1] - first[1]))
