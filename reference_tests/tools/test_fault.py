"""`python -m tools fault`: what it says of a planted fault is what was planted."""

import re

import numpy as np
import pytest

from npblender import BlenderbotSmallForConditionalGeneration
from reference_tests.faults.zoo_all import ZOO
from tools import ROOT
from tools.docs import fault

PAGE = (ROOT / "docs" / "exercises.md").read_text(encoding="utf-8")
ON_PAGE = re.findall(r'^\$ python -m tools fault "(.+)"$', PAGE, re.MULTILINE)


def test_the_page_shows_seven_faults_where_the_zoo_says_they_show() -> None:
    assert len(ON_PAGE) == 7
    for name in ON_PAGE:
        shown = PAGE.partition(f'fault "{name}"\nfirst wrong point: ')[2].partition(",")[0]
        assert shown == ZOO[name].point


@pytest.mark.parametrize("name", ["k and v swapped", "heads split by columns"])
def test_a_fault_is_planted_and_taken_out_again(name: str) -> None:
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(dtype="float64")
    right = fault.reply_of(None, model, [9, 10, 11])
    assert fault.reply_of(ZOO[name], model, [9, 10, 11]) != right
    assert fault.reply_of(None, model, [9, 10, 11]) == right


def test_the_first_wrong_point_is_the_first_in_order() -> None:
    right = {"a": np.ones(2), "b": np.ones(2), "c": np.ones(2)}
    assert fault.first_wrong(right, dict(right)) is None
    assert fault.first_wrong(right, {**right, "c": np.zeros(2), "b": np.array([1.0, 1.5])}) == ("b", 0.5)
    assert fault.first_wrong(right, {**right, "b": np.ones(3)}) == ("b", np.inf)
    assert fault.first_wrong(right, {**right, "b": np.array([1.0, np.nan])}) is not None
