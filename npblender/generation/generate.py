"""Run a planned call: weights, settings and arrays in, token ids out.

    settings -> Plan, arrays -> EncodedSource -> search -> ids, or a record of them

A search is a generator: it yields the tokens of each step as they are chosen, where one path a row is followed, and
returns the record of the whole. `GenerationMixin` runs it to its end, or reads it as it goes, as the chat does.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np

from npblender.common.array_types import Ids
from npblender.common.checks import as_plain, check_whole
from npblender.common.printable import shown
from npblender.config import searches
from npblender.generation.decoder_state import CallerArrays, DecoderState, encode_source
from npblender.generation.logits.chain import Allowed, ChainRequest, Processor, make_chain, make_parlai_chain
from npblender.generation.outputs import GenerateBeamEncoderDecoderOutput, GenerateEncoderDecoderOutput
from npblender.generation.plan import Plan, check_other_arguments
from npblender.generation.search.beam import search_beams
from npblender.generation.search.constrained_beam import search_constrained
from npblender.generation.search.contrastive import search_contrastive
from npblender.generation.search.diverse_beam import search_groups
from npblender.generation.search.greedy_and_sampling import decode_rows, most_probable, sample
from npblender.generation.search.parlai import search_parlai
from npblender.generation.search.prompt_lookup import search_lookup
from npblender.generation.stopping import Criterion, make_stopping
from npblender.transformer.context import Context
from npblender.transformer.parameters import Weights

Record = GenerateEncoderDecoderOutput | GenerateBeamEncoderDecoderOutput
Search = Generator[Ids, None, Record]
Result = TypeVar("Result")
Seed: TypeAlias = "np.random.Generator | int | None"  # a text: numpy.random is slow to import, and few draw


class Streamer(Protocol):
    """transformers' streamer: `put` gets the prompt, then the tokens of each step; `end` is called after the last."""

    def put(self, value: Ids) -> None: ...
    def end(self) -> None: ...


@dataclass(frozen=True)
class CallerHooks:
    """The arguments of a call besides settings and arrays."""

    logits_processor: Sequence[Processor] = ()
    stopping_criteria: Sequence[Criterion] = ()
    prefix_allowed_tokens_fn: Allowed | None = None
    tokenizer: Any = None
    seed: Seed = None


def make_hooks(**given: Any) -> CallerHooks:
    """Make the record of what a caller gives; one function may stand for a list of one, None for nothing."""
    hooks = {name: as_plain(value) if name == "seed" else value for name, value in given.items() if value is not None}
    for name in ("logits_processor", "stopping_criteria"):
        hooks[name] = _functions(name, hooks.get(name, ()))
    allowed = hooks.get("prefix_allowed_tokens_fn", len)
    if not callable(allowed):
        raise TypeError(f"prefix_allowed_tokens_fn takes a function of (source, ids), not {type(allowed).__name__}")
    return CallerHooks(**hooks)


def _functions(name: str, value: Any) -> tuple[Any, ...]:
    """Return the functions that a caller gives, one alone or several, as a tuple."""
    alone = callable(value) and not isinstance(value, list | tuple)
    functions = (value,) if alone or not isinstance(value, Iterable) else tuple(value)
    for each in functions:
        if not callable(each):
            raise TypeError(
                f"{name} takes functions of (input_ids, scores), one or a list of them, not {type(each).__name__}"
            )
    return functions


def run_to_end(search: Generator[Any, None, Result], streamer: Streamer | None = None) -> Result:
    """Run a search to its end, hand each step's tokens to the streamer, and return what it returns: its record."""
    while True:
        try:
            tokens = next(search)
        except StopIteration as end:
            if streamer is not None:
                streamer.end()
            result: Result = end.value
            return result
        if streamer is not None:
            streamer.put(tokens)


def begin_search(
    weights: Weights,
    context: Context,
    plan: Plan,
    arrays: CallerArrays,
    hooks: CallerHooks,
    options: Mapping[str, Any],
    *,
    streaming: bool,
) -> tuple[Search, Ids]:
    """Return the search of a plan, ready to run, and its prompts [R, P]. `decoder_input_ids` are checked already."""
    encoded = encode_source(weights, context, plan, arrays)
    check_other_arguments(
        plan,
        context.dialect,
        options,
        batch=len(encoded.prompt),
        has_source_ids=encoded.source_ids is not None,
        arguments={**vars(hooks), "streamer": streaming or None},
    )
    decoder = DecoderState(encoded, plan.width, plan.settings.use_cache is not False)
    return search_of(plan, decoder, hooks), decoder.prompts()


def search_of(plan: Plan, decoder: DecoderState, hooks: CallerHooks) -> Search:
    """Return the planned search, ready to run."""
    rng = generator_of(hooks.seed) if hooks.seed is not None or plan.is_random else None
    encoded = decoder.encoded
    request = ChainRequest(
        plan,
        encoded.context.dialect,
        encoded.source_ids,
        hooks.prefix_allowed_tokens_fn,
        hooks.logits_processor,
    )
    if plan.search in searches.PARLAI:
        return search_parlai(
            plan, decoder, make_parlai_chain(request), rng, only_allowed=hooks.prefix_allowed_tokens_fn is not None
        )
    stopping = make_stopping(plan, hooks.tokenizer, hooks.stopping_criteria)
    if plan.search == searches.GROUP_BEAM:
        return search_groups(plan, decoder, request, stopping)
    planned = plan, decoder, make_chain(request), stopping
    if plan.search == searches.GREEDY:
        return decode_rows(*planned, most_probable)
    if plan.search == searches.SAMPLE:
        assert rng is not None
        return decode_rows(*planned, sample(rng))
    if plan.search in (searches.BEAM, searches.BEAM_SAMPLE):
        drawn = rng if plan.search == searches.BEAM_SAMPLE else None
        return search_beams(*planned, drawn, sources_settle=encoded.context.dialect.sources_settle)
    if plan.search == searches.CONSTRAINED_BEAM:
        return search_constrained(*planned)
    if plan.search == searches.CONTRASTIVE:
        return search_contrastive(*planned)
    assert plan.search == searches.LOOKUP
    return search_lookup(*planned)


def generator_of(seed: Seed) -> np.random.Generator:
    """Return a generator of random numbers: the one passed, one made from a seed, or a fresh one."""
    if isinstance(seed, np.random.Generator):
        return seed
    seed = as_plain(seed)
    if seed is None:
        return np.random.default_rng()
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed must be a whole number or a numpy.random.Generator, not {shown(seed)}")
    return np.random.default_rng(check_whole("seed", seed))
