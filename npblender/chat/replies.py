"""From settings and sources to replies: one plan, one search for several sources, and its text, whole or word by word.

Each setting comes from the first that names it: the call, the model's own files, the chat profile. So the published
90M, whose files name everything but the context block, gets that block from the profile and keeps the rest.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from npblender.chat.history import FittedSource, Profile
from npblender.chat.spacing import Words, natural_text
from npblender.common.checks import as_plain
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import Dialect
from npblender.config.generation_config import GenerationConfig
from npblender.config.generation_options import OPTIONS
from npblender.generation.decoder_state import CallerArrays
from npblender.generation.generate import CallerHooks, Search, begin_search, run_to_end
from npblender.generation.logits.chain import Processor
from npblender.generation.plan import Plan, warn_of_plan
from npblender.generation.planning import check_options, longest, merge, plan_of, shortest
from npblender.generation.stopping import Criterion
from npblender.tokenizer.pretokenize import join_parlai
from npblender.transformer.checks import make_context

if TYPE_CHECKING:
    from npblender.chat.blocklist import BlockList
    from npblender.models import BlenderbotSmallForConditionalGeneration
    from npblender.tokenizer import BlenderbotSmallTokenizer


@dataclass(frozen=True)
class DialectModel:
    """A model and its tokenizer in one dialect, and the words that are never said."""

    model: BlenderbotSmallForConditionalGeneration
    tokenizer: BlenderbotSmallTokenizer
    block: BlockList | None = None

    @property
    def dialect(self) -> Dialect:
        """The dialect of both."""
        return self.model.dialect

    @property
    def processors(self) -> tuple[Processor, ...]:
        """The logits processors of every search, besides those of its settings."""
        return () if self.block is None else (self.block,)


@dataclass(frozen=True)
class Settings:
    """The settings of a search, resolved for one model."""

    options: Mapping[str, Any]  # those of the call; one that the search does not use is refused
    plan: Plan  # what the search will do with them, the model's and the profile's

    @property
    def streams(self) -> bool:
        """Whether a word is final as soon as it is chosen, so that a reply can be shown while it grows."""
        return self.plan.width == 1


class HasSettings(Protocol):
    """The parts of a model that settings depend on."""

    @property
    def config(self) -> BlenderbotSmallConfig: ...
    @property
    def dialect(self) -> Dialect: ...
    @property
    def generation_config(self) -> GenerationConfig: ...


def make_settings(profile: Profile, model: HasSettings, call: Mapping[str, Any]) -> Settings:
    """Resolve the settings of one call, each from the first of call, model and profile that names it.

    A profile's number of beams is not used with sampling, and its minimum length not if the limit is no longer.

    Raises:
        TypeError, ValueError: an option that does not exist or that the search does not use.

    >>> from npblender.chat.history import PROFILES
    >>> settings = make_settings(PROFILES["parlai"], model, {"max_length": 9, "min_length": 5}).plan.settings
    >>> settings.num_beams, settings.min_length, settings.length_penalty
    (10, 5, 0.65)
    """
    call = as_plain(dict(call))
    for name in call:
        if name in OPTIONS and OPTIONS[name].shapes_record:
            raise ValueError(f"{name} has no place in a chat: a reply comes with its text, ids, score and runners-up")
    options, own = check_options(call), model.generation_config.set_values
    fill = {name: value for name, value in profile.settings.items() if name not in own and name not in options}
    if options.get("do_sample", own.get("do_sample")):
        fill.pop("num_beams", None)
    for limit in ("max", "min"):
        if options.get(f"{limit}_new_tokens", own.get(f"{limit}_new_tokens")) is not None:
            fill.pop(f"{limit}_length", None)
    config, dialect, settings = model.config, model.dialect, merge({**own, **fill}, options)
    if "min_length" in fill and shortest(dialect, settings, 1) >= longest(dialect, config, settings, call, 1):
        del settings["min_length"]
    plan = plan_of(dialect, config, settings, call, runners_up=True)
    if "num_beams" in own:  # the profile's are not used with sampling
        warn_of_plan(plan, {name: value for name, value in options.items() if name in ("do_sample", "num_beams")})
    return Settings(call, plan)


@dataclass(frozen=True)
class Candidate:
    """One reply that a search found."""

    text: str  # as people write it: `i'm fine.`
    raw: str  # as the tokens spell it, with spaces around every mark: `i ' m fine .`
    ids: tuple[int, ...]  # as the search found it, with its start and end
    score: float | None = None  # the search's score, higher is better; None for a search that has none


@dataclass(frozen=True, kw_only=True)
class Reply(Candidate):
    """The best candidate, with the others and with what the model read."""

    n_best: tuple[Candidate, ...]  # every reply that the search found, the best first
    source: FittedSource  # what the model read: `source.ids`, `source.dropped_turns`, `source.cut_tokens`

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        score = "" if self.score is None else f", score {self.score:.4f}"
        return f"Reply({self.text!r}{score}, {len(self.n_best)} found, {len(self.source.ids)} tokens read)"

    def _repr_html_(self) -> str:
        """How a notebook shows it: the reply, and a table of the others that the search found."""
        from html import escape

        rows = "".join(
            f"<tr><td>{'' if each.score is None else f'{each.score:.4f}'}</td><td>{escape(each.text)}</td></tr>"
            for each in self.n_best
        )
        table = f"<table><tr><th>score</th><th>reply</th></tr>{rows}</table>" if len(self.n_best) > 1 else ""
        return f"<p>{escape(self.text)}</p>{table}"


def search_replies(
    speaker: DialectModel,
    sources: Sequence[FittedSource],
    settings: Settings,
    *,
    rng: np.random.Generator | None = None,
    criteria: Sequence[Criterion] = (),
) -> list[tuple[Candidate, ...]]:
    """Run one search for several sources: for each its replies, best first, at least one.

    `criteria` end replies as in `generate`; a ParlAI-style search takes none.
    """
    record = run_to_end(_begin(speaker, sources, settings, rng, criteria))
    return candidates_of(record, len(sources), speaker.tokenizer)


def _begin(
    speaker: DialectModel,
    sources: Sequence[FittedSource],
    settings: Settings,
    rng: np.random.Generator | None,
    criteria: Sequence[Criterion] = (),
) -> Search:
    """Begin the search that `generate` would run: a generator of its tokens that returns its record.

    `generate` itself returns the scores of whole replies only together with those of every step, which for many sources
    are gigabytes.
    """
    model, plan = speaker.model, settings.plan
    fill, chosen = model.config.pad_token_id or 0, plan.settings
    ids, mask = pad([source.ids for source in sources], fill)
    full = None
    blocks_all = chosen.beam_block_full_context and chosen.encoder_no_repeat_ngram_size
    if blocks_all and any(source.full_ids for source in sources):
        full, _ = pad([source.full_ids or source.ids for source in sources], fill)
    hooks = CallerHooks(
        logits_processor=speaker.processors,
        stopping_criteria=criteria,
        tokenizer=None if chosen.stop_strings is None else speaker.tokenizer,
        seed=rng,
    )
    context = make_context(model.config, model.dialect)
    arrays = CallerArrays(input_ids=ids, full_input_ids=full, attention_mask=mask)
    search, _ = begin_search(model.weights, context, plan, arrays, hooks, settings.options, streaming=settings.streams)
    return search


def pad(sources: Sequence[Sequence[int]], fill: int) -> tuple[Any, Any]:
    """Pad sources of different lengths on the right: ids [B, S] and their mask [B, S].

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
    """Turn a search's record into the candidates of each source."""
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
    """Round a score for JSON: digits behind the sixth decimal are rounding noise of the search.

    >>> shown_score(-6.028933525085449)
    -6.028934
    """
    return None if score is None else round(score, 6)


