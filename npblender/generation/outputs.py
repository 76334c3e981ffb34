"""What `generate` returns with `return_dict_in_generate=True`: transformers' records, in NumPy arrays.

R rows are decoded at once: B sources times beams or samples. A tuple over steps has one entry a generated token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.cache import Cache
from npblender.outputs import Attentions, ModelOutput, States

Array = NDArray[Any]


@dataclass(frozen=True)
class Hypothesis:
    """One finished reply of a search in ParlAI's way: its ids, start and eos included, and its score."""

    ids: tuple[int, ...]
    score: float


@dataclass(frozen=True, eq=False)
class GenerateEncoderDecoderOutput(ModelOutput):
    """The result of a search that follows one path a row."""

    sequences: NDArray[np.int64]  # [R, T]
    scores: tuple[Array, ...] | None = None  # a step: [R, V], after the filters
    logits: tuple[Array, ...] | None = None  # a step: [R, V], before them
    encoder_attentions: Attentions | None = None  # a layer: [B, H, S, S]
    encoder_hidden_states: States | None = None  # layers + 1 of [B, S, D]
    decoder_attentions: tuple[States, ...] | None = None  # a step, a layer: [R, H, 1, L]; the first step has the prompt
    cross_attentions: tuple[States, ...] | None = None  # a step, a layer: [R, H, 1, S]
    decoder_hidden_states: tuple[States, ...] | None = None  # a step, layers + 1: [R, 1, D]
    past_key_values: Cache | None = None


@dataclass(frozen=True, eq=False)
class GenerateBeamEncoderDecoderOutput(ModelOutput):
    """The result of a search that follows several paths a source."""

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
