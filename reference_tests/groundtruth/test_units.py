"""Units of noise and scores: numbers solved by hand, a slow oracle, laws, and what NaN and infinity count."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from npblender.groundtruth.noise.units import (
    BUG,
    DIVERGED,
    FALLBACK_SPREAD,
    FALLBACK_ULPS,
    SPREAD,
    Noise,
    assumed_noise,
    diverged,
    errors_in_units,
    float32_ulp,
    score,
    unit,
    worst_limit,
)
from reference_tests.support.asserts import assert_close
from reference_tests.support.strategies import seeds
from reference_tests.support.tolerances import TOLERANCES

AGAIN = TOLERANCES["float64 computed another way"]
ULP1 = 2.0**-23  # of 1.0
NOISE = Noise(0.25, 1.0)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_the_ulp_is_the_gap_to_the_next_float32(value: float) -> None:
    assume(abs(value) < np.finfo(np.float32).max)
    here = np.float32(abs(value))
    assert float32_ulp(value) == float(np.nextafter(here, np.float32(np.inf))) - float(here)


def test_the_ulp_at_the_ends() -> None:
    assert float32_ulp(np.finfo(np.float32).max) == 2.0**104
    assert float32_ulp(-1e300) == 2.0**104  # beyond float32's range the last gap stands
    assert float32_ulp(0.0) == 2.0**-149
    assert float32_ulp(1e-45) == 2.0**-149
    assert float32_ulp(np.nextafter(1.0, 0)) == 2.0**-24


def test_a_score_solved_by_hand() -> None:
    """Units are 0.25, the noise, but for 2^24, whose half ulp is 1. Errors 0, 0.5, 1, 3 are 0, 2, 4 and 3 units."""
    found = score([0.0, 1.0, -2.0, 2.0**24], [0.0, 1.5, -3.0, 2.0**24 + 3], NOISE)
    assert found.units == math.sqrt((0 + 4 + 16 + 9) / 4)
    assert (found.worst, found.worst_index, found.reference_value, found.mine_value) == (4.0, (2,), -2.0, -3.0)
    assert (found.max_error, found.rms_error) == (3.0, math.sqrt((0.25 + 1 + 9) / 4))
    assert found.worst_limit == 12.0  # 3 * 1.0 / 0.25
    assert (found.values, found.noise, found.measured) == (4, NOISE, True)
    # in ulps: 0; 0.5 / 2^-23 = 2^22; 1 / 2^-22 = 2^22; 3 / 2 = 1.5
    assert dict(found.ulp_histogram) == {
        **dict.fromkeys((0.5, 1.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1024.0), 0),
        0.0: 1,
        2.0: 1,
        math.inf: 2,
    }


@pytest.mark.parametrize(
    ("noise", "limit"),
    [
        (Noise(0.0, 0.0), 10.0),  # nothing was seen: as for a whole tensor
        (Noise(1.0, 1.0), 10.0),
        (Noise(1.0, 3.0), 10.0),
        (Noise(1.0, 3.5), 10.5),
        (Noise(1.0, 5.0), 15.0),
        (Noise(1.0, 7.5), 22.5),
        (Noise(2.0, 18.0), 27.0),
        (Noise(1.0, 44.0), 132.0),
    ],
)
def test_the_worst_that_is_noise(noise: Noise, limit: float) -> None:
    assert_close(worst_limit(noise), limit, AGAIN)


def test_the_three_ways_to_diverge_and_not_to() -> None:
    """16 values of unit 1: the whole tensor off by more than 10, or one value by more than its limit."""
    noise, reference = Noise(1.0, 4.0), np.zeros(16)  # the limit of a single value is 12
    one = np.eye(1, 16)[0]
    for mine, expected in (
        (np.full(16, 10.0), False),
        (np.full(16, 10.0 + 1e-9), True),
        (12.0 * one, False),
        (12.0 * one + 1e-9 * one, True),
        (np.full(16, 9.5) + 2.5 * one, False),
    ):
        assert diverged(score(reference, mine, noise)) is expected
    assert (DIVERGED, BUG, SPREAD) == (10.0, 100.0, 3.0)


def slow_errors(reference: np.ndarray, mine: np.ndarray, rms: float) -> list[float]:
    """Value by value in Python's floats."""
    errors = []
    for expected, found in zip(reference.ravel().tolist(), mine.ravel().tolist(), strict=True):
        gap = 2.0 ** (math.frexp(expected)[1] - 24)  # 24 bits from the leading one on
        errors.append(abs(found - expected) / max(rms, gap / 2))
    return errors


