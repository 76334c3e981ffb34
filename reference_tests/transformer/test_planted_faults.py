"""Planted faults: for each, a test of the forward pass that fails. A test that no fault can break proves nothing.

Every check is the body of a test of this suite, run on a few fixed seeds.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from npblender.config.dialect import DIALECTS, PARLAI
from reference_tests.faults.planted import FAULTS, Fault
from reference_tests.support.forward_checks import assert_like_oracle
from reference_tests.support.model_cases import draw_case
from reference_tests.transformer import test_laws as laws
from reference_tests.transformer import test_taps as tap_tests
from reference_tests.transformer import test_training as training


def body(test: Any) -> Callable[..., None]:
    """A Hypothesis test without Hypothesis."""
    return test.hypothesis.inner_test  # type: ignore[no-any-return]


def on_seeds(test: Any, count: int, **fixed: Any) -> Callable[[], None]:
    return lambda: [body(test)(seed=seed, dialect=DIALECTS[seed % 3], **fixed) for seed in range(count)] and None


def oracle() -> None:
    for seed in range(16):
        assert_like_oracle(draw_case(np.random.default_rng(seed), DIALECTS[seed % 3]))


def left_padding() -> None:
    for seed in range(3):
        body(laws.test_left_padding_changes_nothing_in_parlai)(seed=seed, say_mask=bool(seed % 2))


def expectations() -> None:
    place = "encoder.layers.0.ffn."
    training.test_dropout_keeps_expectations("activation_dropout", f"{place}activation", f"{place}output")


def digits() -> None:
    if np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant:
        pytest.skip("longdouble is no wider than float64 here")
    laws.test_every_point_has_the_digits_of_its_dtype(PARLAI)


CHECKS: dict[str, Callable[[], None]] = {
    "oracle": oracle,
    "cached": on_seeds(laws.test_cached_equals_uncached_at_every_split, 6, kind="seq2seq", masked=False),
    "right padding": on_seeds(laws.test_right_padding_and_batch_mates_change_nothing, 3),
    "left padding": left_padding,
    "causality": on_seeds(laws.test_causality, 3, kind="seq2seq"),
    "uniform": on_seeds(laws.test_a_row_that_may_attend_to_nothing_is_uniform, 3),
    "head masks": on_seeds(laws.test_head_masks_zero_what_they_say, 3),
    "permuted": on_seeds(laws.test_permuting_the_batch_permutes_the_result, 3),
    "digits": digits,
    "dropout": training.test_dropout_strikes_every_place_and_scales_what_it_keeps,
    "expectations": expectations,
    "LayerDrop": training.test_layerdrop_skips_its_share_of_layers,
    "read-only": lambda: (
        [body(tap_tests.test_nothing_given_is_written_to)(seed=s, training=False) for s in range(9)] and None
    ),
    "taps": on_seeds(tap_tests.test_a_whole_pass_tells_the_catalogue, 3, labels=True),
    "vandal": tap_tests.test_a_tap_cannot_write,
}


@pytest.mark.parametrize("name", CHECKS)
def test_checks_hold_without_a_fault(name: str) -> None:
    CHECKS[name]()


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_planted_fault_is_caught(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    fault.plant(monkeypatch)
    with pytest.raises(fault.error):
        CHECKS[fault.check]()


def test_every_check_has_a_fault_to_catch() -> None:
    assert {fault.check for fault in FAULTS.values()} == set(CHECKS)
