"""When a row ends: an eos, the limit, the time, or a criterion of the user's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from npblender.generation.plan import Plan
from npblender.inputs import Ids

Criterion: TypeAlias = Callable[[Ids, Any], Any]
"""Called as criterion(ids [R, L], scores of every step or None); returns a bool, or one a row. As in transformers."""


@dataclass(frozen=True)
class Stopping:
    """All criteria of one search."""

    eos: tuple[int, ...]
    max_length: int
    deadline: float | None  # on the clock of `time.monotonic`
    users: tuple[Criterion, ...] = ()

    def __call__(self, ids: Ids, scores: Any = None) -> NDArray[np.bool_]:
        """Which rows [R, L] have ended with their last token: [R].

        >>> stopping = Stopping(eos=(2,), max_length=9, deadline=None)
        >>> stopping(np.array([[1, 5, 2], [1, 5, 6]]))
        array([ True, False])
        """
        ended = np.isin(ids[:, -1], self.eos)
        if ids.shape[1] >= self.max_length or (self.deadline is not None and time.monotonic() > self.deadline):
            ended[:] = True
        for criterion in self.users:
            ended |= np.asarray(criterion(ids, scores), np.bool_).reshape(-1)
        return ended


def make_stopping(plan: Plan, users: Iterable[Criterion] = ()) -> Stopping:
    """The criteria that `plan` asks for; the clock starts now."""
    seconds = plan.settings.max_time
    return Stopping(plan.eos, plan.max_length, None if seconds is None else time.monotonic() + seconds, tuple(users))
