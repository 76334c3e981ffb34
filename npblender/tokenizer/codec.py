"""Text to ids and back by one vocabulary: cut, merge, look up; look up, join.

`TextCodec` joins the parts of this room: pre-tokenizer, merges, special tokens, vocabulary, and the way back. The
public class holds one and adds transformers' methods. A codec does not pad, truncate, batch or read files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from npblender.common.printable import shown
from npblender.config.dialect import Dialect
from npblender.tokenizer.bpe import BytePairEncoding, Merge, MergeTable
from npblender.tokenizer.pretokenize import DETOKENIZERS, NEWLINE, PRETOKENIZERS, AddedToken, SpecialTokenCutter
from npblender.tokenizer.shortcuts import PieceCache, WholeWords
from npblender.tokenizer.vocabulary import check_fit, check_merges, check_pairs, check_vocabulary

if TYPE_CHECKING:
    from npblender.tokenizer.offsets import Place


@dataclass(frozen=True)
class Explanation:
    """How one piece of a text became ids."""

    piece: str
    """The piece as it was cut."""
    word: str
    """The word that the merges take: lower case, a line break as its word."""
    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    rounds: Callable[[], Iterator[Merge]] = field(repr=False, compare=False)

    @property
    def merges(self) -> Iterator[Merge]:
        """Every merge of the word; none for a special token that was cut out whole."""
        return self.rounds()


class TextCodec:
    """Turns text into ids and back.

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
        self.ids = check_vocabulary(vocab)
        """Every token's id, ascending; added tokens that are no entries of the vocabulary come last."""
        self.vocab_size = len(vocab)
        self._by_id: list[str] = []
        if not isinstance(merges, MergeTable):
            check_pairs(merges)
        self.bpe = BytePairEncoding(merges)
        check_merges(self.bpe.table)
        self._whole_words = WholeWords(self.bpe.table)
        self.added: dict[int, AddedToken] = {}
        """Tokens that are cut out of a text whole, by id."""
        self.dialect = dialect
        self._cache_size = cache_size
        self.register(added)
        check_fit(self.ids, self.bpe.table, required)
        self.unknown = unknown
        self.prepare()

    def register(self, added: Mapping[int, AddedToken]) -> None:
        """Take added tokens in; those that are no entries yet continue the ids. Call `prepare` afterwards.

        Raises:
            ValueError: an id that is taken or leaves a gap, or a new token in a dialect that cuts none out of a text.
        """
        for index, token in sorted(added.items()):
            there = self.ids.get(token.content)
            if index != (len(self.ids) if there is None else there):
                right = f"the next free id is {len(self.ids)}" if there is None else f"the vocabulary gives it {there}"
                raise ValueError(f"the added token {shown(token.content)} has id {index}, but {right}")
            if index >= self.vocab_size and not self.dialect.cut_special_tokens:
                raise ValueError(
                    f"the token {shown(token.content)} is no entry of the vocabulary, and the dialect "
                    f"{shown(self.dialect.name)} cuts no tokens out of a text, so it could not be typed; ParlAI "
                    f"refuses such tokens too. Use a dialect that does, such as dialect='transformers-5'"
                )
            self.ids.setdefault(token.content, index)
            self.added[index] = token

    def prepare(self) -> None:
        """Derive what follows from vocabulary and added tokens, and forget every remembered piece."""
        self._unknown_id = self.ids[self.unknown]
        self._pretokenizer = PRETOKENIZERS[self.dialect.pretokenizer]
        self.join = DETOKENIZERS[self.dialect.pretokenizer]
        """Tokens -> text, in the dialect's way."""
        self._cutter = SpecialTokenCutter(self.added.values() if self.dialect.cut_special_tokens else ())
        self._protected = frozenset([NEWLINE, *(token.content for token in self.added.values())])
        self.remembered, self.remembered_split = (
            PieceCache(partial(self._ids_of_chunk, tokens_of_piece), self._cache_size)
            for tokens_of_piece in (self.tokens_of_piece, self._split_tokens_of_piece)
        )

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or another process needs: everything but what `prepare` derives."""
        derived = ("_pretokenizer", "join", "_cutter", "_protected", "remembered", "remembered_split")
        return {name: value for name, value in self.__dict__.items() if name not in derived}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.prepare()

    def tokens(self, text: str, split_special_tokens: bool) -> list[str]:
        """The tokens of a text. With `split_special_tokens` nothing in it becomes a special token."""
        cut = self._pretokenizer.cut
        if split_special_tokens:
            return list(chain.from_iterable(map(self._split_tokens_of_piece, cut(text))))
        tokens: list[str] = []
        for stretch, special in self._cutter.cut(text):
            tokens.extend(chain.from_iterable(map(self.tokens_of_piece, cut(stretch))))
            if special is not None:
                tokens.append(special)
        return tokens

    def encode(self, text: str, split_special_tokens: bool) -> list[int]:
        """The ids of `tokens`, those of each chunk of the text remembered (see shortcuts.py)."""
        chunks, ids_of = self._pretokenizer.chunk, self.remembered_split if split_special_tokens else self.remembered
        if split_special_tokens or not self._cutter.finds(text):
            return list(chain.from_iterable(map(ids_of.__getitem__, chunks(text))))
        ids: list[int] = []
        for stretch, special in self._cutter.cut(text):
            ids.extend(chain.from_iterable(map(ids_of.__getitem__, chunks(stretch))))
            if special is not None:
                ids.append(self.ids[special])
        return ids

    def _ids_of_chunk(self, tokens_of_piece: Callable[[str], tuple[str, ...]], chunk: str) -> tuple[int, ...]:
        """The ids of a chunk, which is a piece or several."""
        pieces = [chunk] if chunk.isalnum() or chunk == "\n" else self._pretokenizer.cut(chunk)
        return tuple(map(self.id_of, chain.from_iterable(map(tokens_of_piece, pieces))))

    def encode_with_places(self, text: str, split_special_tokens: bool) -> tuple[list[int], list[Place]]:
        """The ids of a text, and where each of its tokens stands in it."""
        from npblender.tokenizer.offsets import places_of_text

        return self.encode(text, split_special_tokens), places_of_text(self, text, split_special_tokens)

    def stretches(self, text: str, split_special_tokens: bool) -> Iterator[tuple[int, str, tuple[int, int] | None]]:
        """Yield the stretches between special tokens: where each begins, its text, and the token's span behind it."""
        if split_special_tokens:
            yield 0, text, None
            return
        at = 0
        for (whole, _), (stretch, special) in zip(self._cutter.found(text), self._cutter.cut(text), strict=True):
            end = at + len(whole)
            behind = None if special is None else (end, end + len(special))
            yield at + whole.index(stretch), stretch, behind
            at = end + len(special or "")

    def pieces(self, text: str) -> list[str]:
        """The pieces of a text that the merges take one by one, as they are written in it."""
        return self._pretokenizer.cut(text)

    def tokens_of_piece(self, piece: str) -> tuple[str, ...]:
        """The tokens of one piece."""
        word = self._pretokenizer.spell(piece)
        return (word,) if word in self._whole_words else self.bpe.segment(word)

    def _split_tokens_of_piece(self, piece: str) -> tuple[str, ...]:
        """The tokens of a piece, none of them special, none a line break unless the piece is one.

        The merges may make a special token of typed text. It is then taken apart by undoing merges, so
        that the typed text stays readable as far as the vocabulary allows.
        """
        parts = self.parts_of_piece(piece, split_special_tokens=True)
        if piece == "\n":
            return parts
        return tuple(self.unknown if part in self._protected else part for part in parts)

    def parts_of_piece(self, piece: str, split_special_tokens: bool) -> tuple[str, ...]:
        """The tokens of a piece as they are spelt in it: those that may not be made are not yet unknown ones."""
        tokens = self.tokens_of_piece(piece)
        if not split_special_tokens or piece == "\n" or self._protected.isdisjoint(tokens):
            return tokens

        def is_ordinary(token: str) -> bool:
            return token in self.ids and token not in self._protected

        return tuple(
            chain.from_iterable(
                self.bpe.take_apart(token, is_ordinary) if token in self._protected else (token,) for token in tokens
            )
        )

    def id_of(self, token: str) -> int:
        """The id of a token; the unknown token's for what is no entry."""
        return self.ids.get(token, self._unknown_id)

    def token_of(self, index: int) -> str:
        """The token of an id; the unknown token for a number that is none."""
        if len(self._by_id) != len(self.ids):  # the first time, or tokens were added
            self._by_id = list(self.ids)  # whose ids ascend
        return self._by_id[index] if 0 <= index < len(self._by_id) else self.unknown

    def explain(self, text: str, split_special_tokens: bool) -> Iterator[Explanation]:
        """Yield how each piece of a text becomes ids, in order."""
        tokens_of: Callable[[str], tuple[str, ...]]
        tokens_of = self._split_tokens_of_piece if split_special_tokens else self.tokens_of_piece
        stretches: Iterable[tuple[str, str | None]]
        stretches = [(text, None)] if split_special_tokens else self._cutter.cut(text)
        for stretch, special in stretches:
            for piece in self._pretokenizer.cut(stretch):
                word, tokens = self._pretokenizer.spell(piece), tokens_of(piece)
                ids = tuple(map(self.id_of, tokens))
                yield Explanation(piece, word, tokens, ids, partial(self.bpe.merges, word))
            if special is not None:
                yield Explanation(special, special, (special,), (self.ids[special],), partial(iter, ()))
