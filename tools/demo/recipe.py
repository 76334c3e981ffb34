"""How the demo is trained, in numbers, and the learning rate of every step. Torch is not needed to read it."""

from dataclasses import dataclass
from itertools import pairwise

KNOTS_FOR = 9200  # the number of steps that a recipe's knots are written for


@dataclass(frozen=True)
class Recipe:
    seed: int
    steps: int
    batch_size: int = 96
    rate: float = 1.5e-3
    # (step, part of the rate) of 9,200 steps, at the end of which it is zero; lines between. Other lengths are scaled.
    # The rate comes down twice: the first model, of 4,000 steps, was trained on.
    knots: tuple[tuple[int, float], ...] = (
        *((0, 0.0), (300, 1.0), (1700, 1.0), (2560, 0.4941), (3400, 0.2685), (4000, 0.0)),
        *((4200, 0.6), (7600, 0.6), (8116, 0.471)),
    )
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    clip: float = 1.0
    bfloat16: bool = True  # products in bfloat16, weights and sums in float32


def learning_rate(step: int, recipe: Recipe) -> float:
    """The rate of one step: up, level, and down to zero."""
    knots = [(at * recipe.steps / KNOTS_FOR, part) for at, part in recipe.knots] + [(recipe.steps, 0.0)]
    first, last = [pair for pair in pairwise(knots) if pair[0][0] <= step][-1]
    along = min(1, (step + (step < knots[1][0]) - first[0]) / (last[0] - first[0]))  # the first step is not at zero
    return recipe.rate * (first[1] + along * (last[1] - first[1]))
