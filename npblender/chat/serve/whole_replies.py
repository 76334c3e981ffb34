"""Replies that are there all at once, at the end of a search with several paths, told like those that come in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from npblender.chat.replies import Candidate
from npblender.chat.serve.dialect_models import DialectModel
from npblender.chat.serve.reply_text import ReplyText, log_probabilities_of
from npblender.chat.serve.submissions import Ended, Lacking, Said, Submission
from npblender.common.array_types import Array
from npblender.generation.plan import Plan


def tell_whole(submission: Submission, candidates: Sequence[Candidate], *, ended: bool | None = None) -> None:
    """Send the best candidates to a submission's replies, one each, the best first.

    `ended` says whether the first one ended by itself; None reads that from its ids, as for all others.
    """
    job = submission.job
    for rank, (number, found) in enumerate(zip(job.numbers, candidates, strict=False)):
        telling = ReplyText(job.speaker.tokenizer, job.stops, job.top_logprobs)
        log_probs: Array | None = None
        if job.top_logprobs is not None:
            log_probs = log_probabilities_of(forced_logits(job.speaker, job.source.ids, found.ids))
        for place, token in enumerate(found.ids[1:]):
            piece = telling.push(token, None if log_probs is None else log_probs[place])
            if piece is not None:
                submission.send(Said(number, piece))
        rest = telling.close()
        if rest is not None:
            submission.send(Said(number, rest))
        itself = ended if ended is not None and rank == 0 else ends_itself(job.settings.plan, found.ids)
        reason = "stop" if telling.is_over or itself else "length"
        submission.send(Ended(number, reason, telling.tokens, tuple(candidates), job.source, rank))
    for number in job.numbers[len(candidates) :]:
        submission.send(Lacking(number))


def ends_itself(plan: Plan, ids: Sequence[int]) -> bool:
    """Whether a reply has an end token that nothing forced: one that a limit forces stands at the limit."""
    forced = plan.settings.forced_eos_token_id is not None and len(ids) >= plan.max_length
    return ids[-1] in plan.eos and not forced


def forced_logits(speaker: DialectModel, source: Sequence[int], ids: Sequence[int]) -> Array:
    """The logits [T, V] after each token of a reply but the last, by one pass over all of it."""
    inputs = np.array([source]), np.array([ids[:-1]])
    output = speaker.model(input_ids=inputs[0], attention_mask=np.ones_like(inputs[0]), decoder_input_ids=inputs[1])
    logits: Array = output.logits[0]
    return logits
