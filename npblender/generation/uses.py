"""Which search reads which setting, and which searches there are: data, looked up by `plan`.

A setting that came from a file and is not used by the chosen search is left unused. One that is given in the call is
refused then, unless its value says "off": those values stand here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GREEDY = "greedy search"
SAMPLE = "sampling"
BEAM = "beam search"
BEAM_SAMPLE = "beam sampling"
GROUP_BEAM = "group beam search"
CONSTRAINED_BEAM = "constrained beam search"
CONTRASTIVE = "contrastive search"
LOOKUP = "prompt lookup"
PARLAI_BEAM = "beam search in ParlAI's way"
PARLAI_DELAYED = "delayed beam search in ParlAI's way"
PARLAI_SAMPLE = "sampling in ParlAI's way"
DRAWING = frozenset({SAMPLE, BEAM_SAMPLE, PARLAI_DELAYED, PARLAI_SAMPLE})  # those that need random numbers

LENGTH = {"max_length", "max_new_tokens", "min_length", "min_new_tokens"}
CHOICE = {"do_sample", "num_beams"}
TOKENS = {"pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"}
RESULT = {
    *("return_dict_in_generate", "output_scores", "output_logits"),
    *("output_attentions", "output_hidden_states", "num_return_sequences"),
}
STOP = {"max_time", "stop_strings"}
FILTERS = {
    *("repetition_penalty", "encoder_repetition_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size"),
    *("bad_words_ids", "sequence_bias", "suppress_tokens", "begin_suppress_tokens"),
    *("forced_bos_token_id", "forced_eos_token_id", "exponential_decay_length_penalty"),
    *("renormalize_logits", "remove_invalid_values"),
}
WARPERS = {"temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"}
EVERY_SEARCH = LENGTH | CHOICE | TOKENS | RESULT | STOP | FILTERS | {"use_cache", "num_beam_groups"}
SEVERAL_BEAMS = EVERY_SEARCH | {"length_penalty", "early_stopping"}
PARLAI_SEARCH = {
    *(LENGTH | CHOICE | TOKENS | RESULT),
    *("use_cache", "max_time", "length_penalty", "temperature"),
    *("no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids"),
}

USES: Mapping[str, frozenset[str]] = {
    GREEDY: frozenset(EVERY_SEARCH - {"num_return_sequences"}),
    SAMPLE: frozenset(EVERY_SEARCH | WARPERS),
    BEAM: frozenset(SEVERAL_BEAMS),
    BEAM_SAMPLE: frozenset(SEVERAL_BEAMS | WARPERS),
    GROUP_BEAM: frozenset(SEVERAL_BEAMS | {"diversity_penalty"}),
    CONSTRAINED_BEAM: frozenset(SEVERAL_BEAMS | {"force_words_ids"}),
    CONTRASTIVE: frozenset(EVERY_SEARCH - {"num_return_sequences"} | {"penalty_alpha", "top_k"}),
    LOOKUP: frozenset(
        EVERY_SEARCH - {"num_return_sequences"} | {"prompt_lookup_num_tokens", "max_matching_ngram_size"}
    ),
    PARLAI_BEAM: frozenset(PARLAI_SEARCH),
    PARLAI_DELAYED: frozenset(PARLAI_SEARCH | {"beam_delay", "top_k", "top_p"}),
    PARLAI_SAMPLE: frozenset(PARLAI_SEARCH | {"top_k", "top_p"}),
}
"""The settings that each search honours. Those not listed here are refused in a call."""

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
