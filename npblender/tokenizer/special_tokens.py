"""Special tokens: what they are called, and how they are cut out of a text before it is tokenized.

transformers cuts them out wherever they stand, glued to letters or not; ParlAI does not cut at all (its dialect has
`cut_special_tokens` unset).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

SPECIAL_TOKEN_NAMES = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)
"""The named special tokens, in transformers' order."""


@dataclass(frozen=True)
class AddedToken:
    """A token that is never cut apart, with what transformers' record of the same name says about its surroundings.

    >>> str(AddedToken("<turn>", lstrip=True))
    '<turn>'
    """

    content: str
    single_word: bool = False
    """Must be false: transformers' slow class applies it in a way that depends on the token's neighbours."""
    lstrip: bool = False
    """White space to its left goes with it."""
    rstrip: bool = False
    """White space to its right goes with it."""
    normalized: bool = False
    """Kept for files; this tokenizer has no normalisation that a token could be exempt from."""
    special: bool = True
    """Left out by `skip_special_tokens`."""

    def __str__(self) -> str:
        return self.content


def as_added_token(name: str, value: Any) -> AddedToken:
    """Reads a special token as code or a JSON file gives it: a string, a record, or its fields.

    Raises:
        TypeError, ValueError: anything else, or an empty token, or a field that does not exist.

    >>> as_added_token("pad_token", {"content": "__null__", "lstrip": False, "__type": "AddedToken"}).content
    '__null__'
    """
    if isinstance(value, AddedToken):
        token = value
    elif isinstance(value, str):
        token = AddedToken(value)
    elif isinstance(value, Mapping):
        own = {key: entry for key, entry in value.items() if key not in ("__type", "id")}
        known = {field.name: str(field.type) for field in fields(AddedToken)}
        if "content" not in own or not set(own) <= set(known):
            raise ValueError(f"{name} has the fields {sorted(own)}; an added token has {', '.join(known)}")
        wrong = [key for key, entry in own.items() if type(entry).__name__ != known[key]]
        if wrong:
            raise TypeError(f"{name} has {wrong[0]} = {own[wrong[0]]!r}, which must be a {known[wrong[0]]}")
        token = AddedToken(**own)
    else:
        raise TypeError(f"{name} must be a string or an AddedToken, not {value!r}")
    if not token.content:
        raise ValueError(f"{name} is empty")
    if token.single_word:
        raise ValueError(f"{name} {token.content!r} has single_word=True, which is not covered; leave it false")
    return token


class SpecialTokenCutter:
    """Finds tokens inside a text, the leftmost first and of several there the longest.

    >>> cutter = SpecialTokenCutter([AddedToken("__start__"), AddedToken("__end__")])
    >>> cutter.cut("__start__hey __end__")
    [('', '__start__'), ('hey ', '__end__'), ('', None)]
    """

    def __init__(self, tokens: Iterable[AddedToken]) -> None:
        self._tokens = {token.content: token for token in tokens}
        longest_first = sorted(self._tokens, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        self._plain = not any(t.lstrip or t.rstrip for t in self._tokens.values())

    def finds(self, text: str) -> bool:
        """Whether there is anything to cut out.

        >>> SpecialTokenCutter([AddedToken("__start__")]).finds("__start_")
        False
        """
        return self._pattern is not None and self._pattern.search(text) is not None

    def cut(self, text: str) -> list[tuple[str, str | None]]:
        """The text as stretches, each with the token behind it; the last stretch has none."""
        if self._pattern is None:
            return [(text, None)]
        stretches: list[tuple[str, str | None]] = []
        start = 0
        for found in self._pattern.finditer(text):
            stretches.append((text[start : found.start()], found.group()))
            start = found.end()
        stretches.append((text[start:], None))
        return stretches if self._plain else self._strip_surroundings(stretches)

    def _strip_surroundings(self, stretches: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
        """Removes the white space that `lstrip` and `rstrip` tokens take with them."""
        texts = [text for text, _ in stretches]
        names = [name for _, name in stretches]
        for at, name in enumerate(names):
            if name is None:
                continue
            if self._tokens[name].rstrip:
                texts[at + 1] = texts[at + 1].lstrip()
            if self._tokens[name].lstrip:
                texts[at] = texts[at].rstrip()
        return list(zip(texts, names, strict=True))
