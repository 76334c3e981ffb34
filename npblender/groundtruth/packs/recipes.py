"""Chooses what goes into a pack of a given model: scenarios, searches and conversations, and how they are stored."""

from __future__ import annotations

from dataclasses import dataclass

from npblender.config.dialect import PARLAI
from npblender.groundtruth.packs.sections.forward import Scenario, exchange_scenarios, small_scenarios
from npblender.groundtruth.packs.sections.searches import Search, searches_for
from npblender.groundtruth.packs.verdict import Subject

SMALL = 1_000_000
"""The most parameters of a model that is traced at every point and in every scenario."""
EXCHANGE = ("hello , how are you today ?", "i am fine .")


@dataclass(frozen=True)
class Recipe:
    """The contents of one pack."""

    name: str
    subject: Subject  # in float32
    seed: int
    stored: str  # "float64" or "float32"
    keeps_model: bool  # whether the weights are put into the pack

    @property
    def small(self) -> bool:
        """Whether the model is traced whole."""
        return self.subject.model.num_parameters() <= SMALL

    @property
    def longest(self) -> int:
        """Tokens of the longest reply."""
        return min(10 if self.small else 16, self.subject.model.config.max_position_embeddings - 1)

    def _exchange(self) -> tuple[list[int], list[int]] | None:
        if not self.subject.has_texts:
            return None
        tokenizer = self.subject.tokenizer(PARLAI)
        source, reply = (tokenizer(text)["input_ids"] for text in EXCHANGE)
        return source, [*reply, self.subject.model.config.eos_token_id]

    def scenarios(self) -> list[Scenario]:
        """The inputs of every forward pass in the pack."""
        config, dialect = self.subject.model.config, self.subject.model.dialect
        if self.small:
            return list(small_scenarios(config, dialect, self.seed))
        return list(exchange_scenarios(config, self.seed, self._exchange()))

    def searches(self) -> list[Search]:
        """The searches: all for a small model, a few for a large one."""
        config, dialect = self.subject.model.config, self.subject.model.dialect
        exchange = None if self.small else self._exchange()
        size = config.vocab_size
        source = [5 % size, 11 % size, 17 % size, 8 % size, 23 % size, 8 % size] if exchange is None else exchange[0]
        pad, start = config.pad_token_id or 0, config.decoder_start_token_id
        assert start is not None
        every = searches_for(dialect, source, pad, start, self.longest)
        return [each for each in every if self.small or each.name in ("greedy", "beams", "beams-blocks")]
