"""Text to ids and back by one vocabulary: the tokenizer without its public face.

`TextCodec` joins the pieces of this package: pre-tokenizer, merges, special tokens, vocabulary, and the way back. It
does NOT pad, truncate, batch or read files, and it checks only that the parts fit together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, repeat
from typing import Any

from npblender.config.dialect import Dialect
from npblender.tokenizer.bpe import BytePairEncoding, Merge
from npblender.tokenizer.detokenize import DETOKENIZERS
from npblender.tokenizer.merge_table import MergeTable
from npblender.tokenizer.piece_cache import PieceCache
from npblender.tokenizer.pretokenize import NEWLINE, PRETOKENIZERS
from npblender.tokenizer.special_tokens import AddedToken, SpecialTokenCutter
from npblender.tokenizer.vocabulary import check_fit, check_merges, check_pairs, check_vocabulary


@dataclass(frozen=True)
class Explanation:
    """How one piece of a text became ids."""

    piece: str
    """The piece as it was cut."""
    word: str
    """What the merges saw: lower case, a line break as its word."""
    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    rounds: Callable[[], Iterator[Merge]] = field(repr=False, compare=False)

    @property
    def merges(self) -> Iterator[Merge]:
        """Every merge that the word went through; none for a special token that was cut out whole."""
        return self.rounds()


class TextCodec:
    """See `BlenderbotSmallTokenizer`, which is this class with a public face.

    Args:
        vocab: token to id, ids 0 to V - 1.
        merges: pairs of symbols in the order of learning, or the table of a file's.
        required: special tokens that the vocabulary must have.
        unknown: the one of them that stands for everything the vocabulary lacks.
        added: tokens that are never cut apart, by id; those beyond the vocabulary follow it without a gap.
        dialect: says how text is cut, and whether added tokens are cut out of it.
        cache_size: how many distinct pieces are remembered before the older half is forgotten.
    """

    def __init__(
        self,
        vocab: Mapping[str, int],
        merges: Sequence[tuple[str, str]] | MergeTable,
        *,
        required: Sequence[str],
        unknown: str,
        added: Mapping[int, AddedToken],
        dialect: Dialect,
        cache_size: int,
    ) -> None:
        self._ids = check_vocabulary(vocab)
        self._by_id: list[str] = []
        if not isinstance(merges, MergeTable):
            check_pairs(merges)
        self._bpe = BytePairEncoding(merges)
        check_merges(self._bpe.table)
        self._vocab_size = len(vocab)
        self._added: dict[int, AddedToken] = {}
        self._dialect = dialect
        self._cache_size = cache_size
        self._register(added)
        check_fit(self._ids, self._bpe.table, required)
        self._unknown = unknown
        self._prepare()

    def _register(self, added: Mapping[int, AddedToken]) -> None:
        """Take added tokens in; those that are no entries yet continue the ids."""
        for index, token in sorted(added.items()):
            size = len(self._ids)
            if self._ids.get(token.content, size) != index:
                there = self._ids.get(token.content)
                raise ValueError(
                    f"the added token {token.content!r} has id {index}, but "
                    + (f"the vocabulary gives it {there}" if there is not None else f"the next free id is {size}")
                )
            if index >= self._vocab_size and not self._dialect.cut_special_tokens:
                raise ValueError(
                    f"the token {token.content!r} is no entry of the vocabulary, and the dialect "
                    f"{self._dialect.name!r} cuts no tokens out of a text, so it could not be typed; ParlAI refuses "
                    f"such tokens too. Use a dialect that does, such as dialect='transformers-5'"
                )
            self._ids.setdefault(token.content, index)
            self._added[index] = token

    def _prepare(self) -> None:
        """Derive what follows from vocabulary and added tokens, and forget every remembered piece."""
        self._unknown_id = self._ids[self._unknown]
        self._pretokenizer = PRETOKENIZERS[self._dialect.pretokenizer]
        self._join = DETOKENIZERS[self._dialect.pretokenizer]
        self._cutter = SpecialTokenCutter(self._added.values() if self._dialect.cut_special_tokens else ())
        self._protected = frozenset([NEWLINE, *(token.content for token in self._added.values())])
        self._ids_of = PieceCache(self._ids_of_chunk, self._cache_size)
        self._split_ids_of = PieceCache(self._split_ids_of_chunk, self._cache_size)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or another process needs: everything but what `_prepare` derives."""
        state = self.__dict__.copy()
        for name in ("_pretokenizer", "_join", "_cutter", "_ids_of", "_split_ids_of", "_protected"):
            del state[name]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()

    def _text_to_ids(self, text: str, split_special_tokens: bool) -> list[int]:
        ids_of = self._split_ids_of if split_special_tokens else self._ids_of
        if split_special_tokens or not self._cutter.finds(text):
            return list(chain.from_iterable(map(ids_of.__getitem__, self._pretokenizer.chunk(text))))
        ids: list[int] = []
        for stretch, special in self._cutter.cut(text):
            ids.extend(chain.from_iterable(map(ids_of.__getitem__, self._pretokenizer.chunk(stretch))))
            if special is not None:
                ids.append(self._ids[special])
        return ids

    def _text_to_tokens(self, text: str, split_special_tokens: bool) -> list[str]:
        cut = self._pretokenizer.cut
        if split_special_tokens:
            return list(chain.from_iterable(map(self._split_tokens_of_piece, cut(text))))
        tokens: list[str] = []
        for stretch, special in self._cutter.cut(text):
            tokens.extend(chain.from_iterable(map(self._tokens_of_piece, cut(stretch))))
            if special is not None:
                tokens.append(special)
        return tokens

    def _tokens_of_piece(self, piece: str) -> tuple[str, ...]:
        return self._bpe.segment(self._pretokenizer.spell(piece))

    def _ids_of_chunk(self, chunk: str) -> tuple[int, ...]:
        if chunk.isalnum() or chunk == "\n":  # a piece
            word = self._pretokenizer.spell(chunk)
            if self._bpe.is_whole(word):
                return (self._ids.get(word, self._unknown_id),)
            return tuple(map(self._ids.get, self._bpe.segment_by_rounds(word), repeat(self._unknown_id)))
        tokens = chain.from_iterable(map(self._tokens_of_piece, self._pretokenizer.cut(chunk)))
        return tuple(map(self._id_of, tokens))

    def _split_tokens_of_piece(self, piece: str) -> tuple[str, ...]:
        """The tokens of a piece, none of them special, none a line break unless the piece is one.

        The merges may well put a special token together again when somebody has typed it. It is then taken apart by
        undoing merges, so that what was typed stays readable as far as the vocabulary allows.
        """
        tokens = self._tokens_of_piece(piece)
        if piece == "\n" or self._protected.isdisjoint(tokens):
            return tokens
        parts = chain.from_iterable(
            self._bpe.take_apart(token, self._is_ordinary) if token in self._protected else (token,) for token in tokens
        )
        return tuple(self._unknown if part in self._protected else part for part in parts)

    def _is_ordinary(self, token: str) -> bool:
        return token in self._ids and token not in self._protected

    def _split_ids_of_chunk(self, chunk: str) -> tuple[int, ...]:
        pieces = [chunk] if chunk == "\n" else self._pretokenizer.cut(chunk)
        return tuple(map(self._id_of, chain.from_iterable(map(self._split_tokens_of_piece, pieces))))

    def _id_of(self, token: str) -> int:
        return self._ids.get(token, self._unknown_id)

    def _token_of(self, index: int) -> str:
        if len(self._by_id) != len(self._ids):  # the first time, or tokens were added
            self._by_id = list(self._ids)  # whose ids ascend
        return self._by_id[index] if 0 <= index < len(self._by_id) else self._unknown

    def _explain(self, text: str, split_special_tokens: bool) -> Iterator[Explanation]:
        tokens_of: Callable[[str], tuple[str, ...]]
        tokens_of = self._split_tokens_of_piece if split_special_tokens else self._tokens_of_piece
        stretches: Iterable[tuple[str, str | None]]
        stretches = [(text, None)] if split_special_tokens else self._cutter.cut(text)
        for stretch, special in stretches:
            for piece in self._pretokenizer.cut(stretch):
                word, tokens = self._pretokenizer.spell(piece), tokens_of(piece)
                ids = tuple(map(self._id_of, tokens))
                yield Explanation(piece, word, tokens, ids, partial(self._bpe.merges, word))
            if special is not None:
                yield Explanation(special, special, (special,), (self._ids[special],), partial(iter, ()))
