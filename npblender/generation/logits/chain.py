"""The logits processors of one search, in transformers' order.

A processor is a function of the target so far and the scores. `PROCESSORS` and `WARPERS` list the built-in ones in the
order in which they run, each with the function that makes it from a call; what each does stands in the modules
`processors` and `warpers`. To add one, add a line to the table and the function that it names.

The chain works on scores of its own, so that a built-in processor may write to them. What one of the caller's has
received or returned is copied before anything else is written, since the caller may have kept it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from npblender.common.array_types import Array, Ids
from npblender.common.printable import shown
from npblender.config.dialect import Dialect
from npblender.config.generation_options import is_off
from npblender.config.option_kinds import flat_ids
from npblender.config.searches import WARPED
from npblender.generation.logits import processors, warpers
from npblender.generation.plan import Plan
from npblender.ops import unchecked as ops
from npblender.transformer.execution import NO_LIMIT, run

Processor: TypeAlias = Callable[[Ids, Array], Array]
"""Called as processor(ids [R, L], scores [R, V]); returns scores [R, V]. transformers' logits processors are such."""
Allowed: TypeAlias = Callable[[int, Ids], Sequence[int]]
"""transformers' `prefix_allowed_tokens_fn`: the number of a source and a row's ids to the ids that may follow."""


@dataclass(frozen=True)
class ChainRequest:
    """What a chain is made from."""

    plan: Plan
    dialect: Dialect
    source_ids: Ids | None = None  # [B, S]
    allowed: Allowed | None = None
    callers: Iterable[Processor] = ()  # the caller's own processors
    diversity: Processor | None = None  # of a diverse beam search, which makes it: it depends on the group


Maker: TypeAlias = Callable[[ChainRequest, Any], Processor | None]
"""Makes a processor from a call and the value of a setting, or none where there is nothing to do."""


def make_chain(request: ChainRequest) -> list[Processor]:
    """Make the processors that a call asks for: those of the settings, the caller's own, and the warpers of a draw."""
    plan = request.plan
    chain = _made(PROCESSORS, request) + [_caller(each) for each in request.callers]
    if plan.search in WARPED:
        chain += _made(WARPERS, request)
    if plan.settings.renormalize_logits:
        chain.append(lambda ids, scores: ops.log_softmax(scores))
    return chain


def make_parlai_chain(request: ChainRequest) -> list[Processor]:
    """Make the caller's processors of a ParlAI-style search; its own blocks (`search.parlai.Tree.block`) follow."""
    chain = [_caller(each) for each in request.callers]
    if request.allowed is not None:
        allowed, begun = _allowed_tokens(request.allowed, request.plan.width, rescue=False), request.plan.prompt_length
        # What a reply begins with is chosen step by step here, and the function is asked about what follows.
        chain.insert(0, lambda ids, scores: scores if ids.shape[1] < begun else allowed(ids, scores))
    return chain


def apply(chain: Sequence[Processor], ids: Ids, scores: Array, *, owned: bool = False) -> Array:
    """Return the scores after every processor of the chain, with NumPy's warnings off: infinities are meant.

    `owned` says that the caller needs these scores no more, so that they may be written to.
    """
    if not chain:
        return scores
    if not owned:
        scores = scores.copy()
    with np.errstate(all="ignore"):
        for processor in chain:
            scores = processor(ids, scores)
    return scores


def probabilities(scores: Array) -> Array:
    """Return the softmax of scores [R, V] that a pass or its processors made, which are not checked again."""
    return run(NO_LIMIT, ops.softmax, scores)


def log_probabilities(scores: Array) -> Array:
    """Return the log-softmax of scores [R, V] that a pass or its processors made, which are not checked again."""
    return run(NO_LIMIT, ops.log_softmax, scores)


def to_float32(logits: Array) -> Array:
    """Return logits in float32, in which the originals process and compare scores whatever the model computes in.

    Logits that are float32 already are returned as they are, not as a copy.
    """
    return logits.astype(np.float32, copy=False)


