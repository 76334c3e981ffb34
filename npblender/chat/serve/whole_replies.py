"""Replies that are there all at once, at the end of a search with several paths, told like those that come in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from npblender.chat.replies import Candidate, DialectModel
from npblender.chat.serve.reply_text import Piece, ReplyText, log_probabilities_of
from npblender.chat.serve.submissions import Ended, Lacking, Said, Submission
from npblender.common.array_types import Array
from npblender.generation.plan import Plan


class Telling:
    """Sends one reply of a submission to its caller, as its tokens come."""

    def __init__(self, submission: Submission, rank: int = 0) -> None:
        job = submission.job
        self._submission, self._rank, self._number = submission, rank, job.numbers[rank]
        self._text = ReplyText(job.speaker.tokenizer, job.stops, job.top_logprobs)

    @property
    def is_over(self) -> bool:
        """Whether a stop text has come."""
        return self._text.is_over

    def push(self, token_id: int, log_probs: Array | None = None) -> None:
        """Take the next token, with the log-probabilities [V] that it was chosen by, if they were asked for."""
        self._say(self._text.push(token_id, log_probs))

    def end(self, candidates: Sequence[Candidate], ended: bool) -> None:
        """Send what is left and the end; `ended` says whether the search ended by itself."""
        self._say(self._text.close())
        job = self._submission.job
        itself = ended and ends_itself(job.settings.plan, candidates[self._rank].ids)
        reason = "stop" if self.is_over or itself else "length"
        self._submission.send(Ended(self._number, reason, self._text.tokens, tuple(candidates), job.source, self._rank))

    def _say(self, piece: Piece | None) -> None:
        if piece is not None:
            self._submission.send(Said(self._number, piece))


def tell_whole(submission: Submission, candidates: Sequence[Candidate], *, ended: bool = True) -> None:
    """Send the best candidates to a submission's replies, one each, the best first."""
    job = submission.job
    for rank, (_, found) in enumerate(zip(job.numbers, candidates, strict=False)):
        telling = Telling(submission, rank)
        log_probs: Sequence[Array | None] = [None] * len(found.ids)
        if job.top_logprobs is not None:
            log_probs = [*log_probabilities_of(forced_logits(job.speaker, job.source.ids, found.ids))]
        for token, row in zip(found.ids[1:], log_probs, strict=False):
            telling.push(token, row)
        telling.end(candidates, ended)
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
