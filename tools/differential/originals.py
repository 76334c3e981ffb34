"""Runs the originals on folders of cases, each in its own environment, several at the same time."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.originals import asking
from tools.originals.environments import installed_versions
from tools.originals.exchange import Answer, Case, read_answer, read_cases, write_case

RUNNERS = {
    "transformers-5": "run_transformers",
    "transformers-4": "run_transformers",
    "parlai": "run_parlai",
    "keras-flax": "run_keras_flax",
}
# Of each original, the package that is it, and those it computes with.
PACKAGES = {
    "transformers-5": ("transformers", "torch"),
    "transformers-4": ("transformers", "torch"),
    "parlai": ("parlai", "torch"),
    "keras-flax": ("transformers", "tensorflow-cpu", "jax", "flax"),
}


@dataclass(frozen=True)
class Job:
    """One original over one folder of cases."""

    original: str
    cases: Path
    answers: Path
    threads: int = 1

    def start(self) -> subprocess.Popen[str]:
        arguments = (self.cases, self.answers, "--original", self.original, "--threads", self.threads)
        return asking.start(self.original, RUNNERS[self.original], *arguments, threads=self.threads)


def run_all(jobs: Iterable[Job]) -> None:
    """Run every job to its end. RuntimeError, with what it printed, for one that fails."""
    for job, process in [(job, job.start()) for job in jobs]:
        asking.finish(f"{job.original} over {job.cases}", process)


def write_cases(cases: Iterable[Case], folder: Path) -> Path:
    for case in cases:
        write_case(case, folder)
    return folder


def answers_of(original: str, cases: list[Case], threads: int = 1) -> list[Answer]:
    """One original's answers to a few cases."""
    with tempfile.TemporaryDirectory() as place:
        folder = write_cases(cases, Path(place) / "cases")
        run_all([Job(original, folder, Path(place) / "answers", threads)])
        return [read_answer(case.name, Path(place) / "answers") for case in read_cases(folder)]


def version_of(original: str) -> str:
    """For instance "transformers 5.23.0 (torch 2.13.0+cpu)"."""
    versions, (package, *beneath) = installed_versions(original), PACKAGES[original]
    below = ", ".join(f"{name} {versions[name]}" for name in beneath)
    return f"{package} {versions[package]} ({below})"
