"""How far two answers lie apart: per kind of tensor, relative to each tensor's largest entry.

Entries at or below -1e19 are scores that ParlAI puts out of reach; they must stand in the same places and
are left out of the difference. NaN is accepted in a loss (the only scalar) where both have it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tools.originals.exchange import Answer, Case, kind_of

KINDS = ("logits", "hidden", "attentions", "loss", "caches", "tuples")
OUT_OF_REACH = -1e19


def relative_difference(ours: np.ndarray, theirs: np.ndarray, nan_allowed: bool = False) -> tuple[float, str]:
    """max |ours - theirs| over max |theirs|, and a word on where; infinite if the two cannot be compared.

    >>> relative_difference(np.array([1.0, 2.5]), np.array([1.0, 2.0]))
    (0.25, 'at [1] 2.5 is not 2.0')
    >>> relative_difference(np.array([1.0]), np.array([1.0, 2.0]))[1]
    'shape [1] is not [2]'
    """
    if ours.shape != theirs.shape:
        return np.inf, f"shape {list(ours.shape)} is not {list(theirs.shape)}"
    if ours.dtype != theirs.dtype:
        return np.inf, f"dtype {ours.dtype} is not {theirs.dtype}"
    if np.isnan(ours).any() or np.isnan(theirs).any():
        same = nan_allowed and np.array_equal(np.isnan(ours), np.isnan(theirs))
        return (0.0, "NaN in both") if same and np.isnan(theirs).all() else (np.inf, "NaN")
    away = theirs <= OUT_OF_REACH
    if not np.array_equal(ours <= OUT_OF_REACH, away):
        return np.inf, f"entries at or below {OUT_OF_REACH:g} stand in other places"
    if not np.isfinite(ours).all() or not np.isfinite(theirs).all():
        return np.inf, "infinite entries"
    difference = np.where(away, 0.0, np.abs(ours.astype(np.float64) - theirs.astype(np.float64)))
    scale = np.abs(np.where(away, 0.0, theirs.astype(np.float64))).max(initial=0.0)
    if not difference.any():
        return 0.0, "equal"
    index = np.unravel_index(int(difference.argmax()), difference.shape)
    where = f"at {[int(i) for i in index]} {ours[index]} is not {theirs[index]}"
    return (float(difference.max() / scale) if scale else np.inf), where


@dataclass
class Tally:
    """What a comparison has seen so far."""

    bound: float
    every_tensor: bool = True  # both must have given the very same tensors; an original may show less
    left_out: frozenset[str] = frozenset()  # kinds that are not compared
    models: int = 0
    calls: int = 0
    tensors: int = 0
    refused: int = 0
    refused_by_original: int = 0
    worst: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, case: Case, ours: Answer, theirs: Answer) -> None:
        """Compare two answers to one case."""
        self.models += 1
        for number, (mine, other) in enumerate(zip(ours.endings, theirs.endings, strict=True)):
            call = case.calls[number]
            here = f"{case.name}, call {number} ({call['class']}.{call.get('method', 'forward')})"
            if mine == "skipped" and other == "skipped":
                continue
            if call.get("refused"):
                self.refused += mine is not None
                self.refused_by_original += other is not None
                if mine is None or mine["type"] not in ("ValueError", "TypeError"):
                    self.failures.append(f"{here}: a mistake, and it ended with {mine}: {call}")
                continue
            if mine is not None or other is not None:
                self.failures.append(f"{here}: ended with {mine} here and with {other} there")
                continue
            self.calls += 1
            if call.get("method") != "init_cache":  # an empty cache shows itself in the calls that use it
                self._add_tensors(here, ours.of_call(number), theirs.of_call(number))

    def _add_tensors(self, here: str, ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
        missing = sorted(set(theirs) - set(ours))
        surplus = sorted(set(ours) - set(theirs)) if self.every_tensor else []
        if missing or surplus:
            self.failures.append(f"{here}: missing {missing}, surplus {surplus}")
        if not theirs:
            self.failures.append(f"{here}: nothing to compare")
        for name in sorted(set(theirs) & set(ours)):
            kind = kind_of(name)
            if kind in self.left_out:
                continue
            difference, where = relative_difference(ours[name], theirs[name], nan_allowed=theirs[name].ndim == 0)
            self.tensors += 1
            self.worst[kind] = max(self.worst.get(kind, 0.0), difference)
            if not difference <= self.bound:
                self.failures.append(f"{here}, {name}: {difference:.3g} > {self.bound:g}; {where}")
