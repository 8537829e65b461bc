"""Students' scores hold the nominal rate where errors are not Normal."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from seedtest_analytics.stats.forecasts.expectation import StudentExpectation, expect_students
from seedtest_analytics.stats.forecasts.tails import normal_scores, tail_degrees

NOMINAL = 2 * stats.norm.sf(2.5)


def expected(noise: np.ndarray, *, lowest: float = -np.inf) -> StudentExpectation:
    """The scores of students whose levels differ by 0.1 (SD), with weekly noise of 0.1."""
    level = np.random.default_rng(920).normal(0, 0.1, (len(noise), 1))
    return expect_students(np.maximum(level + 0.1 * noise, lowest))


def rate(found: StudentExpectation) -> float:
    return float((np.abs(found.anomaly[np.isfinite(found.anomaly)]) > 2.5).mean())


def test_normal_errors_stay_as_they_are() -> None:
    found = expected(np.random.default_rng(921).normal(size=(1_500, 16)))
    assert found.tail_degrees >= 20
    assert rate(found) == pytest.approx(NOMINAL, abs=0.003)


def test_heavy_tails_hold_the_rate_and_a_shock_is_still_found() -> None:
    """Under Normal tails 4.6 % of these weeks would be anomalies."""
    noise = np.random.default_rng(922).standard_t(4, (1_500, 16))
    found = expected(noise)
    assert 3 <= found.tail_degrees <= 7
    assert rate(found) == pytest.approx(NOMINAL, abs=0.004)
    noise[::50, -1] += 15.0
    shocked = expected(noise).anomaly[::50, -1]
    assert (shocked > 2.5).mean() > 0.9


def test_values_cut_at_the_edge_of_their_range_raise_no_more_alarms() -> None:
    noise = np.random.default_rng(923).normal(size=(1_500, 16))
    assert rate(expected(noise, lowest=0.0)) < 1.2 * NOMINAL


@pytest.mark.parametrize("degrees", [3.0, 5.0])
def test_a_score_has_the_probability_of_its_error(degrees: float) -> None:
    """z is scaled so that its median is that of a Normal deviate."""
    z = np.array([-4.0, 0.0, 0.6744898, 3.0])
    errors = z * stats.t(degrees).ppf(0.75) / stats.norm.ppf(0.75)
    assert stats.norm.sf(normal_scores(z, degrees)) == pytest.approx(stats.t(degrees).sf(errors))


def test_few_errors_and_errors_that_are_all_zero_count_as_normal() -> None:
    assert np.isinf(tail_degrees(np.random.default_rng(924).standard_t(3, 199)))
    assert np.isinf(tail_degrees(np.zeros(500)))
    assert normal_scores(np.array([1.0]), np.inf).tolist() == [1.0]
