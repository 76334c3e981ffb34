"""Everything about settings that `generate` refuses, in one place.

What a single setting may be is checked where settings are made (`generation_fields`); here is what they must be
together, and with the chosen search, the model and the other arguments of the call.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from npblender.common.field_checks import closest_name
from npblender.config import BlenderbotSmallConfig, generation_options
from npblender.config.dialect import Dialect
from npblender.config.generation_config import GenerationConfig
from npblender.generation import plan as plan_

if TYPE_CHECKING:
    from npblender.generation.plan import Plan


def refuse_unknown(call: Mapping[str, Any]) -> None:
    """Refuse names that are no settings, with the names that exist."""
    names = sorted(field.name for field in dataclasses.fields(GenerationConfig) if field.name != "extra")
    for name in call:
        if name not in names:
            near = closest_name(name, names)
            hint = f"did you mean {near}? " if near else ""
            raise TypeError(
                f"generate() has no option {name!r}; {hint}There are {', '.join(names)}; and seed for what is drawn"
            )


def refuse(plan: Plan, dialect: Dialect, config: BlenderbotSmallConfig, call: Mapping[str, Any]) -> None:
    """Refuse what the call asks for and the search does not do, and settings that do not go together."""
    for complaint in _complaints(plan, dialect, config, call):
        raise ValueError(complaint)


def refuse_givens(
    plan: Plan, dialect: Dialect, call: Mapping[str, Any], *, batch: int, knows_source: bool, given: Mapping[str, Any]
) -> None:
    """Refuse what the call gives besides settings and this search has no use for, and what it lacks.

    `given` are these arguments by name, None where they are absent.
    """
    settings, parlai = plan.settings, dialect.search == "parlai"
    if not knows_source:
        for name in ("encoder_no_repeat_ngram_size", "encoder_repetition_penalty"):
            if call.get(name) is not None and call[name] not in generation_options.OFF[name]:
                raise ValueError(f"{name}={call[name]} looks at the source's ids: pass input_ids too")
    if plan.search == plan_.LOOKUP and batch > 1:
        raise ValueError(f"prompt lookup answers one source at a time, as in transformers; {batch} were given")
    if given["streamer"] is not None and plan.width > 1 and plan.search not in (plan_.SAMPLE,):
        raise ValueError(f"a streamer can not follow {plan.search} with {plan.width} rows a source; use num_beams=1")
    if isinstance(given["seed"], int) and not plan.is_sampled:
        raise ValueError(f"seed={given['seed']} would not be used: {plan.search} draws nothing; say do_sample=True")
    if parlai and given["stopping_criteria"]:
        raise ValueError("stopping_criteria: a search in ParlAI's way ends at its eos, its limit or max_time only")
    if settings.stop_strings is not None and given["tokenizer"] is None:
        raise ValueError("stop_strings are looked for in text: pass tokenizer=, the model's own")
    if settings.stop_strings is None and given["tokenizer"] is not None:
        raise ValueError("tokenizer is used by stop_strings only: pass these too, or leave it out")


def _complaints(plan: Plan, dialect: Dialect, config: BlenderbotSmallConfig, call: Mapping[str, Any]) -> Iterator[str]:
    settings, used = plan.settings, plan_.USES[plan.search]
    for name, value in call.items():
        if name not in used and value is not None and value not in generation_options.OFF.get(name, ()):
            yield (
                f"{name}={value!r} is not used by {plan.search}, which these options ask for in the dialect "
                f"{dialect.name!r}; it uses {', '.join(sorted(used))}"
            )
    if not settings.return_dict_in_generate:
        for name in ("output_scores", "output_logits", "output_attentions", "output_hidden_states"):
            if call.get(name):
                yield f"{name}=True has nowhere to go: also pass return_dict_in_generate=True"
    if plan.prompt_length >= plan.max_length:
        yield (
            f"decoder_input_ids have {plan.prompt_length} tokens with the start token, and a target may have "
            f"{plan.max_length}: nothing is left to generate; raise max_length or give max_new_tokens"
        )
    if settings.temperature == 0:
        yield "temperature must be above 0; for the most probable token each time say do_sample=False"
    for name in ("forced_bos_token_id", "forced_eos_token_id"):
        forced = set(_flat(getattr(settings, name)))
        if forced and forced <= set(_flat(settings.suppress_tokens)):
            yield f"{name} forces {sorted(forced)}, and suppress_tokens rules it out: nothing would be left"
    if dialect.search == "parlai":
        if len(plan.eos) != 1:
            yield f"a search in ParlAI's way ends at one eos_token_id, not at {list(plan.eos)}"
        if plan.num_beams > config.vocab_size:
            yield f"num_beams={plan.num_beams} are to be filled from the {config.vocab_size} tokens of the first step"
    else:
        yield from _transformers_complaints(plan)
    yield from _strangers(settings, plan, config)


def _transformers_complaints(plan: Plan) -> Iterator[str]:
    settings, beams, count = plan.settings, plan.num_beams, plan.num_return_sequences
    if plan.search != plan_.SAMPLE and count > beams:
        yield f"num_return_sequences={count} needs as many beams, or do_sample=True; num_beams is {beams}"
    if plan.search == plan_.CONSTRAINED_BEAM:
        if beams < 2:
            yield "force_words_ids need a beam search: give num_beams, 2 or more"
        if settings.do_sample or (settings.num_beam_groups or 1) > 1:
            yield "force_words_ids do not go together with do_sample=True or num_beam_groups"
    if plan.search == plan_.GROUP_BEAM:
        groups = settings.num_beam_groups or 1
        if beams % groups:
            yield f"num_beams={beams} can not be shared among num_beam_groups={groups}: it must be a multiple"
        if settings.do_sample:
            yield "num_beam_groups is for a search; do_sample=True draws, so leave one of them out"
        if not settings.diversity_penalty:
            yield "diversity_penalty must be above 0 in a group beam search, or all groups would be the same"
    if plan.search == plan_.CONTRASTIVE and settings.use_cache is False:
        yield "contrastive search goes back and forth in the cache: use_cache=False is not for it"


def _strangers(settings: GenerationConfig, plan: Plan, config: BlenderbotSmallConfig) -> Iterator[str]:
    """Ids in the settings that are no tokens of this model."""
    special = {"eos_token_id": plan.eos, "pad_token_id": plan.pad, "decoder_start_token_id": plan.start}
    words = {name: getattr(settings, name) for name in generation_options.HOLD_IDS}
    if settings.sequence_bias is not None:
        words["sequence_bias"] = tuple(phrase for phrase, _ in settings.sequence_bias)
    for name, value in (special | words).items():
        for token in _flat(value):
            if token >= config.vocab_size:
                yield f"{name} holds {token}, which is no token of the vocabulary of {config.vocab_size}"


def _flat(value: Any) -> Iterator[int]:
    if isinstance(value, tuple):
        for each in value:
            yield from _flat(each)
    elif value is not None:
        yield value
