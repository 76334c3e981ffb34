"""Where each token stands in its text: its span and its word, as in transformers' fast classes.

A span counts the characters of the text as it was given, although letters are made lower case first: `İ` becomes two
characters, and both stand where it stood. The tokens of a line break share its span. A word is a piece as the dialect
cuts it, or with `is_split_into_words` one string of the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from npblender.tokenizer.batching import BatchEncoding, Source, batch_of_rows, make_row, pad_row, truncate
from npblender.tokenizer.bpe import CONTINUED
from npblender.tokenizer.encoding_options import EncodingOptions

if TYPE_CHECKING:
    from npblender.tokenizer.codec import TextCodec


class Place(NamedTuple):
    """Where one token stands."""

    start: int
    end: int
    word: int | None  # the index of its word; None for an id that was given as one
    sequence: int = 0  # 0 in a first text, 1 in a second


def places_of_text(codec: TextCodec, text: str, split_special_tokens: bool) -> list[Place]:
    """Find the place of each token of `codec.encode`.

    >>> from npblender.tokenizer.example import example_tokenizer
    >>> [place[:3] for place in places_of_text(example_tokenizer().codec, "Hello,  lower", False)]
    [(0, 5, 0), (5, 6, 1), (8, 11, 2), (11, 13, 2)]
    """
    places: list[Place] = []
    word = 0
    for start, stretch, special in codec.stretches(text, split_special_tokens):
        lowers_first = codec.dialect.pretokenizer == "parlai"
        looked_in = stretch.lower() if lowers_first else stretch
        where = _origins(stretch) if lowers_first else range(len(stretch))
        at = 0
        for piece in codec.pieces(stretch):
            at = looked_in.index(piece, at)
            origins = where[at : at + len(piece)]
            places += _places_in_piece(codec, piece, [start + origin for origin in origins], word, split_special_tokens)
            at, word = at + len(piece), word + 1
        if special is not None:
            places.append(Place(*special, word))
            word += 1
    return places


def _origins(text: str) -> Sequence[int]:
    """For each character of the text in lower case the place of the one that it was made of."""
    if len(text.lower()) == len(text):
        return range(len(text))
    return [at for at, character in enumerate(text) for _ in character.lower()]


def _places_in_piece(codec: TextCodec, piece: str, origins: list[int], word: int, split: bool) -> list[Place]:
    parts = codec.parts_of_piece(piece, split)
    if piece == "\n":
        return [Place(origins[0], origins[0] + 1, word)] * len(parts)
    spelt = [origins[at] for at in _origins(piece)]  # in transformers' way each piece is made lower case by itself
    places: list[Place] = []
    first = 0
    for part in parts:
        size = len(part)
        if len(places) < len(parts) - 1:
            size -= len(CONTINUED)
        places.append(Place(spelt[first], spelt[first + size - 1] + 1, word))
        first += size
    assert first == len(spelt), "the parts of a word are the word"
    return places


class PlacedEncoding(BatchEncoding):
    """An encoding that knows where its tokens stand, with the methods of transformers' for that."""

    def __init__(self, data: dict[str, Any] | None = None, places: Sequence[Sequence[Place | None]] = ()) -> None:
        super().__init__(data)
        self._places = places

    is_fast = True

    def _row(self, batch_index: int) -> Sequence[Place | None]:
        if not -len(self._places) <= batch_index < len(self._places):
            raise IndexError(f"batch_index {batch_index}: there are {len(self._places)} texts")
        return self._places[batch_index]

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """List the word of each token, None at pads.

        >>> tokenizer("Hello, lower", return_offsets_mapping=True).word_ids()
        [0, 1, 2, 2]
        """
        return [None if place is None else place.word for place in self._row(batch_index)]

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """List 0 for each token of a first text, 1 for each of a second, None at pads."""
        return [None if place is None else place.sequence for place in self._row(batch_index)]

    def char_to_token(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """Find the token that holds a character of the text, the first if there are several; None in white space.

        >>> tokenizer("Hello, lower", return_offsets_mapping=True).char_to_token(11)
        3
        """
        row, char = (0, batch_or_char_index) if char_index is None else (batch_or_char_index, char_index)
        for at, place in enumerate(self._row(row)):
            if place is not None and place.sequence == sequence_index and place.start <= char < place.end:
                return at
        return None

    def token_to_chars(self, batch_or_token_index: int, token_index: int | None = None) -> tuple[int, int] | None:
        """Return the span of a token, None for a pad.

        >>> tokenizer("Hello, lower", return_offsets_mapping=True).token_to_chars(3)
        (10, 12)
        """
        place = self._place(batch_or_token_index, token_index)
        return None if place is None else (place.start, place.end)

    def token_to_word(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """Return the word of a token, None for a pad."""
        place = self._place(batch_or_token_index, token_index)
        return None if place is None else place.word

    def _place(self, batch_or_token_index: int, token_index: int | None) -> Place | None:
        row, at = (0, batch_or_token_index) if token_index is None else (batch_or_token_index, token_index)
        return self._row(row)[at]

    def word_to_tokens(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> tuple[int, int] | None:
        """Return the first token of a word and the one behind its last, as a pair; None where it has none.

        >>> tokenizer("Hello, lower", return_offsets_mapping=True).word_to_tokens(2)
        (2, 4)
        """
        row, word = (0, batch_or_word_index) if word_index is None else (batch_or_word_index, word_index)
        tokens = [
            at
            for at, place in enumerate(self._row(row))
            if place is not None and (place.sequence, place.word) == (sequence_index, word)
        ]
        return (tokens[0], tokens[-1] + 1) if tokens else None


def encode_with_places(
    codec: TextCodec,
    sources: Sequence[tuple[Source, Source | None]],
    batched: bool,
    options: EncodingOptions,
    pad_id: int | None,
) -> PlacedEncoding:
    """Encode texts as a call does, and keep the place of each token through truncation and padding."""
    rows, places = [], []
    for first, second in sources:
        ids, here = _placed(codec, first, 0, options.split_special_tokens)
        pair_ids, there = (None, None) if second is None else _placed(codec, second, 1, options.split_special_tokens)
        row = make_row(ids, pair_ids, options)
        excess = len(ids) + len(pair_ids or ()) - len(row["input_ids"])
        left, right, _ = truncate(here, there, excess, options.truncation, options.truncation_side)
        kept = left + (right or [])
        if options.return_offsets_mapping:
            row["offset_mapping"] = [(place.start, place.end) for place in kept]
        rows.append(row)
        places.append(kept)
    encoding = batch_of_rows(rows, batched, options, pad_id)
    if not rows and options.return_offsets_mapping:
        encoding["offset_mapping"] = encoding["input_ids"]
    made = encoding["input_ids"]
    # One text is a list of ids; with a tensor, or a batch, the ids are rows.
    lengths = [len(row) for row in made] if batched or options.return_tensors else [len(made)]
    padded = [pad_row(kept, size, None, options.padding_side) for kept, size in zip(places, lengths, strict=True)]
    return PlacedEncoding(encoding.data, padded)


def _placed(codec: TextCodec, source: Source, sequence: int, split: bool) -> tuple[list[int], list[Place]]:
    """The ids of one text with their places."""
    if isinstance(source, str):
        ids, places = codec.encode_with_places(source, split)
        return ids, [place._replace(sequence=sequence) for place in places]
    ids, places = list[int](), list[Place]()
    parts: list[str | int] = [*source]
    for word, part in enumerate(parts):
        if isinstance(part, str):
            new, found = codec.encode_with_places(part, split)
            ids += new
            places += [Place(place.start, place.end, word, sequence) for place in found]
        else:
            ids.append(part)
            places.append(Place(0, 0, None, sequence))
    return ids, places
