"""Has the originals answer folders of cases, each in its own environment, several at the same time."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.originals.environments import installed_versions, oracle_python
from tools.originals.exchange import Answer, Case, read_answer, read_cases, write_case

RUNNERS = {
    "transformers-5": "run_transformers.py",
    "transformers-4": "run_transformers.py",
    "parlai": "run_parlai.py",
    "keras-flax": "run_keras_flax.py",
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
        runner = Path(__file__).resolve().parents[1] / "originals" / RUNNERS[self.original]
        command = [oracle_python(self.original), runner, self.cases, self.answers]
        command += ["--original", self.original, "--threads", str(self.threads)]
        quiet = {
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": str(self.threads),
        }
        return subprocess.Popen(
            [str(part) for part in command],
            env={**os.environ, **quiet},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def run_all(jobs: Iterable[Job]) -> None:
    """Runs every job to its end. RuntimeError, with what it printed, for one that fails."""
    running = [(job, job.start()) for job in jobs]
    said = [(job, process.communicate()[0], process.returncode) for job, process in running]
    for job, text, status in said:
        if status:
            raise RuntimeError(f"{job.original} ended with {status} over {job.cases}:\n{text[-4000:]}")


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
