"""`Report` and `PointReport`: what a comparison found, point by point in causal order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from npblender.groundtruth.noise.units import BUG, Score

Status = Literal["within noise", "borderline", "diverged", "missing"]
EXIT_CODES: Mapping[str, int] = {"within noise": 0, "diverged": 1, "incomplete": 2, "borderline": 3}
"""Of each verdict; a comparison that is not possible is 2, too."""


@dataclass(frozen=True)
class PointReport:
    """The finding at one point of the reference."""

    name: str
    status: Status
    reference_shape: tuple[int, ...]
    reference_dtype: str
    mine_name: str | None = None  # None where the point is missing
    mine_shape: tuple[int, ...] | None = None
    mine_dtype: str | None = None
    score: Score | None = None  # None where it is missing, or no axis layout fits its shape
    layout: str | None = None  # the axis order in which mine was read; None: as it is
    factor: float = 1.0  # by which mine was multiplied: queries recorded before their division by sqrt(K)
    hidden: int = 0  # hidden scores that hold another number than the reference's
    remarks: tuple[str, ...] = ()
    op: str | None = None  # the operation, where each was fed with the reference's own inputs

    @property
    def is_bug(self) -> bool:
        """Whether the error is too large for any order of the same operations."""
        return self.status == "diverged" and (self.score is None or self.score.units > BUG)


@dataclass(frozen=True)
class Side:
    """What is known of one of the two traces."""

    source: str  # a path, or "arrays"
    dtype: str | None
    dialect: str | None
    points: int


@dataclass(frozen=True)
class Report:
    """The outcome of a comparison, point by point in causal order."""

    reference: Side
    mine: Side
    points: tuple[PointReport, ...]  # every point of the reference
    surplus: tuple[str, ...] = ()  # names of mine that stand for no point of the reference
    unmatched_patterns: tuple[str, ...] = ()  # entries of the table of names that no name of mine fits
    noise_measured: bool = True  # False: some noise was assumed, since the reference does not hold it
    notes: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()  # points that had to be compared and are missing
    thin: tuple[str, ...] = ()  # points of the model before the first divergence that the reference does not hold
    inputs: Mapping[str, Any] | None = None  # what the reference ran

    @property
    def verdict(self) -> str:
        """ "diverged", "borderline" or "within noise"; "incomplete" where too little was compared to say the latter."""
        if self.diverged:
            return "diverged"
        if self.lacking:
            return "incomplete"
        return "borderline" if self.borderline else "within noise"

    @property
    def exit_code(self) -> int:
        """The exit code of `npblender compare`: 0 within noise, 1 diverged, 2 incomplete, 3 borderline."""
        return EXIT_CODES[self.verdict]

    @property
    def refed(self) -> bool:
        """Whether every point was computed from the reference's own inputs."""
        return any(point.op is not None for point in self.points)

    @property
    def compared(self) -> tuple[PointReport, ...]:
        """The points that both have."""
        return tuple(point for point in self.points if point.status != "missing")

    @property
    def diverged(self) -> tuple[PointReport, ...]:
        """The points that are further off than noise, in causal order."""
        return tuple(point for point in self.points if point.status == "diverged")

    @property
    def borderline(self) -> tuple[PointReport, ...]:
        """The points that are as far off as plain float32 loops may be, up to the first divergence."""
        return tuple(point for point in points_before(self) if point.status == "borderline")

    @property
    def missing(self) -> tuple[str, ...]:
        """Points of the reference that mine lacks."""
        return tuple(point.name for point in self.points if point.status == "missing")

    @property
    def first(self) -> PointReport | None:
        """The first point that diverges, or None."""
        return next(iter(self.diverged), None)

    @property
    def first_divergence(self) -> str | None:
        """The name of the first point that diverges, or None."""
        return None if self.first is None else self.first.name

    @property
    def last_good(self) -> PointReport | None:
        """The last compared point before the first divergence; the last of all if nothing diverges."""
        return next((point for point in reversed(points_before(self)) if point.status != "missing"), None)

    @property
    def unseen(self) -> tuple[str, ...]:
        """Points that mine lacks between the last that agrees and the first that diverges: the fault may be there."""
        if self.first is None:
            return ()
        start = 0 if self.last_good is None else points_before(self).index(self.last_good) + 1
        return tuple(point.name for point in points_before(self)[start:])


def points_before(report: Report) -> tuple[PointReport, ...]:
    """List the points before the first divergence; all if nothing diverges."""
    return report.points if report.first is None else report.points[: report.points.index(report.first)]


def readings(point: PointReport) -> tuple[str, ...]:
    """Say under which name and in which axis order mine was read, where they are others than the reference's."""
    other_name = () if point.mine_name in (None, point.name) else (f"from {point.mine_name}",)
    return other_name if point.layout is None else (*other_name, f"read as {point.layout}")
