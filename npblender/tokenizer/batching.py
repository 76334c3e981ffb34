"""Texts to rows, rows cut and padded, rows to a batch: everything around the ids of a text, as functions on lists.

What a caller may pass as text follows transformers' `__call__`: a list is a batch unless its first item is an int (then
it is one sequence of ids), or unless `is_split_into_words` says that its strings are the words of one text. In a batch
two strings or two lists together are a pair.

A row is a dict with one list (or number) a key. In reading order: what is passed in (`rows_of`), one row (`make_row`,
`truncate`), a batch of them (`batch_of_rows`, `pad_row`), and what comes out (`BatchEncoding`).
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from npblender.common.printable import cut, shown
from npblender.tokenizer.encoding_options import EncodingOptions, Side, Truncation, check_tensor_type

T = TypeVar("T")
Source = str | Sequence[str] | Sequence[int]  # one text: a string, its words, or its ids


def rows_of(
    text: Any, text_pair: Any = None, is_split_into_words: bool = False
) -> tuple[list[tuple[Source, Source | None]], bool]:
    """List the texts with their seconds, and say whether they are a batch (if not, there is one).

    Raises:
        TypeError: something that is no text, named by its place.
        ValueError: two batches of different sizes, or a row of three texts.

    >>> rows_of("hi")
    ([('hi', None)], False)
    >>> rows_of(["hi", ("one", "two")])
    ([('hi', None), ('one', 'two')], True)
    >>> rows_of(["hi", "there"], is_split_into_words=True)
    ([(['hi', 'there'], None)], False)
    """
    if not _is_batch(text, is_split_into_words):
        if text_pair is not None and _is_batch(text_pair, is_split_into_words):
            raise TypeError("text is one text, but text_pair is a batch; give both as lists, or both as one text")
        first = source_of("text", text, is_split_into_words)
        second = None if text_pair is None else source_of("text_pair", text_pair, is_split_into_words)
        return [(first, second)], False
    if text_pair is None:
        return [_row(f"text[{at}]", row, is_split_into_words) for at, row in enumerate(text)], True
    if not _is_batch(text_pair, is_split_into_words):
        raise TypeError("text is a batch, but text_pair is one text; give both as lists of the same length")
    if len(text) != len(text_pair):
        raise ValueError(f"text has {len(text)} texts and text_pair {len(text_pair)}; a pair needs one of each")
    firsts = [source_of(f"text[{at}]", each, is_split_into_words) for at, each in enumerate(text)]
    seconds = [source_of(f"text_pair[{at}]", each, is_split_into_words) for at, each in enumerate(text_pair)]
    return list(zip(firsts, seconds, strict=True)), True


def source_of(name: str, text: Any, is_split_into_words: bool) -> Source:
    """Return one text as it is, if it is one.

    >>> source_of("text", {"a": 1}, is_split_into_words=False)
    Traceback (most recent call last):
    TypeError: text must be a string or a list of ids, not dict {'a': 1}
    """
    if isinstance(text, str):
        return text
    if isinstance(text, list | tuple):
        if all(type(part) is int for part in text):
            return text
        if is_split_into_words and all(isinstance(part, str) for part in text):
            return text
    wanted = "a string, a list of words or a list of ids" if is_split_into_words else "a string or a list of ids"
    found = f"{type(text).__name__} {shown(text)}"
    advice = f"; pass {name}.tolist()" if hasattr(text, "tolist") else ""
    raise TypeError(f"{name} must be {wanted}, not {found if len(found) <= 100 else found[:97] + '...'}{advice}")


def _is_batch(text: Any, is_split_into_words: bool) -> bool:
    if not isinstance(text, list | tuple):
        return False
    if not text:
        return not is_split_into_words
    return isinstance(text[0], list | tuple) if is_split_into_words else isinstance(text[0], str | list | tuple)


def _row(name: str, row: Any, is_split_into_words: bool) -> tuple[Source, Source | None]:
    """One row of a batch, which may hold a pair."""
    if isinstance(row, list | tuple) and row:
        nested = all(isinstance(part, list | tuple) for part in row)
        if nested or (not is_split_into_words and all(isinstance(part, str) for part in row)):
            if len(row) > 2:
                raise ValueError(
                    f"{name} holds {len(row)} texts; a row is one text or a pair (words of one text need "
                    f"is_split_into_words=True)"
                )
            first = source_of(f"{name}[0]", row[0], is_split_into_words)
            return first, source_of(f"{name}[1]", row[1], is_split_into_words) if len(row) == 2 else None
    return source_of(name, row, is_split_into_words), None


Row = dict[str, Any]

# The padding value of each list; ids take the pad token.
_FILLINGS = {"attention_mask": 0, "token_type_ids": 0, "special_tokens_mask": 1, "offset_mapping": (0, 0)}
_NOT_PER_TOKEN = ("overflowing_tokens", "num_truncated_tokens", "length")


def make_row(ids: list[int], pair_ids: list[int] | None, options: EncodingOptions) -> Row:
    """Make the row of one text or pair: truncated, with the entries that were asked for, not yet padded."""
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


def truncate(
    ids: list[T], pair_ids: list[T] | None, remove: int, strategy: Truncation, side: Side, stride: int = 0
) -> tuple[list[T], list[T] | None, list[T]]:
    """Remove `remove` ids, or what belongs to them, at the left or right end of one sequence or of a pair.

    `longest_first` first brings a pair to equal lengths and then takes from both in halves. Returns the two
    sequences and the ids that went, with `stride` more of those that stayed beside them; a pair cut by
    `longest_first` reports none (as in transformers).

    Raises:
        ValueError: the strategy cannot remove that many.

    >>> truncate([1, 2, 3, 4, 5], None, 2, "longest_first", "right", stride=1)
    ([1, 2, 3], None, [3, 4, 5])
    >>> truncate([1, 2, 3, 4, 5], [6, 7], 4, "longest_first", "left")
    ([4, 5], [7], [])
    """
    if remove <= 0 or strategy == "do_not_truncate":
        return ids, pair_ids, []
    if strategy == "longest_first" and pair_ids is not None:
        from_first, from_second = _shares(len(ids), len(pair_ids), remove)
        return _without(ids, from_first, side), _without(pair_ids, from_second, side), []
    cuts_second = strategy == "only_second"
    cut = pair_ids if cuts_second else ids
    if cut is None:
        raise ValueError("truncation='only_second' needs a pair of texts; use 'longest_first' or 'only_first'")
    if remove > len(cut):
        raise ValueError(
            f"truncation={shown(strategy)} cannot take {remove} tokens from a sequence of {len(cut)}; use "
            f"'longest_first', or a larger max_length"
        )
    window = min(len(cut), remove + stride)
    overflowing = cut[:window] if side == "left" else cut[len(cut) - window :]
    kept = _without(cut, remove, side)
    return (ids, kept, overflowing) if cuts_second else (kept, pair_ids, overflowing)


def _shares(first: int, second: int, remove: int) -> tuple[int, int]:
    """How many ids each of a pair loses under `longest_first` (transformers' arithmetic, odd one out included)."""
    to_equal = min(abs(first - second), remove)
    rest = remove - to_equal
    if first > second:
        return to_equal + rest // 2, rest - rest // 2
    return rest // 2, to_equal + rest - rest // 2


def _without(ids: list[T], count: int, side: Side) -> list[T]:
    return ids[count:] if side == "left" else ids[: len(ids) - count]


def batch_of_rows(
    rows: Sequence[Row], batched: bool, options: EncodingOptions, pad_id: int | None, prepend_batch_axis: bool = True
) -> BatchEncoding:
    """Pad rows to one length and turn them into columns; without `batched` it returns the one row.

    Raises:
        ValueError: padding without a pad token, or rows of unequal length that should become an array.
    """
    if options.padding != "do_not_pad" and rows:
        if pad_id is None:
            raise ValueError("this tokenizer has no pad_token to pad with; set one, or pass padding=False")
        longest = max(len(row["input_ids"]) for row in rows)
        wanted = options.max_length if options.padding == "max_length" else longest
        assert wanted is not None, "options_of gives padding='max_length' a length"
        length = round_up(wanted, options.pad_to_multiple_of)
        fillings = {"input_ids": pad_id, **_FILLINGS}
        for name in fillings.keys() & set(rows[0]):
            rows = [{**row, name: pad_row(row[name], length, fillings[name], options.padding_side)} for row in rows]
    names = rows[0] if rows else make_row([], None, options)
    encoding = BatchEncoding({name: [row[name] for row in rows] for name in names} if batched else rows[0])
    return encoding.convert_to_tensors(options.return_tensors, prepend_batch_axis and not batched)


def round_up(length: int, multiple: int | None) -> int:
    """Round a length up to a multiple.

    >>> round_up(13, 8), round_up(16, 8), round_up(13, None)
    (16, 16, 13)
    """
    return length if multiple is None else -(-length // multiple) * multiple


def pad_row(row: list[Any], length: int, fill: Any, side: Side) -> list[Any]:
    """Pad a row to a length; a longer one stays as it is.

    >>> pad_row([5, 6], 4, 0, "left")
    [0, 0, 5, 6]
    """
    filling = [fill] * (length - len(row))
    return filling + row if side == "left" else row + filling


class BatchEncoding(UserDict[str, Any]):
    """What a tokenizer returns: a mapping with transformers' names, whose entries are attributes too.

    `input_ids` and `attention_mask` are lists of ints (one text), lists of lists (several), or with
    `return_tensors="np"` int64 arrays [B, S]. It can be passed on as `model(**encoding)`.

    >>> encoding = BatchEncoding({"input_ids": [[5, 6], [7, 8]]})
    >>> encoding.input_ids == encoding["input_ids"], encoding[:1]
    (True, {'input_ids': [[5, 6]]})
    >>> encoding.convert_to_tensors("np").input_ids
    array([[5, 6],
           [7, 8]])
    """

    def __init__(self, data: dict[str, Any] | None = None) -> None:
        self.data = {} if data is None else data

    def __getattr__(self, name: str) -> Any:
        if name != "data" and name in self.data:
            return self.data[name]
        raise AttributeError(f"this encoding has no {shown(name)}; it has {cut(', '.join(vars(self).get('data', ())))}")

    def __getitem__(self, key: Any) -> Any:
        """Return an entry by its name, or by a slice the same rows of every entry."""
        if isinstance(key, str):
            return self.data[key]
        if isinstance(key, slice):
            return {name: value[key] for name, value in self.data.items()}
        raise KeyError(f"{shown(key)}: take an entry by its name, or rows by a slice")

    def convert_to_tensors(self, tensor_type: str | None = None, prepend_batch_axis: bool = False) -> BatchEncoding:
        """Turn every list into an int64 array, in place; None does nothing. Return itself.

        Raises:
            ValueError: another kind of tensor than "np", or rows of unequal length.
        """
        check_tensor_type("return_tensors", tensor_type)
        if tensor_type is not None:
            for name, value in self.data.items():
                self.data[name] = _as_array(name, [value] if prepend_batch_axis else value)
        return self

    def to(self, device: Any) -> BatchEncoding:
        """Return itself for the CPU and refuse any other device: transformers' habit `tokenizer(...).to(device)`."""
        if str(device) != "cpu":
            raise ValueError(f"device {shown(device)} is not available: npblender computes on the CPU")
        return self


def _as_array(name: str, value: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, Sequence) and value and isinstance(value[0], Sequence | np.ndarray):
        lengths = {len(row) for row in value}
        if len(lengths) > 1:
            raise ValueError(
                f"{name} has rows of {min(lengths)} to {max(lengths)} tokens, which make no array: pass padding=True "
                f"(and truncation=True to shorten the longest)"
            )
    elif isinstance(value, Sequence) and not value:
        return np.zeros((0, 0), dtype=np.int64)  # a batch of no texts
    return np.array(value, dtype=np.int64)


def rows_of_encodings(given: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> tuple[list[Row], bool, bool]:
    """Read what `pad` takes: the rows, whether they are a batch, and whether arrays were among them.

    Raises:
        TypeError, ValueError: no encoding, rows with different entries, or an entry that has no padding value.

    >>> rows_of_encodings({"input_ids": np.array([[5, 6]])})
    ([{'input_ids': [5, 6]}], True, True)
    """
    if not isinstance(given, Mapping) and not all(isinstance(row, Mapping) for row in given):
        raise TypeError("pad takes an encoding, or a list of encodings, as the tokenizer returns them")
    single = [given] if isinstance(given, Mapping) else list(given)
    names = list(single[0]) if single else []
    if "input_ids" not in names:
        raise ValueError(f"pad needs input_ids; it got {cut(', '.join(map(str, names))) or 'nothing'}")
    strange = [name for name in names if name not in ("input_ids", *_FILLINGS, *_NOT_PER_TOKEN)]
    if strange:
        raise ValueError(f"pad does not know what to fill {shown(strange[0])} with; pad it yourself (labels with -100)")
    if any(set(row) != set(names) for row in single):
        raise ValueError("pad got encodings with different entries; encode all of them with the same options")
    arrays = any(isinstance(value, np.ndarray) for row in single for value in row.values())
    rows = [{name: _plain(row[name]) for name in names} for row in single]
    for name, value in ((name, row[name]) for row in rows for name in names):
        if not isinstance(value, list) and name in ("input_ids", *_FILLINGS):
            raise TypeError(f"pad needs {name} as a list of whole numbers, not {shown(value)}")
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
    """List of lists of ints, from arrays and tuples of them too."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
