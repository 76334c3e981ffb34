"""The loop around ParlAI's trees: one decoder call a step for all sources and beams, then one step of every tree."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npblender.generation import uses
from npblender.generation.chain import Filter, apply, to_float32
from npblender.generation.decoding import Decoding
from npblender.generation.outputs import GenerateBeamEncoderDecoderOutput, Hypothesis
from npblender.generation.parlai import (
    Rules,
    Select,
    Tree,
    beam_paths,
    delayed_paths,
    nucleus_paths,
    top_k_paths,
)
from npblender.generation.plan import Plan
from npblender.generation.recording import Recording
from npblender.generation.stopping import deadline_of
from npblender.inputs import Ids
from npblender.ops import log_softmax

Array = NDArray[Any]


def select_of(plan: Plan, rng: np.random.Generator | None) -> Select:
    """How the paths of the planned search go on; `rng` is for the searches that draw."""
    if plan.search == uses.PARLAI_BEAM:
        return beam_paths
    assert rng is not None
    top_p, top_k = plan.settings.top_p, plan.settings.top_k
    sampled = (
        top_k_paths(top_k, rng) if top_p is None and top_k else nucleus_paths(1.0 if top_p is None else top_p, rng)
    )
    return delayed_paths(plan.settings.beam_delay or 0, sampled) if plan.search == uses.PARLAI_DELAYED else sampled


def rules_of(plan: Plan, rng: np.random.Generator | None) -> Rules:
    """The plan in ParlAI's terms."""
    settings = plan.settings
    assert settings.length_penalty is not None
    return Rules(
        beams=plan.width,
        eos=plan.eos[0],
        min_length=plan.min_length,
        length_penalty=settings.length_penalty,
        block_ngram=settings.no_repeat_ngram_size or 0,
        context_block_ngram=settings.encoder_no_repeat_ngram_size or 0,
        block_list=settings.bad_words_ids or (),
        select=select_of(plan, rng),
    )


def log_probabilities(logits: Array, temperature: float) -> Array:
    """Log-softmax in float32 whatever the model computes in: ParlAI's `_generation_activation`."""
    scaled = logits if temperature == 1 else logits / logits.dtype.type(temperature)
    return log_softmax(to_float32(scaled))


def grow(
    plan: Plan, decoding: Decoding, chain: list[Filter], rng: np.random.Generator | None
) -> Generator[Ids, None, GenerateBeamEncoderDecoderOutput]:
    """Yield each step's tokens if there is one beam, nothing otherwise; return the record of all sources.

    A token is yielded one step late: the last one before the limit may yet be replaced by the eos.
    """
    beams = plan.width
    trees = _plant(plan, decoding, rules_of(plan, rng))
    ids = decoding.prompts()[:, :1]
    recording = Recording(plan, decoding)
    deadline = deadline_of(plan)
    waiting: Ids | None = None
    while True:
        logits = decoding.logits(ids)[:, 0]
        log_probs = apply(chain, ids, log_probabilities(logits, plan.settings.temperature or 1.0))
        own = log_probs.reshape(len(trees), beams, -1).copy() if chain else log_probs.reshape(len(trees), beams, -1)
        rows = np.arange(len(ids)).reshape(len(trees), beams)
        tokens = np.full((len(trees), beams), plan.pad, np.int64)
        for n, tree in enumerate(trees):
            if not tree.is_done:
                tree.advance(own[n])
                rows[n] = n * beams + tree.histories[-1][0]
                tokens[n] = tree.histories[-1][1]
        recording.step(logits, own.reshape(len(ids), -1))
        if beams == 1:
            if waiting is not None:
                yield waiting
            waiting = tokens[:, 0]
        late = deadline is not None and time.monotonic() > deadline
        ids = np.concatenate([ids[rows.reshape(-1)], tokens.reshape(-1, 1)], axis=1)
        if late or ids.shape[1] == plan.max_length or all(tree.is_done for tree in trees):
            break
        decoding.keep(rows.reshape(-1))
    results = [tree.n_best() for tree in trees]
    if waiting is not None:
        ended = [len(tree.histories) < ids.shape[1] - 1 for tree in trees]
        closing = [hypotheses[0].ids[-1] for hypotheses, _ in results]
        yield np.where(ended, waiting, np.array(closing))
    return _record(plan, recording, results)


def _plant(plan: Plan, decoding: Decoding, rules: Rules) -> list[Tree]:
    """A tree a source. What the source's mask hides is a pad to the context block, as everywhere in ParlAI."""
    prepared = decoding.prepared
    prompt, context = prepared.prompt, prepared.source_ids
    if context is None:
        context = np.empty((len(prompt), 0), np.int64)
    elif prepared.attention_mask is not None and plan.pad is not None:
        context = np.where(prepared.attention_mask, context, plan.pad)
    return [
        Tree(rules, source, np.full((plan.width, 1), plan.start), given[1:])
        for source, given in zip(context, prompt, strict=True)
    ]


def _record(
    plan: Plan, recording: Recording, results: list[tuple[list[Hypothesis], list[list[int]]]]
) -> GenerateBeamEncoderDecoderOutput:
    """The best `num_return_sequences` of every source as rows, padded; a missing one is all pads and scores -inf."""
    count, beams = plan.num_return_sequences, plan.width
    longest = max(len(each.ids) for hypotheses, _ in results for each in hypotheses[:count])
    sequences = np.full((len(results) * count, longest), plan.pad, np.int64)
    scores = np.full(len(sequences), -np.inf, np.float32)
    indices = np.full((len(sequences), longest - 1), -1, np.int64)
    for n, (hypotheses, origins) in enumerate(results):
        for rank, (hypothesis, rows) in enumerate(zip(hypotheses[:count], origins, strict=False)):
            row = n * count + rank
            sequences[row, : len(hypothesis.ids)] = hypothesis.ids
            scores[row] = hypothesis.score
            indices[row, : len(rows)] = np.array(rows) + n * beams
    n_best = tuple(tuple(hypotheses) for hypotheses, _ in results)
    return recording.of_beams(sequences, scores, indices, n_best)
