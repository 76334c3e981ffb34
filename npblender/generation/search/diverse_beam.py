"""Diverse beam search (Vijayakumar et al. 2018) as 4.52.4 does it: groups of beams, searched one after another.

In each step every group pays `diversity_penalty` for each token that the groups before it have just chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array, Ids
from npblender.generation.decoder_state import DecoderState
from npblender.generation.logits.chain import Filter, apply, to_float32
from npblender.generation.logits.top_k import top_k_of_sums
from npblender.generation.outputs import GenerateBeamEncoderDecoderOutput, StepRecord
from npblender.generation.plan import Plan
from npblender.generation.search.beam_hypotheses import BeamHypotheses, NextBeams, best_of
from npblender.generation.stopping import Stopping
from npblender.ops import log_softmax

Chains = Callable[[Filter], list[Filter]]
"""The chain of filters with a given one for diversity in its place."""


def diversity(scores: Array, chosen: Ids, penalty: float) -> Array:
    """Scores [B * K, V] minus the penalty times how often each token is in `chosen` [B, N] of the same source.

    >>> diversity(np.zeros((2, 3)), np.array([[1, 1, 2]]), 0.5)
    array([[ 0. , -1. , -0.5],
           [ 0. , -1. , -0.5]])
    """
    counts = np.stack([np.bincount(row, minlength=scores.shape[1]) for row in chosen])  # [B, V]
    charge = np.repeat(counts, len(scores) // len(chosen), axis=0).astype(scores.dtype)
    return np.asarray(scores - scores.dtype.type(penalty) * charge)


def search_groups(
    plan: Plan, decoding: DecoderState, chains: Chains, stopping: Stopping
) -> Generator[Ids, None, GenerateBeamEncoderDecoderOutput]:
    """Run the search; yields nothing."""
    groups, penalty = plan.settings.num_beam_groups, plan.settings.diversity_penalty
    assert groups is not None
    assert penalty is not None
    size = plan.num_beams // groups
    ids = decoding.prompts()  # [B * K, L]
    batch = len(ids) // plan.num_beams
    rows_of = np.arange(len(ids)).reshape(batch, groups, size)
    totals = np.full(len(ids), -1e9, np.float32)
    totals[rows_of[:, :, 0]] = 0
    shelves = [[BeamHypotheses(plan, size) for _ in range(groups)] for _ in range(batch)]
    origins: list[tuple[int, ...]] = [()] * len(ids)
    recording = StepRecord(plan, decoding)
    chosen = np.zeros((batch, 0), np.int64)
    chain = chains(lambda ids, scores: diversity(scores, chosen, penalty) if chosen.size else scores)
    while True:
        logits = decoding.logits(ids)[:, 0]
        processed = np.zeros_like(logits)
        came_from = np.zeros(len(ids), np.int64)
        tokens = np.zeros(len(ids), np.int64)
        generated = ids.shape[1] + 1 - plan.prompt_length
        for group in range(groups):
            own = rows_of[:, group].reshape(-1)  # [B * size]
            chosen = tokens.reshape(batch, -1)[:, : group * size]
            log_probs = apply(chain, ids[own], log_softmax(to_float32(logits[own])), owned=True)
            processed[own] = log_probs
            for source in range(batch):
                rows, shelf = rows_of[source, group], shelves[source][group]
                here = slice(source * size, (source + 1) * size)
                if shelf.is_done:
                    assert plan.pad is not None  # nothing is done before something has ended in an eos
                    # An idle group repeats the first source's first beam, with a pad.
                    came_from[rows], totals[rows], tokens[rows] = rows_of[0, group, 0], 0, plan.pad
                    continue
                step = advance(plan, shelf, ids[rows], totals[rows], log_probs[here], rows, origins, generated)
                came_from[rows], totals[rows], tokens[rows] = rows[step.rows], step.scores, step.tokens
        recording.step(logits, processed)
        origins = [(*origins[row], int(row)) for row in came_from]
        ids = np.concatenate([ids[came_from], tokens[:, None]], axis=1)
        decoding.mix(came_from)
        if all(shelf.is_done for own in shelves for shelf in own) or stopping(ids, recording.scores).all():
            break
    for source in range(batch):
        for group, shelf in enumerate(shelves[source]):
            if not shelf.is_done:
                for row in rows_of[source, group]:
                    shelf.add(ids[row], float(totals[row]), origins[row], generated)
    sequences, scores, indices = best_of(plan, shelves)
    return recording.of_beams(sequences, scores, indices if plan.wants("scores") else None)
    yield  # a generator like the searches that can be read while they run


def advance(
    plan: Plan,
    shelf: BeamHypotheses,
    ids: Ids,
    totals: Array,
    log_probs: Array,
    rows: NDArray[np.int64],
    origins: list[tuple[int, ...]],
    generated: int,
) -> NextBeams:
    """One step of K beams of a source: those that end go to the shelf, the best of the others go on.

    ids [K, L], sums so far [K], log-probabilities [K, V], the number of each beam's row and where its tokens are from.
    """
    size = len(log_probs)
    count = max(2, 1 + len(plan.eos)) * size
    with np.errstate(over="ignore"):  # of what `remove_invalid_values` has made finite
        scores, beams, tokens = top_k_of_sums(log_probs, totals, count)
    ends = np.isin(tokens, plan.eos)
    for rank in np.flatnonzero(ends[:size]):  # an eos that is not among the best K is passed over
        if (~ends[:rank]).sum() < size:
            row = rows[beams[rank]]
            shelf.add(ids[beams[rank]], float(scores[rank]), (*origins[row], int(row)), generated)
    going_on = np.flatnonzero(~ends)[:size]
    shelf.look(float(scores.max()), generated)
    return NextBeams(scores[going_on], tokens[going_on], beams[going_on])
