"""How the demo is trained, in numbers. Torch is not needed to read it."""

from dataclasses import dataclass, field

BATCH = 96  # replies of like length
SHELF = 64  # batches that are drawn together; phases change between shelves

# how the demo answers where no settings are given; chosen on `tried/development.json`
GENERATION: dict[str, int | float] = {
    "num_beams": 3,
    "min_length": 4,
    "max_length": 40,
    "length_penalty": 1.2,
    "no_repeat_ngram_size": 3,
    "encoder_no_repeat_ngram_size": 7,  # whole sentences; of three it would forbid most names, and "i'm"
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
    seed: int = 19
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    clip: float = 1.0
    exchange_names: float = 0.85  # of everyday talks, in every pass anew
    exchange_persona: float = 0.6  # other kinds of words where there are persona lines
    exchange_things: float = 0.2  # and where there are none
    shuffle_persona: float = 0.7  # how often persona lines come in another order; some lean on the line before
    more_lines: float = 0.3  # how often another talk's persona line is put in
    after_another: float = 0.4  # how often a talk without persona lines comes after another one, real or made up
    other_replies: float = 0.12  # of the bot's own earlier turns, exchanged for another one
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


_PLAIN = {
    "plain": 0.345,
    "everyday": 0.19,
    "feelings": 0.02,
    "questions to the bot": 0.02,
    "danger": 0.004,
    "personas": 0.07,
    "memory": 0.10,
    "persona talk": 0.05,
    "echo": 0.03,
    "lookup": 0.03,
    "pieces": 0.02,
    "chitchat": 0.04,
    "self_dialogue": 0.055,
    "persona": 0.026,
}
_SLOWER = {
    "plain": 0.33,
    "everyday": 0.17,
    "feelings": 0.02,
    "questions to the bot": 0.02,
    "danger": 0.004,
    "personas": 0.07,
    "memory": 0.11,
    "persona talk": 0.05,
    "echo": 0.03,
    "lookup": 0.03,
    "pieces": 0.02,
    "chitchat": 0.045,
    "self_dialogue": 0.075,
    "persona": 0.026,
}
_THREADS = {
    "plain": 0.285,
    "threads": 0.15,
    "everyday": 0.14,
    "feelings": 0.015,
    "plain feelings": 0.03,
    "danger": 0.008,
    "questions to the bot": 0.02,
    "personas": 0.07,
    "memory": 0.09,
    "persona talk": 0.04,
    "echo": 0.01,
    "lookup": 0.012,
    "pieces": 0.01,
    "chitchat": 0.04,
    "self_dialogue": 0.06,
    "persona": 0.02,
}
_AMONG_OTHERS = {
    "plain": 0.33,
    "threads": 0.22,
    "everyday": 0.12,
    "plain feelings": 0.03,
    "danger": 0.004,
    "questions to the bot": 0.02,
    "personas": 0.06,
    "memory": 0.07,
    "persona talk": 0.03,
    "echo": 0.006,
    "pieces": 0.01,
    "chitchat": 0.03,
    "self_dialogue": 0.05,
    "persona": 0.02,
}
RECIPE = Recipe(
    phases=(
        Phase("copying in order", 13 * SHELF, (0.0, 1e-3), {"pieces": 1.0}),
        Phase("warm-up again", 1 * SHELF, (0.0, 8e-4), _PLAIN),
        Phase("all", 12 * SHELF, (8e-4, 6.9333e-4), _PLAIN),
        Phase("slower", 9 * SHELF, (6.9333e-4, 5.8190e-4), _SLOWER),
        Phase("threads", 17 * SHELF, (5.8190e-4, 3.7143e-04), _THREADS),
        Phase("to the end", 22 * SHELF, (3.7143e-04, 0.0), _THREADS),
        Phase("warm-up among others", 1 * SHELF, (0.0, 3.5e-4), _AMONG_OTHERS),
        Phase("among others", 16 * SHELF, (3.5e-4, 0.0), _AMONG_OTHERS),
    ),
)
