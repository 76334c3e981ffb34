"""What one call of `generate` does, decided before anything is computed: the search, its settings, its limits.

Settings come from four places, the earlier winning: the call, the `generation_config=` of the call, the model's own
settings, the defaults. What can not be done is refused in `refusals`. Nothing here touches the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from npblender.config import BlenderbotSmallConfig
from npblender.config.generation_config import GenerationConfig
from npblender.dialects import Dialect
from npblender.generation import uses
from npblender.generation.refusals import refuse, refuse_unknown
from npblender.generation.settling import fill_in, without_unused
from npblender.inputs import Ids


@dataclass(frozen=True)
class Plan:
    """Everything a search needs to know that is not an array."""

    search: str  # one of the names in `uses`
    settings: GenerationConfig  # every default filled in
    prompt_length: int  # P: tokens of the target that are given, the start token included
    max_length: int  # tokens of the longest target, the given ones included
    min_length: int  # no eos in a target that is shorter, the given ones included; 0 = no such rule
    eos: tuple[int, ...]  # ids that end a target; empty = only the limit does
    pad: int | None  # what fills rows that have ended
    start: int  # the first id of a target

    @property
    def num_beams(self) -> int:
        return self.settings.num_beams or 1

    @property
    def num_return_sequences(self) -> int:
        return self.settings.num_return_sequences or 1

    @property
    def width(self) -> int:
        """How many rows are decoded for each source."""
        if self.search in (uses.SAMPLE, uses.GREEDY, uses.CONTRASTIVE, uses.LOOKUP):
            return self.num_return_sequences
        if self.search in (uses.PARLAI_SAMPLE, uses.PARLAI_DELAYED):
            return max(self.num_beams, self.num_return_sequences)
        return self.num_beams

    @property
    def is_sampled(self) -> bool:
        """Whether random numbers are drawn."""
        return self.search in (uses.SAMPLE, uses.BEAM_SAMPLE, uses.PARLAI_SAMPLE, uses.PARLAI_DELAYED)

    def wants(self, output: str) -> bool:
        """Whether the record shall hold `output`: "scores", "logits", "attentions" or "hidden_states"."""
        asked = getattr(self.settings, f"output_{output}")
        return bool(self.settings.return_dict_in_generate and asked)


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

    >>> from npblender.dialects import TRANSFORMERS_5
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
            return uses.PARLAI_DELAYED
        return uses.PARLAI_SAMPLE if settings.do_sample else uses.PARLAI_BEAM
    if settings.force_words_ids is not None:
        return uses.CONSTRAINED_BEAM
    if beams > 1:
        if (settings.num_beam_groups or 1) > 1:
            return uses.GROUP_BEAM
        return uses.BEAM_SAMPLE if settings.do_sample else uses.BEAM
    if settings.prompt_lookup_num_tokens is not None and not settings.do_sample:
        return uses.LOOKUP
    if settings.do_sample:
        return uses.SAMPLE
    top_k = 50 if settings.top_k is None else settings.top_k
    return uses.CONTRASTIVE if settings.penalty_alpha and top_k > 1 else uses.GREEDY


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
        default = uses.PARLAI_DEFAULTS["max_length"]
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
