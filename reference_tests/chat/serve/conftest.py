"""One server for all tests that only ask; those that stop or fill one start their own."""

import importlib.util
from collections.abc import Iterator

import pytest

from reference_tests.support.servers import Server, running_server

MISSING = [name for name in ("starlette", "uvicorn", "prometheus_client") if importlib.util.find_spec(name) is None]


@pytest.fixture(scope="session")
def needs_serve() -> None:
    if MISSING:
        pytest.skip(f"needs {', '.join(MISSING)}: pip install 'npblender[serve]'")


@pytest.fixture(scope="session")
def server(needs_serve: None) -> Iterator[Server]:
    """The demo, with a key for those who want one: none."""
    with running_server() as running:
        yield running
