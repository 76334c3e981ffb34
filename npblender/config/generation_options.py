"""Every setting of text generation, one row each: the table that all the others are derived from.

A row is a field of `GenerationOptions`: its type for people and type checkers, its kind (see `option_kinds`), the
searches that read it, one line on what it means, and then what is particular about it. `GenerationConfig` has these
fields; the checks, the plan of a call, files, the chat and the command line follow the table. To add a setting, add a
row here and read it where it takes effect.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, TypeAlias

from npblender.common.checks import as_plain, closest_name
from npblender.common.printable import shown
from npblender.config.option_kinds import (
    ABOVE_0,
    BIASES,
    DECAY,
    EARLY_STOPPING,
    ID,
    ID_OR_IDS,
    IDS,
    MOST_ROWS,
    PHRASES,
    PHRASES_OR_CHOICES,
    SHARE,
    SHARE_ABOVE_0,
    SPECIAL_ID,
    SPECIAL_IDS,
    START_ID,
    SWITCH,
    TEXTS,
    Kind,
    number,
    whole,
)
from npblender.config.searches import (
    CONSTRAINED_BEAM,
    CONTRASTIVE,
    EVERY,
    GROUP_BEAM,
    LOOKUP,
    ONE_REPLY,
    PARLAI,
    PARLAI_DELAYED,
    PARLAI_RANDOM,
    SEVERAL_BEAMS,
    TRANSFORMERS,
    WARPED,
)

Ids: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Option:
    """What is known of one setting besides its name."""

    kind: Kind  # which values it takes
    searches: frozenset[str]  # those that read it: to any other it is refused in a call, and left unused in a file
    meaning: str  # one line for tables and help texts
    default: Any = None  # what transformers does where it is unset: 4.52.4's class defaults and 5.23's global ones
    parlai_default: Any = None  # what ParlAI does where it is unset: TorchGeneratorAgent's own defaults
    off: tuple[Any, ...] = ()  # values that ask for nothing, welcome to any search; by default what it does anyway
    if_none: Any = None  # what None in a call stands for, where the default would do something
    needs_source_ids: bool = False  # whether it reads the source's ids, which embeddings do not have
    shapes_record: bool = False  # whether it only decides what the record beside the reply holds


def option(kind: Kind, searches: frozenset[str], meaning: str, **particulars: Any) -> Any:
    """Make a row of the table below, as the default of a dataclass field: unset, with an `Option` as its metadata."""
    if searches != EVERY and particulars.get("default") is not None:
        particulars.setdefault("off", (particulars["default"],))
    return dataclasses.field(default=None, metadata={"option": Option(kind, searches, meaning, **particulars)})


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)  # `GenerationConfig` has what is left out
class GenerationOptions:
    """The table. Every setting is None where it is unset."""

    # How long a reply is.
    max_length: int | None = option(
        whole(1), EVERY, "tokens of the whole target at most, its start included", default=20, parlai_default=256
    )
    max_new_tokens: int | None = option(whole(1), EVERY, "generated tokens at most; counts before max_length")
    min_length: int | None = option(
        whole(0), EVERY, "no eos before the target has this length", default=0, parlai_default=1, if_none=0
    )
    min_new_tokens: int | None = option(whole(0), EVERY, "no eos before so many tokens; counts before min_length")
    early_stopping: bool | str | None = option(EARLY_STOPPING, SEVERAL_BEAMS, "when a beam search ends", default=False)
    max_time: float | None = option(number(0.0), EVERY, "seconds after which the search ends")
    stop_strings: str | tuple[str, ...] | None = option(TEXTS, TRANSFORMERS, "texts that end a reply")

    # How it is searched for.
    do_sample: bool | None = option(SWITCH, EVERY, "draw tokens at random", default=False)
    num_beams: int | None = option(
        whole(1, MOST_ROWS), EVERY, "paths searched for each source", default=1, parlai_default=1
    )
    num_beam_groups: int | None = option(
        whole(1), TRANSFORMERS, "groups of beams that differ (diverse beam search)", default=1
    )
    penalty_alpha: float | None = option(
        SHARE, frozenset({CONTRASTIVE}), "weight of unlikeness in contrastive search", off=(0.0,)
    )
    use_cache: bool | None = option(SWITCH, EVERY, "keep keys and values between steps", default=True)
    prompt_lookup_num_tokens: int | None = option(
        whole(1), frozenset({LOOKUP}), "tokens guessed at a time from earlier n-grams"
    )
    max_matching_ngram_size: int | None = option(
        whole(1), frozenset({LOOKUP}), "longest n-gram that a guess is looked up by; unset it is 2"
    )
    beam_delay: int | None = option(
        whole(0), frozenset({PARLAI_DELAYED}), "tokens drawn at random before the beam search", off=(0,)
    )

    # What changes the logits.
    temperature: float | None = option(
        number(0.0), WARPED | PARLAI, "divisor of the logits", default=1.0, parlai_default=1.0
    )
    top_k: int | None = option(
        whole(0),
        WARPED | {CONTRASTIVE} | PARLAI_RANDOM,
        "draw from the k most probable tokens; in contrastive search, compare them",
        default=50,
        off=(0,),
        if_none=0,
    )
    top_p: float | None = option(
        SHARE, WARPED | PARLAI_RANDOM, "draw from the fewest tokens that make up this share", default=1.0
    )
    min_p: float | None = option(SHARE, WARPED, "draw from tokens with this share of the best one's", off=(0.0,))
    typical_p: float | None = option(SHARE_ABOVE_0, WARPED, "draw from the tokens nearest to the entropy", default=1.0)
    epsilon_cutoff: float | None = option(SHARE, WARPED, "draw from tokens with at least this probability", default=0.0)
    eta_cutoff: float | None = option(SHARE, WARPED, "as epsilon_cutoff, lower where the entropy is high", default=0.0)
    diversity_penalty: float | None = option(
        number(0.0), frozenset({GROUP_BEAM}), "price of a token that an earlier group has chosen", default=0.0
    )
    repetition_penalty: float | None = option(ABOVE_0, TRANSFORMERS, "weakens tokens of the target", default=1.0)
    encoder_repetition_penalty: float | None = option(
        ABOVE_0, TRANSFORMERS, "strengthens tokens of the source", default=1.0, needs_source_ids=True
    )
    length_penalty: float | None = option(
        number(),
        SEVERAL_BEAMS | PARLAI,
        "exponent of the length that a finished score is divided by",
        default=1.0,
        parlai_default=0.65,
    )
    no_repeat_ngram_size: int | None = option(
        whole(0), EVERY, "no n-gram of this size twice in a reply", default=0, parlai_default=0, off=(0,)
    )
    encoder_no_repeat_ngram_size: int | None = option(
        whole(0),
        EVERY,
        "no n-gram of this size from the source",
        default=0,
        parlai_default=0,
        off=(0,),
        needs_source_ids=True,
    )
    beam_block_full_context: bool | None = option(
        SWITCH,
        PARLAI,
        "encoder_no_repeat_ngram_size looks at full_input_ids, what the source was cut from",
        parlai_default=False,
        off=(False,),
    )
    bad_words_ids: tuple[Ids, ...] | None = option(PHRASES, EVERY, "phrases that are never completed")
    force_words_ids: tuple[Ids | tuple[Ids, ...], ...] | None = option(
        PHRASES_OR_CHOICES, frozenset({CONSTRAINED_BEAM}), "phrases that must come, or of which one must"
    )
    sequence_bias: tuple[tuple[Ids, float], ...] | None = option(BIASES, TRANSFORMERS, "added to a phrase's last token")
    suppress_tokens: Ids | None = option(IDS, TRANSFORMERS, "tokens that never come")
    begin_suppress_tokens: Ids | None = option(IDS, TRANSFORMERS, "tokens that do not come first")
    forced_bos_token_id: int | None = option(ID, TRANSFORMERS, "the first generated token")
    forced_eos_token_id: int | Ids | None = option(ID_OR_IDS, TRANSFORMERS, "the last token before the limit")
    exponential_decay_length_penalty: tuple[int, float] | None = option(
        DECAY, TRANSFORMERS, "makes an eos ever more probable from a length on"
    )
    renormalize_logits: bool | None = option(SWITCH, TRANSFORMERS, "log-softmax after all processors", default=False)
    remove_invalid_values: bool | None = option(SWITCH, TRANSFORMERS, "NaN and infinities become finite", default=False)

    # What comes back.
    num_return_sequences: int | None = option(
        whole(1, MOST_ROWS), EVERY - ONE_REPLY, "replies for each source", default=1, parlai_default=1
    )
    output_attentions: bool | None = option(
        SWITCH, EVERY, "the record holds attention weights", default=False, shapes_record=True
    )
    output_hidden_states: bool | None = option(
        SWITCH, EVERY, "the record holds hidden states", default=False, shapes_record=True
    )
    output_scores: bool | None = option(
        SWITCH, EVERY, "the record holds processed scores", default=False, shapes_record=True
    )
    output_logits: bool | None = option(
        SWITCH, EVERY, "the record holds the model's logits", default=False, shapes_record=True
    )
    return_dict_in_generate: bool | None = option(
        SWITCH, EVERY, "return a record, not ids alone", default=False, shapes_record=True
    )

    # Special tokens.
    pad_token_id: int | None = option(SPECIAL_ID, EVERY, "fills rows that have ended")
    bos_token_id: int | None = option(SPECIAL_ID, EVERY, "stands in for a missing decoder_start_token_id")
    eos_token_id: int | Ids | None = option(SPECIAL_IDS, EVERY, "ends a reply")
    decoder_start_token_id: int | None = option(START_ID, EVERY, "the first id of every target")


OPTIONS: Mapping[str, Option] = MappingProxyType(
    {field.name: field.metadata["option"] for field in dataclasses.fields(GenerationOptions)}
)
"""The rows by name."""

NOT_COVERED: Mapping[str, tuple[Any, ...]] = {
    "guidance_scale": (None, 1),
    "token_healing": (None, False),
    "watermarking_config": (None,),
    "dola_layers": (None,),
    "constraints": (None,),
    "forced_decoder_ids": (None,),
    "top_h": (None,),
}
"""Settings of transformers that would change replies and are not covered, with the values that do not."""


_NO_ASSISTANT = "no second model is asked; prompt_lookup_num_tokens=10 guesses from the source"
_ONE_CACHE = "there is one cache, which grows by a token; use_cache=False does without"
_NOT_COMPILED = "nothing is compiled here"
_CHANGES_REPLIES = "it would change replies, and is not covered; leave it out"

INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(("assistant_model", "assistant_tokenizer", "num_assistant_tokens", "is_assistant"), _NO_ASSISTANT),
    **dict.fromkeys(("assistant_early_exit", "assistant_confidence_threshold"), _NO_ASSISTANT),
    **dict.fromkeys(("cache_implementation", "cache_config", "return_legacy_cache", "max_cache_len"), _ONE_CACHE),
    **dict.fromkeys(("compile_config", "disable_compile"), _NOT_COMPILED),
    **dict.fromkeys(NOT_COVERED, _CHANGES_REPLIES),
    **dict.fromkeys(("negative_prompt_ids", "negative_prompt_attention_mask"), _CHANGES_REPLIES),
    "synced_gpus": "NumPy computes on the CPU; there is no other device",
    "low_memory": "contrastive search takes the candidates together; a smaller top_k takes less memory",
    "prefill_chunk_size": "the source is read as a whole",
    "use_model_defaults": "the model's own settings count where the call names none; None in the call switches one off",
    "custom_generate": "no code is ever loaded with a model; logits_processor= and stopping_criteria= take functions",
    "trust_remote_code": "no code is ever loaded with a model",
    "logits_warper": "pass it among logits_processor=, as transformers does since 4.45",
    "return_dict": "say return_dict_in_generate=True for a record",
    "labels": "a reply has no loss: call the model with labels=",
    "return_tensors": "it is for the tokenizer; ids come as NumPy's arrays",
    "skip_special_tokens": "it is for tokenizer.decode",
    "max_tokens": "say max_new_tokens",
    "stop": "say stop_strings, and tokenizer=",
    "n": "say num_return_sequences",
}
"""Names that people give to `generate`, which are no settings here, and what to write instead."""


def check_setting(name: str, value: Any) -> Any:
    """Check a value, and return it as settings keep it: lists as tuples, NumPy's numbers as Python's.

    Raises:
        TypeError, ValueError: a value that the setting cannot have.

    >>> check_setting("eos_token_id", [2, 3])
    (2, 3)
    >>> check_setting("top_p", 1.5)
    Traceback (most recent call last):
    ValueError: top_p must be between 0 and 1, not 1.5
    """
    kind = OPTIONS[name].kind
    value = as_plain(value)
    if kind.normal is not None:
        value = kind.normal(value)
    kind.check(name, value)
    return value


def check_extra(extra: Mapping[str, Any]) -> None:
    """Refuse settings of transformers that would change replies and that nothing here would honour.

    >>> check_extra({"guidance_scale": 1.5})
    Traceback (most recent call last):
    ValueError: the setting guidance_scale 1.5 is not covered; remove it, or set it to null
    """
    for name, neutral in NOT_COVERED.items():
        if name in extra and extra[name] not in neutral:
            raise ValueError(f"the setting {name} {shown(extra[name])} is not covered; remove it, or set it to null")


def unknown_setting(name: str) -> str:
    """Return a hint at what was meant by a name that is no setting.

    >>> unknown_setting("num_beam"), unknown_setting("synced_gpus")
    ('did you mean num_beams?', 'NumPy computes on the CPU; there is no other device')
    """
    if name in INSTEAD:
        return INSTEAD[name]
    near = closest_name(name, sorted(OPTIONS))
    return f"did you mean {near}?" if near else ""


@cache
def defaults(family: str) -> Mapping[str, Any]:
    """Return what unset settings stand for in "transformers" or in "parlai", where they stand for something.

    >>> defaults("transformers")["length_penalty"], defaults("parlai")["length_penalty"]
    (1.0, 0.65)
    """
    column = "parlai_default" if family == "parlai" else "default"
    values = {name: getattr(option, column) for name, option in OPTIONS.items()}
    return MappingProxyType({name: value for name, value in values.items() if value is not None})


@cache
def settings_of(search: str) -> frozenset[str]:
    """Return the names of the settings that a search reads.

    >>> "temperature" in settings_of("sampling"), "temperature" in settings_of("greedy search")
    (True, False)
    """
    return frozenset(name for name, option in OPTIONS.items() if search in option.searches)


def is_off(name: str, value: Any) -> bool:
    """Return whether a setting's value asks for nothing: None, or a value of its `off`.

    >>> is_off("repetition_penalty", 1.0), is_off("repetition_penalty", 1.2)
    (True, False)
    """
    return value is None or value in OPTIONS[name].off
