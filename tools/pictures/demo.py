"""The reply that the pictures show: the demo's, in float64, so that the digits are the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer, explain
from npblender.chat.explanation.runs import Run

SAID = "Do you have any pets?"


@dataclass(frozen=True)
class Demo:
    """The demo, its tokenizer and one explained reply."""

    model: Any
    tokenizer: Any
    run: Run

    @property
    def source(self) -> list[int]:
        """The ids of what was said."""
        return list(self.run.source)

    @property
    def reply(self) -> list[int]:
        """The ids of the reply, start and end included."""
        return [self.run.target[0], *(each for each in self.run.chosen if each is not None)]

    def words(self, ids: Sequence[int]) -> list[str]:
        """What tokens are called."""
        return list(self.tokenizer.convert_ids_to_tokens(list(ids)))


@cache
def load() -> Demo:
    """Load the demo, and explain the reply to `SAID` under its own dialect."""
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(dtype="float64")
    tokenizer = BlenderbotSmallTokenizer.from_pretrained()
    run = explain(model, tokenizer, SAID, dialects=()).runs[0]
    assert isinstance(run, Run)
    return Demo(model, tokenizer, run)
