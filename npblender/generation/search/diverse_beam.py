"""Diverse beam search (Vijayakumar et al. 2018) as 4.52.4 does it: groups of beams, searched one after another.

In each step every group pays `diversity_penalty` for each token that the groups before it have just chosen.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array, Ids
from npblender.generation.decoder_state import DecoderState
from npblender.generation.logits.chain import ChainRequest, apply, log_probabilities, make_chain, to_float32
from npblender.generation.logits.top_k import top_k_of_sums
from npblender.generation.outputs import GenerateBeamEncoderDecoderOutput, StepRecord
from npblender.generation.plan import Plan
from npblender.generation.search.beam_hypotheses import BeamHypotheses, NextBeams, best_of
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
    size = plan.num_beams // groups
    ids = decoder.prompts()  # [B * W, L]
    batch = len(ids) // plan.num_beams
    rows_of = np.arange(len(ids)).reshape(batch, groups, size)
    totals = np.full(len(ids), -1e9, np.float32)
    totals[rows_of[:, :, 0]] = 0
    finished = [[BeamHypotheses(plan, size) for _ in range(groups)] for _ in range(batch)]
    origins: list[tuple[int, ...]] = [()] * len(ids)
    record = StepRecord(plan, decoder)
    chosen = np.zeros((batch, 0), np.int64)

    def unlike_earlier_groups(ids: Ids, scores: Array) -> Array:
        return diversity(scores, chosen, penalty) if chosen.size else scores

    chain = make_chain(replace(request, diversity=unlike_earlier_groups))
    while True:
        logits = decoder.logits(ids)[:, 0]
        processed = np.zeros_like(logits)
        came_from = np.zeros(len(ids), np.int64)
        tokens = np.zeros(len(ids), np.int64)
        generated = ids.shape[1] + 1 - plan.prompt_length
        for group in range(groups):
            here = rows_of[:, group].reshape(-1)  # [B * size]
            chosen = tokens.reshape(batch, -1)[:, : group * size]
            log_probs = apply(chain, ids[here], log_probabilities(to_float32(logits[here])), owned=True)
            processed[here] = log_probs
            for source in range(batch):
                rows, hypotheses = rows_of[source, group], finished[source][group]
                scores = log_probs[source * size : (source + 1) * size]
                if hypotheses.is_done:
                    assert plan.pad is not None  # nothing is done before something has ended in an eos
                    # An idle group repeats the first source's first beam, with a pad.
                    came_from[rows], totals[rows], tokens[rows] = rows_of[0, group, 0], 0, plan.pad
                    continue
                step = advance(plan, hypotheses, ids[rows], totals[rows], scores, rows, origins, generated)
                came_from[rows], totals[rows], tokens[rows] = rows[step.rows], step.scores, step.tokens
        record.step(logits, processed)
        origins = [(*origins[row], int(row)) for row in came_from]
        ids = np.concatenate([ids[came_from], tokens[:, None]], axis=1)
        decoder.reorder_across_sources(came_from)
        if all(group.is_done for groups_of in finished for group in groups_of) or stopping(ids, record.scores).all():
            break
    for source in range(batch):
        for group, hypotheses in enumerate(finished[source]):
            if not hypotheses.is_done:
                for row in rows_of[source, group]:
                    hypotheses.add(ids[row], float(totals[row]), origins[row], generated)
    sequences, scores, indices = best_of(plan, finished)
    return record.of_beams(sequences, scores, indices if plan.wants("scores") else None)
    yield  # makes a generator of it, like the searches that can be read while they run


def advance(
    plan: Plan,
    hypotheses: BeamHypotheses,
    ids: Ids,
    totals: Array,
    log_probs: Array,
    rows: NDArray[np.int64],
    origins: list[tuple[int, ...]],
    generated: int,
) -> NextBeams:
    """Go one step on with W beams of a source: finished ones are added to the hypotheses, the best of the others go on.

    ids [W, L], sums so far [W], log-probabilities [W, V], the number of each beam's row and the origins of its tokens.
    """
    size = len(log_probs)
    count = max(2, 1 + len(plan.eos)) * size
    with np.errstate(over="ignore"):  # of what `remove_invalid_values` has made finite
        scores, beams, tokens = top_k_of_sums(log_probs, totals, count)
    ends = np.isin(tokens, plan.eos)
    for rank in np.flatnonzero(ends[:size]):  # an eos that is not among the best W is passed over
        if (~ends[:rank]).sum() < size:
            row = rows[beams[rank]]
            hypotheses.add(ids[beams[rank]], float(scores[rank]), (*origins[row], int(row)), generated)
    going_on = np.flatnonzero(~ends)[:size]
    hypotheses.update_done(float(scores.max()), generated)
    return NextBeams(scores[going_on], tokens[going_on], beams[going_on])
