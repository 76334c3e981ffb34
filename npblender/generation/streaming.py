"""Replies while they are made: token ids step by step, and text in pieces that never show half a word.

Only a search that follows one path a row can be read so; with several beams nothing is certain before the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from npblender.common.array_types import Ids

HALF = "@@"  # what a piece ends with that is not the last of its word
AHEAD = 2  # words to wait for where spaces are cleaned up: `is n ' t` becomes `isn't` only with the fourth


def text_pieces(
    tokens: Iterable[Ids], tokenizer: Any, clean_up_tokenization_spaces: bool | None = None
) -> Iterator[str]:
    """The tokens of one row as text: joined, the pieces are what `tokenizer.decode` makes of all of them.

    A piece is given out when the word it ends with is complete and no later token can change it any more, so with
    `clean_up_tokenization_spaces` it comes two words late. Special tokens are left out.

    >>> import numpy as np
    >>> from npblender.tokenizer.example import example_tokenizer
    >>> tokenizer = example_tokenizer()
    >>> list(text_pieces([np.array([i]) for i in (5, 7, 8, 10, 2)], tokenizer))
    ['hello', ' lower', ' !']
    """
    cleans = clean_up_tokenization_spaces
    if cleans is None:
        cleans = tokenizer.clean_up_tokenization_spaces
    options = {"skip_special_tokens": True, "clean_up_tokenization_spaces": cleans}
    skipped = set(tokenizer.all_special_ids)
    ids: list[int] = []
    ends: list[int] = []  # where words end: the text of ids[:end] shows no half word
    shown = ""
    for step in tokens:
        if len(step) != 1:
            raise ValueError(f"text is streamed for one reply at a time, not for {len(step)}")
        token_id = int(step[0])
        if token_id in skipped:  # a word goes on behind it as if it were not there
            continue
        ids.append(token_id)
        if tokenizer.convert_ids_to_tokens(token_id).endswith(HALF):
            continue
        ends.append(len(ids))
        if cleans and len(ends) <= AHEAD:
            continue
        certain = tokenizer.decode(ids[: ends[-1 - AHEAD if cleans else -1]], **options).rstrip()
        if len(certain) > len(shown) and tokenizer.decode(ids, **options).startswith(certain):
            yield certain[len(shown) :]
            shown = certain
    whole = tokenizer.decode(ids, **options)
    if len(whole) > len(shown):
        yield whole[len(shown) :]
