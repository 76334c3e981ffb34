"""Logits processors: each changes scores [R, V] in view of the targets so far, ids [R, L]; those of transformers.

Scores are logits in a search that follows one path a row, and log-probabilities in a beam search, as in transformers.
A blocked token scores -inf. A processor may write to the scores that it is given, and returns the scores that count
from then on: to keep the old ones, pass a copy. Which processors run, and in which order, is decided in `chain`; those
that cut a distribution short before a token is drawn are in `warpers`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Array, Ids

Tokens = Sequence[int] | NDArray[np.int64]
Phrase = tuple[int, ...]


def block(scores: Array, tokens: Tokens) -> Array:
    """Make the tokens impossible in every row.

    >>> block(np.array([[1.0, 2.0, 3.0]]), [2])
    array([[  1.,   2., -inf]])
    """
    scores[:, np.asarray(tokens, np.int64)] = -np.inf
    return scores


def force(scores: Array, tokens: Tokens) -> Array:
    """Leave only these tokens possible, each with score 0.

    >>> force(np.array([[1.0, 2.0, 3.0]]), [2])
    array([[-inf, -inf,   0.]])
    """
    scores[:] = -np.inf
    scores[:, np.asarray(tokens, np.int64)] = 0
    return scores


def min_length(scores: Array, ids: Ids, shortest: int, eos: Tokens) -> Array:
    """Block the eos while the target [R, L], its start included, is shorter than `shortest`.

    >>> min_length(np.array([[1.0, 2.0, 3.0]]), np.array([[1, 0]]), 3, [2])
    array([[  1.,   2., -inf]])
    """
    return block(scores, eos) if ids.shape[1] < shortest else scores


def forced_bos(scores: Array, ids: Ids, token: int) -> Array:
    """Force the first token after a lone start token.

    >>> forced_bos(np.array([[1.0, 2.0, 3.0]]), np.array([[1]]), 0)
    array([[  0., -inf, -inf]])
    """
    return force(scores, [token]) if ids.shape[1] == 1 else scores


def forced_eos(scores: Array, ids: Ids, longest: int, tokens: Tokens) -> Array:
    """Force one of these tokens in the last place before the limit.

    >>> forced_eos(np.array([[1.0, 2.0, 3.0]]), np.array([[1, 0]]), 3, [2])
    array([[-inf, -inf,   0.]])
    """
    return force(scores, tokens) if ids.shape[1] == longest - 1 else scores


def begin_suppress(scores: Array, ids: Ids, first: int, tokens: Tokens) -> Array:
    """Block the tokens at position `first` of the target.

    >>> begin_suppress(np.array([[1.0, 2.0, 3.0]]), np.array([[1]]), 1, [0])
    array([[-inf,   2.,   3.]])
    """
    return block(scores, tokens) if ids.shape[1] == first else scores


def repetition_penalty(scores: Array, seen: Ids, penalty: float) -> Array:
    """Divide positive scores of the tokens in `seen` [R, M] by the penalty, multiply negative ones (Keskar 2019).

    >>> repetition_penalty(np.array([[1.0, -2.0, 3.0]]), np.array([[0, 1]]), 2.0)
    array([[ 0.5, -4. ,  3. ]])
    """
    rows = np.arange(len(seen))[:, None]
    chosen = scores[rows, seen]
    factor = scores.dtype.type(penalty)
    with np.errstate(over="ignore"):
        scores[rows, seen] = np.where(chosen < 0, chosen * factor, chosen / factor)
    return scores


def no_repeat_ngram(scores: Array, ids: Ids, sources: Ids, size: int) -> Array:
    """Block tokens that would complete an n-gram of the row's `sources` [R, M]: the target itself, or the source.

    >>> no_repeat_ngram(np.zeros((1, 4)), np.array([[3, 1, 2, 3]]), np.array([[3, 1, 2, 3]]), 2)
    array([[  0., -inf,   0.,   0.]])
    """
    rows, tokens = completions(ids, sources, size)
    scores[rows, tokens] = -np.inf
    return scores


def completions(ids: Ids, sources: Ids, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the rows and tokens that would complete an n-gram of the row's `sources` [R, M] after `ids` [R, L].

    All n-grams of all rows are compared at once with their rows' last n - 1 ids, the last of these first: where none
    agrees in it, as mostly, nothing more is read.

    >>> completions(np.array([[7, 8]]), np.array([[6, 8, 9, 8, 5]]), 2)
    (array([0, 0]), array([9, 5]))
    """
    length, windows = ids.shape[1], sources.shape[1] - size + 1
    if length < size - 1 or windows < 1:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    if size == 1:
        rows, places = np.indices(sources.shape).reshape(2, -1)
        return rows, sources.reshape(-1)
    rows, places = np.nonzero(sources[:, size - 2 : size - 2 + windows] == ids[:, -1:])  # [R, M - n + 1]
    for back in range(2, size):
        agrees = sources[rows, places + (size - 1 - back)] == ids[rows, length - back]
        rows, places = rows[agrees], places[agrees]
    return rows, sources[rows, places + (size - 1)]


