"""Which settings a reply is searched for with: those of the call, of the model's own files, and of the chat profile.

Each setting is taken by itself from the first of the three that names it. So the published 90M, whose files name
everything but the context block, gets that block from the profile and keeps the rest.

What it does not do: it runs nothing. What a search does with its settings is decided in `generation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from npblender.chat.history import Profile
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import Dialect
from npblender.config.generation_config import GenerationConfig
from npblender.generation.plan import Plan
from npblender.generation.planning import make_plan

_OWN_RESULT = ("return_dict_in_generate", "output_scores", "output_logits", "output_attentions", "output_hidden_states")


@dataclass(frozen=True)
class Settings:
    """The settings of a search, resolved for one model."""

    base: GenerationConfig
    """The model's own, completed by the profile: what the search does not use of it is left unused."""
    call: Mapping[str, Any]
    """Those of the call: what the search does not use of them is refused."""
    plan: Plan
    """What the search will do."""

    @property
    def streams(self) -> bool:
        """Whether words are final as soon as they are chosen, so that a reply can be shown while it grows."""
        return self.plan.width == 1


class HasSettings(Protocol):
    """What is asked of a model before anything is computed; a record of these three will do."""

    @property
    def config(self) -> BlenderbotSmallConfig: ...
    @property
    def dialect(self) -> Dialect: ...
    @property
    def generation_config(self) -> GenerationConfig: ...


def make_settings(profile: Profile, model: HasSettings, call: Mapping[str, Any]) -> Settings:
    """The settings that count for one call, each from the first of call, model and profile that names it.

    A profile's number of beams is not used where tokens are drawn at random, and its minimum length not where the
    limit is no longer than that.

    Raises:
        TypeError, ValueError: an option that does not exist or that the search does not use.

    >>> from types import SimpleNamespace
    >>> from npblender import PARLAI, BlenderbotSmallConfig
    >>> from npblender.chat.history import PROFILES
    >>> own = GenerationConfig(num_beams=4)
    >>> model = SimpleNamespace(config=BlenderbotSmallConfig(), dialect=PARLAI, generation_config=own)
    >>> settings = make_settings(PROFILES["parlai"], model, {"min_length": 5}).plan.settings
    >>> settings.num_beams, settings.min_length, settings.length_penalty
    (4, 5, 0.65)
    """
    for name in _OWN_RESULT:
        if name in call:
            raise ValueError(f"{name} has no place in a chat: a reply comes with its text, ids, score and runners-up")
    own = model.generation_config
    fill = {name: value for name, value in profile.settings.items() if name not in own.set_fields and name not in call}
    if call.get("do_sample", own.do_sample):
        fill.pop("num_beams", None)
    for kind in ("max", "min"):
        if call.get(f"{kind}_new_tokens", getattr(own, f"{kind}_new_tokens")) is not None:
            fill.pop(f"{kind}_length", None)
    base = own.replace(**fill)
    plan = make_plan(model.dialect, model.config, base, None, call)
    if "min_length" in fill and plan.min_length >= plan.max_length:
        base = base.replace(min_length=None)
        plan = make_plan(model.dialect, model.config, base, None, call)
    return Settings(base, dict(call), plan)
