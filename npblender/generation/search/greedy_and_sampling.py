"""The search that follows one path a row: greedy, or drawn at random.

    logits -> filters -> choose -> append, until every row has ended
It is a generator of the chosen tokens, so that a reply can be read while it is made; its return value is the record.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

import numpy as np

from npblender.common.array_types import Array, Ids
from npblender.generation.decoder_state import DecoderState
from npblender.generation.logits.chain import Filter, apply, to_float32
from npblender.generation.logits.sampling import draw
from npblender.generation.outputs import GenerateEncoderDecoderOutput, StepRecord
from npblender.generation.plan import Plan
from npblender.generation.stopping import Stopping
from npblender.ops import softmax

Chooser = Callable[[Array], Ids]
"""Scores [R, V] to one token a row, [R]."""


def follow(
    plan: Plan, decoding: DecoderState, chain: list[Filter], stopping: Stopping, choose: Chooser
) -> Generator[Ids, None, GenerateEncoderDecoderOutput]:
    """Yield the tokens [R] of each step; rows that have ended get pads. Returns the record with all of them.

    As in transformers, an ended row goes on being decoded, so that scores and attentions have one shape throughout;
    and it is not padded if no token id ends a row, because then only the limit or a criterion does.
    """
    ids = decoding.prompts()
    recording = StepRecord(plan, decoding)
    running = np.ones(len(ids), np.bool_)
    while running.any():
        logits = to_float32(decoding.logits(ids)[:, 0])
        scores = apply(chain, ids, logits, owned=recording.logits is None)
        recording.step(logits, scores)
        tokens = choose(scores)
        if plan.eos:
            assert plan.pad is not None  # an eos stands in for a pad that is missing
            tokens = np.where(running, tokens, plan.pad)
        ids = np.concatenate([ids, tokens[:, None]], axis=1)  # [R, L] -> [R, L + 1]
        running &= ~stopping(ids, recording.scores)
        yield tokens
    return recording.of_rows(ids)


def most_probable(scores: Array) -> Ids:
    """The best token of every row, the lowest id among equals.

    >>> most_probable(np.array([[0.5, 2.0, 2.0]]))
    array([1])
    """
    best: Ids = scores.argmax(axis=-1).astype(np.int64, copy=False)
    return best


def drawn_by(rng: np.random.Generator) -> Chooser:
    """A token of every row, drawn by its probability."""
    return lambda scores: draw(softmax(scores), rng)