def sequence_bias(scores: Array, ids: Ids, biases: Sequence[tuple[Phrase, float]], beyond_start: bool) -> Array:
    """Add each phrase's bias to its last token, in rows that end with the rest of it.

    `beyond_start` leaves out phrases that would be as long as the whole target with its start token, as 4.52.4 does.

    >>> sequence_bias(np.zeros((1, 4)), np.array([[1, 3]]), [((3, 2), 5.0), ((0,), -1.0)], beyond_start=False)
    array([[-1.,  0.,  5.,  0.]])
    """
    length, newest = ids.shape[1], set(ids[:, -1].tolist())
    columns: dict[int, Array] = {}  # what is added to the scores of a token, [R]
    for phrase, bias in biases:
        *begin, token = phrase
        # Of many phrases few have begun in any row; the rows' last ids rule out most of them.
        if begin and (begin[-1] not in newest or length < len(begin) + beyond_start):
            continue
        added = columns.setdefault(token, np.zeros(len(scores), scores.dtype))
        added[(ids[:, length - len(begin) :] == begin).all(axis=1)] += scores.dtype.type(bias)
    if columns:
        scores[:, list(columns)] += np.stack(list(columns.values()), axis=1)
    return scores


def exponential_decay(scores: Array, ids: Ids, start: int, factor: float, eos: Tokens) -> Array:
    """Add |score| * (factor^steps - 1) to an eos from length `start` on; a blocked eos stays blocked.

    (4.52.4 makes NaN of a blocked eos here; 5.23 does what is done here.)

    >>> exponential_decay(np.array([[1.0, -2.0]]), np.array([[1, 0, 0]]), 1, 2.0, [1])
    array([[1., 4.]])
    """
    if ids.shape[1] <= start:
        return scores
    columns = np.asarray(eos, np.int64)
    chosen = scores[:, columns]
    gain = scores.dtype.type(factor ** (ids.shape[1] - start) - 1)
    scores[:, columns] = chosen + np.where(np.isfinite(chosen), np.abs(chosen) * gain, 0).astype(scores.dtype)
    return scores


def allowed_tokens(
    scores: Array, ids: Ids, allowed: Callable[[int, Ids], Sequence[int]], beams: int, *, rescue: bool
) -> Array:
    """Leave only what `allowed(source, row's ids)` returns; the rows of a source lie together, `beams` of them.

    With `rescue`, a source in which nothing possible is allowed gets score 0 for what is allowed, as in 5.23.

    >>> allowed_tokens(np.array([[1.0, 2.0, 3.0]]), np.array([[1]]), lambda source, ids: [0, 1], 1, rescue=True)
    array([[  1.,   2., -inf]])
    """
    mask = np.full_like(scores, -np.inf)
    for row, target in enumerate(ids):
        tokens = list(allowed(row // beams, target))
        if not tokens:
            raise ValueError(
                f"prefix_allowed_tokens_fn allows nothing after {target.tolist()} in source {row // beams}; "
                "it must return at least one id"
            )
        mask[row, tokens] = 0
    scores += mask
    if rescue:
        impossible = np.isneginf(scores.max(axis=1)).reshape(-1, beams).all(axis=1)
        scores = np.where(np.repeat(impossible, beams)[:, None], mask, scores)
    return scores


def remove_invalid(scores: Array) -> Array:
    """Replace NaN by 0, and infinities by the largest and smallest number.

    >>> remove_invalid(np.array([[np.nan, 1.0]]))
    array([[0., 1.]])
    """
    return np.nan_to_num(scores, copy=False, nan=0.0)
