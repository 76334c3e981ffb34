"""Settings that all tests share: one Hypothesis profile, and a seeded generator per test."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from reference_tests.tiny_folder import save_folder

# The same examples on every run and machine; no deadline, since two loaded cores make any deadline flaky.
settings.register_profile("npblender", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("npblender")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator seeded by the test's own name: independent of order, different between tests."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole model folder with a hand-made vocabulary and random weights: see tiny_folder.py. Do not write to it."""
    return save_folder(tmp_path_factory.mktemp("model") / "tiny", seed=2)
