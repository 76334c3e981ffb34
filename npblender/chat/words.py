"""A reply as text while its tokens arrive: whole words only, spaced as people write.

Tokens are pieces of words, and where a mark goes depends on the word after it. So text comes a little later than
tokens, and none that was shown is ever taken back.
"""

from __future__ import annotations

from npblender.chat.spacing import NaturalSpacing
from npblender.tokenizer import BlenderbotSmallTokenizer
from npblender.tokenizer.bpe import CONTINUED
from npblender.tokenizer.pretokenize import NEWLINE


class Words:
    """Turns the tokens of one reply into text to show. One object serves one reply.

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
