"""Texts or ids to padded batches: `__call__`, `encode`, `prepare_for_model`, `pad`, `truncate_sequences`.

Names and meaning are transformers'. Options are resolved in encoding_options.py, whose table says which method reads
which, and applied in batching.py. Each method hands over its own `locals()`: the options among them are those in the
table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from npblender.tokenizer.batching import (
    BatchEncoding,
    Source,
    batch_of_rows,
    make_row,
    rows_of,
    rows_of_encodings,
    source_of,
    truncate,
)
from npblender.tokenizer.conversion import TokenConverter
from npblender.tokenizer.encoding_options import (
    ONLY_IDS,
    EncodingOptions,
    OwnSettings,
    Side,
    Truncation,
    input_names,
    options_of,
)


class BatchEncoder(TokenConverter):
    """The part of `BlenderbotSmallTokenizer` that makes batches."""

    is_fast: bool
    padding_side: Side
    truncation_side: Side
    model_max_length: int
    _warned = False

    @property
    def model_input_names(self) -> list[str]:
        """What a call returns."""
        return self._input_names

    @model_input_names.setter
    def model_input_names(self, names: list[str]) -> None:
        self._input_names = input_names(names)

    def __call__(
        self,
        text: Any = None,
        text_pair: Any = None,
        text_target: Any = None,
        text_pair_target: Any = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        split_special_tokens: bool | None = None,
    ) -> BatchEncoding:
        """Encode texts: return exactly `input_ids` and `attention_mask` unless more is asked for.

        Args:
            text: a string; a list of strings, a batch; a pair as a tuple within a batch. Lists of ids are taken too.
            text_pair: second texts, appended to the first; one for one, or a batch for a batch.
            text_target: texts that become `labels`, or the whole result where there is no `text`.
            text_pair_target: their seconds.
            add_special_tokens: this tokenizer adds none, so both values give the same.
            padding: True or "longest"; "max_length"; False or "do_not_pad".
            truncation: True or "longest_first"; "only_first"; "only_second"; False or "do_not_truncate".
            max_length: tokens to truncate or pad to; without it the tokenizer's `model_max_length`.
            stride: how many tokens the overflow and the part that is kept share.
            is_split_into_words: the strings of a list are the words of one text.
            pad_to_multiple_of: round the padded length up.
            padding_side: "left" or "right", instead of the tokenizer's own.
            return_tensors: "np" for int64 arrays [B, S]; None for lists.
            return_token_type_ids: 0 for a first text, 1 for a second.
            return_attention_mask: False leaves it out.
            return_overflowing_tokens: also what truncation took, and how much.
            return_special_tokens_mask: 1 at pads; this tokenizer adds no other special tokens.
            return_offsets_mapping: also `offset_mapping`, the span of each token in its text, in characters; the
                result then has `word_ids`, `char_to_token` and their relatives (see offsets.py).
            return_length: the number of tokens before padding.
            verbose: whether the first text that is longer than `model_max_length` and not cut is logged as a warning.
            split_special_tokens: encode the text as typed by a user: nothing in it becomes a special token or, unless
                it is a line break, the line break's token.

        Raises:
            TypeError, ValueError: input that is no text, or an option that makes no sense.

        >>> tokenizer(["Hello, low lower!", "low"], padding=True, return_tensors="np").input_ids
        array([[ 5,  9,  6,  7,  8, 10],
               [ 6,  0,  0,  0,  0,  0]])
        """
        given = locals()
        if text is None and text_target is None:
            raise ValueError("give text, or text_target, or both")
        if text_pair_target is not None and text_target is None:
            raise ValueError("text_pair_target needs text_target, as text_pair needs text")
        options = options_of(self._own_settings(), given)
        if text is None:
            return self._encode(text_target, text_pair_target, options)
        encoding = self._encode(text, text_pair, options)
        if verbose:
            self._warn_of_length(encoding["input_ids"], options)
        if text_target is not None:
            encoding["labels"] = self._encode(text_target, text_pair_target, options)["input_ids"]
        return encoding

    def encode(
        self,
        text: Source,
        text_pair: Source | None = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        *,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        split_special_tokens: bool | None = None,
        verbose: bool = True,
    ) -> Any:
        """Encode one text, or pair: return a list of ints, or with `return_tensors="np"` an array [1, S].

        A list of strings is read as tokens, as `tokenize` gives them, and a list of ints as ids.

        >>> tokenizer.encode("Hello, low lower!")
        [5, 9, 6, 7, 8, 10]
        """
        given = locals()
        if stride:
            raise ValueError("stride would have no effect: encode returns no overflow; call the tokenizer itself")
        options = options_of(self._own_settings(), {**given, **ONLY_IDS})
        first = self._given_ids("text", text, options)
        if verbose and text_pair is None:
            self._warn_of_length(first, options)
        if text_pair is None and options.leaves_ids_alone:
            return first  # in short what follows
        second = None if text_pair is None else self._given_ids("text_pair", text_pair, options)
        return batch_of_rows([make_row(first, second, options)], False, options, self.pad_token_id)["input_ids"]

    def encode_plus(self, text: Any, text_pair: Any = None, **options: Any) -> BatchEncoding:
        """Encode one text, or pair, as a call does: transformers 4's older name for it.

        >>> tokenizer.encode_plus("low")
        {'input_ids': [6], 'attention_mask': [1]}
        """
        return self(text, text_pair, **options)

    def batch_encode_plus(self, batch_text_or_text_pairs: Any, **options: Any) -> BatchEncoding:
        """Encode a list of texts or pairs as a call does: transformers 4's older name for it.

        >>> tokenizer.batch_encode_plus(["low"])
        {'input_ids': [[6]], 'attention_mask': [[1]]}
        """
        if isinstance(batch_text_or_text_pairs, str):
            raise TypeError("batch_encode_plus takes a list of texts or pairs; encode_plus takes one")
        return self(list(batch_text_or_text_pairs), **options)

    def prepare_for_model(
        self,
        ids: Sequence[int],
        pair_ids: Sequence[int] | None = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        prepend_batch_axis: bool = False,
    ) -> BatchEncoding:
        """Cut, pad and pack ids: what a call does after tokenizing. Options as there.

        >>> tokenizer.prepare_for_model([5, 9, 7], max_length=2)["input_ids"]
        [5, 9]
        """
        options = options_of(self._own_settings(), locals())
        row = make_row(list(ids), None if pair_ids is None else list(pair_ids), options)
        return batch_of_rows([row], False, options, self.pad_token_id, prepend_batch_axis)

    def pad(
        self,
        encoded_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Pad encodings to one length: one, a batch in one mapping, or a list of single ones.

        Arrays come back as arrays. Raises ValueError for an entry that has no padding value.

        >>> tokenizer.pad([{"input_ids": [5]}, {"input_ids": [6, 7]}])
        {'input_ids': [[5, 0], [6, 7]], 'attention_mask': [[1, 0], [1, 1]]}
        """
        given = locals()
        rows, batched, arrays = rows_of_encodings(encoded_inputs)
        if arrays and return_tensors is None:
            given = {**given, "return_tensors": "np"}
        options = options_of(self._own_settings(), given)
        if options.return_attention_mask:
            rows = [{"input_ids": (ids := row["input_ids"]), "attention_mask": [1] * len(ids), **row} for row in rows]
        return batch_of_rows(rows, batched, options, self.pad_token_id, prepend_batch_axis=False)

    def truncate_sequences(
        self,
        ids: list[int],
        pair_ids: list[int] | None = None,
        num_tokens_to_remove: int = 0,
        truncation_strategy: Truncation = "longest_first",
        stride: int = 0,
    ) -> tuple[list[int], list[int] | None, list[int]]:
        """Remove ids at the tokenizer's `truncation_side`: return first, second, and those that overflow.

        >>> tokenizer.truncate_sequences([5, 6, 7], num_tokens_to_remove=1)
        ([5, 6], None, [7])
        """
        return truncate(ids, pair_ids, num_tokens_to_remove, truncation_strategy, self.truncation_side, stride)

    @property
    def pad_token_type_id(self) -> int:
        """The padding value of `token_type_ids`."""
        return 0

    def _warn_of_length(self, ids: Any, options: EncodingOptions) -> None:
        """Log the first text that the model has no positions for, in transformers' words; once a tokenizer."""
        if self._warned or options.max_length is not None or not len(ids):
            return
        longest = max(len(row) for row in ids) if isinstance(ids[0], list | np.ndarray) else len(ids)
        if longest > self.model_max_length:
            import logging  # only for a warning: a reply starts sooner without it

            self._warned = True
            logging.getLogger("npblender").warning(
                "Token indices sequence length is longer than the specified maximum sequence length for this model "
                "(%d > %d): pass truncation=True, or a shorter text",
                longest,
                self.model_max_length,
            )

    def _encode(self, text: Any, text_pair: Any, options: EncodingOptions) -> BatchEncoding:
        if type(text) is str and text_pair is None and options.is_plain and not self.is_fast:
            ids = self.codec.encode(text, options.split_special_tokens)  # most calls: in short what follows
            return BatchEncoding({"input_ids": ids, "attention_mask": [1] * len(ids)})
        sources, batched = rows_of(text, text_pair, options.is_split_into_words)
        if options.return_offsets_mapping or self.is_fast:
            from npblender.tokenizer.offsets import encode_with_places

            return encode_with_places(self.codec, sources, batched, options, self.pad_token_id)
        ids_of = partial(self._source_ids, options=options)
        rows = [make_row(ids_of(text), None if pair is None else ids_of(pair), options) for text, pair in sources]
        return batch_of_rows(rows, batched, options, self.pad_token_id)

    def _source_ids(self, source: Source, options: EncodingOptions) -> list[int]:
        if isinstance(source, str):
            return self.codec.encode(source, options.split_special_tokens)
        ids: list[int] = []
        for part in source:
            if isinstance(part, str):
                ids.extend(self.codec.encode(part, options.split_special_tokens))
            else:
                ids.append(part)
        return ids

    def _given_ids(self, name: str, text: Any, options: EncodingOptions) -> list[int]:
        """The ids of what `encode` takes, for which a list of strings holds tokens."""
        if isinstance(text, str):
            return self.codec.encode(text, options.split_special_tokens)
        is_list = isinstance(text, list | tuple) and not options.is_split_into_words
        if is_list and any(isinstance(token, str) for token in text):
            return self.convert_tokens_to_ids(list(text))
        return self._source_ids(source_of(name, text, options.is_split_into_words), options)

    def _own_settings(self) -> OwnSettings:
        return OwnSettings(
            self.padding_side,
            self.truncation_side,
            self.model_max_length,
            tuple(self.model_input_names),
            self.split_special_tokens,
        )
