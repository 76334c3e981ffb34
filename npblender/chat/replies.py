"""From sources to candidate replies: one search for several sources, and text for people, whole or word by word.

What it does not do: it keeps no history, prints nothing, and does not decide which settings count (settings.py).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from npblender.chat.history import FittedSource
from npblender.chat.settings import Settings
from npblender.chat.spacing import natural_text, stream_natural
from npblender.config.searches import BEAM, BEAM_SAMPLE
from npblender.generation.encode_source import CallerArrays
from npblender.generation.generate import CallerHooks, Search, begin_search, run_to_end
from npblender.generation.plan import Plan
from npblender.tokenizer.bpe import CONTINUED
from npblender.tokenizer.detokenize import join_parlai
from npblender.tokenizer.pretokenize import NEWLINE
from npblender.transformer.checks import make_context

if TYPE_CHECKING:
    from npblender.chat.blocklist import BlockList
    from npblender.models import BlenderbotSmallForConditionalGeneration
    from npblender.tokenizer import BlenderbotSmallTokenizer


@dataclass(frozen=True)
class Candidate:
    """One reply that a search found."""

    text: str
    """As people write it."""
    raw: str
    """As the tokens spell it, spaces around every mark; a line break is one."""
    ids: tuple[int, ...]
    """As the search found it, its start and end included."""
    score: float | None = None
    """The search's score, higher is better; None for a search that has none."""


@dataclass(frozen=True)
class Reply:
    """One reply, and how it came about."""

    text: str
    """As people write it: `i'm fine.`"""
    raw: str
    """As the tokenizer's way back gives it: `i ' m fine .`"""
    ids: tuple[int, ...]
    score: float | None
    n_best: tuple[Candidate, ...]
    """Every reply that the search found, the one that was given first."""
    source: FittedSource
    """What the model was shown: `source.ids`, `source.dropped_turns`, `source.cut_tokens`."""

    def __str__(self) -> str:
        return self.text


def search_replies(
    model: BlenderbotSmallForConditionalGeneration,
    tokenizer: BlenderbotSmallTokenizer,
    sources: Sequence[Sequence[int]],
    settings: Settings,
    *,
    block: BlockList | None = None,
    rng: np.random.Generator | None = None,
) -> list[tuple[Candidate, ...]]:
    """For each source (ids without pads) the replies that one search found, best first; at least one each."""
    plan = settings.plan
    if plan.search in (BEAM, BEAM_SAMPLE) and "num_return_sequences" not in settings.options:
        plan = replace(plan, num_return_sequences=plan.num_beams)  # the runners-up too
    record = run_to_end(_begin(model, tokenizer, sources, settings, plan, block, rng))
    return candidates_of(record, len(sources), tokenizer)


def _begin(
    model: BlenderbotSmallForConditionalGeneration,
    tokenizer: BlenderbotSmallTokenizer,
    sources: Sequence[Sequence[int]],
    settings: Settings,
    plan: Plan,
    block: BlockList | None,
    rng: np.random.Generator | None,
) -> Search:
    """The search that `generate` would run, as a generator of its tokens whose result is its record.

    `generate` itself shows the scores of whole replies only beside those of every step, which for many sources are
    gigabytes.
    """
    ids, mask = pad(sources, model.config.pad_token_id or 0)
    hooks = CallerHooks(
        logits_processor=() if block is None else (block,),
        tokenizer=None if plan.settings.stop_strings is None else tokenizer,
        seed=rng,
    )
    context = make_context(model.config, model.dialect)
    arrays = CallerArrays(input_ids=ids, attention_mask=mask)
    search, _ = begin_search(model.weights, context, plan, arrays, hooks, settings.options, streaming=settings.streams)
    return search


def pad(sources: Sequence[Sequence[int]], fill: int) -> tuple[Any, Any]:
    """Sources of different lengths as ids [B, S] and their mask [B, S], padded on the right.

    >>> pad([[5], [6, 7]], 0)[0].tolist()
    [[5, 0], [6, 7]]
    """
    longest = max(map(len, sources))
    ids = np.full((len(sources), longest), fill, np.int64)
    mask = np.zeros_like(ids)
    for row, source in enumerate(sources):
        ids[row, : len(source)] = source
        mask[row, : len(source)] = 1
    return ids, mask


