"""What each setting of text generation may be, and what transformers does where it is unset.

What it does not do: it looks at one setting at a time, never at two together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from npblender.common.field_checks import check_number, check_switch, check_whole

OFF: Mapping[str, tuple[Any, ...]] = {
    "num_return_sequences": (1,),
    "num_beam_groups": (1,),
    "early_stopping": (False,),
    "temperature": (1.0,),
    "top_k": (0,),
    "top_p": (1.0,),
    "min_p": (0.0,),
    "typical_p": (1.0,),
    "epsilon_cutoff": (0.0,),
    "eta_cutoff": (0.0,),
    "penalty_alpha": (0.0,),
    "beam_delay": (0,),
    "diversity_penalty": (0.0,),
    "repetition_penalty": (1.0,),
    "encoder_repetition_penalty": (1.0,),
    "length_penalty": (1.0,),
    "no_repeat_ngram_size": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "renormalize_logits": (False,),
    "remove_invalid_values": (False,),
}
"""Values that ask for nothing, so that a search may be given them whether it knows the setting or not."""

PARLAI_DEFAULTS: Mapping[str, Any] = {
    "max_length": 256,
    "min_length": 1,
    "length_penalty": 0.65,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "temperature": 1.0,
    "num_beams": 1,
    "num_return_sequences": 1,
}
"""What ParlAI does where a setting is unset: TorchGeneratorAgent's own defaults."""

OFF_BY_NONE: Mapping[str, Any] = {"top_k": 0, "min_length": 0}
"""What None in a call stands for where the default would do something."""

HOLD_IDS = (
    *("bad_words_ids", "force_words_ids", "suppress_tokens", "begin_suppress_tokens"),
    *("forced_bos_token_id", "forced_eos_token_id"),
)
"""Settings that consist of token ids, at whatever depth."""

GENERATION_DEFAULTS: Mapping[str, Any] = {
    "max_length": 20,
    "min_length": 0,
    "early_stopping": False,
    "do_sample": False,
    "num_beams": 1,
    "num_beam_groups": 1,
    "use_cache": True,
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "diversity_penalty": 0.0,
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "length_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "renormalize_logits": False,
    "remove_invalid_values": False,
    "num_return_sequences": 1,
    "output_attentions": False,
    "output_hidden_states": False,
    "output_scores": False,
    "output_logits": False,
    "return_dict_in_generate": False,
}
"""What transformers does where a setting is unset: 4.52.4's class defaults and 5.23's global ones agree."""

# Settings of transformers that would change replies and are not covered, with the values that do not.
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "guidance_scale": (None, 1),
    "token_healing": (None, False),
    "watermarking_config": (None,),
    "dola_layers": (None,),
    "constraints": (None,),
    "forced_decoder_ids": (None,),
    "top_h": (None,),
}

_COUNTS: Mapping[str, int] = {  # name: the smallest value that means something
    "max_length": 1,
    "max_new_tokens": 1,
    "min_length": 0,
    "min_new_tokens": 0,
    "num_beams": 1,
    "num_beam_groups": 1,
    "top_k": 0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "num_return_sequences": 1,
    "prompt_lookup_num_tokens": 1,
    "max_matching_ngram_size": 1,
    "beam_delay": 0,
}
_NUMBERS: Mapping[str, tuple[float, float]] = {  # name: bounds
    "max_time": (0.0, math.inf),
    "penalty_alpha": (0.0, 1.0),
    "temperature": (0.0, math.inf),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "typical_p": (0.0, 1.0),
    "epsilon_cutoff": (0.0, 1.0),
    "eta_cutoff": (0.0, 1.0),
    "diversity_penalty": (0.0, math.inf),
    "repetition_penalty": (0.0, math.inf),
    "encoder_repetition_penalty": (0.0, math.inf),
    "length_penalty": (-math.inf, math.inf),
}
_SWITCHES = (
    *("do_sample", "use_cache", "renormalize_logits", "remove_invalid_values", "output_attentions"),
    *("output_hidden_states", "output_scores", "output_logits", "return_dict_in_generate"),
)


