"""The card's account of the training: a column for every stage and for every kind of samples, from recipes and records.

A record is what a stage left at its end.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from .corpus import FILES
from .recipe import SHELF, STAGES, Mix, Recipe, checkpoint
from .samples import LONGEST_CONTEXT
from .tables import table


def records(work: Path) -> list[dict]:
    """What every stage left at its end; empty for one that was begun from a model folder instead."""
    paths = [checkpoint(work, recipe.stage).with_suffix(".json") for recipe in STAGES]
    return [json.loads(path.read_text()) if path.exists() else {} for path in paths]


def shares(mix: Mix) -> str:
    """The part of each corpus in what is read, from the step on where it changes."""
    return "; ".join(
        (f"from step {first * SHELF:,}: " if len(mix.shares) > 1 else "")
        + ", ".join(f"{name} {part[name]:.0%}" for name in FILES)
        for first, part in mix.shares
    )


def noise(mix: Mix) -> str:
    """How often earlier turns are exchanged, in words."""
    made = mix.noise
    if not made.own_exchanged:
        return "none"
    words = f"the other's {made.others_exchanged:.0%}, own {made.own_exchanged:.0%}"
    if made.own_words:
        fits = "to the turn before" if made.fitting == 1 else f"{made.fitting:.0%} to the turn before, else to any"
        words += f", {made.own_words:.0%} of these for an answer of a model, {fits}"
    return words + (f"; all over {made.longest} tokens" if made.longest else "")


def chosen(mix: Mix) -> str:
    """Which part of the replies is read, in words."""
    part, longest = mix.relevant, mix.noise.longest
    words = "all" if part is None else f"of each corpus the {part:.0%} that gain most from the last turn"
    words += "" if longest is None else f" of at most {longest} tokens"
    words += "; none that begins with `so,`" if mix.on_topic else ""
    return words if mix.brackets else f"{words}; none with brackets"


def words(recipe: Recipe) -> str:
    """Whose answers stand for one's own earlier words."""
    if not recipe.answers:
        return "-"
    return f"those of *{recipe.words}*" if recipe.words else "of the stage before"


def parts(mean: Iterable[tuple[str, float]]) -> str:
    """The stages that weights are a mean of."""
    return ", ".join(f"{part:.0%} of *{stage}*" for stage, part in mean)


def begins(recipe: Recipe) -> str:
    """Whose weights a stage begins with."""
    if recipe is STAGES[0]:
        return "random ones"
    return parts(recipe.begins) or "those of the stage before"


def stage(recipe: Recipe, record: dict) -> dict[str, str]:
    """One stage."""
    end = [] if recipe.knots[-1][0] == recipe.steps else [(recipe.steps, 0)]
    knots = ", ".join(f"{step:,} {part:.3g}" for step, part in (*recipe.knots, *end))
    seconds = record.get("seconds")
    return {
        "weights at first": begins(recipe),
        "optimiser": f"AdamW, betas {list(recipe.betas)}, weight decay {recipe.weight_decay} on matrices",
        "rate": f"{recipe.rate} times, at step: {knots}; lines between",
        "steps": f"{recipe.steps:,}",
        "batch": f"{recipe.batch_size} replies of like length",
        "samples": ", ".join(f"{share:.0%} *{mix.name}*" for share, mix in recipe.mixes),
        "a model's answers": words(recipe),
        "gradient norm": f"at most {recipe.clip}",
        "arithmetic": "products in bfloat16, weights in float32" if recipe.bfloat16 else "float32",
        "seed": str(recipe.seed),
        "time": f"{seconds / 60:.0f} minutes, {record['hardware']}" if seconds else "-",
    }


def replies(mix: Mix) -> str:
    """Whose replies are read, in words."""
    if mix.guided is None:
        return chosen(mix)
    how = mix.guided
    return (
        f"of the model before, guided: of {how.contexts:,} contexts whose last turn has at most {mix.noise.longest} "
        f"tokens the {how.part:.0%} that gain most; guidance {how.guidance}, away from {how.others} others, tokens of "
        f"at least {how.likely:.0%} of the likeliest; the best of a greedy and {how.draws} random replies"
    )


def kind(mix: Mix) -> dict[str, str]:
    """One kind of samples."""
    return {
        "corpora": shares(mix),
        "replies": replies(mix),
        "turns of context": ", ".join(f"{n} ({share:.0%})" for n, share in mix.turns)
        + f"; within {LONGEST_CONTEXT} tokens",
        "persona lines first": f"in {mix.persona_lines:.0%} of the synthetic conversations",
        "earlier turns exchanged": noise(mix),
    }


def side_by_side(title: str, columns: dict[str, dict[str, str]]) -> str:
    """A table of columns that have the same rows."""
    names = next(iter(columns.values()))
    rows: list[list[object]] = [[name, *(column[name] for column in columns.values())] for name in names]
    return table([title, *columns], rows)


def stages(work: Path) -> str:
    """The stages side by side."""
    return side_by_side(
        "stage", {recipe.stage: stage(recipe, record) for recipe, record in zip(STAGES, records(work), strict=True)}
    )


def kinds() -> str:
    """The kinds of samples side by side."""
    return side_by_side("samples", {mix.name: kind(mix) for recipe in STAGES for _, mix in recipe.mixes})
