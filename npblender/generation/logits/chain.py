"""The filters of one search in transformers' order: each a function of the target so far and the scores.

What a filter does stands in `filters` and `truncation`; here is only which of them the settings ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from npblender.common.array_types import Array, Ids
from npblender.config.dialect import Dialect
from npblender.generation.logits import processors, warpers
from npblender.generation.plan import BEAM_SAMPLE, SAMPLE, Plan
from npblender.ops import log_softmax

Filter: TypeAlias = Callable[[Ids, Array], Array]
"""Called as filter(ids [R, L], scores [R, V]); returns scores [R, V]. transformers' logits processors are such."""
Allowed: TypeAlias = Callable[[int, Ids], Sequence[int]]
"""transformers' `prefix_allowed_tokens_fn`: the number of a source and a row's ids to the ids that may follow."""


@dataclass(frozen=True)
class ColumnFilter:
    """A filter of ours that touches few columns, and can do so in place."""

    function: Callable[..., Array]  # function(ids, scores, in_place)

    def __call__(self, ids: Ids, scores: Array) -> Array:
        return self.function(ids, scores, False)


def make_chain(
    plan: Plan,
    dialect: Dialect,
    source_ids: Ids | None,
    allowed: Allowed | None = None,
    users: Iterable[Filter] = (),
    diversity: Filter | None = None,
) -> list[Filter]:
    """The filters that `plan` asks for: those of the settings, the user's own, and those that shape a draw.

    `diversity` is the filter of a group beam search, which the search itself makes: only it knows its groups.
    """
    chain = [*_penalties(plan, dialect, source_ids, diversity), *_blocks(plan, dialect, source_ids)]
    if allowed is not None:
        beams = plan.num_beams // (plan.settings.num_beam_groups or 1)
        chain.append(_only_allowed(allowed, beams, rescue=dialect.rescues_prefix))
    chain += [*_ends(plan), *users, *_shapes(plan)]
    if plan.settings.renormalize_logits:
        chain.append(lambda ids, scores: log_softmax(scores))
    return chain


def parlai_chain(plan: Plan, allowed: Allowed | None, users: Iterable[Filter]) -> list[Filter]:
    """What the caller gives a search in ParlAI's way, which has its own blocks (see `parlai`) behind it."""
    return [*([] if allowed is None else [_only_allowed(allowed, plan.width, rescue=False)]), *users]


