r"""Text to pieces, the step before byte-pair encoding, and tokens back to text: in ParlAI's way and in transformers'.

ParlAI, which trained the model, cuts runs of word characters and single marks. transformers' class splits at white
space and before some marks, so that `(hello)` keeps its bracket glued to the word behind it. The ids of ordinary chat
differ in one turn out of ten or twenty because of it. A line break is a word of its own, `__newln__`, in both.
transformers also cuts special tokens out of the text first, wherever they are, glued to letters or not; ParlAI does not
(its dialect has `cut_special_tokens` unset).

Joining tokens does not undo the cutting: case and (in transformers' way) line breaks are lost, and marks keep a space
before them. `clean_up_tokenization` removes most of these spaces; both originals leave it off unless asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from npblender.common.printable import shown
from npblender.config.dialect import Family
from npblender.tokenizer.bpe import CONTINUED

NEWLINE = "__newln__"  # how a line break is spelt for the merges and in the vocabulary


@dataclass(frozen=True)
class Pretokenizer:
    r"""One way of cutting text, in two steps, so that the second is done once for each distinct piece.

    `cut` gives the pieces as they stand in the text, a line break as the piece `"\n"`; `spell` gives the word that
    the merges take for such a piece. A tokenizer remembers the ids of pieces, and spells only new ones.
    `chunk` is a quicker `cut` that may leave several pieces in one, but no line break with others: cut up, its chunks
    give the pieces.

    >>> PRETOKENIZERS["transformers"].cut("Hi!\n"), PRETOKENIZERS["transformers"].spell("Hi")
    (['Hi', '!', '\n'], 'hi')
    >>> PRETOKENIZERS["parlai"].chunk("So-so, hi!"), PRETOKENIZERS["parlai"].cut("So-so, hi!")
    (['so-so', ',', 'hi', '!'], ['so', '-', 'so', ',', 'hi', '!'])
    >>> PRETOKENIZERS["transformers"]("Hi!\n")
    ['hi', '!', '__newln__']
    """

    cut: Callable[[str], list[str]]
    spell: Callable[[str], str]
    chunk: Callable[[str], list[str]]

    def __call__(self, text: str) -> list[str]:
        return [self.spell(piece) for piece in self.cut(text)]


# Lower-casing comes first, on the whole text: a final sigma becomes another letter than one inside a word.
# `\w` is any letter, digit or underscore of Unicode; marks that combine with a letter are no word characters.
_PARLAI_PIECE = re.compile(r"\w+|\S|\n")


def _cut_parlai(text: str) -> list[str]:
    return _PARLAI_PIECE.findall(text.lower())


def _chunk_parlai(text: str) -> list[str]:
    if "\n" in text:
        return _cut_parlai(text)
    text = text.lower().replace(".", " . ").replace(",", " , ").replace("!", " ! ").replace("?", " ? ")
    return text.replace("'", " ' ").split()


def _spell_parlai(piece: str) -> str:
    return NEWLINE if piece == "\n" else piece


# What transformers' class counts as white space: Unicode's property, without the four separators U+001C to U+001F
# that Python's own `\s` adds.
SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# Its steps are: split at `\S+\n?`; put a space before each of `.,!?()` and on both sides of `'`; squeeze spaces; let
# a line break become a word. Together they cut in front of each such mark, and around the apostrophe. A line break
# counts only directly behind a word, and the apostrophe's own space swallows it.
MARKS = ".,!?()"
_TRANSFORMERS_PIECE = re.compile(rf"'|[{MARKS}][^{SPACE}{MARKS}']*|[^{SPACE}{MARKS}']+|(?<=[^{SPACE}'])\n")


def _chunk_transformers(text: str) -> list[str]:
    if text.isascii():  # where it is the same to do this first, and one word in fewer spellings is remembered
        text = text.lower()
    if not text.isprintable():  # white space that is not plain spaces
        return _TRANSFORMERS_PIECE.findall(text)
    text = text.replace(".", " .").replace(",", " ,").replace("!", " !").replace("?", " ?").replace("'", " ' ")
    return text.replace("(", " (").replace(")", " )").split()


def _spell_transformers(piece: str) -> str:
    return NEWLINE if piece == "\n" else piece.lower()


PRETOKENIZERS: Mapping[Family, Pretokenizer] = {
    "parlai": Pretokenizer(_cut_parlai, _spell_parlai, _chunk_parlai),
    "transformers": Pretokenizer(_TRANSFORMERS_PIECE.findall, _spell_transformers, _chunk_transformers),
}
"""The two ways, under the names that `Dialect.pretokenizer` takes."""


def pretokenize_parlai(text: str) -> list[str]:
    r"""Cut a text into words as ParlAI's dictionary does (`dict_lower`, `dict_tokenizer bpe`; ParlAI 1.7.2).

    Runs of letters, digits and underscores are words; every other visible character is one by itself.

    >>> pretokenize_parlai("Don't stop (now)!!\n3.14")
    ['don', "'", 't', 'stop', '(', 'now', ')', '!', '!', '__newln__', '3', '.', '14']
    """
    return PRETOKENIZERS["parlai"](text)


def pretokenize_transformers(text: str) -> list[str]:
    r"""Cut a text into words as transformers' `BlenderbotSmallTokenizer` does (4.52.4 and 5.23.0 alike).

    A mark of `.,!?()` begins a word, together with what is glued to its right; the apostrophe stands alone. A
    line break counts only where it follows a word directly, and only once; after an apostrophe it is lost.

    >>> pretokenize_transformers("Don't stop (now)!!to\n3.14")
    ['don', "'", 't', 'stop', '(now', ')', '!', '!to', '__newln__', '3', '.14']
    >>> pretokenize_transformers("one \ntwo\n\nthree'\nfour")
    ['one', 'two', '__newln__', 'three', "'", 'four']

    The tokenizer cuts special tokens out of the text before this.
    """
    return PRETOKENIZERS["transformers"](text)


def join_parlai(tokens: Sequence[str]) -> str:
    r"""Join tokens as ParlAI's `vec2txt` does: unfinished pieces run on, a line break is one, an open end is closed.

    >>> join_parlai(["low@@", "er", "!", "__newln__", "hel@@"])
    'lower ! \n hel'
    """
    text = " ".join(tokens).replace(CONTINUED + " ", "")
    return text.removesuffix(CONTINUED).replace(NEWLINE, "\n")


def join_transformers(tokens: Sequence[str]) -> str:
    """Join tokens as transformers' class does: unfinished pieces run on, the line break is a word, an open end stays.

    >>> join_transformers(["low@@", "er", "!", "__newln__", "hel@@"])
    'lower ! __newln__ hel@@'
    """
    return " ".join(tokens).replace(CONTINUED + " ", "").strip()


DETOKENIZERS: Mapping[Family, Callable[[Sequence[str]], str]] = {
    "parlai": join_parlai,
    "transformers": join_transformers,
}
"""The way back for each way of `Dialect.pretokenizer`."""

# transformers' own list, in its order: each loses its spaces.
_SPACED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


def clean_up_tokenization(text: str) -> str:
    """Remove spaces before punctuation and English short forms, as transformers' method of this name does.

    >>> clean_up_tokenization("you should ' ve said so , did n't you ?")
    "you should've said so, didn't you?"
    """
    for spaced in _SPACED:
        text = text.replace(spaced, spaced.strip())
    return text


SPECIAL_TOKEN_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
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
    special: bool = False
    """Left out by `skip_special_tokens`; tokens with a name always are."""

    def __str__(self) -> str:
        return self.content


def as_added_token(name: str, value: Any) -> AddedToken:
    """Read a special token as code or a JSON file gives it: a string, a record, or its fields.

    Raises:
        TypeError, ValueError: anything else, or an empty token, or a field that does not exist.

    >>> as_added_token("pad_token", {"content": "__null__", "lstrip": False, "__type": "AddedToken"}).content
    '__null__'
    """
    if isinstance(value, AddedToken):
        token = value
    elif isinstance(value, str):
        token = AddedToken(value, special=True)
    elif isinstance(value, Mapping):
        own = {key: entry for key, entry in value.items() if key not in ("__type", "id")}
        known = {field.name: str(field.type) for field in fields(AddedToken)}
        if "content" not in own or not set(own) <= set(known):
            raise ValueError(f"{name} has the fields {shown(sorted(own))}; an added token has {', '.join(known)}")
        wrong = [key for key, entry in own.items() if type(entry).__name__ != known[key]]
        if wrong:
            raise TypeError(f"{name} has {wrong[0]} = {shown(own[wrong[0]])}, which must be a {known[wrong[0]]}")
        token = AddedToken(**{"special": True, **own})
    else:
        raise TypeError(f"{name} must be a string or an AddedToken, not {shown(value)}")
    if not token.content:
        raise ValueError(f"{name} is empty")
    if token.single_word:
        raise ValueError(f"{name} {shown(token.content)} has single_word=True, which is not covered; leave it false")
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
        self._pattern = re.compile(f"({'|'.join(map(re.escape, longest_first))})") if longest_first else None
        self._plain = not any(t.lstrip or t.rstrip for t in self._tokens.values())

    def finds(self, text: str) -> bool:
        """Whether there is anything to cut out.

        >>> SpecialTokenCutter([AddedToken("__start__")]).finds("__start_")
        False
        """
        return self._pattern is not None and self._pattern.search(text) is not None

    def cut(self, text: str) -> list[tuple[str, str | None]]:
        """The text as stretches, each with the token behind it; the last stretch has none."""
        stretches = self.found(text)
        return stretches if self._plain else self._strip_surroundings(stretches)

    def found(self, text: str) -> list[tuple[str, str | None]]:
        """The same with every character of the text, also the white space that a token takes along."""
        if self._pattern is None:
            return [(text, None)]
        parts = self._pattern.split(text)  # by turns what is between tokens, and a token
        return list(zip(parts[::2], [*parts[1::2], None], strict=True))

    def _strip_surroundings(self, stretches: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
        """Remove the white space that `lstrip` and `rstrip` tokens take with them."""
        texts = [text for text, _ in stretches]
        tokens = [self._tokens[name] for _, name in stretches if name is not None]
        for at, token in enumerate(tokens):
            if token.rstrip:
                texts[at + 1] = texts[at + 1].lstrip()
            if token.lstrip:
                texts[at] = texts[at].rstrip()
        return list(zip(texts, [*(token.content for token in tokens), None], strict=True))
