"""A probability about the truth, judged by measurements of it."""

import numpy as np
import pytest
from scipy.special import ndtr

from seedtest_analytics.stats.verification.measured import probability_of_measured
from seedtest_analytics.stats.verification.probabilities import score_probabilities

TARGET = 0.5


def cohort(n: int, understated: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """P, the SD that P states, the measurements' standard errors, and whether each measured level is at the target."""
    rng = np.random.default_rng(20261121)
    mean, sd, error = rng.normal(0.3, 0.8, n), rng.uniform(0.2, 0.5, n), rng.uniform(0.3, 0.7, n)
    measured = mean + sd * rng.standard_normal(n) + error * rng.standard_normal(n)
    stated = understated * sd
    return ndtr((mean - TARGET) / stated), stated, error, (measured >= TARGET).astype(float)


@pytest.mark.parametrize("n", [2_000, 50_000])
def test_what_is_right_of_the_truth_is_calibrated_against_measurements(n: int) -> None:
    p, sd, error, happened = cohort(n)
    score = score_probabilities(probability_of_measured(p, sd, error_sd=error), happened)
    assert abs(score.calibration_slope - 1.0) < 4 * score.calibration_slope_se
    assert abs(score.calibration_intercept) < 4 * score.calibration_intercept_se
    # As it stands it would be accused of being too sure.
    naive = score_probabilities(p, happened)
    assert naive.calibration_slope < 1.0 - 8 * naive.calibration_slope_se


def test_an_sd_that_is_too_small_is_seen_through_the_error() -> None:
    p, sd, error, happened = cohort(50_000, understated=0.3)
    score = score_probabilities(probability_of_measured(p, sd, error_sd=error), happened)
    assert score.calibration_slope < 1.0 - 4 * score.calibration_slope_se


def test_a_perfect_measurement_and_an_unknown_sd_leave_it_as_it_is() -> None:
    p = np.array([0.0, 0.2, 1.0, 0.7, 0.7])
    kept = probability_of_measured(p, [0.5, 0.5, 0.5, np.nan, 0.0], error_sd=[0.0, 0.0, 0.3, 0.3, 0.3])
    np.testing.assert_allclose(kept, p, atol=1e-15)
