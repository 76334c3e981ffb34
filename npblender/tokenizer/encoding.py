"""Texts or ids to padded batches: `__call__`, `encode`, `prepare_for_model`, `pad`, `truncate_sequences`.

Names and meaning are transformers'. Options are resolved in encoding_options.py and applied in batching.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from npblender.tokenizer.batching import BatchEncoding, batch_of_rows, make_row, rows_of_encodings, truncate
from npblender.tokenizer.conversion import TokenConverter
from npblender.tokenizer.encoding_options import (
    EncodingOptions,
    OwnSettings,
    Side,
    Truncation,
    remembered_options,
    resolve_options,
)
from npblender.tokenizer.text_inputs import Source, rows_of, source_of


class RowPreparer(TokenConverter):
    """A codec with settings for rows of ids. See `BlenderbotSmallTokenizer`."""

    padding_side: Side
    truncation_side: Side
    model_max_length: int
    model_input_names: list[str]

    @property
    def pad_token_type_id(self) -> int:
        """What fills `token_type_ids` up."""
        return 0

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
        """What a call does after tokenizing, on ids. Options as there.

        >>> from npblender.tokenizer.example import example_tokenizer
        >>> example_tokenizer().prepare_for_model([5, 9, 7], max_length=2)["input_ids"]
        [5, 9]
        """
        options = resolve_options(
            self._own_settings(),
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            stride=stride,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side,
            return_tensors=return_tensors,
            return_token_type_ids=return_token_type_ids,
            return_attention_mask=return_attention_mask,
            return_overflowing_tokens=return_overflowing_tokens,
            return_special_tokens_mask=return_special_tokens_mask,
            return_length=return_length,
        )
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
        """Fill encodings up to one length: one, a batch in one mapping, or a list of single ones.

        Arrays come back as arrays. Raises ValueError for an entry that it would not know how to fill up.

        >>> from npblender.tokenizer.example import example_tokenizer
        >>> example_tokenizer().pad([{"input_ids": [5]}, {"input_ids": [6, 7]}])
        {'input_ids': [[5, 0], [6, 7]], 'attention_mask': [[1, 0], [1, 1]]}
        """
        rows, batched, arrays = rows_of_encodings(encoded_inputs)
        options = resolve_options(
            self._own_settings(),
            padding=padding,
            max_length=max_length,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side,
            return_attention_mask=return_attention_mask,
            return_tensors="np" if arrays and return_tensors is None else return_tensors,
        )
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
        """Take ids away at the tokenizer's `truncation_side`: first, second, and those that overflow.

        >>> from npblender.tokenizer.example import example_tokenizer
        >>> example_tokenizer().truncate_sequences([5, 6, 7], num_tokens_to_remove=1)
        ([5, 6], None, [7])
        """
        return truncate(ids, pair_ids, num_tokens_to_remove, truncation_strategy, self.truncation_side, stride)

    def _own_settings(self) -> OwnSettings:
        return OwnSettings(
            self.padding_side,
            self.truncation_side,
            self.model_max_length,
            tuple(self.model_input_names),
            self.split_special_tokens,
        )


class BatchEncoder(RowPreparer):
    """A codec that makes batches. See `BlenderbotSmallTokenizer`."""

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
        """Text to ids: exactly `input_ids` and `attention_mask` unless more is asked for.

        Args:
            text: a string; a list of strings, a batch; a pair as a tuple within a batch. Lists of ids are taken too.
            text_pair: second texts, appended to the first; one for one, or a batch for a batch.
            text_target: texts that become `labels`, or the whole result where there is no `text`.
            text_pair_target: their seconds.
            add_special_tokens: this tokenizer adds none, so both values give the same.
            padding: True or "longest"; "max_length"; False or "do_not_pad".
            truncation: True or "longest_first"; "only_first"; "only_second"; False or "do_not_truncate".
            max_length: tokens to truncate or pad to; without it the tokenizer's `model_max_length`.
            stride: how many tokens overflow and kept part share.
            is_split_into_words: the strings of a list are the words of one text.
            pad_to_multiple_of: round the padded length up.
            padding_side: "left" or "right", instead of the tokenizer's own.
            return_tensors: "np" for int64 arrays [B, S]; None for lists.
            return_token_type_ids: 0 for a first text, 1 for a second.
            return_attention_mask: False leaves it out.
            return_overflowing_tokens: also what truncation took, and how much.
            return_special_tokens_mask: 1 at pads; this tokenizer adds no other special tokens.
            return_offsets_mapping: not available, as in transformers' slow classes.
            return_length: the number of tokens before padding.
            verbose: there are no messages that it could silence.
            split_special_tokens: encode the text as a user's: nothing in it becomes a special token or, unless it is
                a line break, the line break's token.

        Raises:
            TypeError, ValueError: input that is no text, or an option that can not be meant.

        >>> from npblender.tokenizer.example import example_tokenizer
        >>> tokenizer = example_tokenizer()
        >>> tokenizer(["Hello, low lower!", "low"], padding=True, return_tensors="np").input_ids
        array([[ 5,  9,  6,  7,  8, 10],
               [ 6,  0,  0,  0,  0,  0]])
        """
        if text is None and text_target is None:
            raise ValueError("give text, or text_target, or both")
        if text_pair_target is not None and text_target is None:
            raise ValueError("text_pair_target needs text_target, as text_pair needs text")
        if return_offsets_mapping:
            raise ValueError("return_offsets_mapping is not available: pieces do not keep their places in the text")
        options = remembered_options(
            self._own_settings(),
            padding,
            truncation,
            max_length,
            stride,
            is_split_into_words,
            pad_to_multiple_of,
            padding_side,
            return_tensors,
            return_token_type_ids,
            return_attention_mask,
            return_overflowing_tokens,
            return_special_tokens_mask,
            return_length,
            split_special_tokens,
        )
        if type(text) is str and options.is_plain and text_pair is None and text_target is None:
            ids = self._text_to_ids(text, options.split_special_tokens)  # most calls: in short what follows
            return BatchEncoding({"input_ids": ids, "attention_mask": [1] * len(ids)})
        if text is None:
            return self._encode(text_target, text_pair_target, options)
        encoding = self._encode(text, text_pair, options)
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
    ) -> Any:
        """The ids of one text, or pair: a list of ints, or with `return_tensors="np"` an array [1, S].

        A list of strings is taken for tokens, as `tokenize` gives them, and a list of ints for ids.

        >>> from npblender.tokenizer.example import example_tokenizer
        >>> example_tokenizer().encode("Hello, low lower!")
        [5, 9, 6, 7, 8, 10]
        """
        if stride:
            raise ValueError("stride would have no effect: encode returns no overflow; call the tokenizer itself")
        nothing_beside_ids = (False,) * 5
        options = remembered_options(
            self._own_settings(),
            padding,
            truncation,
            max_length,
            0,
            is_split_into_words,
            pad_to_multiple_of,
            padding_side,
            return_tensors,
            *nothing_beside_ids,
            split_special_tokens,
        )
        first = self._given_ids("text", text, options)
        second = None if text_pair is None else self._given_ids("text_pair", text_pair, options)
        return batch_of_rows([make_row(first, second, options)], False, options, self.pad_token_id)["input_ids"]

    def _encode(self, text: Any, text_pair: Any, options: EncodingOptions) -> BatchEncoding:
        sources, batched = rows_of(text, text_pair, options.is_split_into_words)
        rows = [
            make_row(
                self._source_ids(first, options),
                None if second is None else self._source_ids(second, options),
                options,
            )
            for first, second in sources
        ]
        return batch_of_rows(rows, batched, options, self.pad_token_id)

    def _source_ids(self, source: Source, options: EncodingOptions) -> list[int]:
        if isinstance(source, str):
            return self._text_to_ids(source, options.split_special_tokens)
        ids: list[int] = []
        for part in source:
            if isinstance(part, str):
                ids.extend(self._text_to_ids(part, options.split_special_tokens))
            else:
                ids.append(part)
        return ids

    def _given_ids(self, name: str, text: Any, options: EncodingOptions) -> list[int]:
        """The ids of what `encode` is given, for which a list of strings holds tokens."""
        is_list = isinstance(text, list | tuple) and not options.is_split_into_words
        if is_list and any(isinstance(token, str) for token in text):
            return self.convert_tokens_to_ids(list(text))
        return self._source_ids(source_of(name, text, options.is_split_into_words), options)
