"""Diverse beam search (Vijayakumar et al. 2018) as 4.52.4 does it: groups of beams, searched one after another.

In each step every group pays `diversity_penalty` for each token that the groups before it have just chosen.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np

from npblender.common.array_types import Array, Ids
from npblender.generation.decoder_state import DecoderState
from npblender.generation.logits.chain import ChainRequest, make_chain
from npblender.generation.outputs import GenerateBeamEncoderDecoderOutput
from npblender.generation.plan import Plan
from npblender.generation.search.beam_hypotheses import GroupedBeams
from npblender.generation.stopping import Stopping


def diversity(scores: Array, chosen: Ids, penalty: float) -> Array:
    """Subtract from scores [B * W, V] the penalty times the count of each token in `chosen` [B, N] of the same source.

    >>> diversity(np.zeros((2, 3)), np.array([[1, 1, 2]]), 0.5)
    array([[ 0. , -1. , -0.5],
           [ 0. , -1. , -0.5]])
    """
    counts = np.stack([np.bincount(row, minlength=scores.shape[1]) for row in chosen])  # [B, V]
    charge = np.repeat(counts, len(scores) // len(chosen), axis=0).astype(scores.dtype)
    return np.asarray(scores - scores.dtype.type(penalty) * charge)


def search_groups(
    plan: Plan, decoder: DecoderState, request: ChainRequest, stopping: Stopping
) -> Generator[Ids, None, GenerateBeamEncoderDecoderOutput]:
    """Search with groups of beams. Yields nothing."""
    groups, penalty = plan.settings.num_beam_groups, plan.settings.diversity_penalty
    assert groups is not None
    assert penalty is not None
    search = GroupedBeams(plan, decoder, stopping, groups)

    def unlike_earlier_groups(ids: Ids, scores: Array) -> Array:
        return diversity(scores, search.earlier, penalty) if search.earlier.size else scores

    return search.run(make_chain(replace(request, diversity=unlike_earlier_groups)))