@given(seed=seeds(), scale=st.integers(-20, 20), rms=st.sampled_from([0.0, 1e-7, 1e-3]))
def test_scores_are_what_the_oracle_says(seed: int, scale: int, rms: float) -> None:
    rng = np.random.default_rng(seed)
    reference = rng.standard_normal((3, 5)) * 2.0**scale
    mine = reference + rng.standard_normal((3, 5)) * 2.0**scale * 10.0 ** rng.integers(-9, -2, (3, 5))
    noise = Noise(rms, 2 * rms)
    found, slow = score(reference, mine, noise), slow_errors(reference, mine, rms)
    assert_close(errors_in_units(reference, mine, noise).ravel(), np.array(slow), AGAIN)
    assert_close(found.units, math.sqrt(sum(e * e for e in slow) / len(slow)), AGAIN)
    assert_close(found.worst, max(slow), AGAIN)
    assert found.worst_index is not None
    assert found.worst_index[0] * 5 + found.worst_index[1] == slow.index(max(slow))
    assert sum(count for _, count in found.ulp_histogram) == 15


@given(seed=seeds(), power=st.integers(-30, 30))
def test_laws_of_scores(seed: int, power: int) -> None:
    """Scaled by a power of two nothing changes; nor if values are moved about; a larger error is no smaller."""
    rng = np.random.default_rng(seed)
    reference = rng.standard_normal(24)
    mine = reference + 1e-6 * rng.standard_normal(24)
    noise = Noise(2.0**-24, 2.0**-22)
    found, factor, order = score(reference, mine, noise), 2.0**power, rng.permutation(24)
    scaled = score(reference * factor, mine * factor, Noise(noise.rms * factor, noise.max * factor))
    assert (scaled.units, scaled.worst, scaled.worst_index) == (found.units, found.worst, found.worst_index)
    moved = score(reference[order].reshape(4, 6), mine[order].reshape(4, 6), noise)
    assert_close(moved.units, found.units, AGAIN)
    assert (moved.worst, moved.ulp_histogram) == (found.worst, found.ulp_histogram)
    further = score(reference, reference + 1.5 * (mine - reference), noise)
    assert further.units > found.units
    assert further.worst > found.worst


@given(seed=seeds(), spread=st.floats(1, 100))
def test_a_disturbance_of_thirty_units_is_found(seed: int, spread: float) -> None:
    """In all values, whatever the noise; in one, where less than two fifths of it was ever seen. Noise alone is not."""
    rng = np.random.default_rng(seed)
    reference = rng.standard_normal((2, 9)) * 10.0 ** rng.integers(-3, 4)
    noise = Noise(1e-6, 1e-6 * spread)
    units = unit(reference, noise)
    clean = reference + np.clip(rng.standard_normal((2, 9)), -3, 3) * units
    assert not diverged(score(reference, clean, noise))
    assert diverged(score(reference, clean + 30 * rng.choice([-1, 1], (2, 9)) * units, noise))
    index = tuple(rng.integers((2, 9)))
    one = clean.copy()
    one[index] = reference[index] + 30 * units[index]
    found = score(reference, one, noise)
    assert found.worst_index == index
    assert diverged(found) is (spread < 12)
    copy = score(reference, reference.astype(np.float32), Noise(0.0, 0.0))
    assert copy.units <= copy.worst <= 1.0


