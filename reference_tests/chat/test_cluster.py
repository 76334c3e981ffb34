"""`reply_to_all` on a Dask cluster: a scheduler and two worker processes on this machine."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from npblender.chat.batch import reply_to_all
from reference_tests.support.tiny_folder import WORDS

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed: pip install 'npblender[cluster]'")

TEXTS = [" ".join(WORDS[at : at + 1 + at % 4]) for at in range(24)]
SETTINGS = {"min_length": 2, "max_length": 6, "num_beams": 2, "dtype": "float64"}


# Dask's own warnings are not ours to answer for.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_gives_what_this_thread_gives(tiny_folder: Path) -> None:
    from distributed import Client, LocalCluster

    here = list(reply_to_all([*TEXTS, ""], tiny_folder, batch_size=2, **SETTINGS))
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        executor = client.get_executor()
        there = list(reply_to_all([*TEXTS, ""], tiny_folder, executor=executor, batch_size=2, **SETTINGS))
        done_by = {worker: len(tasks) for worker, tasks in client.processing().items()}
        spans = client.run(
            lambda: __import__("npblender.chat.batch.workers", fromlist=["_load"])._load.cache_info().misses
        )
    assert there == here
    assert len(done_by) == 2
    assert sorted(spans.values()) == [1, 1]  # both took part, and each loaded the model once
    assert [record["line"] for record in there] == list(range(1, 26))
    assert "error" in there[-1]


PAGE = Path(__file__).resolve().parents[2] / "docs" / "clusters.md"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_block_of_the_page_runs_as_copied(tiny_folder: Path, tmp_path: Path) -> None:
    """In a program of its own, beside a scheduler; only the scheduler's address and the model's folder are others."""
    from distributed import LocalCluster

    (block,) = re.findall(r"```py\n(import json\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "lines.txt").write_text("".join(f"{text}\n" for text in TEXTS[:4]), encoding="utf-8")
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        copied = block.replace("tcp://scheduler.example:8786", cluster.scheduler_address)
        copied = copied.replace("/models/blenderbot_small-90M", str(tiny_folder))
        assert copied.count(str(tiny_folder)) == copied.count(cluster.scheduler_address) == 1
        here = {**os.environ, "PYTHONPATH": str(PAGE.parents[1])}  # where the package is not installed
        subprocess.run([sys.executable, "-c", copied], cwd=tmp_path, env=here, check=True, capture_output=True)
    records = [json.loads(line) for line in (tmp_path / "replies.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["input"] for record in records] == TEXTS[:4]
    assert all("reply" in record for record in records)
