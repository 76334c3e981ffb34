"""All faults of the zoo by name, in the order in which a forward pass meets them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from npblender.config.dialect import PARLAI
from reference_tests.faults.zoo import Fault, reference
from reference_tests.faults.zoo_arithmetic import ARITHMETIC
from reference_tests.faults.zoo_border import BORDER
from reference_tests.faults.zoo_wiring import WIRING


def _in_causal_order(faults: Mapping[str, Fault]) -> dict[str, Fault]:
    place = {name: number for number, name in enumerate(reference(PARLAI).points)}
    return dict(sorted(faults.items(), key=lambda item: place[item[1].point]))


ZOO: Mapping[str, Fault] = MappingProxyType(_in_causal_order({**ARITHMETIC, **WIRING, **BORDER}))
