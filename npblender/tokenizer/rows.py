"""Ids to rows and rows to a batch: truncated one by one, then filled up to one length and turned into columns.

A row is a dict with one list (or number) a key. Everything here is a function of ids and options; no text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from npblender.tokenizer.batch import BatchEncoding
from npblender.tokenizer.lengths import pad_row, round_up, truncate
from npblender.tokenizer.options import EncodingOptions

__all__ = ["Row", "batch_of_rows", "make_row", "rows_of_encodings"]

Row = dict[str, Any]

# What a filled-up place holds in each list; ids take the pad token.
_FILLINGS = {"attention_mask": 0, "token_type_ids": 0, "special_tokens_mask": 1}
_NOT_PER_TOKEN = ("overflowing_tokens", "num_truncated_tokens", "length")


def make_row(ids: list[int], pair_ids: list[int] | None, options: EncodingOptions) -> Row:
    """One text or pair, truncated, with the entries that were asked for, not yet padded."""
    excess = 0
    overflowing: list[int] = []
    if options.truncation != "do_not_truncate" and options.max_length is not None:
        if options.return_overflowing_tokens and options.truncation == "longest_first" and pair_ids is not None:
            raise ValueError(
                "return_overflowing_tokens is not available for pairs cut by 'longest_first'; use "
                "truncation='only_first' or 'only_second'"
            )
        excess = max(0, len(ids) + len(pair_ids or ()) - options.max_length)
        ids, pair_ids, overflowing = truncate(
            ids, pair_ids, excess, options.truncation, options.truncation_side, options.stride
        )
    row: Row = {"input_ids": ids if pair_ids is None else ids + pair_ids}
    if options.return_attention_mask:
        row["attention_mask"] = [1] * len(row["input_ids"])
    if options.return_token_type_ids:
        row["token_type_ids"] = [0] * len(ids) + [1] * len(pair_ids or ())
    if options.return_special_tokens_mask:
        row["special_tokens_mask"] = [0] * len(row["input_ids"])
    if options.return_overflowing_tokens:
        row["overflowing_tokens"], row["num_truncated_tokens"] = overflowing, excess
    if options.return_length:
        row["length"] = len(row["input_ids"])
    return row


def batch_of_rows(
    rows: Sequence[Row], batched: bool, options: EncodingOptions, pad_id: int | None, prepend_batch_axis: bool = True
) -> BatchEncoding:
    """Fill rows up to one length and turn them into columns; `batched` unset gives the one row.

    Raises:
        ValueError: padding without a pad token, or rows of unequal length that should become an array.
    """
    if options.padding != "do_not_pad" and rows:
        if pad_id is None:
            raise ValueError("this tokenizer has no pad_token to pad with; set one, or pass padding=False")
        longest = max(len(row["input_ids"]) for row in rows)
        wanted = options.max_length if options.padding == "max_length" else longest
        assert wanted is not None, "resolve_options gives padding='max_length' a length"
        length = round_up(wanted, options.pad_to_multiple_of)
        fillings = {"input_ids": pad_id, **_FILLINGS}
        for name in fillings.keys() & set(rows[0]):
            rows = [{**row, name: pad_row(row[name], length, fillings[name], options.padding_side)} for row in rows]
    if not batched:
        encoding = BatchEncoding(rows[0])
    elif rows:
        encoding = BatchEncoding({name: [row[name] for row in rows] for name in rows[0]})
    else:
        encoding = BatchEncoding({name: [] for name in make_row([], None, options)})
    return encoding.convert_to_tensors(options.return_tensors, prepend_batch_axis and not batched)


def rows_of_encodings(given: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> tuple[list[Row], bool, bool]:
    """What `pad` takes, as rows: the rows, whether they are a batch, and whether arrays were among them.

    Raises:
        TypeError, ValueError: no encoding, rows with different entries, or an entry that nobody could fill up.

    >>> rows_of_encodings({"input_ids": np.array([[5, 6]])})
    ([{'input_ids': [5, 6]}], True, True)
    """
    if not isinstance(given, Mapping) and not all(isinstance(row, Mapping) for row in given):
        raise TypeError("pad takes an encoding, or a list of encodings, as the tokenizer returns them")
    single = [given] if isinstance(given, Mapping) else list(given)
    names = list(single[0]) if single else []
    if "input_ids" not in names:
        raise ValueError(f"pad needs input_ids; it got {', '.join(names) or 'nothing'}")
    strange = [name for name in names if name not in ("input_ids", *_FILLINGS, *_NOT_PER_TOKEN)]
    if strange:
        raise ValueError(f"pad does not know what to fill {strange[0]!r} up with; pad it yourself (labels with -100)")
    if any(set(row) != set(names) for row in single):
        raise ValueError("pad got encodings with different entries; encode all of them with the same options")
    arrays = any(isinstance(value, np.ndarray) for row in single for value in row.values())
    rows = [{name: _plain(row[name]) for name in names} for row in single]
    if not isinstance(given, Mapping):
        return rows, True, arrays
    columns = rows[0]
    first = columns["input_ids"]
    if first and not isinstance(first[0], list):
        return rows, False, arrays
    counts = {len(values) for values in columns.values()}
    if len(counts) > 1:
        raise ValueError(f"pad got entries of {min(counts)} and of {max(counts)} rows; each needs one for every text")
    return [{name: columns[name][at] for name in names} for at in range(len(first))], True, arrays


def _plain(value: Any) -> Any:
    """Lists of lists of ints, whatever arrays and tuples there were."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
