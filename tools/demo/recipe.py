"""How the demo is trained, in numbers. Torch is not needed to read it."""

from dataclasses import dataclass, field

BATCH = 96  # replies of like length
SHELF = 64  # batches that are drawn together; phases change between shelves

# how the demo answers where no settings are given; chosen on `tried/development.json`
GENERATION: dict[str, int | float] = {
    "num_beams": 3,
    "min_length": 4,
    "max_length": 40,
    "length_penalty": 0.8,
    "no_repeat_ngram_size": 3,
}


@dataclass(frozen=True)
class Phase:
    """A part of the training: how many steps, the rate at its begin and its end, and what is read."""

    name: str
    steps: int
    rate: tuple[float, float]
    shares: dict[str, float] = field(hash=False)  # of the samples of each kind (see `mixture`)


@dataclass(frozen=True)
class Recipe:
    """The whole training; the rate goes along lines through the phases."""

    phases: tuple[Phase, ...]
    widened: int  # the step before which there is made room for copying (see `copying`)
    seed: int = 19
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    clip: float = 1.0
    exchange_names: float = 0.85  # of everyday talks, in every pass anew
    exchange_persona: float = 0.6  # other kinds of words where there are persona lines
    exchange_things: float = 0.2  # and where there are none
    shuffle_persona: float = 0.7  # how often persona lines come in another order; some lean on the line before
    more_lines: float = 0.3  # how often another talk's persona line is put in
    after_another: float = 0.12  # how often a talk without persona lines comes after another one
    other_replies: float = 0.05  # of the bot's own earlier turns, exchanged for another one
    named_person: float = 0.75  # how often the older corpora's replies come after a persona line

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    def phase(self, step: int) -> Phase:
        """The phase that step number `step` belongs to; the last one after the end."""
        for phase in self.phases:
            if step < phase.steps:
                return phase
            step -= phase.steps
        return self.phases[-1]

    def learning_rate(self, step: int) -> float:
        """The rate of step number `step`, from 0."""
        for phase in self.phases:
            if step < phase.steps:
                first, last = phase.rate
                part = (step + 1) / phase.steps
                return first * (1 - part) + last * part
            step -= phase.steps
        return 0.0


_MIXED = {
    "everyday": 0.50,
    "personas": 0.09,
    "memory": 0.10,
    "persona talk": 0.11,
    "chitchat": 0.07,
    "self_dialogue": 0.07,
    "persona": 0.06,
}
_COPYING = {
    "everyday": 0.38,
    "personas": 0.07,
    "memory": 0.06,
    "persona talk": 0.07,
    "echo": 0.12,
    "lookup": 0.22,
    "chitchat": 0.025,
    "self_dialogue": 0.03,
    "persona": 0.025,
}
_EVERYDAY = {
    "everyday": 0.63,
    "personas": 0.09,
    "memory": 0.06,
    "persona talk": 0.07,
    "echo": 0.01,
    "lookup": 0.04,
    "chitchat": 0.035,
    "self_dialogue": 0.04,
    "persona": 0.025,
}
_ROOM = {
    "everyday": 0.42,
    "personas": 0.10,
    "memory": 0.09,
    "persona talk": 0.11,
    "echo": 0.04,
    "lookup": 0.14,
    "chitchat": 0.03,
    "self_dialogue": 0.04,
    "persona": 0.03,
}
_LONG = {
    "everyday": 0.43,
    "feelings": 0.04,
    "questions to the bot": 0.035,
    "danger": 0.015,
    "personas": 0.09,
    "memory": 0.07,
    "persona talk": 0.08,
    "echo": 0.01,
    "lookup": 0.05,
    "chitchat": 0.065,
    "self_dialogue": 0.075,
    "persona": 0.04,
}
RECIPE = Recipe(
    widened=28 * SHELF,
    phases=(
        Phase("warm-up", 5 * SHELF, (0.0, 8e-4), _MIXED),
        Phase("one mixture", 11 * SHELF, (8e-4, 8e-4), _MIXED),
        Phase("copying", 8 * SHELF, (8e-4, 1.1e-3), _COPYING),
        Phase("everyday", 4 * SHELF, (1.1e-3, 1.1e-3), _EVERYDAY),
        Phase("warm-up again", 1 * SHELF, (0.0, 1.1e-3), _ROOM),
        Phase("room for copying", 4 * SHELF, (1.1e-3, 1.1e-3), _ROOM),
        Phase("slowing", 1 * SHELF, (1.1e-3, 8e-4), _EVERYDAY),
        Phase("longer", 104 * SHELF, (8e-4, 7.2571e-4), _LONG),
        Phase("slower", 92 * SHELF, (7.2571e-4, 0.0), _LONG),
    ),
)