def details(best: Candidate, n_best: Sequence[Candidate], source: FittedSource) -> dict[str, Any]:
    """What is shown in JSON of a reply beside its text: how it was found, the runners-up, and what was read."""
    return {
        "raw": best.raw,
        "score": shown_score(best.score),
        "n_best": scored(n_best),
        "source_tokens": len(source.ids),
        "dropped_turns": source.dropped_turns,
        "cut_tokens": source.cut_tokens,
    }


def scored(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """Write candidates as JSON has them."""
    return [{"reply": each.text, "score": shown_score(each.score)} for each in candidates]


def reply_object(text: str, reply: Reply) -> dict[str, Any]:
    """The object that --json prints for a reply."""
    return {"input": text, "reply": reply.text, **details(reply, reply.n_best, reply.source)}


def candidate(tokenizer: BlenderbotSmallTokenizer, ids: Sequence[int], score: float | None = None) -> Candidate:
    """Turn a reply's ids into text, without special tokens."""
    raw = raw_text(tokenizer, ids)
    return Candidate(natural_text(raw), raw, without_pads(ids, tokenizer.pad_token_id), score)


def without_pads(ids: Sequence[int], fill: int | None) -> tuple[int, ...]:
    """Remove the pads at the end.

    >>> without_pads([1, 5, 2, 0, 0], 0)
    (1, 5, 2)
    """
    length = len(ids)
    while length and ids[length - 1] == fill:
        length -= 1
    return tuple(ids[:length])


def raw_text(tokenizer: BlenderbotSmallTokenizer, ids: Sequence[int]) -> str:
    """Join ids as ParlAI does, in every dialect: transformers' way leaves `__newln__` in the text."""
    return join_parlai(tokenizer.convert_ids_to_tokens(list(ids), skip_special_tokens=True))


def stream_reply(
    speaker: DialectModel, source: FittedSource, settings: Settings, rng: np.random.Generator | None = None
) -> Generator[str, None, tuple[Candidate, ...]]:
    """Yield pieces of the reply's text as they become certain; return the candidates at the end.

    Whole words only. With several beams no word is certain before the end: the best reply then comes in one piece. The
    pieces together are the best candidate's `text`.
    """
    if not settings.streams:
        (found,) = search_replies(speaker, [source], settings, rng=rng)
        if found[0].text:
            yield found[0].text
        return found
    search, words = _begin(speaker, [source], settings, rng), Words(speaker.tokenizer)
    while True:
        try:
            token_id = int(next(search)[0])
        except StopIteration as end:
            yield from words.close()
            return candidates_of(end.value, 1, speaker.tokenizer)[0]
        yield from words.push(token_id)
