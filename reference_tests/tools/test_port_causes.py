"""The causes of 125 mistakes in the C port are named; what was right once stays right."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tools.measure.causes import LISTS, answer

CC = shutil.which("cc")
NOT_RIGHT = {
    "rows behind a tile from the tile before (ml-explore/mlx 3856)": "wrong",
    "the decoder's norm after positions (huggingface/transformers 11046)": "half",
    "keys written without their head's offset (vllm-project/vllm 29887)": "half",
}
"""What the words written beforehand do not find in the remarks, though most of these remarks name the mistake."""


@pytest.mark.parametrize("name", LISTS)
def test_every_list_has_its_count(name: str) -> None:
    _, faults, counted = LISTS[name]
    assert len(faults) == sum(counted) == 25
    edits = [edit for fault in faults.values() for edit in fault.edits]
    assert all(old != new for old, new in edits)


@pytest.mark.slow
@pytest.mark.skipif(CC is None, reason="there is no C compiler")
@pytest.mark.parametrize("name", LISTS)
def test_the_causes_of_a_list_are_named(name: str, tmp_path: Path) -> None:
    assert CC is not None
    for fault, planted in LISTS[name][1].items():
        found = answer(planted, tmp_path, CC)
        assert found.verdict == "diverged", fault
        assert found.point == planted.point, fault
        assert found.grade == NOT_RIGHT.get(fault, "right"), (fault, found.remarks)
