"""The objects that are sent back, in OpenAI's shapes; what is known beyond them stands under "npblender". All pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from npblender.chat.replies import details
from npblender.chat.serve.reply_text import Piece, TokenScore
from npblender.chat.serve.request_body import ReplyRequest
from npblender.chat.serve.submissions import Ended, Said
from npblender.tokenizer.bpe import CONTINUED

LOWEST_LOGPROB = -9999.0
"""What stands for a log-probability of minus infinity, which JSON cannot hold; OpenAI sends this number, too."""


@dataclass(frozen=True)
class Head:
    """What all objects of one response begin with."""

    id: str
    created: int
    model: str
    fingerprint: str  # the version and the dialect: what `system_fingerprint` says

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
    for each in choices:
        message = {"role": "assistant", "content": each.text, "refusal": None}
        listed.append(_choice(each.number, {"message": message}, chat_logprobs(asked, each.tokens), each.end))
    return {**head.begin("chat.completion"), "choices": listed, "usage": usage(choices)}


def chat_opening(head: Head, asked: ReplyRequest, number: int) -> dict[str, Any]:
    """The event that a reply of a streamed chat completion begins with."""
    delta = {"role": "assistant", "content": "", "refusal": None}
    return _event(head, asked, "chat.completion.chunk", _choice(number, {"delta": delta}, None))


def chat_event(head: Head, asked: ReplyRequest, told: Said | Ended, choice: Choice) -> dict[str, Any]:
    """One event of a streamed chat completion: a piece of a reply, or its end."""
    if isinstance(told, Said):
        shown = _choice(told.number, {"delta": {"content": told.piece.text}}, chat_logprobs(asked, told.piece.tokens))
    else:
        shown = _choice(told.number, {"delta": {}}, None, told)
    return _event(head, asked, "chat.completion.chunk", shown)


def completion_response(head: Head, asked: ReplyRequest, choices: Sequence[Choice]) -> dict[str, Any]:
    """The object of a whole completion."""
    listed = [
        _choice(each.number, {"text": each.text}, completion_logprobs(asked, each.tokens), each.end) for each in choices
    ]
    return {**head.begin("text_completion"), "choices": listed, "usage": usage(choices)}


def completion_event(head: Head, asked: ReplyRequest, told: Said | Ended, choice: Choice) -> dict[str, Any]:
    """One event of a streamed completion: a piece of a reply, or its end. `choice` has the piece already."""
    if isinstance(told, Said):
        at = tokens_length(choice.tokens) - tokens_length(told.piece.tokens)
        shown = _choice(told.number, {"text": told.piece.text}, completion_logprobs(asked, told.piece.tokens, at))
    else:
        shown = {**_choice(told.number, {"text": ""}, None), "finish_reason": told.reason}
    return _event(head, asked, "text_completion", shown)


def usage_event(head: Head, kind: str, choices: Sequence[Choice]) -> dict[str, Any]:
    """The last event of a stream whose usage was asked for: it has no choices."""
    return {**head.begin(kind), "choices": [], "usage": usage(choices)}


def _choice(number: int, content: Mapping[str, Any], logprobs: Any, end: Ended | None = None) -> dict[str, Any]:
    """An entry of `choices`; with the end of the reply, what is known of it beyond OpenAI's fields."""
    last = {"finish_reason": None} if end is None else {"finish_reason": end.reason, "npblender": beyond(end)}
    return {"index": number, **content, "logprobs": logprobs, **last}


def _event(head: Head, asked: ReplyRequest, kind: str, choice: Mapping[str, Any]) -> dict[str, Any]:
    """One event; in a stream whose usage comes at the end, every event before has null in its place."""
    return {**head.begin(kind), "choices": [choice], **({"usage": None} if asked.include_usage else {})}


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
    return details(end.candidates[end.rank], end.candidates, end.source)


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
