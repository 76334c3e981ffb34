"""The card's account of the training: a column for every stage, from its recipe and from the record that it left."""

import json
from pathlib import Path

from .batches import LONGEST_CONTEXT
from .corpus import FILES
from .recipe import MEAN, SHELF, STAGES, Recipe, checkpoint
from .tables import table


def records(work: Path) -> list[dict]:
    """What every stage left at its end; empty for one that was begun from a model folder instead."""
    paths = [checkpoint(work, recipe.stage).with_suffix(".json") for recipe in STAGES]
    return [json.loads(path.read_text()) if path.exists() else {} for path in paths]


def shares(recipe: Recipe) -> str:
    """The part of each corpus in what is read, from the step on where it changes."""
    return "; ".join(
        f"from step {first * SHELF:,}: " + ", ".join(f"{name} {part[name]:.0%}" for name in FILES)
        for first, part in recipe.mix.shares
    )


def noise(recipe: Recipe) -> str:
    """How often earlier turns are exchanged, in words."""
    made = recipe.mix.noise
    if not made.own_exchanged:
        return "none"
    words = f"the other's {made.others_exchanged:.0%}, own {made.own_exchanged:.0%}"
    if made.own_words:
        words += f", {made.own_words:.0%} of these for what the model before said"
    return words + (f"; all over {made.longest} tokens" if made.longest else "")


def column(recipe: Recipe, record: dict) -> dict[str, str]:
    """One stage."""
    end = [] if recipe.knots[-1][0] == recipe.steps else [(recipe.steps, 0)]
    knots = ", ".join(f"{step:,} {part:.3g}" for step, part in (*recipe.knots, *end))
    seconds = record.get("seconds")
    return {
        "optimiser": f"AdamW, betas {list(recipe.betas)}, weight decay {recipe.weight_decay} on matrices",
        "rate": f"{recipe.rate} times, at step: {knots}; lines between",
        "steps": f"{recipe.steps:,}",
        "batch": f"{recipe.batch_size} replies of like length",
        "gradient norm": f"at most {recipe.clip}",
        "arithmetic": "products in bfloat16, weights in float32" if recipe.bfloat16 else "float32",
        "shares": shares(recipe),
        "turns of context": ", ".join(f"{n} ({share:.0%})" for n, share in recipe.mix.turns)
        + f"; within {LONGEST_CONTEXT} tokens",
        "persona lines first": f"in {recipe.mix.persona_lines:.0%} of the synthetic conversations",
        "earlier turns exchanged": noise(recipe),
        "replies learned from": chosen(recipe),
        "seed": str(recipe.seed),
        "time": f"{seconds / 60:.0f} minutes, {record['hardware']}" if seconds else "-",
    }


def chosen(recipe: Recipe) -> str:
    """Which part of the replies a stage reads, in words."""
    part = recipe.mix.relevant
    words = "all" if part is None else f"of each corpus the {part:.0%} that gain most from the last turn"
    longest = recipe.mix.noise.longest
    words += "" if longest is None else f", which has at most {longest} tokens"
    return words if recipe.mix.brackets else f"{words}; none with brackets"


def parts() -> str:
    """The stages whose weights the shipped ones are a mean of."""
    return ", ".join(f"{part:.0%} of *{recipe.stage}*" for recipe, part in MEAN)


def training(work: Path) -> str:
    """The stages side by side."""
    columns = [column(recipe, record) for recipe, record in zip(STAGES, records(work), strict=True)]
    rows: list[list[object]] = [[name, *(each[name] for each in columns)] for name in columns[0]]
    return table(["stage", *(recipe.stage for recipe in STAGES)], rows)