def _made(table: Mapping[str, Maker], request: ChainRequest) -> list[Processor]:
    """The processors of a table whose settings are on; what is no setting is left to its maker."""
    made = []
    values = vars(request.plan.settings)
    for name, make in table.items():
        value = values.get(name)
        if name not in values or not is_off(name, value):
            made.append(make(request, value))
    return [processor for processor in made if processor is not None]


def _caller(processor: Processor) -> Processor:
    """A processor of the caller's, with its result copied: the chain goes on in an array that only it holds."""

    def copied(ids: Ids, scores: Array) -> Array:
        returned = processor(ids, scores)
        if np.shape(returned) != scores.shape:
            what = f"shape {returned.shape}" if isinstance(returned, np.ndarray) else type(returned).__name__
            raise ValueError(f"a logits processor must return scores of shape {scores.shape}, not {what}")
        array = np.array(returned)
        if array.dtype.kind != "f":
            raise ValueError(f"a logits processor must return floating-point scores, not {array.dtype}")
        if np.isnan(array).any():
            row, token = (int(at) for at in np.argwhere(np.isnan(array))[0])
            raise ValueError(f"a logits processor returned NaN, first for token {token} of row {row}; -inf bars one")
        if (array.max(axis=-1) == -np.inf).any():
            row = int(np.flatnonzero(array.max(axis=-1) == -np.inf)[0])
            raise ValueError(f"a logits processor left row {row} no token: all of its scores are -inf")
        return array

    return copied


def _bound(function: Callable[..., Array], *arguments: Any) -> Processor:
    return lambda ids, scores: function(scores, ids, *arguments)


def _warp(function: Callable[..., Array], request: ChainRequest, value: float) -> Processor:
    """With several beams one token more survives than there are ids that end a target, and so one that is none."""
    keep = (len(request.plan.eos) or 1) + 1 if request.plan.num_beams > 1 else 1
    return lambda ids, scores: function(scores, value, keep)


def _cutoff(function: Callable[..., Array], request: ChainRequest, value: float) -> Processor | None:
    """transformers makes no warper of a cutoff of 1."""
    return _warp(function, request, value) if value < 1 else None


def _sequence_bias(request: ChainRequest, biases: tuple[tuple[processors.Phrase, float], ...]) -> Processor:
    by_phrase = tuple(dict(biases).items())  # of two biases for one phrase the last counts
    return _bound(processors.sequence_bias, by_phrase, request.dialect.bias_needs_longer_target)


def _bad_words(request: ChainRequest, words: tuple[processors.Phrase, ...]) -> Processor:
    ends = {(token,) for token in request.plan.eos}
    biases = [(word, -np.inf) for word in dict.fromkeys(words) if word not in ends]
    return _bound(processors.sequence_bias, biases, request.dialect.bias_needs_longer_target)


def _encoder_repetition_penalty(request: ChainRequest, penalty: float) -> Processor | None:
    sources = request.source_ids
    if sources is None:
        return None
    reward = 1 / penalty

    def by_source(ids: Ids, scores: Array) -> Array:
        return processors.repetition_penalty(scores, _for_rows(sources, len(scores)), reward)

    def by_row(ids: Ids, scores: Array) -> Array:
        processors.repetition_penalty(scores[: len(sources)], sources, reward)
        return scores

    return by_row if request.dialect.encoder_penalty_by_row else by_source


def _encoder_no_repeat_ngram(request: ChainRequest, size: int) -> Processor | None:
    sources = request.source_ids
    if sources is None:
        return None
    return lambda ids, scores: processors.no_repeat_ngram(scores, ids, _for_rows(sources, len(scores)), size)


