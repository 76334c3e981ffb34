"""Settings that all tests share: one Hypothesis profile, and a seeded generator per test."""

import zlib

import numpy as np
import pytest
from hypothesis import settings

# The same examples on every run and machine; no deadline, since two loaded cores make any deadline flaky.
settings.register_profile("npblender", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("npblender")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator seeded by the test's own name: independent of order, different between tests."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))
