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
    seed: int = 23
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
    "plain third": 0.34,
    "plain": 0.10,
    "threads": 0.12,
    "everyday": 0.04,
    "plain feelings": 0.06,
    "danger": 0.012,
    "questions to the bot": 0.025,
    "personas": 0.05,
    "memory": 0.06,
    "persona talk": 0.015,
    "lookup": 0.006,
    "pieces": 0.017,
    "chitchat": 0.02,
    "self_dialogue": 0.12,
    "persona": 0.015,
}
_NEW = {
    **_AGAIN,
    "newest": 0.24,
    "plain third": 0.16,
    "plain": 0.06,
    "threads": 0.11,
    "everyday": 0.03,
    "plain feelings": 0.05,
    "memory": 0.05,
    "self_dialogue": 0.14,
}
_NEWER = {**_NEW, "newest": 0.31, "plain third": 0.12, "plain": 0.05, "threads": 0.09}
_WHOLE = {**_NEWER, "memory": 0.07, "self_dialogue": 0.17, "plain third": 0.10, "threads": 0.07, "newest": 0.30}
LEARNED = ("judged_first", "judged_second", "judged_third")  # well enough by the demo before
_NINTH = (*LEARNED, "judged_fifteenth", "plain_moods_ninth", "plain_statements_ninth", "plain_threads_ninth")
_FOURTEENTH = (*_NINTH, "judged_fourteenth")
_EIGHTH = (*_FOURTEENTH, "judged_thirteenth", "remembered_more", "plain_moods_eighth", "plain_threads_eighth")
_SEVENTH = (*_EIGHTH, "judged_twelfth", "plain_moods_seventh", "plain_statements_seventh", "plain_threads_seventh")
_SIXTH = (*_SEVENTH, "judged_eleventh", "plain_moods_sixth", "plain_threads_sixth", "plain_questions_sixth")
_FIFTH = (*_SIXTH, "plain_moods_fifth", "plain_statements_fifth", "plain_threads_fifth")
RECIPE = Recipe(
    phases=(
        Phase("warm-up", 1 * SHELF, (0.0, 3.5e-4), _AGAIN, without=_FIFTH, judged=56),
        Phase("on", 9 * SHELF, (3.5e-4, 3.3e-4), _AGAIN, without=_FIFTH, judged=56),
        Phase("new talks", 9 * SHELF, (3.3e-4, 3.1e-4), _NEW, without=_SIXTH, judged=56),
        Phase("more", 7 * SHELF, (3.1e-4, 2.8e-4), _NEW, without=_SEVENTH, judged=64),
        Phase("and more", 6 * SHELF, (2.8e-4, 2.6e-4), _NEWER, without=_EIGHTH, judged=72),
        Phase("again more", 4 * SHELF, (2.6e-4, 2.4e-4), _WHOLE, without=_FOURTEENTH, judged=72),
        Phase("nearly all", 6 * SHELF, (2.4e-4, 2.1e-4), _WHOLE, without=_NINTH, judged=72),
        Phase("all", 6 * SHELF, (2.1e-4, 1.7e-4), _WHOLE, without=LEARNED, judged=72),
        Phase("down", 9 * SHELF, (1.7e-4, 0.8e-4), _WHOLE, without=LEARNED, judged=72),
        Phase("to the end", 8 * SHELF, (0.8e-4, 0.0), _WHOLE, without=LEARNED, judged=72),
    ),
)
