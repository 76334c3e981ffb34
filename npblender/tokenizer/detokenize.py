"""Tokens back to text, in ParlAI's way and in transformers', and the clean-up of spaces that people expect on top.

Neither undoes the cutting: case and (in transformers' way) line breaks are lost, and marks keep a space before them.
 `clean_up_tokenization` removes most of these spaces; both originals leave it off unless asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from npblender.config.dialect import Family
from npblender.tokenizer.bpe import CONTINUED
from npblender.tokenizer.pretokenize import NEWLINE


def join_parlai(tokens: Sequence[str]) -> str:
    r"""Joins tokens as ParlAI's `vec2txt` does: unfinished pieces run on, a line break is one, an open end is closed.

    >>> join_parlai(["low@@", "er", "!", "__newln__", "hel@@"])
    'lower ! \n hel'
    """
    text = " ".join(tokens).replace(CONTINUED + " ", "")
    return text.removesuffix(CONTINUED).replace(NEWLINE, "\n")


def join_transformers(tokens: Sequence[str]) -> str:
    """Joins tokens as transformers' class does: unfinished pieces run on, the line break is a word, an open end stays.

    >>> join_transformers(["low@@", "er", "!", "__newln__", "hel@@"])
    'lower ! __newln__ hel@@'
    """
    return " ".join(tokens).replace(CONTINUED + " ", "").strip()


DETOKENIZERS: Mapping[Family, Callable[[Sequence[str]], str]] = {
    "parlai": join_parlai,
    "transformers": join_transformers,
}
"""The way back for each way of `Dialect.pretokenizer`."""

# transformers' own list, in its order.
_CLEAN_UPS = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)


def clean_up_tokenization(text: str) -> str:
    """Removes spaces before punctuation and English short forms, as transformers' method of this name does.

    >>> clean_up_tokenization("you should ' ve said so , did n't you ?")
    "you should've said so, didn't you?"
    """
    for spaced, tight in _CLEAN_UPS:
        text = text.replace(spaced, tight)
    return text
