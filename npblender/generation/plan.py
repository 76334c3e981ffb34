"""`Plan`: what one call of `generate` does, decided before anything is computed: the search, its settings, its limits.

`planning` makes plans, `plan_checks` refuses those that cannot be carried out. Nothing here touches the model.
"""

from __future__ import annotations

from dataclasses import dataclass

from npblender.config.generation_config import GenerationConfig
from npblender.config.searches import ONE_REPLY, PARLAI_RANDOM, RANDOM, SAMPLE


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
        if self.search in ONE_REPLY or self.search == SAMPLE:
            return self.num_return_sequences
        if self.search in PARLAI_RANDOM:
            return max(self.num_beams, self.num_return_sequences)
        return self.num_beams

    @property
    def is_random(self) -> bool:
        """Whether random numbers are drawn."""
        return self.search in RANDOM

    def wants(self, output: str) -> bool:
        """Whether the record holds `output`: "scores", "logits", "attentions" or "hidden_states"."""
        return bool(self.settings.return_dict_in_generate and getattr(self.settings, f"output_{output}"))
