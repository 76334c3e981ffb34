"""The objects that are sent back, in OpenAI's shapes; what is known beyond them stands under "npblender". All pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from npblender.chat.replies import Candidate, shown_score
from npblender.chat.serve.reply_text import Piece, TokenScore
from npblender.chat.serve.request_body import ReplyRequest
from npblender.chat.serve.submissions import Ended
from npblender.tokenizer.bpe import CONTINUED

LOWEST_LOGPROB = -9999.0
"""What stands for a log-probability of minus infinity, which JSON cannot hold; OpenAI sends this number, too."""


@dataclass(frozen=True)
class Head:
    """What all objects of one response begin with."""

    id: str
    created: int
    model: str
    fingerprint: str
    """The version and the dialect: what `system_fingerprint` says."""

    def begin(self, kind: str) -> dict[str, Any]:
        """The first fields of an object of this kind."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }


@dataclass
class Choice:
    """One reply of a response, while it grows."""

    number: int
    pieces: list[Piece] = field(default_factory=list)
    end: Ended | None = None

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def tokens(self) -> tuple[TokenScore, ...]:
        """The tokens so far, if log-probabilities were asked for."""
        return tuple(token for piece in self.pieces for token in piece.tokens)


def chat_response(head: Head, asked: ReplyRequest, choices: Sequence[Choice]) -> dict[str, Any]:
    """The object of a whole chat completion."""
    listed = []
    for choice in choices:
        assert choice.end is not None
        listed.append(
            {
                "index": choice.number,
                "message": {"role": "assistant", "content": choice.text, "refusal": None},
                "logprobs": chat_logprobs(asked, choice.tokens),
                "finish_reason": choice.end.reason,
                "npblender": beyond(choice.end),
            }
        )
    return {**head.begin("chat.completion"), "choices": listed, "usage": usage(choices)}


def chat_chunk(
    head: Head, asked: ReplyRequest, number: int, delta: Mapping[str, Any], piece: Piece | None
) -> dict[str, Any]:
    """One event of a streamed chat completion."""
    logprobs = None if piece is None else chat_logprobs(asked, piece.tokens)
    choice = {"index": number, "delta": dict(delta), "logprobs": logprobs, "finish_reason": None}
    return {**head.begin("chat.completion.chunk"), "choices": [choice], **_no_usage(asked)}


def chat_end(head: Head, asked: ReplyRequest, choice: Choice) -> dict[str, Any]:
    """The event that ends one reply of a stream."""
    assert choice.end is not None
    last = {
        "index": choice.number,
        "delta": {},
        "logprobs": None,
        "finish_reason": choice.end.reason,
        "npblender": beyond(choice.end),
    }
    return {**head.begin("chat.completion.chunk"), "choices": [last], **_no_usage(asked)}


def completion_response(head: Head, asked: ReplyRequest, choices: Sequence[Choice]) -> dict[str, Any]:
    """The object of a whole completion."""
    listed = []
    for choice in choices:
        assert choice.end is not None
        listed.append(
            {
                "index": choice.number,
                "text": choice.text,
                "logprobs": completion_logprobs(asked, choice.tokens),
                "finish_reason": choice.end.reason,
                "npblender": beyond(choice.end),
            }
        )
    return {**head.begin("text_completion"), "choices": listed, "usage": usage(choices)}


def completion_chunk(head: Head, asked: ReplyRequest, number: int, piece: Piece, at: int) -> dict[str, Any]:
    """One event of a streamed completion; `at` is where its text begins."""
    logprobs = completion_logprobs(asked, piece.tokens, at)
    choice = {"index": number, "text": piece.text, "logprobs": logprobs, "finish_reason": None}
    return {**head.begin("text_completion"), "choices": [choice], **_no_usage(asked)}


def completion_end(head: Head, asked: ReplyRequest, choice: Choice) -> dict[str, Any]:
    """The event that ends one reply of a stream."""
    assert choice.end is not None
    last = {"index": choice.number, "text": "", "logprobs": None, "finish_reason": choice.end.reason}
    return {**head.begin("text_completion"), "choices": [last], **_no_usage(asked)}


def usage_chunk(head: Head, kind: str, choices: Sequence[Choice]) -> dict[str, Any]:
    """The last event of a stream whose usage was asked for: it has no choices."""
    return {**head.begin(kind), "choices": [], "usage": usage(choices)}


def usage(choices: Sequence[Choice]) -> dict[str, int]:
    """How many tokens were read and made. Replies to one source count it once; special tokens do not count."""
    ends = [choice.end for choice in choices if choice.end is not None]
    read = sum(len(source.ids) for source in {id(end.source): end.source for end in ends}.values())
    made = sum(end.tokens for end in ends)
    return {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made}


def chat_logprobs(asked: ReplyRequest, tokens: Sequence[TokenScore]) -> dict[str, Any] | None:
    """Log-probabilities as a chat completion has them."""
    if asked.top_logprobs is None:
        return None
    return {
        "content": [
            {**_named(token.token, token.logprob), "top_logprobs": [_named(name, score) for name, score in token.top]}
            for token in tokens
        ],
        "refusal": None,
    }


def completion_logprobs(asked: ReplyRequest, tokens: Sequence[TokenScore], at: int = 0) -> dict[str, Any] | None:
    """Log-probabilities as a completion has them: lists beside each other. Offsets are those of the joined tokens."""
    if asked.top_logprobs is None:
        return None
    offsets = []
    for token in tokens:
        offsets.append(at)
        at += tokens_length([token])
    return {
        "tokens": [token.token for token in tokens],
        "token_logprobs": [_finite(token.logprob) for token in tokens],
        "top_logprobs": [{name: _finite(score) for name, score in token.top} for token in tokens],
        "text_offset": offsets,
    }


def tokens_length(tokens: Sequence[TokenScore]) -> int:
    """How many characters tokens take when they are joined, with a space after each word.

    >>> tokens_length([TokenScore("hel@@", -1.0), TokenScore("lo", -2.0)])
    6
    """
    return sum(len(t.token.removesuffix(CONTINUED)) + (not t.token.endswith(CONTINUED)) for t in tokens)


def beyond(end: Ended) -> dict[str, Any]:
    """What is known of a reply beyond OpenAI's fields: the runners-up with their scores, and what was read."""
    own: Candidate = end.candidates[end.rank]
    return {
        "raw": own.raw,
        "score": shown_score(own.score),
        "n_best": [{"reply": each.text, "score": shown_score(each.score)} for each in end.candidates],
        "source_tokens": len(end.source.ids),
        "dropped_turns": end.source.dropped_turns,
        "cut_tokens": end.source.cut_tokens,
    }


def event(content: Mapping[str, Any] | str) -> str:
    r"""One event of a stream.

    >>> event("[DONE]")
    'data: [DONE]\n\n'
    """
    return f"data: {content if isinstance(content, str) else json.dumps(content)}\n\n"


def _named(token: str, score: float) -> dict[str, Any]:
    return {"token": token, "logprob": _finite(score), "bytes": list(token.removesuffix(CONTINUED).encode())}


def _finite(score: float) -> float:
    return max(score, LOWEST_LOGPROB)


def _no_usage(asked: ReplyRequest) -> dict[str, Any]:
    """In a stream whose usage comes at the end, every event before has null in its place."""
    return {"usage": None} if asked.include_usage else {}
