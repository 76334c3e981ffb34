"""When a row ends: at an eos, at the limit, after some time, with a text, or by a criterion of the caller's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Ids
from npblender.common.printable import shown
from npblender.generation.plan import Plan

Criterion: TypeAlias = Callable[[Ids, Any], Any]
"""Called as criterion(ids [R, L], scores of every step or None); returns a bool, or one a row. As in transformers."""


@dataclass(frozen=True)
class Stopping:
    """Decides which rows of one search have ended."""

    eos: tuple[int, ...]
    max_length: int
    deadline: float | None  # on the clock of `time.monotonic`
    criteria: tuple[Criterion, ...] = ()

    def __call__(self, ids: Ids, scores: Any = None) -> NDArray[np.bool_]:
        """Return which rows [R, L] have ended with their last token: [R].

        >>> stopping = Stopping(eos=(2,), max_length=9, deadline=None)
        >>> stopping(np.array([[1, 5, 2], [1, 5, 6]]))
        array([ True, False])
        """
        # [R, 1] against [E] -> [R]; np.isin takes 0.1 ms
        ended: NDArray[np.bool_] = np.logical_or.reduce(ids[:, -1:] == np.array(self.eos, np.int64), axis=1)
        if ids.shape[1] >= self.max_length or (self.deadline is not None and time.monotonic() > self.deadline):
            ended[:] = True
        for criterion in self.criteria:
            ended |= _answer(criterion, ids, scores)
        return ended


def _answer(criterion: Criterion, ids: Ids, scores: Any) -> NDArray[np.bool_]:
    """Return what a criterion says: one boolean for all rows, or one a row; anything else is refused."""
    said = criterion(ids, scores)
    array = np.asarray(said)
    if array.dtype != np.bool_ or array.shape not in ((), (1,), (len(ids),), (len(ids), 1)):
        what = f"shape {array.shape} of {array.dtype}" if isinstance(said, np.ndarray) else shown(said)
        raise ValueError(
            f"a stopping criterion must return True or False, or one of them for each of {len(ids)} rows, not {what}"
        )
    return array.reshape(-1)


def make_stopping(plan: Plan, tokenizer: Any = None, criteria: Iterable[Criterion] = ()) -> Stopping:
    """Make the criteria that `plan` asks for; the clock starts now."""
    strings = plan.settings.stop_strings
    by_text: tuple[Criterion, ...] = ()
    if strings is not None:
        strings = strings if isinstance(strings, tuple) else (strings,)
        by_text = (StopStrings(strings, tokenizer, plan.prompt_length),)
    return Stopping(plan.eos, plan.max_length, plan.deadline(), (*by_text, *criteria))


@dataclass(frozen=True)
class StopStrings:
    """Ends a row with the token that completes one of the strings in its decoded text.

    A string may stand in the text as the tokens are joined, or with the spaces before punctuation removed. The prompt
    does not count. (transformers compares the tokens' spelling, `@@` included, and so misses strings that run over two
    pieces of a word.)
    """

    strings: tuple[str, ...]
    tokenizer: Any
    prompt_length: int

    def __call__(self, ids: Ids, scores: Any = None) -> NDArray[np.bool_]:
        return np.array([self._ends(row) for row in ids.tolist()])

    def _ends(self, row: list[int]) -> bool:
        # A token is a character at least, so the string lies in as many tokens as it has characters, spaces included.
        window = max(map(len, self.strings)) + 1
        begin = max(self.prompt_length, len(row) - window)
        now, before = self._texts(row[begin:]), self._texts(row[begin:-1])
        return any(a.count(s) > b.count(s) for s in self.strings for a, b in zip(now, before, strict=True))

    def _texts(self, ids: list[int]) -> tuple[str, str]:
        texts = (
            self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=cleaned)
            for cleaned in (False, True)
        )
        plain, cleaned = (text.removesuffix("@@") for text in texts)
        return plain, cleaned
