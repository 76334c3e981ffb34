"""The coefficients of erf in the package are those that the tool derives from its definition."""

import pytest
from mpmath import mp

from tools.measure import derive_erf


@pytest.mark.slow
def test_the_committed_coefficients_are_those_the_tool_derives() -> None:
    with mp.workdps(15):
        assert derive_erf.module_source() == derive_erf.MODULE.read_text(encoding="utf-8")
