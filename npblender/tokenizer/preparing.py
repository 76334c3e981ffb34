"""Ids to padded batches: `prepare_for_model`, `pad`, `truncate_sequences`, and the options that every call shares.

Names and meaning are transformers'. Texts are encoding.py's matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from npblender.tokenizer.batch import BatchEncoding
from npblender.tokenizer.conversion import TokenConverter
from npblender.tokenizer.lengths import Side, Truncation, truncate
from npblender.tokenizer.options import OwnSettings, resolve_options
from npblender.tokenizer.rows import batch_of_rows, make_row, rows_of_encodings

__all__ = ["RowPreparer"]


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
