r"""Natural spacing: `i ' m fine , thanks .` -> `i'm fine, thanks.`

A decoded reply has a space around every mark. transformers' clean-up removes most of them by a list of replacements;
here they are decided word by word, so that a reply can be shown while it is generated, and quotes, brackets and numbers
are spaced as people write them. No letter is changed.
"""

from __future__ import annotations

import re

from npblender.tokenizer import BlenderbotSmallTokenizer
from npblender.tokenizer.bpe import CONTINUED
from npblender.tokenizer.pretokenize import NEWLINE

_CLOSING = tuple(".,!?;:)]}%…")  # marks without a space before them
_OPENING = frozenset("([{$#£€¥")  # marks without a space after them
_SHORT_FORMS = frozenset(["s", "t", "m", "d", "ll", "re", "ve", "em"])  # what follows an apostrophe in one word
_SHORT_BEFORE = frozenset(["o", "y", "ma", "d", "l"])  # what precedes one: o'clock, y'all, ma'am, l'oreal
_SHORTENED = frozenset(["cause", "em", "til", "till", "bout", "round", "tis", "twas", "cuz"])  # 'cause
_GLUED_FORMS = frozenset(["n't", "'m", "'s", "'ve", "'re"])  # words of a vocabulary that keeps the apostrophe
_FACES = frozenset([")", "(", "/", "*", "p", "d"])  # what makes a face of a colon before it
_LINE_BREAKS = ("\n", "__newln__")  # as the dialects decode the model's line break


class NaturalSpacing:
    r"""Decides the spaces between words while the words arrive. One object serves one text.

    `push` takes the next word and returns what can be shown by then; `close` returns the rest.

    >>> spacing = NaturalSpacing()
    >>> [spacing.push(word) for word in ("i", "'", "m", "fine", ".")], spacing.close()
    (['i', '', "'m", ' fine', '.'], '')
    """

    def __init__(self) -> None:
        self._before = ""  # the last word that was returned; "" at the beginning of a line
        self._waiting: str | None = None  # a mark whose place depends on the word after it
        self._glue = False  # no space before the next word
        self._joint = ""  # the mark inside a number whose next part comes now, or has just come
        self._open: set[str] = set()  # quotation marks that are open

    def push(self, word: str) -> str:
        """Take the next word; return the text that is decided by now."""
        shown = ""
        if self._waiting is not None:
            mark, self._waiting = self._waiting, None
            shown = self._place(mark, word)
        if self._depends(word):
            self._waiting = word
            return shown
        return shown + self._place(word, "")

    def push_all(self, stretch: str) -> list[str]:
        r"""Take the words of a stretch of text, cut at spaces; returns the pieces that can be shown, none empty.

        >>> NaturalSpacing().push_all("hi there\n !")
        ['hi', ' there', '\n', '!']
        """
        return [shown for word in re.findall(r"\n|[^\s]+", stretch) if (shown := self.push(word))]

    def close(self) -> str:
        """End the text; return the mark that was waiting for another word."""
        if self._waiting is None:
            return ""
        mark, self._waiting = self._waiting, None
        return self._place(mark, "")

    def _depends(self, word: str) -> bool:
        """Whether the place of a mark depends on the word after it."""
        return word in ("'", '"', ":", ";", "=", "/") or (word in (".", ",") and self._before[-1:].isdigit())

    def _place(self, word: str, after: str) -> str:
        """The word with the space before it, if one belongs there."""
        if word in _LINE_BREAKS:
            self._before, self._glue, self._joint = "", False, ""
            return "\n"
        close_left, close_right = self._glue, False
        joint = self._joint if self._glue else ""
        if word in ("'", '"'):
            left, close_right = self._quote(word, after)
            close_left |= left
        elif word in (":", ";", "=") and after in _FACES:
            close_right = True  # a face keeps its distance from the word before it
        elif word in (".", ",", ":", "/") and self._joins(word, after):
            close_left = close_right = True
            joint = word
        elif word.startswith(_CLOSING) or word in _GLUED_FORMS:
            close_left = True
        elif word in _OPENING:
            close_right = True
        space = "" if close_left or not self._before else " "
        self._before, self._glue, self._joint = word, close_right, joint
        return space + word

    def _quote(self, mark: str, after: str) -> tuple[bool, bool]:
        """Whether a quotation mark or apostrophe has no space before it, and none after it."""
        inside_word = mark == "'" and self._before[-1:].isalnum() and not self._glue
        if inside_word and (after in _SHORT_FORMS or self._before in _SHORT_BEFORE):
            return True, True
        if mark == "'" and (after in _SHORTENED or after.removesuffix("s").isdigit()):
            return inside_word and self._before.isdigit(), True  # 'cause, the '80s; but 5'10
        if mark in self._open:
            self._open.discard(mark)
            return True, False
        if inside_word and (self._before.endswith(("s", "in")) or not after):
            return True, False  # the dogs' food, goin' home
        self._open.add(mark)
        return False, True

    def _joins(self, mark: str, after: str) -> bool:
        """Whether a mark is inside a number, or is a slash between words."""
        if mark == "/":
            return self._before[-1:].isalnum() and after[:1].isalnum()
        digits = {",": 3, ":": 2}.get(mark, len(after))
        after_one = self._joint in ("", ",") if mark == "." else self._joint in ("", mark)
        return self._before[-1:].isdigit() and after.isdigit() and len(after) == digits and after_one


def natural_text(text: str) -> str:
    r"""Space the text of a tokenizer's `decode` as people write.

    >>> natural_text("i don ' t know . what ' s the \" best \" movie ( of 3 , 000 ) ? : )")
    'i don\'t know. what\'s the "best" movie (of 3,000)? :)'
    """
    spacing = NaturalSpacing()
    return "".join([*spacing.push_all(text), spacing.close()])


class Words:
    """Turns the tokens of one reply into text to show while they arrive: whole words only. One object serves one reply.

    Tokens are pieces of words, and where a mark goes depends on the word after it. So text comes a little later than
    tokens, and none that was shown is ever taken back.

    `push` takes the next token and returns the pieces of text that are decided by then, none of them empty; `close`
    returns the rest. Joined they are what `natural_text` makes of the whole.

    >>> words = Words(tokenizer)
    >>> [words.push(token) for token in (5, 7, 8, 10)], words.close()
    ([['hello'], [], [' lower'], ['!']], [])
    """

    def __init__(self, tokenizer: BlenderbotSmallTokenizer) -> None:
        self._tokenizer = tokenizer
        self._spacing = NaturalSpacing()
        self._begun = ""

    def push(self, token_id: int) -> list[str]:
        """Take the next token's id; special tokens add nothing."""
        pieces: list[str] = []
        for token in self._tokenizer.convert_ids_to_tokens([token_id], skip_special_tokens=True):
            if token == NEWLINE:
                pieces += self._end_word()
            piece = token.removesuffix(CONTINUED)
            self._begun += piece
            if piece == token:
                pieces += self._end_word()
        return pieces

    def close(self) -> list[str]:
        """End the reply; a word that is begun is shown as it is."""
        pieces = self._end_word()
        rest = self._spacing.close()
        return [*pieces, rest] if rest else pieces

    def _end_word(self) -> list[str]:
        word, self._begun = self._begun, ""
        return self._spacing.push_all(word)
