"""From settings to a plan: one set of settings from several, the search they choose, and the ids it ends at."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from npblender.common.array_types import Ids
from npblender.config import BlenderbotSmallConfig, generation_options
from npblender.config.dialect import Dialect
from npblender.config.generation_config import GenerationConfig
from npblender.generation.plan import (
    BEAM,
    BEAM_SAMPLE,
    CONSTRAINED_BEAM,
    CONTRASTIVE,
    GREEDY,
    GROUP_BEAM,
    LOOKUP,
    PARLAI_BEAM,
    PARLAI_DELAYED,
    PARLAI_SAMPLE,
    SAMPLE,
    USES,
    Plan,
)
from npblender.generation.plan_checks import refuse, refuse_unknown


def make_plan(
    dialect: Dialect,
    config: BlenderbotSmallConfig,
    own: GenerationConfig,
    given: GenerationConfig | None,
    call: Mapping[str, Any],
    target: Ids | None = None,
) -> Plan:
    """The plan of one call. `own` are the model's settings, `given` the `generation_config=`, `call` the options,
    `target` the `decoder_input_ids` [B, P], if there are any.

    An option of the call that is None switches its setting off, whatever a file says.

    >>> from npblender.config.dialect import TRANSFORMERS_5
    >>> plan = make_plan(TRANSFORMERS_5, BlenderbotSmallConfig(), GenerationConfig(), None, {"max_new_tokens": 8})
    >>> plan.search, plan.max_length, plan.eos
    ('greedy search', 9, (2,))
    """
    refuse_unknown(call)
    merged = own if given is None else own.replace(**{name: getattr(given, name) for name in given.set_fields})
    merged = merged.replace(**call)
    chosen = {name for name, value in call.items() if value is not None}
    if "max_length" in chosen and "max_new_tokens" not in chosen:
        merged = merged.replace(max_new_tokens=None)
    if "min_length" in chosen and "min_new_tokens" not in chosen:
        merged = merged.replace(min_new_tokens=None)
    search = choose_search(dialect, merged, chosen)
    settings = fill_in(dialect, merged, call)
    settings = without_unused(settings, search)
    eos = _ids(settings.eos_token_id, config.eos_token_id, "eos_token_id" in call)
    pad = settings.pad_token_id
    if pad is None and "pad_token_id" not in call:
        pad = config.pad_token_id
    start = settings.decoder_start_token_id
    for fallback in (config.decoder_start_token_id, settings.bos_token_id, config.bos_token_id):
        start = fallback if start is None else start
    if start is None:
        raise ValueError("a reply needs a first token: give decoder_start_token_id")
    prompt_length = 1 if target is None else target.shape[1] + lacks_start(target, start)
    plan = Plan(
        search=search,
        settings=settings,
        prompt_length=prompt_length,
        max_length=longest(dialect, config, merged, call, prompt_length),
        min_length=shortest(dialect, settings, prompt_length),
        eos=eos,
        pad=eos[0] if pad is None and eos else pad,
        start=start,
    )
    refuse(plan, dialect, config, call)
    return plan


def lacks_start(target: Ids, start: int) -> bool:
    """Whether the start token goes before these ids [B, P]: transformers puts it there if no row begins with it."""
    return bool((target[:, 0] != start).all())


def choose_search(dialect: Dialect, settings: GenerationConfig, chosen: set[str]) -> str:
    """Which search the settings ask for; `chosen` are the names that the call itself gave."""
    beams = settings.num_beams or 1
    if dialect.search == "parlai":
        if settings.beam_delay:
            return PARLAI_DELAYED
        return PARLAI_SAMPLE if settings.do_sample else PARLAI_BEAM
    if settings.force_words_ids is not None:
        return CONSTRAINED_BEAM
    if beams > 1:
        if (settings.num_beam_groups or 1) > 1:
            return GROUP_BEAM
        return BEAM_SAMPLE if settings.do_sample else BEAM
    if settings.prompt_lookup_num_tokens is not None and not settings.do_sample:
        return LOOKUP
    if settings.do_sample:
        return SAMPLE
    top_k = 50 if settings.top_k is None else settings.top_k
    return CONTRASTIVE if settings.penalty_alpha and top_k > 1 else GREEDY


def longest(
    dialect: Dialect,
    config: BlenderbotSmallConfig,
    settings: GenerationConfig,
    call: Mapping[str, Any],
    prompt_length: int,
) -> int:
    """The limit on a target's length, the prompt included."""
    positions = config.max_position_embeddings
    explicit = call.get("max_length") is not None or call.get("max_new_tokens") is not None
    if settings.max_new_tokens is not None:
        limit = prompt_length + settings.max_new_tokens
    elif dialect.search == "parlai":
        default = generation_options.PARLAI_DEFAULTS["max_length"]
        limit = 1 + (default if settings.max_length is None else settings.max_length)
    elif settings.max_length is None or (
        dialect.default_length_by_value and settings.max_length == 20 and call.get("max_length") is None
    ):
        limit = min(prompt_length + 20, positions)
    else:
        limit = settings.max_length
    if explicit and limit > positions + 1:
        raise ValueError(
            f"a target of {limit} tokens does not fit the model's {positions} positions (the last token needs none): "
            f"max_length may be {positions + (0 if dialect.search == 'parlai' else 1)} at most"
        )
    return min(limit, positions + 1)


