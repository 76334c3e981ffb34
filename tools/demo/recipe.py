"""How the demo is trained, in numbers. Torch is not needed to read it."""

from dataclasses import dataclass, field

BATCH = 96  # replies of like length
SHELF = 64  # batches that are drawn together; phases change between shelves

# how the demo answers where no settings are given; chosen on `tried/development.json`
GENERATION: dict[str, int | float] = {
    "num_beams": 5,
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
    without: tuple[str, ...] = ()  # files of the everyday corpus, and of judged replies, that are not read
    judged: int = 0  # judged replies in a step (see `judged`), besides
    ranked: float = 0.0  # weight of their being likelier than what the network said


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
    after_another: float = 0.25  # how often a talk without persona lines comes after another one, real or made up
    other_replies: float = 0.18  # of the bot's own earlier turns, exchanged for another one
    own_replies: float = 0.5  # of talks after the network's own earlier replies, where there are some (see `own`)
    sharpness: float = 2.0  # of the choice between a wanted and a bad reply, per nat a token
    margin: float = 1.0  # by which the wanted one is to win
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


_AGAIN = {
    "plain third": 0.32,
    "plain": 0.08,
    "threads": 0.12,
    "everyday": 0.05,
    "plain feelings": 0.055,
    "danger": 0.01,
    "questions to the bot": 0.025,
    "personas": 0.06,
    "memory": 0.08,
    "persona talk": 0.02,
    "lookup": 0.008,
    "pieces": 0.022,
    "chitchat": 0.02,
    "self_dialogue": 0.115,
    "persona": 0.015,
}
_END = {**_AGAIN, "plain third": 0.29, "danger": 0.014, "self_dialogue": 0.141}
_TENTH = ("judged_tenth",)
_NINTH = ("judged_ninth", *_TENTH)
_EIGHTH = ("judged_eighth", *_NINTH)
_LEARNED = ("judged_first", "judged_second", "judged_third")  # well enough by the demo before
RECIPE = Recipe(
    phases=(
        Phase("warm-up", 1 * SHELF, (0.0, 4e-4), _AGAIN, without=_EIGHTH, judged=48),
        Phase("new talks", 13 * SHELF, (4e-4, 3.1e-4), _AGAIN, without=_EIGHTH, judged=48),
        Phase("on", 6 * SHELF, (3.1e-4, 2.7e-4), _AGAIN, without=_NINTH, judged=48),
        Phase("more", 7 * SHELF, (2.7e-4, 1.8e-4), _AGAIN, without=(*_LEARNED, *_TENTH), judged=56),
        Phase("down", 5 * SHELF, (1.8e-4, 1.2e-4), _AGAIN, without=_LEARNED, judged=64),
        Phase("to the end", 12 * SHELF, (1.2e-4, 0.0), _END, without=_LEARNED, judged=64),
    ),
)
