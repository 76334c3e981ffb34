"""A reply as a client gets it: text piece by piece, ended by the client's own stop texts, with log-probabilities.

    ids of a search -> ReplyText.push -> pieces of text, each with the tokens that were chosen for it
One object serves one reply, whether its tokens come one by one or all at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from npblender.chat.spacing import Words
from npblender.common.array_types import Array
from npblender.generation.logits.top_k import top_k
from npblender.tokenizer import BlenderbotSmallTokenizer


@dataclass(frozen=True)
class TokenScore:
    """A token of a reply with its log-probability, and the most probable ones in its place."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Piece:
    """Text that is certain, and the tokens that were chosen since the last piece."""

    text: str
    tokens: tuple[TokenScore, ...] = ()


class StopText:
    """Lets text through up to where one of some texts begins; what may be the beginning of one waits.

    >>> stop = StopText(["friend"])
    >>> stop.push("hello fr"), stop.push("om a fri"), stop.push("end!"), stop.is_over
    ('hello ', 'from a ', '', True)
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._waiting = ""
        self.is_over = False

    def push(self, text: str) -> str:
        """Take more text; returns what can be shown."""
        if self.is_over:
            return ""
        text = self._waiting + text
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.is_over, self._waiting = True, ""
            return text[: min(places)]
        kept = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._waiting = text[len(text) - kept :]
        return text[: len(text) - kept]

    def close(self) -> str:
        """End the text; what has waited is no stop."""
        text, self._waiting = self._waiting, ""
        return text


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of a text are the beginning of another.

    >>> _overlap("say frien", "friend")
    5
    """
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if stop.startswith(text[-size:])), 0)


class ReplyText:
    """One reply on its way to a client."""

    def __init__(self, tokenizer: BlenderbotSmallTokenizer, stops: Sequence[str], top: int | None) -> None:
        self._tokenizer = tokenizer
        self._words = Words(tokenizer)
        self._stop = StopText(stops)
        self._top = top
        self._special = set(tokenizer.all_special_ids)
        self._scores: list[TokenScore] = []  # of the tokens since the last piece
        self.tokens = 0
        """How many tokens the reply has, special ones left out."""

    @property
    def is_over(self) -> bool:
        """Whether a stop text has come."""
        return self._stop.is_over

    def push(self, token_id: int, log_probs: Array | None = None) -> Piece | None:
        """Take the next token, with the log-probabilities [V] that it was chosen by; returns the text that is certain.

        Special tokens are passed over.
        """
        if token_id in self._special or self.is_over:
            return None
        self.tokens += 1
        if self._top is not None and log_probs is not None:
            self._scores.append(token_score(self._tokenizer, token_id, log_probs, self._top))
        text = "".join(self._stop.push(piece) for piece in self._words.push(token_id))
        return self._piece(text) if text else None

    def close(self) -> Piece | None:
        """End the reply; returns the rest, with the tokens that no text has come for."""
        rest = "".join(self._stop.push(piece) for piece in self._words.close()) + self._stop.close()
        return self._piece(rest) if rest or self._scores else None

    def _piece(self, text: str) -> Piece:
        tokens, self._scores = tuple(self._scores), []
        return Piece(text, tokens)


def token_score(tokenizer: BlenderbotSmallTokenizer, token_id: int, log_probs: Array, top: int) -> TokenScore:
    """The record of a token that was chosen, [V]: its own log-probability and the `top` best."""
    best, places = top_k(log_probs, min(top, len(log_probs))) if top else (np.empty(0), np.empty(0, np.int64))
    names = tokenizer.convert_ids_to_tokens([token_id, *map(int, places)])
    others = tuple(zip(names[1:], map(float, best), strict=True))
    return TokenScore(names[0], float(log_probs[token_id]), others)