def shortest(dialect: Dialect, settings: GenerationConfig, prompt_length: int) -> int:
    """The length below which no eos may come, the prompt included."""
    if settings.min_new_tokens is not None:
        return prompt_length + settings.min_new_tokens
    minimum = settings.min_length or 0
    return minimum if dialect.min_length_counts_start else minimum + 1


def _ids(setting: int | tuple[int, ...] | None, fallback: int | tuple[int, ...] | None, final: bool) -> tuple[int, ...]:
    """One id, several or none, as a tuple; `final` says that None means none."""
    value = fallback if setting is None and not final else setting
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def fill_in(dialect: Dialect, settings: GenerationConfig, call: Mapping[str, Any]) -> GenerationConfig:
    """The settings with the dialect's defaults where they are unset; None in the call switches one off."""
    off = {name: value for name, value in generation_options.OFF_BY_NONE.items() if name in call and call[name] is None}
    settings = settings.replace(**off)
    if dialect.search == "parlai":
        settings = parlai_truncation(settings, call)
        unset = {name: v for name, v in generation_options.PARLAI_DEFAULTS.items() if getattr(settings, name) is None}
        return settings.replace(**unset)
    return settings.with_defaults()


PARLAI_TOP_K = 10


def parlai_truncation(settings: GenerationConfig, call: Mapping[str, Any]) -> GenerationConfig:
    """Exactly one of `top_k` and `top_p`: ParlAI's inference has one of these names.

    What the call says counts before what files say; 0 and 1.0 say that the other one is meant. With neither it is
    `top_k` with ParlAI's own default.
    """
    given = {name for name in ("top_k", "top_p") if call.get(name) is not None}
    if len(given) != 1:
        given = {name for name in ("top_k", "top_p") if getattr(settings, name) is not None}
    if len(given) == 2 and settings.top_k == 0:
        given = {"top_p"}
    if len(given) == 2 and settings.top_p == 1:
        given = {"top_k"}
    if len(given) == 2 and (settings.do_sample or settings.beam_delay):
        raise ValueError(
            f"top_k={settings.top_k} and top_p={settings.top_p}: a search in ParlAI's way cuts by one of them; "
            "give the other its neutral value, top_k=0 or top_p=1.0"
        )
    if given == {"top_p"}:
        return settings.replace(top_k=None)
    top_k = PARLAI_TOP_K if settings.top_k is None else settings.top_k
    return settings.replace(top_p=None, top_k=top_k)


def without_unused(settings: GenerationConfig, search: str) -> GenerationConfig:
    """The settings that `search` does not read, unset: a file may hold them, and they do nothing."""
    names = {field.name for field in dataclasses.fields(settings)} - {"extra"}
    return settings.replace(**dict.fromkeys(names - USES[search]))
