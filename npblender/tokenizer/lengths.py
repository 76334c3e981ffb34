"""Rows cut to a length and filled up to one: transformers' truncation and padding, as functions on lists.

They know no text and no vocabulary; what the caller may ask for is checked in options.py.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["Side", "Truncation", "pad_row", "round_up", "truncate"]

Side = Literal["left", "right"]
Truncation = Literal["longest_first", "only_first", "only_second", "do_not_truncate"]


def truncate(
    ids: list[int],
    pair_ids: list[int] | None,
    remove: int,
    strategy: Truncation,
    side: Side,
    stride: int = 0,
) -> tuple[list[int], list[int] | None, list[int]]:
    """Take `remove` ids away at the left or right end of one sequence or of a pair.

    `longest_first` first brings a pair to equal lengths and then takes from both in halves. Returns the two
    sequences and the ids that went, with `stride` more of those that stayed beside them; a pair cut by
    `longest_first` reports none (as in transformers).

    Raises:
        ValueError: the strategy can not take that many away.

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
            f"truncation={strategy!r} can not take {remove} tokens from a sequence of {len(cut)}; use 'longest_first', "
            f"or a larger max_length"
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


def _without(ids: list[int], count: int, side: Side) -> list[int]:
    return ids[count:] if side == "left" else ids[: len(ids) - count]


def round_up(length: int, multiple: int | None) -> int:
    """The next multiple that is not below a length.

    >>> round_up(13, 8), round_up(16, 8), round_up(13, None)
    (16, 16, 13)
    """
    return length if multiple is None else -(-length // multiple) * multiple


def pad_row(row: list[int], length: int, fill: int, side: Side) -> list[int]:
    """Fill a row up to a length; a longer one stays as it is.

    >>> pad_row([5, 6], 4, 0, "left")
    [0, 0, 5, 6]
    """
    filling = [fill] * (length - len(row))
    return filling + row if side == "left" else row + filling
