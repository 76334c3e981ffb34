r"""Words and phrases that are never generated: a logits processor that knows how tokens spell words.

A list of forbidden token sequences (`bad_words_ids`) excludes a word in one spelling, and a vocabulary of pieces spells
most words in hundreds of ways: `h@@ ello`, `he@@ l@@ lo`. This one compares the text that a row has spelt so far, so it
covers every spelling, and no other word: with `ass` on the list, `class` can still be generated.

It knows no inflections (`ass` does not cover `asses`: list both) and no look-alikes, and a mark between two words of a
phrase makes it another phrase. A word that is unfinished when a reply reaches its length limit stays.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from npblender.common.array_types import Array, Ids
from npblender.common.checks import lines_of
from npblender.common.printable import shown
from npblender.tokenizer import BlenderbotSmallTokenizer
from npblender.tokenizer.bpe import CONTINUED
from npblender.tokenizer.pretokenize import NEWLINE

_WORD = re.compile(r"\w+|[^\w\s]|\n")  # one word of a shown text: ParlAI's own cut


def read_phrases(text: str) -> tuple[str, ...]:
    r"""Read the phrases of a block file: one a line, empty lines and lines that begin with `#` left out.

    >>> read_phrases("# not here\ndarn\n\nHeck no\n")
    ('darn', 'Heck no')
    """
    lines = (line.strip() for line in text.split("\n"))
    return tuple(line for line in lines if line and not line.startswith("#"))


class BlockList:
    """Keeps phrases from being generated; pass it to `generate` in `logits_processor`.

    Called as `block(ids [R, L], scores [R, V])`; returns scores in which every token that would complete a phrase is
    -inf. Case is ignored. It holds data only, so it can be sent to other processes.

    Args:
        phrases: words or phrases as they are displayed.
        tokenizer: the one whose ids are generated.

    Raises:
        TypeError, ValueError: a phrase that is no string, or has no word in it.

    >>> block = BlockList(["lower", "hello !"], tokenizer)
    >>> ids = np.array([tokenizer.convert_tokens_to_ids(["__start__", "low", "low@@"])])
    >>> scores = block(ids, np.zeros((1, len(tokenizer))))
    >>> [tokenizer.convert_ids_to_tokens(int(i)) for i in np.flatnonzero(np.isneginf(scores[0]))]
    ['er']
    """

    def __init__(self, phrases: str | Iterable[str], tokenizer: BlenderbotSmallTokenizer) -> None:
        self.phrases: tuple[str, ...] = lines_of("the block list", phrases)
        vocabulary = tokenizer.get_vocab()
        special = set(tokenizer.all_special_ids)
        self._spelling = [""] * len(vocabulary)  # the text that a token adds
        closers: list[int] = []  # tokens that end a word although its last piece was to be continued
        self._spelt_by: dict[str, list[int]] = defaultdict(list)  # tokens that end a word with this text
        self._holding: dict[str, list[int]] = defaultdict(list)  # tokens of several words, in no published file
        for token, token_id in vocabulary.items():
            text = token.removesuffix(CONTINUED)
            continued = token != text
            shown = "\n" if token == NEWLINE else text
            self._spelling[token_id] = "" if token_id in special else shown if continued else shown + " "
            if token_id in special or not _carries_on(shown):
                closers.append(token_id)
            if token_id not in special and (not continued or not _carries_on(shown)):
                self._spelt_by[shown].append(token_id)
            parts = _WORD.findall(shown)
            if len(parts) > 1 and token_id not in special:
                for part in set(parts):
                    self._holding[part].append(token_id)
        self._closers = np.array(sorted(closers), np.int64)
        # By the spelt part of the last word: the words that must come before it, and the tokens then forbidden.
        self._forbidden: dict[str, list[tuple[tuple[str, ...], Ids]]] = defaultdict(list)
        self._marks: list[tuple[tuple[str, ...], Ids]] = []
        self._always: list[int] = []
        self._longest = 0
        for phrase in self.phrases:
            self._add(phrase)

    def _add(self, phrase: str) -> None:
        words = _WORD.findall(phrase.lower())
        if not words:
            raise ValueError(f"the block list holds {shown(phrase)}, which is no word")
        *before, last = words
        self._longest = max(self._longest, len(words))
        self._always.extend(self._holding.get(last, ()))
        if not _carries_on(last):  # a mark is a word by itself, whatever was begun before it
            self._marks.append((tuple(before), np.array(self._spelt_by.get(last, []), np.int64)))
            return
        for length in range(len(last) + 1):
            tokens = self._closers if length == len(last) else np.array(self._spelt_by.get(last[length:], []), np.int64)
            if len(tokens):
                self._forbidden[last[:length]].append((tuple(before), tokens))

    def __call__(self, ids: Ids, scores: Array) -> Array:
        """Return scores [R, V] with the forbidden tokens at -inf; `scores` itself is not changed."""
        blocked = scores.copy()
        blocked[:, self._always] = -np.inf
        for row, tokens in enumerate(ids.tolist()):
            words, begun = self._words(tokens)
            for before, forbidden in self._forbidden.get(begun, ()):
                if _ends_with(words, before):
                    blocked[row, forbidden] = -np.inf
            for before, forbidden in self._marks:
                if _ends_with([*words, begun] if begun else words, before):
                    blocked[row, forbidden] = -np.inf
        return blocked

    def _words(self, tokens: Sequence[int]) -> tuple[list[str], str]:
        """The last whole words that tokens spell, and the spelt part of the next one."""
        parts: list[str] = []
        whole = 0
        for token in reversed(tokens):
            part = self._spelling[token] if token < len(self._spelling) else ""
            whole += part.endswith(" ")
            if whole >= self._longest:  # as many whole words as a phrase has before its last one
                break
            parts.append(part)
        text = "".join(reversed(parts))
        words = _WORD.findall(text)
        if words and not text.endswith(" ") and _carries_on(words[-1]):
            return words[:-1], words[-1]
        return words, ""


def _ends_with(words: Sequence[str], ending: tuple[str, ...]) -> bool:
    return len(ending) <= len(words) and tuple(words[len(words) - len(ending) :]) == ending


def _carries_on(text: str) -> bool:
    """Whether a piece continues a word rather than ending it."""
    return text[:1].isalnum() or text[:1] == "_"