def _for_rows(sources: Ids, rows: int) -> Ids:
    """[B, S] -> [R, S]: the rows of a source lie together."""
    return np.repeat(sources, rows // len(sources), axis=0)


def _min_length(request: ChainRequest, setting: int) -> Processor | None:
    plan = request.plan
    return _bound(processors.min_length, plan.min_length, plan.eos) if plan.min_length and plan.eos else None


def _prefix_allowed_tokens(request: ChainRequest, setting: None) -> Processor | None:
    plan = request.plan
    if request.allowed is None:
        return None
    rows = plan.num_beams // (plan.settings.num_beam_groups or 1)
    return _allowed_tokens(request.allowed, rows, rescue=request.dialect.rescues_prefix)


def _allowed_tokens(allowed: Allowed, rows: int, *, rescue: bool) -> Processor:
    def processor(ids: Ids, scores: Array) -> Array:
        checked = partial(_allowed_ids, allowed, scores.shape[1])
        return processors.allowed_tokens(scores, ids, checked, rows, rescue=rescue)

    return processor


def _allowed_ids(allowed: Allowed, vocab_size: int, source: int, ids: Ids) -> list[int]:
    """Ask the caller's function which ids may follow; what is no list of ids is refused."""
    said = allowed(source, ids)
    try:
        texts = isinstance(said, str | bytes)
        found = np.array(said, object) if texts else np.asarray(said if isinstance(said, np.ndarray) else list(said))
    except (TypeError, ValueError):  # no list, or lists of unequal length
        found = np.array(None)
    whole = found.dtype.kind in "iu" and bool(((found >= 0) & (found < vocab_size)).all())
    if found.ndim != 1 or (found.size and not whole):
        raise ValueError(
            f"prefix_allowed_tokens_fn must return a list of token ids, 0 to {vocab_size - 1}, not {shown(said)}"
        )
    return found.tolist()  # type: ignore[no-any-return]


def _exponential_decay(request: ChainRequest, decay: tuple[int, float]) -> Processor | None:
    plan = request.plan
    start, factor = decay
    return _bound(processors.exponential_decay, start + plan.prompt_length, factor, plan.eos) if plan.eos else None


def _begin_suppress(request: ChainRequest, tokens: tuple[int, ...]) -> Processor:
    plan = request.plan
    bos_comes_first = plan.prompt_length == 1 and plan.settings.forced_bos_token_id is not None
    return _bound(processors.begin_suppress, plan.prompt_length + bos_comes_first, tokens)


PROCESSORS: Mapping[str, Maker] = {
    "sequence_bias": _sequence_bias,
    "diversity_penalty": lambda request, penalty: request.diversity,
    "encoder_repetition_penalty": _encoder_repetition_penalty,
    "repetition_penalty": lambda request, penalty: _bound(processors.repetition_penalty, penalty),
    "no_repeat_ngram_size": lambda request, size: (
        lambda ids, scores: processors.no_repeat_ngram(scores, ids, ids, size)
    ),
    "encoder_no_repeat_ngram_size": _encoder_no_repeat_ngram,
    "bad_words_ids": _bad_words,
    "min_length": _min_length,  # and min_new_tokens
    "prefix_allowed_tokens_fn": _prefix_allowed_tokens,
    "forced_bos_token_id": lambda request, token: _bound(processors.forced_bos, token),
    "forced_eos_token_id": lambda request, tokens: _bound(
        processors.forced_eos, request.plan.max_length, tuple(flat_ids(tokens))
    ),
    "remove_invalid_values": lambda request, value: lambda ids, scores: processors.remove_invalid(scores),
    "exponential_decay_length_penalty": _exponential_decay,
    "suppress_tokens": lambda request, tokens: lambda ids, scores: processors.block(scores, tokens),
    "begin_suppress_tokens": _begin_suppress,
}
"""By the settings that ask for them, in the order in which they run; the caller's own come after them."""

WARPERS: Mapping[str, Maker] = {
    "temperature": lambda request, value: lambda ids, scores: warpers.temperature(scores, value),
    "top_k": partial(_warp, warpers.top_k),
    "top_p": partial(_warp, warpers.top_p),
    "min_p": partial(_warp, warpers.min_p),
    "typical_p": partial(_warp, warpers.typical),
    "epsilon_cutoff": partial(_cutoff, warpers.epsilon),
    "eta_cutoff": partial(_cutoff, warpers.eta),
}
"""What reshapes the distribution that a token is drawn from, in the order in which it runs."""
