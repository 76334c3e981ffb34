"""Runs a planned search and keeps what it saw at every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from npblender.chat.explanation.pieces import Piece
from npblender.common.array_types import Array, Ids
from npblender.config.searches import BEAM, BEAM_SAMPLE
from npblender.generation.decoder_state import CallerArrays
from npblender.generation.generate import CallerHooks, Record, Seed, begin_search, run_to_end
from npblender.generation.logits.chain import Processor
from npblender.generation.plan import Plan
from npblender.models import BlenderbotSmallForConditionalGeneration
from npblender.tokenizer import BlenderbotSmallTokenizer
from npblender.transformer.checks import make_context


@dataclass(frozen=True)
class Asked:
    """What is to be explained: a model and a tokenizer of one dialect, a source, and the search for a reply."""

    model: BlenderbotSmallForConditionalGeneration
    tokenizer: BlenderbotSmallTokenizer
    pieces: tuple[Piece, ...]
    plan: Plan
    options: Mapping[str, Any]  # of the call, which the plan was made from
    processors: tuple[Processor, ...] = ()
    seed: Seed = None
    reply: tuple[int, ...] | None = None  # ids, start included, to be explained in place of the search's best

    @property
    def source(self) -> tuple[int, ...]:
        """The source's ids."""
        return tuple(index for piece in self.pieces for index in piece.ids)


@dataclass(frozen=True, eq=False)
class Watched:
    """A search of one source, and what it saw. R rows are decoded at once."""

    plan: Plan
    source: tuple[int, ...]
    ids: tuple[Ids, ...]  # a step: the targets so far, [R, L]
    logits: tuple[Array, ...]  # a step: [R, V]
    scores: tuple[Array, ...]  # a step: [R, V], after every block
    record: Record

    @property
    def reply(self) -> tuple[int, ...]:
        """The best reply, its start included, without the pads behind its end."""
        return until_end(self.record.sequences[0], self.plan)

    @property
    def score(self) -> float | None:
        """The search's score of the best reply; None where it gives none."""
        scores = getattr(self.record, "sequences_scores", None)
        return None if scores is None else float(scores[0])


def until_end(row: Ids, plan: Plan) -> tuple[int, ...]:
    """The ids of a row [T] up to the end that was chosen first."""
    ids = tuple(map(int, row))
    ends = (at for at, token in enumerate(ids) if at >= plan.prompt_length and token in plan.eos)
    return ids[: next(ends, len(ids)) + 1]


def watch_search(asked: Asked) -> Watched:
    """Run the planned search for the source.

    A beam search returns all that it finished. The processor that looks on returns the scores as they are, so the
    reply is that of `generate`.

    >>> from npblender.generation.planning import make_plan
    >>> options = {"num_beams": 2, "max_length": 4, "min_length": 2}
    >>> plan = make_plan(model.dialect, model.config, {}, options)
    >>> found = watch_search(Asked(model, tokenizer, (Piece("", "", (), (), (5, 6, 7)),), plan, options))
    >>> found.reply == tuple(model.generate([[5, 6, 7]], **options)[0].tolist())
    True
    >>> len(found.ids), found.ids[-1].shape, found.scores[-1].shape
    (4, (2, 4), (2, 11))
    """
    model, plan, source = asked.model, asked.plan, asked.source
    if plan.search in (BEAM, BEAM_SAMPLE) and "num_return_sequences" not in asked.options:
        plan = replace(plan, num_return_sequences=plan.num_beams)
    kept = plan.settings.replace(return_dict_in_generate=True, output_scores=True, output_logits=True)
    plan = replace(plan, settings=kept)
    seen: list[Ids] = []

    def look(ids: Ids, scores: Array) -> Array:
        seen.append(ids.copy())
        return scores

    context = make_context(model.config, model.dialect)
    arrays = CallerArrays(input_ids=[list(source)], attention_mask=[[1] * len(source)])
    hooks = CallerHooks(
        logits_processor=(*asked.processors, look),
        tokenizer=None if plan.settings.stop_strings is None else asked.tokenizer,
        seed=asked.seed,
    )
    search, _ = begin_search(model.weights, context, plan, arrays, hooks, asked.options, streaming=False)
    record = run_to_end(search)
    assert record.scores is not None
    assert record.logits is not None
    return Watched(plan, source, tuple(seen), record.logits, record.scores, record)