def apply(chain: Iterable[Filter], ids: Ids, scores: Array, *, owned: bool = False) -> Array:
    """The scores after every filter of the chain; infinities among them are meant.

    `owned` says that the caller needs these scores no more, so that they may be written to. What a user's filter was
    given or returned is never written to, since it may have kept it.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        for each in chain:
            if isinstance(each, ColumnFilter):
                scores = each.function(ids, scores if owned else scores.copy(), True)
                owned = True
            else:
                scores = each(ids, scores)
                owned = False
    return scores


def to_float32(logits: Array) -> Array:
    """Scores are filtered, chosen from and returned in float32 whatever the model computes in, as in the originals.

    Logits that are float32 already are given back as they are, not as a copy.
    """
    return logits.astype(np.float32, copy=False)


def _penalties(plan: Plan, dialect: Dialect, source_ids: Ids | None, diversity: Filter | None) -> Iterator[Filter]:
    s = plan.settings
    beyond_start = dialect.bias_needs_longer_target
    if s.sequence_bias is not None:
        biases = tuple(dict(s.sequence_bias).items())  # of two biases for one phrase the last counts
        yield ColumnFilter(
            lambda ids, scores, in_place: processors.sequence_bias(
                scores, ids, biases, beyond_start=beyond_start, in_place=in_place
            )
        )
    if diversity is not None:
        yield diversity
    if _on(s.encoder_repetition_penalty, 1.0) and source_ids is not None:
        reward = 1 / s.encoder_repetition_penalty  # type: ignore[operator]
        by_source = not dialect.encoder_penalty_by_row

        def penalise_source(ids: Ids, scores: Array, in_place: bool) -> Array:
            if by_source:
                seen = np.repeat(source_ids, len(scores) // len(source_ids), axis=0)
                return processors.repetition_penalty(scores, seen, reward, in_place)
            penalised = scores if in_place else scores.copy()
            processors.repetition_penalty(penalised[: len(source_ids)], source_ids, reward, in_place=True)
            return penalised

        yield ColumnFilter(penalise_source)
    if _on(s.repetition_penalty, 1.0):
        penalty = s.repetition_penalty
        yield ColumnFilter(
            lambda ids, scores, in_place: processors.repetition_penalty(scores, ids, penalty, in_place)  # type: ignore[arg-type]
        )


def _blocks(plan: Plan, dialect: Dialect, source_ids: Ids | None) -> Iterator[Filter]:
    s = plan.settings
    if s.no_repeat_ngram_size:
        own_size = s.no_repeat_ngram_size
        yield ColumnFilter(
            lambda ids, scores, in_place: processors.no_repeat_ngram(scores, ids, ids, own_size, in_place)
        )
    if s.encoder_no_repeat_ngram_size and source_ids is not None:
        source_size = s.encoder_no_repeat_ngram_size

        def no_quotes(ids: Ids, scores: Array, in_place: bool) -> Array:
            sources = np.repeat(source_ids, len(scores) // len(source_ids), axis=0)
            return processors.no_repeat_ngram(scores, ids, sources, source_size, in_place)

        yield ColumnFilter(no_quotes)
    if s.bad_words_ids is not None:
        words = [(word, -np.inf) for word in dict.fromkeys(s.bad_words_ids) if word not in {(e,) for e in plan.eos}]
        beyond_start = dialect.bias_needs_longer_target
        yield ColumnFilter(
            lambda ids, scores, in_place: processors.sequence_bias(
                scores, ids, words, beyond_start=beyond_start, in_place=in_place
            )
        )
    if plan.min_length and plan.eos:
        yield ColumnFilter(
            lambda ids, scores, in_place: processors.min_length(scores, ids, plan.min_length, plan.eos, in_place)
        )


def _ends(plan: Plan) -> Iterator[Filter]:
    s = plan.settings
    if s.forced_bos_token_id is not None:
        bos = s.forced_bos_token_id
        yield lambda ids, scores: processors.forced_bos(scores, ids, bos)
    if s.forced_eos_token_id is not None:
        forced = s.forced_eos_token_id if isinstance(s.forced_eos_token_id, tuple) else (s.forced_eos_token_id,)
        yield lambda ids, scores: processors.forced_eos(scores, ids, plan.max_length, forced)
    if s.remove_invalid_values:
        yield lambda ids, scores: processors.remove_invalid(scores)
    if s.exponential_decay_length_penalty is not None and plan.eos:
        start, factor = s.exponential_decay_length_penalty
        begin = start + plan.prompt_length
        yield ColumnFilter(
            lambda ids, scores, in_place: processors.exponential_decay(scores, ids, begin, factor, plan.eos, in_place)
        )
    if s.suppress_tokens is not None:
        suppressed = s.suppress_tokens
        yield ColumnFilter(lambda ids, scores, in_place: processors.block(scores, suppressed, in_place))
    if s.begin_suppress_tokens is not None:
        at_first = s.begin_suppress_tokens
        alone = plan.prompt_length == 1 and s.forced_bos_token_id is not None
        first = plan.prompt_length + alone
        yield ColumnFilter(
            lambda ids, scores, in_place: processors.begin_suppress(scores, ids, first, at_first, in_place)
        )


def _shapes(plan: Plan) -> Iterator[Filter]:
    """What transformers calls warpers; with several beams one token that is no eos must always remain."""
    if plan.search not in (SAMPLE, BEAM_SAMPLE):
        return
    s = plan.settings
    keep = (len(plan.eos) or 1) + 1 if plan.num_beams > 1 else 1
    if _on(s.temperature, 1.0):
        yield _truncated(warpers.temperature, s.temperature)
    if _on(s.top_k, 0):
        yield _truncated(warpers.top_k, s.top_k, keep)
    if s.top_p is not None and s.top_p < 1:
        yield _truncated(warpers.top_p, s.top_p, keep)
    if s.min_p is not None:
        yield _truncated(warpers.min_p, s.min_p, keep)
    if s.typical_p is not None and s.typical_p < 1:
        yield _truncated(warpers.typical, s.typical_p, keep)
    if s.epsilon_cutoff is not None and 0 < s.epsilon_cutoff < 1:
        yield _truncated(warpers.epsilon, s.epsilon_cutoff, keep)
    if s.eta_cutoff is not None and 0 < s.eta_cutoff < 1:
        yield _truncated(warpers.eta, s.eta_cutoff, keep)


def _only_allowed(allowed: Allowed, beams: int, *, rescue: bool) -> Filter:
    return lambda ids, scores: processors.allowed_tokens(scores, ids, allowed, beams, rescue=rescue)


def _truncated(function: Callable[..., Array], *arguments: Any) -> Filter:
    return lambda ids, scores: function(scores, *arguments)


def _on(value: float | None, neutral: float) -> bool:
    return value is not None and value != neutral
