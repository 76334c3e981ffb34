"""`Plan`: what one call of `generate` does, decided before anything is computed; and every plan that is refused.

`planning` makes plans. What a single setting may be is checked where settings are made (`config.option_kinds`); here is
what they must be together, and with the chosen search, the model and the other arguments of the call.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from npblender.common.printable import shown
from npblender.config import BlenderbotSmallConfig, searches
from npblender.config.dialect import Dialect
from npblender.config.generation_config import GenerationConfig
from npblender.config.generation_options import OPTIONS, is_off, settings_of
from npblender.config.option_kinds import flat_ids

_LARGEST = 1e30  # what logits and scores can be divided by and stay numbers of float32

_COLDEST = 1e-15  # the smallest temperature: ParlAI's logit of a token that is ruled out, -1e20, stays finite too


@dataclass(frozen=True)
class Plan:
    """Everything a search needs to know that is not an array."""

    search: str  # one of the names in `config.searches`
    settings: GenerationConfig  # defaults filled in, and only what the search reads
    prompt_length: int  # P: tokens of the target that are given, the start token included
    max_length: int  # tokens of the longest target, the given ones included
    min_length: int  # no eos in a target that is shorter, the given ones included; 0 = no such rule
    eos: tuple[int, ...]  # ids that end a target; empty = only the limit does
    pad: int | None  # what fills rows that have ended
    start: int  # the first id of a target
    num_return_sequences: int = 1  # replies that come back for each source

    @property
    def num_beams(self) -> int:
        return self.settings.num_beams or 1

    @property
    def width(self) -> int:
        """How many rows are decoded for each source."""
        if self.search in searches.ONE_REPLY or self.search == searches.SAMPLE:
            return self.num_return_sequences
        if self.search in searches.PARLAI_RANDOM:
            return max(self.num_beams, self.num_return_sequences)
        return self.num_beams

    @property
    def is_random(self) -> bool:
        """Whether random numbers are drawn."""
        return self.search in searches.RANDOM

    def deadline(self) -> float | None:
        """Return when `max_time` will be over, on the clock of `time.monotonic`; the clock starts now."""
        seconds = self.settings.max_time
        return None if seconds is None else time.monotonic() + seconds

    def wants(self, output: str) -> bool:
        """Whether the record holds `output`: "scores", "logits", "attentions" or "hidden_states"."""
        return bool(self.settings.return_dict_in_generate and getattr(self.settings, f"output_{output}"))


def check_plan(plan: Plan, dialect: Dialect, config: BlenderbotSmallConfig, options: Mapping[str, Any]) -> None:
    """Refuse options of the call that the search does not read, and settings that do not go together."""
    for complaint in _complaints(plan, dialect, config, options):
        raise ValueError(complaint)


def check_other_arguments(
    plan: Plan,
    dialect: Dialect,
    options: Mapping[str, Any],
    *,
    batch: int,
    has_source_ids: bool,
    arguments: Mapping[str, Any],
) -> None:
    """Refuse arguments besides settings and arrays that this search cannot use, and those that it lacks.

    `arguments` are these by name, None where they are absent.
    """
    settings = plan.settings
    if not has_source_ids:
        for name, value in options.items():
            if OPTIONS[name].needs_source_ids and not is_off(name, value):
                raise ValueError(f"{name}={value} looks at the source's ids: pass input_ids too")
    if plan.search == searches.LOOKUP and batch > 1:
        raise ValueError(f"prompt lookup answers one source at a time, as in transformers; {batch} were given")
    if arguments["streamer"] is not None and plan.width > 1 and plan.search != searches.SAMPLE:
        raise ValueError(f"a streamer cannot follow {plan.search} with {plan.width} rows a source; use num_beams=1")
    if isinstance(arguments["seed"], int) and not plan.is_random:
        raise ValueError(f"seed={arguments['seed']} would not be used: {plan.search} draws nothing; say do_sample=True")
    if dialect.search == "parlai" and arguments["stopping_criteria"]:
        raise ValueError("stopping_criteria: a ParlAI-style search stops at its eos, its limit or max_time only")
    if settings.stop_strings is not None and arguments["tokenizer"] is None:
        raise ValueError("stop_strings are looked for in text: pass tokenizer=, the model's own")
    if settings.stop_strings is None and arguments["tokenizer"] is not None:
        raise ValueError("tokenizer is used by stop_strings only: pass these too, or leave it out")
    if arguments["tokenizer"] is not None:
        check_tokenizer(arguments["tokenizer"])


def check_tokenizer(value: Any) -> None:
    """Refuse what makes no text of ids."""
    if not hasattr(value, "decode"):
        raise TypeError(f"tokenizer must be the model's tokenizer, with decode(ids), not {type(value).__name__}")


def warn_of_plan(plan: Plan, given: Mapping[str, Any]) -> None:
    """Warn of what a call's settings do together with the model's; `given` are the call's own.

    Both transformers draw as many paths as a file has beams, without a word; so does ParlAI. A caller who asks for
    random replies and gets the best of ten should know.
    """
    if given.get("do_sample") and "num_beams" not in given and plan.num_beams > 1:
        warnings.warn(
            f"do_sample=True with num_beams={plan.num_beams}, which the model's settings ask for: {plan.search} draws "
            f"{plan.num_beams} paths for each source and returns the best; num_beams=1 draws one, and "
            f"num_beams={plan.num_beams} in the call says that this is meant",
            stacklevel=4,
        )
    asks_for_more = not {"min_length", "min_new_tokens"}.isdisjoint(given)  # a file's minimum gives way in silence
    empty = plan.min_length > plan.max_length and plan.search not in searches.PARLAI
    if asks_for_more and empty:  # transformers' own warning
        warnings.warn(
            f"min_length {plan.min_length} is larger than max_length {plan.max_length}: replies end at max_length",
            stacklevel=4,
        )


def _complaints(
    plan: Plan, dialect: Dialect, config: BlenderbotSmallConfig, options: Mapping[str, Any]
) -> Iterator[str]:
    settings, used = plan.settings, settings_of(plan.search)
    for name, value in options.items():
        if name not in used and not is_off(name, value):
            sampling = searches.PARLAI_SAMPLE if dialect.search == "parlai" else searches.SAMPLE
            drawn = not plan.is_random and sampling in OPTIONS[name].searches
            advice = "do_sample=True draws tokens and uses it; " if drawn else ""
            yield (
                f"{name}={shown(value)} is not used by {plan.search}, which these options ask for in the dialect "
                f"{shown(dialect.name)}; {advice}it uses {', '.join(sorted(used))}"
            )
    if not settings.return_dict_in_generate:
        for name, value in options.items():
            if value and OPTIONS[name].shapes_record:
                yield f"{name}=True has nowhere to go: also pass return_dict_in_generate=True"
    if plan.prompt_length >= plan.max_length:
        yield (
            f"decoder_input_ids have {plan.prompt_length} tokens with the start token, and a target may have "
            f"{plan.max_length}: nothing is left to generate; raise max_length or give max_new_tokens"
        )
    if settings.temperature == 0:
        yield "temperature must be above 0; for the most probable token each time say do_sample=False"
    elif settings.temperature is not None and not _COLDEST <= settings.temperature <= _LARGEST:
        yield (
            f"temperature={settings.temperature} is too {'large' if settings.temperature > 1 else 'small'} to divide "
            f"float32 logits by: from {_COLDEST:g} to {_LARGEST:g}; for the most probable token each time say "
            "do_sample=False"
        )
    longest = max(plan.max_length + 1, 6)  # ParlAI divides a length by 6 first
    if settings.length_penalty is not None and abs(settings.length_penalty) * math.log(longest) > math.log(_LARGEST):
        yield (
            f"length_penalty={settings.length_penalty} is too large: scores are divided by a length of up to "
            f"{plan.max_length} to this power, which no float32 number can hold"
        )
    for name in ("forced_bos_token_id", "forced_eos_token_id"):
        forced = set(flat_ids(getattr(settings, name)))
        if forced and forced <= set(flat_ids(settings.suppress_tokens)):
            yield f"{name} forces {sorted(forced)}, and suppress_tokens rules it out: nothing would be left"
    if dialect.search == "parlai":
        if len(plan.eos) != 1:
            yield f"a ParlAI-style search stops at a single eos_token_id, not at {list(plan.eos)}"
        if plan.is_random and settings.top_p == 0:
            yield "top_p=0 leaves no token to draw in a ParlAI-style search; top_k=1 leaves the most probable one"
        if plan.num_beams > config.vocab_size:
            yield f"num_beams={plan.num_beams} are to be filled from the {config.vocab_size} tokens of the first step"
    else:
        yield from _transformers_complaints(plan)
    yield from _unknown_ids(plan, config)


def _transformers_complaints(plan: Plan) -> Iterator[str]:
    settings, beams, count = plan.settings, plan.num_beams, plan.num_return_sequences
    if plan.search != searches.SAMPLE and count > beams:
        yield f"num_return_sequences={count} needs as many beams, or do_sample=True; num_beams is {beams}"
    if plan.search == searches.CONSTRAINED_BEAM:
        if beams < 2:
            yield "force_words_ids need a beam search: give num_beams, 2 or more"
        if settings.do_sample or (settings.num_beam_groups or 1) > 1:
            yield "force_words_ids do not go together with do_sample=True or num_beam_groups"
    if plan.search == searches.GROUP_BEAM:
        groups = settings.num_beam_groups or 1
        if beams % groups:
            yield f"num_beams={beams} cannot be shared among num_beam_groups={groups}: it must be a multiple"
        if settings.do_sample:
            yield "num_beam_groups is for a search; do_sample=True draws, so leave one of them out"
        if not settings.diversity_penalty:
            yield "diversity_penalty must be above 0 in a group beam search, or all groups would be the same"
    if plan.search == searches.CONTRASTIVE and settings.use_cache is False:
        yield "contrastive search goes back and forth in the cache: use_cache=False is not for it"


def _unknown_ids(plan: Plan, config: BlenderbotSmallConfig) -> Iterator[str]:
    """Ids in the settings that are no tokens of this model."""
    ids: dict[str, Any] = {"eos_token_id": plan.eos, "pad_token_id": plan.pad, "decoder_start_token_id": plan.start}
    for name, value in plan.settings.set_values.items():
        kind = OPTIONS[name].kind
        if kind.ids is not None:
            ids[name] = tuple(kind.ids(value))
    for name, value in ids.items():
        for token in flat_ids(value):
            if token >= config.vocab_size:
                yield f"{name} holds {token}, which is no token of the vocabulary of {config.vocab_size}"
