"""Between text, tokens and ids, one sequence at a time: `tokenize`, `decode`, `convert_*` and their relatives.

Names and meaning are transformers'. Batches, padding and truncation are in encoding.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import index as as_index
from typing import Any, overload

import numpy as np

from npblender.common.checks import check_switch, lines_of, switch_or_default
from npblender.common.printable import shown
from npblender.tokenizer.bpe import Merge
from npblender.tokenizer.codec import Explanation
from npblender.tokenizer.named_tokens import NamedTokens
from npblender.tokenizer.pretokenize import clean_up_tokenization


class TokenConverter(NamedTokens):
    """The part of `BlenderbotSmallTokenizer` that works on one sequence at a time."""

    split_special_tokens: bool
    clean_up_tokenization_spaces: bool

    @property
    def vocab_size(self) -> int:
        """Entries of the vocabulary, without added tokens."""
        return self.codec.vocab_size

    def __len__(self) -> int:
        """All tokens, added ones too: the rows that an embedding needs."""
        return len(self.codec.ids)

    def get_vocab(self) -> dict[str, int]:
        """Return every token with its id, as a new dict."""
        return dict(self.codec.ids)

    @property
    def vocab(self) -> dict[str, int]:
        """Token to id, the added ones included: `get_vocab()` by the name that fast classes have for it."""
        return self.get_vocab()

    @property
    def encoder(self) -> dict[str, int]:
        """Token to id as in vocab.json, without added tokens, as in transformers' slow class.

        >>> tokenizer.encoder["low"]
        6
        """
        return {token: at for token, at in self.get_vocab().items() if at < self.vocab_size}

    @property
    def decoder(self) -> dict[int, str]:
        """Id to token as in vocab.json, without added tokens, as in transformers' slow class.

        >>> tokenizer.decoder[6]
        'low'
        """
        return {at: token for token, at in self.encoder.items()}

    def tokenize(self, text: str, *, split_special_tokens: bool | None = None) -> list[str]:
        """Split a text into tokens, unknown ones as they are spelt.

        >>> tokenizer.tokenize("Hello, LOWER! new")
        ['hello', ',', 'low@@', 'er', '!', 'ne@@', 'w']
        """
        if not isinstance(text, str):
            raise TypeError(f"tokenize takes one string, not {type(text).__name__}")
        return self.codec.tokens(text, self._splits(split_special_tokens))

    def bpe(self, token: str) -> str:
        """Join the tokens of a word with spaces: transformers' method of this name.

        >>> from npblender.tokenizer.example import example_tokenizer
        >>> example_tokenizer("transformers-5").bpe("lower!")
        'low@@ er !'
        """
        return " ".join(part for piece in self.codec.pieces(token) for part in self.codec.tokens_of_piece(piece))

    def merges(self, word: str) -> Iterator[Merge]:
        """Yield the merges that a word goes through, in order, each with the word as it is then.

        The word must be spelt as the merges take it; `explain` takes any text.

        >>> [merge.symbols for merge in tokenizer.merges("low")]
        [('lo', 'w</w>'), ('low</w>',)]
        """
        return self.codec.bpe.merges(word)

    def explain(self, text: str, *, split_special_tokens: bool | None = None) -> Iterator[Explanation]:
        """Show how a text becomes ids, piece by piece: the word, every merge, the tokens, the ids.

        >>> for step in tokenizer.explain("Lower!"):
        ...     print(step.piece, "->", *step.tokens, step.ids)
        ...     for merge in step.merges:
        ...         print("  ", merge.left, "+", merge.right, "->", *merge.symbols)
        lower -> low@@ er (7, 8)
           l + o -> lo w e r</w>
           lo + w -> low e r</w>
           e + r</w> -> low er</w>
        ! -> ! (10,)
        """
        return self.codec.explain(text, self._splits(split_special_tokens))

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int: ...
    @overload
    def convert_tokens_to_ids(self, tokens: list[str] | tuple[str, ...]) -> list[int]: ...
    def convert_tokens_to_ids(self, tokens: str | list[str] | tuple[str, ...]) -> int | list[int]:
        """Return the id of a token, or the ids of several; the unknown token's for what is no entry.

        A token that is no entry is tried in lower case, as transformers does.

        >>> tokenizer.convert_tokens_to_ids(["low@@", "HELLO", "moon"])
        [7, 5, 3]
        """
        if isinstance(tokens, str):
            return self.codec.ids[tokens] if tokens in self.codec.ids else self.codec.id_of(tokens.lower())
        wrong = [token for token in tokens if not isinstance(token, str)]
        if wrong:
            raise TypeError(f"tokens must be strings; {shown(wrong[0])} is none")
        return [self.convert_tokens_to_ids(token) for token in tokens]

    @overload
    def convert_ids_to_tokens(self, ids: int, skip_special_tokens: bool = False) -> str: ...
    @overload
    def convert_ids_to_tokens(self, ids: Iterable[int], skip_special_tokens: bool = False) -> list[str]: ...
    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> str | list[str]:
        """Return the token of an id, or the tokens of several; the unknown token for an id that is none.

        >>> tokenizer.convert_ids_to_tokens([1, 7, 8, 2, -100], skip_special_tokens=True)
        ['low@@', 'er']
        """
        given = ids.tolist() if isinstance(ids, np.ndarray | np.generic) else ids
        if isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping):
            tokens = [self.codec.token_of(_as_id(number)) for number in given]
            # By token and not by id: a number that is no id reads as the unknown token, which is special too.
            skipped = set(self.all_special_tokens) if skip_special_tokens else set()
            return [token for token in tokens if token not in skipped]
        return self.codec.token_of(_as_id(given))

    def convert_tokens_to_string(self, tokens: str | Sequence[str]) -> str:
        """Join tokens to text, in the dialect's way; a single text is one token.

        >>> tokenizer.convert_tokens_to_string(["low@@", "er", "!"])
        'lower !'
        """
        return self.codec.join(lines_of("tokens", tokens))

    def clean_up_tokenization(self, text: str) -> str:
        """Remove spaces before punctuation and in English short forms.

        >>> tokenizer.clean_up_tokenization("hello , i ' m low !")
        "hello, i'm low!"
        """
        return clean_up_tokenization(text)

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        *,
        spaces_between_special_tokens: bool = True,
    ) -> Any:
        """Turn ids into text: a string for one id or one sequence, a list of strings for several sequences.

        Args:
            token_ids: an int, a list or array of ints, or a list or array [B, S] of them.
            skip_special_tokens: leave special tokens out.
            clean_up_tokenization_spaces: remove spaces before punctuation; None takes the tokenizer's setting, which
                is off unless a file switched it on. The published decoded texts have it on.
            spaces_between_special_tokens: True, as in transformers. False, which 4.52.4's slow class reads, is refused.

        >>> tokenizer.decode([1, 5, 9, 7, 8, 10, 2])
        '__start__ hello , lower ! __end__'
        >>> tokenizer.decode([1, 5, 9, 7, 8, 10, 2], skip_special_tokens=True, clean_up_tokenization_spaces=True)
        'hello, lower!'
        """
        if not check_switch("spaces_between_special_tokens", spaces_between_special_tokens):
            raise ValueError("spaces_between_special_tokens=False is not covered: spaces join tokens; leave it out")
        given = token_ids.tolist() if isinstance(token_ids, np.ndarray | np.generic) else token_ids
        if isinstance(given, list | tuple) and any(isinstance(row, list | tuple | np.ndarray) for row in given):
            return [self.decode(row, skip_special_tokens, clean_up_tokenization_spaces) for row in given]
        tokens = self.convert_ids_to_tokens(given, skip_special_tokens)
        text = self.codec.join([tokens] if isinstance(tokens, str) else tokens)
        if clean_up_tokenization_spaces is None:
            clean_up_tokenization_spaces = self.clean_up_tokenization_spaces
        return clean_up_tokenization(text) if clean_up_tokenization_spaces else text

    def batch_decode(
        self,
        sequences: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        *,
        spaces_between_special_tokens: bool = True,
    ) -> list[str]:
        """Turn several sequences into texts, each sequence a list or an array.

        A flat sequence is refused: transformers 4 reads each of its ids as a sequence, and 5 the whole as one.

        >>> tokenizer.batch_decode([[5, 10], [6]])
        ['hello !', 'low']
        """
        rows = sequences.tolist() if isinstance(sequences, np.ndarray) else list(sequences)
        if any(not isinstance(row, list | tuple | np.ndarray) for row in rows):
            raise TypeError("batch_decode takes several sequences; decode takes one")
        spaces = spaces_between_special_tokens
        return [
            self.decode(row, skip_special_tokens, clean_up_tokenization_spaces, spaces_between_special_tokens=spaces)
            for row in rows
        ]

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return one sequence as it is, or two joined: this model's sources have no special tokens.

        >>> tokenizer.build_inputs_with_special_tokens([5], [7, 10])
        [5, 7, 10]
        """
        return list(token_ids_0) + list(token_ids_1 or ())

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Return 0: none are added."""
        return 0

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return 0 for each id of the first sequence, 1 for each of the second.

        >>> tokenizer.create_token_type_ids_from_sequences([5], [7, 10])
        [0, 1, 1]
        """
        return [0] * len(token_ids_0) + [1] * len(token_ids_1 or ())

    def get_special_tokens_mask(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None, already_has_special_tokens: bool = False
    ) -> list[int]:
        """Return 1 where a call would add a special token, which is nowhere; or 1 at each special token already there.

        >>> tokenizer.get_special_tokens_mask([1, 5, 2], already_has_special_tokens=True)
        [1, 0, 1]
        """
        if not already_has_special_tokens:
            return [0] * (len(token_ids_0) + len(token_ids_1 or ()))
        if token_ids_1 is not None:
            raise ValueError("already_has_special_tokens=True takes one sequence; join the two before")
        special = set(self.all_special_ids)
        return [int(number in special) for number in token_ids_0]

    def _splits(self, asked: bool | None) -> bool:
        return switch_or_default("split_special_tokens", asked, self.split_special_tokens)


def _as_id(number: Any) -> int:
    try:
        return as_index(number)
    except TypeError:
        raise TypeError(f"ids must be whole numbers; {shown(number)} is none") from None
