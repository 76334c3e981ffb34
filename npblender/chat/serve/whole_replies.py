"""Replies that are there all at once, at the end of a search with several paths, told like those that come in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from npblender.chat.replies import Candidate
from npblender.chat.serve.reply_text import Piece, ReplyText
from npblender.chat.serve.submissions import Ended, Lacking, Said, Submission
from npblender.common.array_types import Array
from npblender.generation.logits.chain import log_probabilities, to_float32


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
        job, ids = self._submission.job, candidates[self._rank].ids
        plan = job.settings.plan
        forced = plan.settings.forced_eos_token_id is not None and len(ids) >= plan.max_length  # by the limit
        itself = ended and ids[-1] in plan.eos and not forced
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
            source, target = np.array([job.source.ids]), np.array([found.ids[:-1]])
            output = job.speaker.model(input_ids=source, attention_mask=np.ones_like(source), decoder_input_ids=target)
            log_probs = [*log_probabilities(to_float32(output.logits[0]))]  # of every token, by one pass
        for token, row in zip(found.ids[1:], log_probs, strict=False):
            telling.push(token, row)
        telling.end(candidates, ended)
    for number in job.numbers[len(candidates) :]:
        submission.send(Lacking(number))