def candidates_of(record: Any, batch: int, tokenizer: BlenderbotSmallTokenizer) -> list[tuple[Candidate, ...]]:
    """What a search's record holds for each source, as text."""
    n_best = getattr(record, "n_best", None)
    if n_best is not None:
        return [tuple(candidate(tokenizer, each.ids, each.score) for each in found) for found in n_best]
    rows = record.sequences.tolist()
    scores = getattr(record, "sequences_scores", None)
    found = [
        candidate(tokenizer, row, None if scores is None else float(scores[number])) for number, row in enumerate(rows)
    ]
    each = len(rows) // batch
    return [tuple(found[first : first + each]) for first in range(0, len(found), each)]


def shown_score(score: float | None) -> float | None:
    """A score for JSON: what lies behind the sixth decimal is rounding noise of the search.

    >>> shown_score(-6.028933525085449)
    -6.028934
    """
    return None if score is None else round(score, 6)


def reply_object(text: str, reply: Reply) -> dict[str, Any]:
    """What --json prints of a reply."""
    return {
        "input": text,
        "reply": reply.text,
        "raw": reply.raw,
        "score": shown_score(reply.score),
        "n_best": [{"reply": each.text, "score": shown_score(each.score)} for each in reply.n_best],
        "source_tokens": len(reply.source.ids),
        "dropped_turns": reply.source.dropped_turns,
        "cut_tokens": reply.source.cut_tokens,
    }


def candidate(tokenizer: BlenderbotSmallTokenizer, ids: Sequence[int], score: float | None = None) -> Candidate:
    """A reply's ids as text, special tokens left out."""
    raw = raw_text(tokenizer, ids)
    return Candidate(natural_text(raw), raw, without_pads(ids, tokenizer.pad_token_id), score)


def without_pads(ids: Sequence[int], fill: int | None) -> tuple[int, ...]:
    """Ids without the pads behind them.

    >>> without_pads([1, 5, 2, 0, 0], 0)
    (1, 5, 2)
    """
    length = len(ids)
    while length and ids[length - 1] == fill:
        length -= 1
    return tuple(ids[:length])


def raw_text(tokenizer: BlenderbotSmallTokenizer, ids: Sequence[int]) -> str:
    """Ids as ParlAI joins them, in every dialect: transformers' way leaves `__newln__` in the text."""
    return join_parlai(tokenizer.convert_ids_to_tokens(list(ids), skip_special_tokens=True))


def stream_reply(
    model: BlenderbotSmallForConditionalGeneration,
    tokenizer: BlenderbotSmallTokenizer,
    source: Sequence[int],
    settings: Settings,
    *,
    block: BlockList | None = None,
    rng: np.random.Generator | None = None,
) -> Generator[str, None, tuple[Candidate, ...]]:
    """Pieces of the reply's text as they become certain; returns the candidates at the end.

    Whole words only. A search with several paths has no certain word before its end: its best reply then comes at
    once. The pieces together are the best candidate's `text`.
    """
    if not settings.streams:
        (found,) = search_replies(model, tokenizer, [source], settings, block=block, rng=rng)
        if found[0].text:
            yield found[0].text
        return found
    search = _begin(model, tokenizer, [source], settings, settings.plan, block, rng)
    record = yield from _words_as_text(search, tokenizer)
    (found,) = candidates_of(record, 1, tokenizer)
    return found


def _words_as_text(search: Generator[Any, None, Any], tokenizer: BlenderbotSmallTokenizer) -> Generator[str, None, Any]:
    """The tokens of a search as text to show, piece by piece; returns the search's record."""
    record: list[Any] = []

    def words() -> Iterator[str]:
        begun = ""
        while True:
            try:
                token_id = int(next(search)[0])
            except StopIteration as end:
                record.append(end.value)
                break
            for token in tokenizer.convert_ids_to_tokens([token_id], skip_special_tokens=True):
                if token == NEWLINE and begun:
                    yield begun
                    begun = ""
                piece = token.removesuffix(CONTINUED)
                begun += piece
                if piece == token:
                    yield begun
                    begun = ""
        if begun:
            yield begun

    yield from stream_natural(words())
    return record[0]