def _token_id(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a token id, not {value!r}")
    if value < 0:
        raise ValueError(f"{name} must be a token id, at least 0, not {value}; None stands for no such token")


def _token_ids(name: str, value: Any) -> None:
    if not isinstance(value, tuple):
        raise TypeError(f"{name} must be a list of token ids, not {value!r}")
    for each in value:
        _token_id(name, each)


def _word(name: str, value: Any) -> None:
    _token_ids(name, value)
    if not value:
        raise ValueError(f"{name} holds an empty list where a word's token ids belong")


def _token_id_or_ids(name: str, value: Any) -> None:
    (_token_ids if isinstance(value, tuple) else _token_id)(name, value)


def _words(name: str, value: Any) -> None:
    if not isinstance(value, tuple):
        raise TypeError(f"{name} must be a list of lists of token ids, not {value!r}")
    for each in value:
        _word(name, each)


def _words_or_choices(name: str, value: Any) -> None:
    """A word that must come, or several of which one must come."""
    if not isinstance(value, tuple):
        raise TypeError(f"{name} must be a list of lists of token ids, not {value!r}")
    for each in value:
        several = isinstance(each, tuple) and len(each) > 0 and isinstance(each[0], tuple)
        (_words if several else _word)(name, each)


def _biases(name: str, value: Any) -> None:
    if not isinstance(value, tuple) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
        raise TypeError(f"{name} must be a list of pairs [token ids, bias], not {value!r}")
    for ids, bias in value:
        _word(name, ids)
        check_number(f"{name}'s bias", bias, at_least=-math.inf)


def _early_stopping(name: str, value: Any) -> None:
    if not (isinstance(value, bool) or value == "never"):
        raise ValueError(f'{name} must be true, false or "never", not {value!r}')


def _stop_strings(name: str, value: Any) -> None:
    strings = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(each, str) for each in strings):
        raise TypeError(f"{name} must be a text or a list of texts, not {value!r}")
    if not all(strings):
        raise ValueError(f"{name} holds an empty text, which every reply contains")


def _decay(name: str, value: Any) -> None:
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError(f"{name} must be a pair [start, factor], not {value!r}")
    check_whole(f"{name}'s start", value[0], at_least=0)
    check_number(f"{name}'s factor", value[1])


_OTHERS: Mapping[str, Callable[[str, Any], None]] = {
    "early_stopping": _early_stopping,
    "stop_strings": _stop_strings,
    "bad_words_ids": _words,
    "force_words_ids": _words_or_choices,
    "sequence_bias": _biases,
    "suppress_tokens": _token_ids,
    "begin_suppress_tokens": _token_ids,
    "exponential_decay_length_penalty": _decay,
    "pad_token_id": _token_id,
    "bos_token_id": _token_id,
    "decoder_start_token_id": _token_id,
    "forced_bos_token_id": _token_id,
    "eos_token_id": _token_id_or_ids,
    "forced_eos_token_id": _token_id_or_ids,
}


def check_setting(name: str, value: Any) -> None:
    """Refuse a value that the setting can not have; lists are given as tuples.

    >>> check_setting("top_p", 1.5)
    Traceback (most recent call last):
    ValueError: top_p must be between 0 and 1, not 1.5
    """
    if name in _COUNTS:
        check_whole(name, value, at_least=_COUNTS[name])
    elif name in _NUMBERS:
        check_number(name, value, *_NUMBERS[name])
    elif name in _OTHERS:
        _OTHERS[name](name, value)
    else:
        check_switch(name, value)


def check_extra(extra: Mapping[str, Any]) -> None:
    """Refuse settings of transformers that would change replies and that nothing here would honour.

    >>> check_extra({"guidance_scale": 1.5})
    Traceback (most recent call last):
    ValueError: the setting guidance_scale 1.5 is not covered; remove it, or set it to null
    """
    for name, neutral in NEUTRAL.items():
        if name in extra and extra[name] not in neutral:
            raise ValueError(f"the setting {name} {extra[name]!r} is not covered; remove it, or set it to null")
