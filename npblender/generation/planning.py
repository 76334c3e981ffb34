"""From settings to a plan: settings merged, the search they ask for, defaults filled in, limits counted.

    options of the call -> check_options -> merge, over the settings of files -> plan_of -> Plan

Settings come from several places: an option of the call counts before the `generation_config=` of the call, that before
the model's own settings, those before the defaults. Until the plan is made they are plain mappings from names to
values; the plan holds the one `GenerationConfig` that a call makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from npblender.common.array_types import Ids
from npblender.common.printable import shown
from npblender.config import BlenderbotSmallConfig, searches
from npblender.config.dialect import Dialect
from npblender.config.generation_config import of_checked
from npblender.config.generation_options import INSTEAD, OPTIONS, check_setting, defaults, settings_of, unknown_setting
from npblender.generation.plan import Plan, check_plan

Values = Mapping[str, Any]  # settings by name; a name that is missing is unset

PARLAI_TOP_K = 10  # where neither top_k nor top_p is set


def make_plan(
    dialect: Dialect, config: BlenderbotSmallConfig, settings: Values, options: Values, target: Ids | None = None
) -> Plan:
    """Make the plan of one call.

    Args:
        settings: those of files and records, checked already: the model's own, under those of `generation_config=`.
        options: those of the call. One that is None switches its setting off, whatever a file says.
        target: the `decoder_input_ids` [B, P], if there are any.

    Raises:
        TypeError: an option that does not exist.
        ValueError, TypeError: a value that an option cannot have, or a plan that cannot be carried out.

    >>> from npblender.config.dialect import TRANSFORMERS_5
    >>> plan = make_plan(TRANSFORMERS_5, config, {}, {"max_new_tokens": 8})
    >>> plan.search, plan.max_length, plan.eos
    ('greedy search', 9, (2,))
    """
    return plan_of(dialect, config, merge(settings, check_options(options)), options, target)


def check_options(options: Values) -> dict[str, Any]:
    """Check the options of a call, and return them as settings keep them; None stays None.

    >>> check_options({"eos_token_id": [2, 3], "top_k": None})
    {'eos_token_id': (2, 3), 'top_k': None}
    """
    for name in options:
        if name not in OPTIONS:
            if name in INSTEAD:
                raise TypeError(f"generate() does not take {shown(name)}: {INSTEAD[name]}")
            hint = unknown_setting(name)
            names = ", ".join(sorted(OPTIONS))
            raise TypeError(
                f"generate() has no option {shown(name)}; {hint + ' ' if hint else ''}There are {names}; and seed for "
                "what is drawn"
            )
    return {name: None if value is None else check_setting(name, value) for name, value in options.items()}


def merge(settings: Values, options: Values) -> dict[str, Any]:
    """Put the options of a call over the settings, and drop what these switch off.

    A limit in the call counts before the other way of giving that limit in a file.

    >>> merge({"max_new_tokens": 15, "top_k": 7}, {"max_length": 5, "top_k": None})
    {'max_length': 5}
    """
    merged = {**settings, **options}
    for limit in ("max", "min"):
        if options.get(f"{limit}_length") is not None and options.get(f"{limit}_new_tokens") is None:
            merged[f"{limit}_new_tokens"] = None
    return {name: value for name, value in merged.items() if value is not None}


def plan_of(
    dialect: Dialect,
    config: BlenderbotSmallConfig,
    merged: Values,
    options: Values,
    target: Ids | None = None,
    *,
    runners_up: bool = False,
) -> Plan:
    """Make the plan for settings that `merge` has made, and check it; `options` are those of the call.

    With `runners_up` a beam search returns all that it finds, unless the call says how many.
    """
    search = choose_search(dialect, merged)
    used = settings_of(search)
    filled = fill_in(dialect, merged, options)
    settings = of_checked({name: filled[name] for name in filled if name in used}, {})
    eos, pad = settings.eos_token_id, settings.pad_token_id
    if eos is None and "eos_token_id" not in options:
        eos = config.eos_token_id
    if pad is None and "pad_token_id" not in options:
        pad = config.pad_token_id
    start = settings.decoder_start_token_id
    for fallback in (config.decoder_start_token_id, settings.bos_token_id, config.bos_token_id):
        start = fallback if start is None else start
    if start is None:
        raise ValueError("a reply needs a first token: give decoder_start_token_id")
    if target is not None and search in searches.PARLAI and (target[:, 1:] == start).any():
        row, at = (int(each) for each in np.argwhere(target[:, 1:] == start)[0])
        raise ValueError(
            f"decoder_input_ids hold the start token {start} at [{row}, {at + 1}]: ParlAI's model never says it, so it "
            f"can begin a row only; leave it out, or use a transformers dialect"
        )
    all_found = runners_up and search in (searches.BEAM, searches.BEAM_SAMPLE) and "num_return_sequences" not in options
    prompt_length = 1 if target is None else target.shape[1] + lacks_start(target, start)
    ends = () if eos is None else eos if isinstance(eos, tuple) else (eos,)
    plan = Plan(
        search=search,
        settings=settings,
        prompt_length=prompt_length,
        max_length=longest(dialect, config, merged, options, prompt_length),
        min_length=shortest(dialect, filled, prompt_length),
        eos=ends,
        pad=ends[0] if pad is None and ends else pad,
        start=start,
        num_return_sequences=merged["num_beams"] if all_found else settings.num_return_sequences or 1,
    )
    check_plan(plan, dialect, config, options)
    return plan


def lacks_start(target: Ids, start: int) -> bool:
    """Whether the start token goes before these ids [B, P]: transformers puts it there if no row begins with it."""
    return bool((target[:, 0] != start).all())


def choose_search(dialect: Dialect, settings: Values) -> str:
    """Choose the search that the settings ask for.

    >>> from npblender.config.dialect import PARLAI, TRANSFORMERS_5
    >>> choose_search(PARLAI, {"num_beams": 3}), choose_search(TRANSFORMERS_5, {"num_beams": 3})
    ('ParlAI beam search', 'beam search')
    """
    draws, beams = settings.get("do_sample"), settings.get("num_beams", 1)
    if dialect.search == "parlai":
        if settings.get("beam_delay"):
            return searches.PARLAI_DELAYED
        return searches.PARLAI_SAMPLE if draws else searches.PARLAI_BEAM
    if "force_words_ids" in settings:
        return searches.CONSTRAINED_BEAM
    if beams > 1:
        if settings.get("num_beam_groups", 1) > 1:
            return searches.GROUP_BEAM
        return searches.BEAM_SAMPLE if draws else searches.BEAM
    if "prompt_lookup_num_tokens" in settings and not draws:
        return searches.LOOKUP
    if draws:
        return searches.SAMPLE
    top_k = settings.get("top_k", OPTIONS["top_k"].default)
    return searches.CONTRASTIVE if settings.get("penalty_alpha") and top_k > 1 else searches.GREEDY


def fill_in(dialect: Dialect, settings: Values, options: Values) -> dict[str, Any]:
    """Fill in the dialect's defaults where settings are unset; None in the call switches one off.

    >>> from npblender.config.dialect import PARLAI
    >>> filled = fill_in(PARLAI, {"num_beams": 3}, {"min_length": None})
    >>> filled["num_beams"], filled["min_length"], filled["length_penalty"]
    (3, 0, 0.65)
    """
    switched_off = {name: OPTIONS[name].if_none for name, value in options.items() if value is None}
    given = {**settings, **{name: value for name, value in switched_off.items() if value is not None}}
    if dialect.search == "parlai":
        given = parlai_truncation(given, options)
    return {**defaults(dialect.search), **given}


def parlai_truncation(settings: Values, options: Values) -> dict[str, Any]:
    """Keep exactly one of `top_k` and `top_p`: ParlAI's inference has one of these names.

    What the call says counts before what files say; 0 and 1.0 say that the other one is meant. With neither it is
    `top_k` with ParlAI's own default.
    """
    named = {name for name in ("top_k", "top_p") if options.get(name) is not None}
    if len(named) != 1:
        named = {name for name in ("top_k", "top_p") if name in settings}
    if len(named) == 2 and settings["top_k"] == 0:
        named = {"top_p"}
    if len(named) == 2 and settings["top_p"] == 1:
        named = {"top_k"}
    if len(named) == 2 and (settings.get("do_sample") or settings.get("beam_delay")):
        raise ValueError(
            f"top_k={settings['top_k']} and top_p={settings['top_p']}: a ParlAI-style search truncates by one of them; "
            "give the other its neutral value, top_k=0 or top_p=1.0"
        )
    others = {name: value for name, value in settings.items() if name not in ("top_k", "top_p")}
    if named == {"top_p"}:
        return {**others, "top_p": settings["top_p"]}
    return {**others, "top_k": settings.get("top_k", PARLAI_TOP_K)}


def longest(
    dialect: Dialect, config: BlenderbotSmallConfig, settings: Values, options: Values, prompt_length: int
) -> int:
    """Return the limit on a target's length, the prompt included; `settings` are without defaults."""
    positions = config.max_position_embeddings
    explicit = options.get("max_length") is not None or options.get("max_new_tokens") is not None
    length = settings.get("max_length")
    if "max_new_tokens" in settings:
        limit = prompt_length + int(settings["max_new_tokens"])
    elif dialect.search == "parlai":
        limit = 1 + int(OPTIONS["max_length"].parlai_default if length is None else length)
    elif length is None or (dialect.default_length_by_value and length == 20 and options.get("max_length") is None):
        limit = min(prompt_length + 20, positions)
    else:
        limit = int(length)
    if explicit and limit > positions + 1:
        raise ValueError(
            f"a target of {limit} tokens does not fit the model's {positions} positions (the last token needs none): "
            f"max_length may be {positions + (0 if dialect.search == 'parlai' else 1)} at most"
        )
    return min(limit, positions + 1)


def shortest(dialect: Dialect, settings: Values, prompt_length: int) -> int:
    """Return the length below which no eos may come, the prompt included."""
    if settings.get("min_new_tokens") is not None:
        return prompt_length + int(settings["min_new_tokens"])
    minimum = int(settings.get("min_length", 0))
    return minimum if dialect.min_length_counts_start else minimum + 1