def test_not_a_number_and_infinity_agree_with_themselves_alone() -> None:
    nan, inf = math.nan, math.inf
    same = score([nan, inf, -inf, 1.0], [nan, inf, -inf, 1.0], NOISE)
    assert (same.units, same.worst, same.max_error) == (0.0, 0.0, 0.0)
    assert (same.reference_nan, same.mine_nan, same.reference_infinite, same.mine_infinite) == (1, 1, 2, 2)
    for expected, found in ((1.0, nan), (nan, 1.0), (1.0, inf), (inf, 1.0), (inf, -inf), (nan, inf), (-1e20, -inf)):
        one = score([0.0, expected], [0.0, found], NOISE)
        assert (one.units, one.worst, one.max_error, one.worst_index) == (inf, inf, inf, (1,))
        assert diverged(one)
    assert same.ulp_histogram[0] == (0.0, 4)


def test_every_dtype_has_the_same_lowest_score() -> None:
    """Hidden scores are the dtype's lowest number in some programs; as a value that is one and the same."""
    lowest = [np.array([np.finfo(dtype).min, 1], dtype) for dtype in (np.float32, np.float64, np.longdouble)]
    for reference in lowest:
        for mine in lowest:
            found = score(reference, mine, NOISE)
            assert (found.units, found.max_error) == (0.0, 0.0)
    assert diverged(score([-1e20], np.array([np.finfo(np.float32).min]), NOISE))
    assert diverged(score([-1e20], [-1e4], NOISE))
    assert score(np.array([-1e20]), np.array([-1e20], np.float32), NOISE).worst <= 1.0


def test_without_measured_noise_some_ulps_take_its_place() -> None:
    reference = np.array([[1.5, -1.5], [1.5, -1e20], [math.nan, math.inf]])  # the last three do not count
    noise = assumed_noise(reference)
    assert noise == Noise(FALLBACK_ULPS * ULP1, FALLBACK_ULPS * FALLBACK_SPREAD * ULP1)
    found = score(reference, reference, None)
    assert (found.measured, found.noise) == (False, noise)
    assert score([1.5], [1.5 + 3 * FALLBACK_ULPS * ULP1]).units == 3.0
    assert assumed_noise([-1e20]) == assumed_noise([]) == Noise(0.0, 0.0)


def test_what_has_no_values() -> None:
    found = score(np.zeros((0, 3)), np.zeros((0, 3)), NOISE)
    assert (found.units, found.worst, found.worst_index, found.values) == (0.0, 0.0, None, 0)
    assert math.isnan(found.reference_value)
    assert not diverged(found)
    scalar = score(np.float32(2.0), 3.0, NOISE)
    assert (scalar.worst, scalar.worst_index) == (4.0, ())


def test_integers_and_booleans_are_numbers_too() -> None:
    assert score(np.array([1, 2]), np.array([1, 3], np.int32), NOISE).worst == 4.0
    assert score(np.array([True]), np.array([False]), NOISE).worst == 4.0


@pytest.mark.parametrize(
    ("reference", "mine", "error", "says"),
    [
        ([1.0], [1.0, 2.0], ValueError, r"the reference has \(1,\), what is compared \(2,\)"),
        ([[1.0]], [1.0], ValueError, "shapes differ"),
        (["a"], [1.0], TypeError, "the reference must hold real numbers"),
        ([1.0], [1j], TypeError, "what is compared must hold real numbers"),
    ],
)
def test_what_can_not_be_scored(reference: Any, mine: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        score(reference, mine, NOISE)


@pytest.mark.parametrize(("rms", "largest"), [(-1.0, 1.0), (2.0, 1.0), (math.nan, 1.0), (1.0, math.inf)])
def test_noise_is_finite_and_its_max_no_less_than_its_rms(rms: float, largest: float) -> None:
    with pytest.raises(ValueError, match="0 <= rms <= max"):
        Noise(rms, largest)


def test_a_score_can_be_changed_only_into_another() -> None:
    found = score([1.0], [1.0], NOISE)
    with pytest.raises(AttributeError):
        found.units = 0.0  # type: ignore[misc]
    assert diverged(replace(found, units=11.0))
