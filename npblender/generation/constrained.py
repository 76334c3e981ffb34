"""Beam search in which given words must come (Post and Vilar 2018), as 4.52.4 does it.

Each step adds to the best continuations those that bring a constraint further, however improbable, and fills the
beams from all of them by turns: the best of those that have got furthest, of those one token behind, and so on.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.generation.chain import Filter, apply, to_float32
from npblender.generation.constraints import Progress, start, words_of
from npblender.generation.decoding import Decoding
from npblender.generation.outputs import GenerateBeamEncoderDecoderOutput
from npblender.generation.plan import Plan
from npblender.generation.recording import Recording
from npblender.generation.scorer import Next, Shelf, best_of
from npblender.generation.stopping import Stopping
from npblender.generation.top import top
from npblender.inputs import Ids
from npblender.ops import log_softmax

Array = NDArray[Any]


def search_constrained(
    plan: Plan, decoding: Decoding, chain: list[Filter], stopping: Stopping
) -> Generator[Ids, None, GenerateBeamEncoderDecoderOutput]:
    """Run the search; yields nothing. The record's `scores` are sums here, as in 4.52.4."""
    assert plan.settings.force_words_ids is not None
    nothing = start(words_of(plan.settings.force_words_ids))
    beams = plan.num_beams
    ids = decoding.prompts()  # [B * K, L]
    rows_of = np.arange(len(ids)).reshape(-1, beams)
    totals = np.full(len(ids), -1e9, np.float32)
    totals[rows_of[:, 0]] = 0
    shelves = [Shelf(plan, beams) for _ in rows_of]
    origins: list[tuple[int, ...]] = [()] * len(ids)
    recording = Recording(plan, decoding)
    while True:
        logits = to_float32(decoding.logits(ids)[:, 0])
        with np.errstate(over="ignore"):  # of what `remove_invalid_values` has made finite
            sums = apply(chain, ids, log_softmax(logits), owned=True) + totals[:, None]  # [B * K, V]
        recording.step(logits, sums)
        generated = ids.shape[1] + 1 - plan.prompt_length
        came_from = np.zeros(len(ids), np.int64)
        tokens = np.zeros(len(ids), np.int64)
        for rows, shelf in zip(rows_of, shelves, strict=True):
            if shelf.is_done:
                assert plan.pad is not None  # nothing is done before something has ended in an eos
                # An idle source repeats the first source's first beam, with a pad.
                came_from[rows], totals[rows], tokens[rows] = 0, 0, plan.pad
                continue
            step = advance(plan, shelf, ids[rows], sums[rows], rows, origins, generated, nothing)
            came_from[rows], totals[rows], tokens[rows] = rows[step.rows], step.scores, step.tokens
        origins = [(*origins[row], int(row)) for row in came_from]
        ids = np.concatenate([ids[came_from], tokens[:, None]], axis=1)
        decoding.mix(came_from)
        if all(shelf.is_done for shelf in shelves) or stopping(ids, recording.scores).all():
            break
    for rows, shelf in zip(rows_of, shelves, strict=True):
        if not shelf.is_done:
            _close(plan, shelf, ids[rows], totals[rows], [origins[row] for row in rows], generated, nothing)
    sequences, scores, indices = best_of(plan, [[shelf] for shelf in shelves])
    return recording.of_beams(sequences, scores, indices if plan.wants("scores") else None)
    yield  # a generator like the searches that can be read while they run


def advance(
    plan: Plan,
    shelf: Shelf,
    ids: Ids,
    sums: Array,
    rows: NDArray[np.int64],
    origins: list[tuple[int, ...]],
    generated: int,
    nothing: Progress,
) -> Next:
    """One step of one source: ids [K, L] and sums [K, V] of its beams, the number of each beam's row.

    A beam that ends is kept only if it has met every constraint; otherwise it is lost.
    """
    beams, vocabulary = sums.shape
    scores, indices = top(sums.reshape(-1), max(2, 1 + len(plan.eos)) * beams)
    from_beam, tokens = indices // vocabulary, indices % vocabulary
    ends = np.isin(tokens, plan.eos)
    for rank in np.flatnonzero(ends[:beams]):
        beam = from_beam[rank]
        if (~ends[:rank]).sum() < beams and nothing.after(ids[beam].tolist()).is_complete:
            shelf.add(ids[beam], float(scores[rank]), (*origins[rows[beam]], int(rows[beam])), generated)
    going_on = np.flatnonzero(~ends)[:beams]
    step = Next(scores[going_on], tokens[going_on], from_beam[going_on])
    step = further(step, ids, sums, nothing)
    shelf.look(float(scores.max()), generated)
    return step


def descending(ranking: Array) -> NDArray[np.int64]:
    """The places of a ranking from its highest value down; the earlier one first among equals.

    >>> descending(np.array([1.0, 3.0, 1.0]))
    array([1, 0, 2])
    """
    return np.argsort(-ranking, kind="stable")


def further(step: Next, ids: Ids, sums: Array, nothing: Progress) -> Next:
    """The beams of `step` and those that bring a constraint further, the best of each measure of progress by turns."""
    targets = [(*ids[row].tolist(), int(token)) for row, token in zip(step.rows, step.tokens, strict=True)]
    progresses = [nothing.after(target) for target in targets]
    seen = set(targets)
    rows, tokens, scores = step.rows.tolist(), step.tokens.tolist(), step.scores.tolist()
    for row, target in enumerate(ids.tolist()):
        so_far = nothing.after(target)
        if so_far.is_complete:
            continue
        choices = so_far.next_tokens()
        for token, progress in zip(choices, so_far.after_each(choices), strict=True):
            if (*target, token) not in seen:
                seen.add((*target, token))
                rows.append(row)
                tokens.append(token)
                scores.append(sums[row, token])
                progresses.append(progress)
    if len(rows) == len(step.rows):
        return step
    longest = max(constraint.size for constraint in nothing.pending)
    banks = np.array([progress.bank(longest) for progress in progresses])
    ranking = banks.astype(np.float32) * np.float32(100) + np.array(scores, np.float32)
    order = descending(ranking)
    sorted_banks = banks[order]
    starts = np.r_[True, sorted_banks[1:] != sorted_banks[:-1]]
    firsts = np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))
    turns = np.arange(len(order)) - firsts  # its place among those of equal progress
    chosen = order[np.argsort(turns, kind="stable")][: len(step.rows)]
    return Next(
        np.array(scores, np.float32)[chosen], np.array(tokens, np.int64)[chosen], np.array(rows, np.int64)[chosen]
    )


def _close(
    plan: Plan,
    shelf: Shelf,
    ids: Ids,
    totals: Array,
    origins: list[tuple[int, ...]],
    generated: int,
    nothing: Progress,
) -> None:
    """At the limit the running beams that have met every constraint are kept, and if they are too few, the others."""
    complete = [nothing.after(target).is_complete for target in ids.tolist()]
    kept = [n for n, is_complete in enumerate(complete) if is_complete]
    if len(kept) < plan.num_return_sequences:
        kept += [n for n, is_complete in enumerate(complete) if not is_complete]
    for n in kept:
        shelf.add(ids[n], float(totals[n]), origins[n], generated)
