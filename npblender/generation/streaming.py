"""Turns token ids that arrive one by one into pieces of text, none of which ends within a word.

Only a search with one path a row can be streamed; with several beams nothing is final before the end.
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
    """Yield the text of one row in pieces: joined, they are what `tokenizer.decode` makes of all the tokens.

    A piece comes when the word that it ends with is complete and no later token can change it any more, so with
    `clean_up_tokenization_spaces` it comes two words late. Special tokens are left out.

    Raises:
        ValueError: a step has the tokens of several rows.

    >>> list(text_pieces([np.array([i]) for i in (5, 7, 8, 10, 2)], tokenizer))
    ['hello', ' lower', ' !']
    """
    cleans = clean_up_tokenization_spaces
    if cleans is None:
        cleans = tokenizer.clean_up_tokenization_spaces
    options = {"skip_special_tokens": True, "clean_up_tokenization_spaces": cleans}
    skipped = set(tokenizer.all_special_ids)
    ids: list[int] = []
    ends: list[int] = []  # where words end: the text of ids[:end] holds whole words
    yielded = ""
    for step in tokens:
        if len(step) != 1:
            raise ValueError(f"text is streamed for one reply at a time, not for {len(step)}")
        token_id = int(step[0])
        if token_id in skipped:  # a word may go on after it
            continue
        ids.append(token_id)
        if tokenizer.convert_ids_to_tokens(token_id).endswith(HALF):
            continue
        ends.append(len(ids))
        if cleans and len(ends) <= AHEAD:
            continue
        final = tokenizer.decode(ids[: ends[-1 - AHEAD if cleans else -1]], **options).rstrip()
        if len(final) > len(yielded) and tokenizer.decode(ids, **options).startswith(final):
            yield final[len(yielded) :]
            yielded = final
    whole = tokenizer.decode(ids, **options)
    if len(whole) > len(yielded):
        yield whole[len(yielded) :]
