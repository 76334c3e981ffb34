"""The demo, its tokenizer, and one explanation of a reply of theirs, made once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import npblender
from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer
from reference_tests.support.browser import chromium, why_no_browser

SAID = "Do you have any pets?"


@pytest.fixture(scope="package")
def model() -> BlenderbotSmallForConditionalGeneration:
    return BlenderbotSmallForConditionalGeneration.from_pretrained(dtype="float64")


@pytest.fixture(scope="package")
def tokenizer() -> BlenderbotSmallTokenizer:
    return BlenderbotSmallTokenizer.from_pretrained()


@pytest.fixture(scope="package")
def found(model: Any, tokenizer: Any) -> npblender.Explanation:
    return npblender.explain(model, tokenizer, SAID)


@pytest.fixture(scope="package")
def page(found: npblender.Explanation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explained") / "page.html"
    found.save(path)
    return path


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    missing = why_no_browser()
    if missing:
        pytest.skip(missing)
    with chromium() as driver:
        yield driver
