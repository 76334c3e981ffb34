"""Greedy search and sampling: one path a row.

logits -> processors -> choose -> append, until every row has ended
"""

from __future__ import annotations

from collections.abc import Callable, Generator

import numpy as np

from npblender.common.array_types import Array, Ids
from npblender.generation.decoder_state import DecoderState
from npblender.generation.logits.chain import Processor, apply, probabilities, to_float32
from npblender.generation.logits.sampling import draw
from npblender.generation.outputs import GenerateEncoderDecoderOutput, StepRecord
from npblender.generation.plan import Plan
from npblender.generation.stopping import Stopping

Chooser = Callable[[Array], Ids]  # scores [R, V] to one token a row, [R]


def decode_rows(
    plan: Plan, decoder: DecoderState, chain: list[Processor], stopping: Stopping, choose: Chooser
) -> Generator[Ids, None, GenerateEncoderDecoderOutput]:
    """Yield the tokens [R] of each step; rows that have ended get pads. Returns the record with all of them.

    As in transformers, an ended row goes on being decoded, so that scores and attentions have one shape throughout;
    and it is not padded if no token id ends a row, because then only the limit or a criterion does.
    """
    ids = decoder.prompts()
    record = StepRecord(plan, decoder)
    running = np.ones(len(ids), np.bool_)
    while running.any():
        logits = to_float32(decoder.logits(ids)[:, 0])
        scores = apply(chain, ids, logits, owned=record.logits is None)
        record.step(logits, scores)
        tokens = choose(scores)
        if plan.eos:
            assert plan.pad is not None  # an eos stands in for a pad that is missing
            tokens = np.where(running, tokens, plan.pad)
        ids = np.concatenate([ids, tokens[:, None]], axis=1)  # [R, L] -> [R, L + 1]
        running &= ~stopping(ids, record.scores)
        yield tokens
    return record.of_rows(ids)


def most_probable(scores: Array) -> Ids:
    """Choose the best token of every row, the lowest id among equals.

    >>> most_probable(np.array([[0.5, 2.0, 2.0]]))
    array([1])
    """
    best: Ids = scores.argmax(axis=-1).astype(np.int64, copy=False)
    return best


def sample(rng: np.random.Generator) -> Chooser:
    """Make a chooser that draws a token of every row by its probability."""
    return lambda scores: draw(probabilities(scores), rng)
