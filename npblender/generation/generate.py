"""The one way into generation: weights, settings and arrays in, token ids out.

    plan (what to do) -> prepare (arrays, encoder) -> search -> ids, or a record
`generate` returns when all is done; `stream` yields the tokens of each step as they are chosen.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_checks import check_ids
from npblender.common.array_types import Ids
from npblender.config.generation_config import GenerationConfig
from npblender.generation.decoder_state import DecoderState
from npblender.generation.encode_source import CallerArrays, prepare
from npblender.generation.logits.chain import Allowed, Filter, make_chain, parlai_chain
from npblender.generation.outputs import GenerateBeamEncoderDecoderOutput, GenerateEncoderDecoderOutput
from npblender.generation.plan import (
    BEAM,
    BEAM_SAMPLE,
    CONSTRAINED_BEAM,
    CONTRASTIVE,
    DRAWING,
    GREEDY,
    GROUP_BEAM,
    LOOKUP,
    PARLAI_BEAM,
    PARLAI_DELAYED,
    PARLAI_SAMPLE,
    SAMPLE,
    Plan,
)
from npblender.generation.plan_checks import refuse_givens
from npblender.generation.planning import make_plan
from npblender.generation.search.beam import search_beams
from npblender.generation.search.constrained_beam import search_constrained
from npblender.generation.search.contrastive import search_contrastive
from npblender.generation.search.diverse_beam import search_groups
from npblender.generation.search.greedy_and_sampling import drawn_by, follow, most_probable
from npblender.generation.search.parlai import grow
from npblender.generation.search.prompt_lookup import search_lookup
from npblender.generation.stopping import Criterion, make_stopping
from npblender.transformer.context import Context
from npblender.transformer.parameters import Weights

Record = GenerateEncoderDecoderOutput | GenerateBeamEncoderDecoderOutput
Search = Generator[Ids, None, Record]
Seed: TypeAlias = "np.random.Generator | int | None"  # a text: numpy.random is slow to import, and few draw


class Streamer(Protocol):
    """What transformers calls a streamer: it is given the prompt, then each step's tokens, then the end."""

    def put(self, value: Ids) -> None: ...
    def end(self) -> None: ...


@dataclass(frozen=True)
class CallerHooks:
    """What a caller may give besides settings and arrays."""

    logits_processor: Sequence[Filter] = ()
    stopping_criteria: Sequence[Criterion] = ()
    prefix_allowed_tokens_fn: Allowed | None = None
    tokenizer: Any = None
    seed: Seed = None


def generate(
    weights: Weights,
    context: Context,
    own: GenerationConfig,
    arrays: CallerArrays,
    users: CallerHooks,
    given: GenerationConfig | None,
    call: dict[str, Any],
    streamer: Streamer | None = None,
) -> NDArray[np.int64] | Record:
    """Token ids [B * num_return_sequences, T] or, with `return_dict_in_generate`, a record of them."""
    plan, search, prompts = start(weights, context, own, arrays, users, given, call, streaming=streamer is not None)
    if streamer is not None:
        streamer.put(prompts)
    record = drain(search, streamer)
    if not plan.settings.return_dict_in_generate:
        return record.sequences
    if isinstance(record, GenerateBeamEncoderDecoderOutput) and record.n_best is None and not plan.wants("scores"):
        return replace(record, sequences_scores=None)  # transformers shows it with the steps' scores only
    return record


def drain(search: Search, streamer: Streamer | None = None) -> Record:
    """Run a search to its end and return its record."""
    while True:
        try:
            tokens = next(search)
        except StopIteration as end:
            if streamer is not None:
                streamer.end()
            record: Record = end.value
            return record
        if streamer is not None:
            streamer.put(tokens)


def start(
    weights: Weights,
    context: Context,
    own: GenerationConfig,
    arrays: CallerArrays,
    users: CallerHooks,
    given: GenerationConfig | None,
    call: dict[str, Any],
    streaming: bool,
) -> tuple[Plan, Search, Ids]:
    """The plan of a call, its search ready to run, and the prompts [R, P]."""
    config, dialect = context.config, context.dialect
    target = arrays.decoder_input_ids
    if target is not None:
        target = check_ids("decoder_input_ids", target, config.vocab_size)
    plan = make_plan(dialect, config, own, given, call, target)
    prepared = prepare(weights, context, plan, arrays, target)
    refuse_givens(
        plan,
        dialect,
        call,
        batch=len(prepared.prompt),
        knows_source=prepared.source_ids is not None,
        given={**vars(users), "streamer": streaming or None},
    )
    decoding = DecoderState(prepared, plan.width, plan.settings.use_cache is not False)
    return plan, search_of(plan, decoding, users), decoding.prompts()


def search_of(plan: Plan, decoding: DecoderState, users: CallerHooks) -> Search:
    """The planned search, ready to run."""
    rng = generator_of(users.seed) if users.seed is not None or plan.search in DRAWING else None
    if plan.search in (PARLAI_BEAM, PARLAI_DELAYED, PARLAI_SAMPLE):
        return grow(plan, decoding, parlai_chain(plan, users.prefix_allowed_tokens_fn, users.logits_processor), rng)
    dialect, source_ids = decoding.prepared.context.dialect, decoding.prepared.source_ids
    chains = partial(make_chain, plan, dialect, source_ids, users.prefix_allowed_tokens_fn, users.logits_processor)
    chain = chains()
    stopping = make_stopping(plan, users.tokenizer, users.stopping_criteria)
    if plan.search in (BEAM, BEAM_SAMPLE):
        drawn = rng if plan.search == BEAM_SAMPLE else None
        return search_beams(plan, decoding, chain, stopping, drawn, sources_settle=dialect.sources_settle)
    if plan.search == GREEDY:
        return follow(plan, decoding, chain, stopping, most_probable)
    if plan.search == SAMPLE:
        assert rng is not None
        return follow(plan, decoding, chain, stopping, drawn_by(rng))
    if plan.search == GROUP_BEAM:
        return search_groups(plan, decoding, chains, stopping)
    if plan.search == CONSTRAINED_BEAM:
        return search_constrained(plan, decoding, chain, stopping)
    if plan.search == CONTRASTIVE:
        return search_contrastive(plan, decoding, chain, stopping)
    assert plan.search == LOOKUP
    return search_lookup(plan, decoding, chain, stopping)


def generator_of(seed: Seed) -> np.random.Generator:
    """The source of random numbers: a given one, one made from a seed, or a fresh one."""
    if isinstance(seed, np.random.Generator):
        return seed
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise TypeError(f"seed must be a whole number or a numpy.random.Generator, not {type(seed).__name__}")
    return np.random.default_rng(seed)
