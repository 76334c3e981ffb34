"""What a search keeps of its steps for the record it returns, as far as it is asked to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.generation.decoding import Decoding
from npblender.generation.outputs import GenerateBeamEncoderDecoderOutput, GenerateEncoderDecoderOutput, Hypothesis
from npblender.generation.plan import Plan

Array = NDArray[Any]


class Recording:
    """Scores and logits step by step; what the model itself shows is kept by `Decoding`."""

    def __init__(self, plan: Plan, decoding: Decoding) -> None:
        self.plan = plan
        self.decoding = decoding
        self.scores: tuple[Array, ...] | None = () if plan.wants("scores") else None
        self.logits: tuple[Array, ...] | None = () if plan.wants("logits") else None

    def step(self, logits: Array, scores: Array) -> None:
        """Note one step's logits [R, V] and processed scores [R, V]."""
        if self.scores is not None:
            self.scores += (scores,)
        if self.logits is not None:
            self.logits += (logits.astype(np.float32),)

    def of_rows(self, ids: NDArray[np.int64]) -> GenerateEncoderDecoderOutput:
        """The record of a search that follows one path a row."""
        return GenerateEncoderDecoderOutput(sequences=ids, **self._common())

    def of_beams(
        self,
        sequences: NDArray[np.int64],
        sequences_scores: Array,
        beam_indices: NDArray[np.int64] | None,
        n_best: tuple[tuple[Hypothesis, ...], ...] | None = None,
    ) -> GenerateBeamEncoderDecoderOutput:
        """The record of a search that follows several paths a source."""
        return GenerateBeamEncoderDecoderOutput(
            sequences=sequences,
            sequences_scores=sequences_scores,
            beam_indices=beam_indices,
            n_best=n_best,
            **self._common(),
        )

    def _common(self) -> dict[str, Any]:
        plan, decoding = self.plan, self.decoding
        encoder = decoding.prepared.encoder
        attentions, states = plan.wants("attentions"), plan.wants("hidden_states")
        return {
            "scores": self.scores,
            "logits": self.logits,
            "encoder_attentions": encoder.attentions if attentions else None,
            "encoder_hidden_states": encoder.hidden_states if states else None,
            "decoder_attentions": tuple(decoding.attentions) if attentions else None,
            "cross_attentions": tuple(decoding.cross_attentions) if attentions else None,
            "decoder_hidden_states": tuple(decoding.hidden_states) if states else None,
            "past_key_values": decoding.cache if decoding.use_cache else None,
        }
