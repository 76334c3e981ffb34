"""What `generate` returns with `return_dict_in_generate=True`, and how it is collected.

transformers' records in NumPy arrays; `StepRecord`, which a search fills step by step; and `transition_scores`,
transformers' `compute_transition_scores`. R rows are decoded at once: B sources times beams or samples. A tuple over
steps has one entry for each generated token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array, Ids
from npblender.generation.decoder_state import DecoderState
from npblender.generation.plan import Plan
from npblender.ops import log_softmax
from npblender.transformer.kv_cache import Cache
from npblender.transformer.outputs import Attentions, ModelOutput, States


@dataclass(frozen=True)
class Hypothesis:
    """One finished reply of a ParlAI-style search: its ids, start and eos included, and its score."""

    ids: tuple[int, ...]
    score: float


@dataclass(frozen=True, eq=False)
class GenerateEncoderDecoderOutput(ModelOutput):
    """The result of a search with one path a row."""

    sequences: NDArray[np.int64]  # [R, T]
    scores: tuple[Array, ...] | None = None  # a step: [R, V], after the processors
    logits: tuple[Array, ...] | None = None  # a step: [R, V], before them
    encoder_attentions: Attentions | None = None  # a layer: [B, H, S, S]
    encoder_hidden_states: States | None = None  # layers + 1 of [B, S, D]
    decoder_attentions: tuple[States, ...] | None = None  # a step, a layer: [R, H, 1, L]; the first step has the prompt
    cross_attentions: tuple[States, ...] | None = None  # a step, a layer: [R, H, 1, S]
    decoder_hidden_states: tuple[States, ...] | None = None  # a step, layers + 1: [R, 1, D]
    past_key_values: Cache | None = None


@dataclass(frozen=True, eq=False)
class GenerateBeamEncoderDecoderOutput(ModelOutput):
    """The result of a search with several paths a source."""

    sequences: NDArray[np.int64]  # [B * num_return_sequences, T]
    sequences_scores: Array | None = None  # [B * num_return_sequences]
    scores: tuple[Array, ...] | None = None  # a step: [R, V], processed log-probabilities
    logits: tuple[Array, ...] | None = None  # a step: [R, V]
    beam_indices: NDArray[np.int64] | None = None  # [B * num_return_sequences, T - P]: the row of R each token is from
    encoder_attentions: Attentions | None = None
    encoder_hidden_states: States | None = None
    decoder_attentions: tuple[States, ...] | None = None
    cross_attentions: tuple[States, ...] | None = None
    decoder_hidden_states: tuple[States, ...] | None = None
    past_key_values: Cache | None = None
    n_best: tuple[tuple[Hypothesis, ...], ...] | None = None  # a source: all that finished, best first (ParlAI)


class StepRecord:
    """Collects scores and logits step by step; attentions and hidden states are collected by `DecoderState`."""

    def __init__(self, plan: Plan, decoder: DecoderState) -> None:
        self.plan = plan
        self.decoder = decoder
        self.scores: tuple[Array, ...] | None = () if plan.wants("scores") else None
        self.logits: tuple[Array, ...] | None = () if plan.wants("logits") else None

    def step(self, logits: Array, scores: Array) -> None:
        """Add one step's logits [R, V] and processed scores [R, V]."""
        if self.scores is not None:
            self.scores += (scores,)
        if self.logits is not None:
            self.logits += (logits.astype(np.float32),)

    def of_rows(self, ids: NDArray[np.int64]) -> GenerateEncoderDecoderOutput:
        """Make the record of a search with one path a row."""
        return GenerateEncoderDecoderOutput(sequences=ids, **self._common())

    def of_beams(
        self,
        sequences: NDArray[np.int64],
        sequences_scores: Array,
        beam_indices: NDArray[np.int64] | None,
        n_best: tuple[tuple[Hypothesis, ...], ...] | None = None,
    ) -> GenerateBeamEncoderDecoderOutput:
        """Make the record of a search with several paths a source."""
        return GenerateBeamEncoderDecoderOutput(
            sequences=sequences,
            sequences_scores=sequences_scores,
            beam_indices=beam_indices,
            n_best=n_best,
            **self._common(),
        )

    def _common(self) -> dict[str, Any]:
        plan, decoder = self.plan, self.decoder
        encoder = decoder.encoded.encoder
        attentions, states = plan.wants("attentions"), plan.wants("hidden_states")
        return {
            "scores": self.scores,
            "logits": self.logits,
            "encoder_attentions": encoder.attentions if attentions else None,
            "encoder_hidden_states": encoder.hidden_states if states else None,
            "decoder_attentions": tuple(decoder.attentions) if attentions else None,
            "cross_attentions": tuple(decoder.cross_attentions) if attentions else None,
            "decoder_hidden_states": tuple(decoder.hidden_states) if states else None,
            "past_key_values": decoder.cache if decoder.use_cache else None,
        }


def transition_scores(
    sequences: Ids, scores: Sequence[Array], beam_indices: NDArray[np.int64] | None, normalize_logits: bool
) -> Array:
    """Return what each token of `sequences` [N, T] contributed to its score, [N, steps]; `scores` has [R, V] a step.

    `beam_indices` [N, steps] names for each token the row of R that it was chosen in, -1 where there is none (its
    score is 0 then); without them row n of `sequences` is row n of `scores`. With `normalize_logits` each step's
    scores are made log-probabilities first.

    >>> scores = (np.array([[0.0, 1.0, 2.0]]), np.array([[3.0, 4.0, 5.0]]))
    >>> transition_scores(np.array([[1, 2, 0]]), scores, None, False)
    array([[2., 3.]])
    """
    if not scores:
        raise ValueError("there are no scores: generate with return_dict_in_generate=True and output_scores=True")
    stacked = np.stack(scores)  # [steps, R, V]
    if normalize_logits:
        stacked = log_softmax(stacked)
    if beam_indices is None:
        beam_indices = np.broadcast_to(np.arange(stacked.shape[1])[:, None], (stacked.shape[1], len(scores)))
    if len(sequences) != len(beam_indices):
        raise ValueError(
            f"{len(sequences)} sequences do not fit scores of {len(beam_indices)} rows; those of a beam search need "
            "its beam_indices"
        )
    none = beam_indices < 0
    steps = int((~none).sum(axis=1).max())
    rows, none = np.where(none, 0, beam_indices)[:, :steps], none[:, :steps]
    tokens = sequences[:, sequences.shape[1] - steps :]
    return np.where(none, 0, stacked[np.arange(steps), rows, tokens]).astype(stacked.dtype)
