"""Code that people write with this model, beside the answers of both transformers."""

import json
from functools import cache

import pytest

from tools.docs import drop_in
from tools.docs.tables import between_markers
from tools.goldens.drop_in import FILE, ORIGINALS, same
from tools.goldens.drop_in_calls import CALLS


@cache
def verdicts() -> dict[str, dict[str, str]]:
    return drop_in.verdicts()


def test_the_answers_are_of_these_calls() -> None:
    stored = json.loads(FILE.read_text(encoding="utf-8"))
    assert stored["calls"] == {name: call.code for name, call in CALLS.items()}
    assert len(CALLS) >= 40
    for original in ORIGINALS:
        assert sorted(stored["originals"][original]["answers"]) == sorted(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_what_is_not_the_same_has_a_reason(name: str) -> None:
    """And what has a reason is not the same beside at least one of the two."""
    good = {"same", "only here", "both refuse"}
    if CALLS[name].why:
        assert set(verdicts()[name].values()) - {"same"}
    else:
        assert set(verdicts()[name].values()) <= good, verdicts()[name]


def test_most_is_the_same() -> None:
    counts = [list(each.values()).count("same") for each in verdicts().values()]
    assert sum(counts) >= 1.3 * len(CALLS)


def test_equal_means_equal_numbers() -> None:
    assert same({"shape": [1, 2], "sum": 0.1}, {"shape": [1, 2], "sum": 0.1000001})
    assert not same({"shape": [1, 2], "sum": 0.1}, {"shape": [1, 2], "sum": 0.1001})
    assert not same([1, 2], [1, 3])
    assert drop_in.verdict({"value": [1]}, {"value": [2]}) == "other"
    assert drop_in.verdict({"error": "x"}, {"value": [2]}) == "only here"


@pytest.mark.slow
def test_the_page_says_what_is() -> None:
    assert between_markers(drop_in.PAGE, drop_in.MARKED) == drop_in.table()
