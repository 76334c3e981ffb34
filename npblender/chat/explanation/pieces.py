"""A text's pieces with every merge, and a tokenizer that cuts text in another dialect's way."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from npblender.common.printable import shown
from npblender.config.dialect import Dialect
from npblender.tokenizer import BlenderbotSmallTokenizer
from npblender.tokenizer.bpe import Merge


@dataclass(frozen=True)
class Piece:
    """One piece of a text, and how it became ids."""

    piece: str  # as it was cut out of the text
    word: str  # as the merges take it: lower case, a line break as its word
    merges: tuple[Merge, ...]
    tokens: tuple[str, ...]
    ids: tuple[int, ...]


def pieces_of(tokenizer: BlenderbotSmallTokenizer, text: str, *, typed: bool = False) -> tuple[Piece, ...]:
    """Cut a text into pieces and merges each; with `typed` nothing in it becomes a special token.

    >>> [(each.piece, each.tokens, len(each.merges)) for each in pieces_of(tokenizer, "Lower!")]
    [('lower', ('low@@', 'er'), 3), ('!', ('!',), 0)]
    """
    steps = tokenizer.explain(text, split_special_tokens=True if typed else None)
    return tuple(Piece(step.piece, step.word, tuple(step.merges), step.tokens, step.ids) for step in steps)


def special_piece(tokenizer: BlenderbotSmallTokenizer, index: int) -> Piece:
    """Make the piece of a token that no text was cut for, such as a separator.

    >>> special_piece(tokenizer, 4).piece
    '__newln__'
    """
    (token,) = tokens_of(tokenizer, [index])
    return Piece(token, token, (), (token,), (index,))


def last_pieces(pieces: Iterable[Piece], count: int) -> tuple[Piece, ...]:
    """Keep the pieces of the last `count` ids; one that is cut keeps its last tokens, and no merges.

    >>> pieces = pieces_of(tokenizer, "low lower")
    >>> [each.tokens for each in last_pieces(pieces, 2)], [each.tokens for each in last_pieces(pieces, 1)]
    ([('low@@', 'er')], [('er',)])
    """
    kept: list[Piece] = []
    for piece in reversed(list(pieces)):
        if count <= 0:
            break
        if len(piece.ids) > count:
            piece = Piece(piece.piece, piece.word, (), piece.tokens[-count:], piece.ids[-count:])
        kept.append(piece)
        count -= len(piece.ids)
    return tuple(reversed(kept))


def tokens_of(tokenizer: BlenderbotSmallTokenizer, ids: Sequence[int]) -> tuple[str, ...]:
    """Look up what tokens are called."""
    return tuple(tokenizer.convert_ids_to_tokens([int(each) for each in ids]))


def in_dialect(tokenizer: BlenderbotSmallTokenizer, dialect: Dialect) -> BlenderbotSmallTokenizer:
    """Return the same tokenizer with text cut in another dialect's way.

    Raises:
        ValueError: it has tokens beyond its vocabulary, and the dialect cuts none out of a text.

    >>> from npblender.config.dialect import TRANSFORMERS_5
    >>> tokenizer.tokenize("low,low"), in_dialect(tokenizer, TRANSFORMERS_5).tokenize("low,low")
    (['low', ',', 'low'], ['low', ',@@', 'low'])
    """
    if tokenizer.dialect == dialect:
        return tokenizer
    beyond = [token.content for index, token in tokenizer.codec.added.items() if index >= tokenizer.vocab_size]
    if beyond and not dialect.cut_special_tokens:
        raise ValueError(
            f"the dialect {shown(dialect.name)} cannot cut the added token {shown(beyond[0])} out of a text"
        )
    other = copy.copy(tokenizer)
    other.codec = copy.copy(tokenizer.codec)
    other.codec.dialect = dialect
    other.codec.prepare()
    return other
