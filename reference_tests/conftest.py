"""Settings that all tests share: one Hypothesis profile, and a seeded generator per test."""

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from npblender.ops.packed import blas
from reference_tests.support.tiny_folder import save_folder

# The same examples on every run and machine; no deadline, since two loaded cores make any deadline flaky.
for name, examples in (("npblender", 40), ("thorough", 60)):
    settings.register_profile(name, deadline=None, derandomize=True, database=None, max_examples=examples)
settings.load_profile("npblender")

SLOW = (
    "tools/test_bench.py::test_the_tool_runs_on_a_tiny_model",
    "cli/test_generate.py::test_processes_give_the_same",
    "ops/test_erf.py::test_the_committed_coefficients",
    "golden/test_forward.py::test_every_golden_sees_the_faults",
    "test_packs.py::test_a_planted_fault_is_found",
    "test_packs.py::test_an_export_repeats_byte_by_byte",
    "test_packs.py::test_npblender_agrees_in_every_dtype[longdouble]",
    "transformer/test_oracle.py::test_every_point_in_any_mixture",
    "test_compare.py::test_float32_is_within_noise_of_every_truth",
    "test_zoo.py::test_the_comparison_names_the_point",  # in the dialects that are not the default
    "test_zoo.py::test_the_tiny_pack_shows_the_fault",
    "test_refed.py::test_every_output_is_the_recorded_point",
    "groundtruth/test_noise.py::test_every_variant",
    "chat/test_batch.py::test_cut_anywhere",
)
"""Run only with `--thorough`, as `.ci/run` does: the plain command is to take no longer than somebody waits for it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thorough", action="store_true", help="run everything, and more examples of each law")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("thorough"):
        settings.load_profile("thorough")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("thorough"):
        return
    slow = [item for item in items if any(part in item.nodeid for part in SLOW) and "parlai]" not in item.nodeid]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in set(slow)]


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator seeded by the test's own name: independent of order, different between tests."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole model folder with a hand-made vocabulary and random weights: see tiny_folder.py. Do not write to it."""
    return save_folder(tmp_path_factory.mktemp("model") / "tiny", seed=2)


@pytest.fixture
def lay_out_as(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Call it with a layout: from then on large matrices lie so, whatever this machine prefers."""

    def choose(layout: str) -> None:
        monkeypatch.setenv(blas.VARIABLE, layout)
        blas.layout.cache_clear()

    yield choose
    blas.layout.cache_clear()


@pytest.fixture
def in_panels(lay_out_as: Callable[[str], None]) -> None:
    """Large matrices go into panels."""
    lay_out_as("panels")


@pytest.fixture
def by_use(lay_out_as: Callable[[str], None]) -> None:
    """Matrices of the decoder are turned into panels when they are needed so."""
    lay_out_as("by-use")
