"""Settings that all tests share: the Hypothesis profiles, and a seeded generator for each test.

Tests that take long carry the marker `slow` and are left out unless `-m ""` asks for them;
`--hypothesis-profile thorough` tries more examples of every law.
"""

import os
import signal
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from npblender.ops.packed import blas
from reference_tests.support.tiny_folder import save_folder

# No name of a model is looked up beyond loopback; test_hub.py takes this away for its own server.
os.environ["HF_HUB_OFFLINE"] = "1"

# The same examples on every run and machine; no deadline, since two loaded cores make any deadline flaky.
for name, examples in (("npblender", 15), ("thorough", 60)):
    settings.register_profile(name, deadline=None, derandomize=True, database=None, max_examples=examples)
settings.load_profile("npblender")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator seeded by the test's own name: independent of order, different between tests."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(scope="session", autouse=True)
def one_blas_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """OpenBLAS's idle threads busy-wait, at half of all cost of these small products. A run of all tests keeps them."""
    if request.config.option.markexpr == "":
        yield
        return
    with blas.ONE_THREAD, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENBLAS_NUM_THREADS", "1")  # in child processes
        yield


@pytest.fixture
def all_blas_threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """As many threads as the BLAS has by itself."""
    limited = request.config.option.markexpr != ""
    if limited:
        blas.ONE_THREAD.__exit__()
    yield
    if limited:
        blas.ONE_THREAD.__enter__()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Child processes end at SIGINT, even if a shell started the tests in the background, with that signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole model folder with a hand-made vocabulary and random weights: see tiny_folder.py. Do not write to it."""
    return save_folder(tmp_path_factory.mktemp("model") / "tiny", seed=2)


def chosen_by(variable: str, choice: Any, patch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A function that sets a variable of the environment, by which a cached `choice` is made anew, until the end."""

    def choose(word: str) -> None:
        patch.setenv(variable, word)
        choice.cache_clear()

    yield choose
    choice.cache_clear()


@pytest.fixture
def lay_out_as(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Call it with a layout: from then on large matrices lie so, whatever this machine prefers."""
    yield from chosen_by(blas.VARIABLE, blas.layout, monkeypatch)


@pytest.fixture
def cut_as(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Call it with "narrow" or "wide": from then on panels are cut so, whatever this machine prefers."""
    yield from chosen_by(blas.PANELS_VARIABLE, blas.preferred_cut, monkeypatch)


@pytest.fixture
def in_panels(lay_out_as: Callable[[str], None], cut_as: Callable[[str], None]) -> None:
    """Large matrices go into narrow panels."""
    lay_out_as("panels")
    cut_as("narrow")


@pytest.fixture
def by_use(lay_out_as: Callable[[str], None], cut_as: Callable[[str], None]) -> None:
    """Matrices of the decoder are turned into narrow panels when they are needed so."""
    lay_out_as("by-use")
    cut_as("narrow")
