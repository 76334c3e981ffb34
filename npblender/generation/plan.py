"""What one call of `generate` does, decided before anything is computed: the search, its settings, its limits.

Settings come from four places, the earlier winning: the call, the `generation_config=` of the call, the model's own
settings, the defaults. What can not be done is refused in `refusals`. Nothing here touches the model.

Which search reads which setting, and which searches there are: data, looked up by `plan`.

A setting that came from a file and is not used by the chosen search is left unused. One that is given in the call is
refused then, unless its value says "off": those values stand here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from npblender.config.generation_config import GenerationConfig
from npblender.generation import plan as plan_

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
        if self.search in (plan_.SAMPLE, plan_.GREEDY, plan_.CONTRASTIVE, plan_.LOOKUP):
            return self.num_return_sequences
        if self.search in (plan_.PARLAI_SAMPLE, plan_.PARLAI_DELAYED):
            return max(self.num_beams, self.num_return_sequences)
        return self.num_beams

    @property
    def is_sampled(self) -> bool:
        """Whether random numbers are drawn."""
        return self.search in (plan_.SAMPLE, plan_.BEAM_SAMPLE, plan_.PARLAI_SAMPLE, plan_.PARLAI_DELAYED)

    def wants(self, output: str) -> bool:
        """Whether the record shall hold `output`: "scores", "logits", "attentions" or "hidden_states"."""
        asked = getattr(self.settings, f"output_{output}")
        return bool(self.settings.return_dict_in_generate and asked)
