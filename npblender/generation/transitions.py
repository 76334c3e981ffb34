"""What each generated token contributed to its sequence's score: transformers' `compute_transition_scores`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.inputs import Ids
from npblender.ops import log_softmax

Array = NDArray[Any]


def transition_scores(
    sequences: Ids, scores: Sequence[Array], beam_indices: NDArray[np.int64] | None, normalize_logits: bool
) -> Array:
    """The scores [N, steps] of the generated tokens of `sequences` [N, T], from `scores`, a step [R, V].

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
