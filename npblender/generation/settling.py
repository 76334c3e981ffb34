"""One set of settings from several: defaults filled in, and what the search does not read taken out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from npblender.config.generation_config import GenerationConfig
from npblender.dialects import Dialect
from npblender.generation import uses


def fill_in(dialect: Dialect, settings: GenerationConfig, call: Mapping[str, Any]) -> GenerationConfig:
    """The settings with the dialect's defaults where they are unset; None in the call switches one off."""
    off = {name: value for name, value in uses.OFF_BY_NONE.items() if name in call and call[name] is None}
    settings = settings.replace(**off)
    if dialect.search == "parlai":
        settings = parlai_truncation(settings, call)
        unset = {name: v for name, v in uses.PARLAI_DEFAULTS.items() if getattr(settings, name) is None}
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
    return settings.replace(**dict.fromkeys(names - uses.USES[search]))
