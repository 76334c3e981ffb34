"""Merges the settings of a call, of the model's own files and of the chat profile, and makes the plan of a search.

Each setting comes from the first of the three that names it. So the published 90M, whose files name everything but the
context block, gets that block from the profile and keeps the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from npblender.chat.history import Profile
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import Dialect
from npblender.config.generation_config import GenerationConfig
from npblender.config.generation_options import OPTIONS
from npblender.generation.plan import Plan
from npblender.generation.planning import check_options, longest, merge, plan_of, shortest


@dataclass(frozen=True)
class Settings:
    """The settings of a search, resolved for one model."""

    options: Mapping[str, Any]
    """Those of the call; one that the search does not use is refused."""
    plan: Plan
    """What the search will do with them, the model's and the profile's."""

    @property
    def streams(self) -> bool:
        """Whether a word is final as soon as it is chosen, so that a reply can be shown while it grows."""
        return self.plan.width == 1


class HasSettings(Protocol):
    """The parts of a model that settings depend on."""

    @property
    def config(self) -> BlenderbotSmallConfig: ...
    @property
    def dialect(self) -> Dialect: ...
    @property
    def generation_config(self) -> GenerationConfig: ...


def make_settings(profile: Profile, model: HasSettings, call: Mapping[str, Any]) -> Settings:
    """Resolves the settings of one call, each from the first of call, model and profile that names it.

    A profile's number of beams is not used with sampling, and its minimum length not if the limit is no longer.

    Raises:
        TypeError, ValueError: an option that does not exist or that the search does not use.

    >>> from npblender.chat.history import PROFILES
    >>> settings = make_settings(PROFILES["parlai"], model, {"max_length": 9, "min_length": 5}).plan.settings
    >>> settings.num_beams, settings.min_length, settings.length_penalty
    (10, 5, 0.65)
    """
    for name in call:
        if name in OPTIONS and OPTIONS[name].shapes_record:
            raise ValueError(f"{name} has no place in a chat: a reply comes with its text, ids, score and runners-up")
    options, own = check_options(call), model.generation_config.set_values
    fill = {name: value for name, value in profile.settings.items() if name not in own and name not in options}
    if options.get("do_sample", own.get("do_sample")):
        fill.pop("num_beams", None)
    for limit in ("max", "min"):
        if options.get(f"{limit}_new_tokens", own.get(f"{limit}_new_tokens")) is not None:
            fill.pop(f"{limit}_length", None)
    config, dialect, settings = model.config, model.dialect, merge({**own, **fill}, options)
    if "min_length" in fill and shortest(dialect, settings, 1) >= longest(dialect, config, settings, call, 1):
        del settings["min_length"]
    return Settings(call, plan_of(dialect, config, settings, call))
