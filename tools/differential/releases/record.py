"""Records how one checkout behaves, every part in a process of its own.

Each job is a part under one memory layout; `--only 'traces*,surface'` runs some of them. What depends on
the machine is written to `machine.json`, the seconds of each job to `times.json`; neither is compared.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

HERE = Path(__file__).resolve().parent
LAYOUTS = ("rows", "panels", "by-use")
SHARED = "NPBLENDER_SHARED"


@dataclass(frozen=True)
class Job:
    """One part under one layout, with a number of threads."""

    part: str
    layout: str | None = None  # None: what the package chooses on this machine
    threads: int = 1

    @property
    def name(self) -> str:
        """The job's folder in a record."""
        return self.part + (f"@{self.layout}" if self.layout else "") + (f"-{self.threads}" * (self.threads > 1))


JOBS = (
    *(Job("traces", layout) for layout in LAYOUTS),
    Job("traces", "panels", 2),
    Job("calls", "rows"),
    Job("operations", "rows"),
    Job("searches", "rows"),
    Job("replies", "rows"),
    *(Job("some_replies", layout, threads) for layout, threads in (("panels", 1), ("by-use", 1), ("by-use", 2))),
    Job("talks", "rows"),
    Job("talks", "by-use"),
    Job("commands"),
    Job("helps"),
    Job("packs", "rows"),
    Job("tokens"),
    *(Job("checkpoints", layout) for layout in LAYOUTS),
    Job("earlier", "rows"),
    Job("refusals", "rows"),
    Job("junk", "rows"),
    Job("surface"),
    Job("counts"),
)


def chosen(only: str | None) -> Iterator[Job]:
    """The jobs whose name or part fits one of the patterns.

    Raises ValueError for a pattern that fits none.

    >>> [job.name for job in chosen("talks*")]
    ['talks@rows', 'talks@by-use']
    """
    if only is None:
        yield from JOBS
        return
    patterns = only.split(",")
    for pattern in patterns:
        if not any(fnmatchcase(job.name, pattern) or job.part == pattern for job in JOBS):
            raise ValueError(f"no job is called {pattern!r}; there are {', '.join(job.name for job in JOBS)}")
    for job in JOBS:
        if any(fnmatchcase(job.name, pattern) or job.part == pattern for pattern in patterns):
            yield job


def environment(checkout: Path, job: Job, cache: Path) -> dict[str, str]:
    """What a job's process sees: this checkout first, few threads, a layout, and nothing that varies."""
    dropped = ("NPBLENDER_", "OMP_", "OPENBLAS_NUM", "MKL_", "PYTHON", "NO_COLOR", "COLUMNS", "LINES")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    kept |= {
        "PYTHONPATH": os.pathsep.join([str(checkout), str(HERE.parent)]),
        "PYTHONHASHSEED": "0",
        "PYTHONPYCACHEPREFIX": str(cache),  # a checkout is only read
        "OMP_NUM_THREADS": "1",
        "NPBLENDER_NUM_THREADS": str(job.threads),
        "NO_COLOR": "1",
        "COLUMNS": "100",
        "TERM": "dumb",
    }
    if job.layout is not None:
        kept["NPBLENDER_LAYOUT"] = job.layout
    if SHARED in os.environ:
        kept[SHARED] = os.environ[SHARED]
    return kept


def run(checkout: Path, out: Path, job: Job, earlier: Path) -> float:
    """Run one job; the seconds of processor time that it took.

    Raises:
        subprocess.CalledProcessError: it failed; what it printed is on stderr.
    """
    folder = out / job.name
    shutil.rmtree(folder, ignore_errors=True)
    cache = Path(tempfile.gettempdir()) / f"npblender-releases-{os.getuid() if hasattr(os, 'getuid') else 0}"
    before = os.times()
    with tempfile.TemporaryDirectory() as work:
        command = [sys.executable, "-m", f"{HERE.name}.child", job.part, str(checkout), str(folder), work, str(earlier)]
        subprocess.run(command, env=environment(checkout, job, cache), cwd=work, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def machine() -> dict[str, str]:
    """What numbers depend on besides the code."""
    import platform

    import numpy
    import safetensors

    cpu = ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "processor": cpu,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "safetensors": safetensors.__version__,
        "coretype": os.environ.get("OPENBLAS_CORETYPE", ""),
        "shared": "read" if SHARED in os.environ else "not there",
    }


def record(checkout: Path, out: Path, only: str | None = None, earlier: Path | None = None) -> list[str]:
    """Run the jobs with one checkout and write what they saw; returns the names of the jobs that failed.

    `earlier` is the record whose packs and model folders are read again, by default this one. Raises ValueError for a
    folder that holds no npblender and for names of jobs that do not exist.
    """
    if not (checkout / "npblender" / "__init__.py").is_file():
        raise ValueError(f"{checkout} holds no npblender/")
    jobs = list(chosen(only))
    out.mkdir(parents=True, exist_ok=True)
    (out / "machine.json").write_text(json.dumps(machine(), indent=1) + "\n")
    path = out / "times.json"
    times = json.loads(path.read_text()) if path.exists() else {}
    failed = []
    for job in jobs:
        start = time.perf_counter()
        try:
            times[job.name] = round(run(checkout, out, job, earlier or out), 1)
        except subprocess.CalledProcessError:
            failed.append(job.name)
            print(f"{job.name}: FAILED", flush=True)
            continue
        path.write_text(json.dumps(times, indent=1) + "\n")
        print(f"{job.name}: {times[job.name]} s of processor, {time.perf_counter() - start:.1f} s", flush=True)
    print(f"{out}: {sum(times.values()):.0f} s of processor in all" + (f"; FAILED: {failed}" if failed else ""))
    return failed
