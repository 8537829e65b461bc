"""Outliers, series that stand still, and bounds: what they may not do to the weeks after them."""

import numpy as np
import pytest

from seedtest_analytics.stats.forecasts.expectation import expect_students
from seedtest_analytics.stats.forecasts.forecast import forecast_series
from seedtest_analytics.stats.forecasts.scores import anomaly_scores, lone_outliers
from seedtest_analytics.stats.forecasts.series import ForecastSettings, weekly_series

MONDAY = np.datetime64("2026-01-05")
BY_LEVEL = ForecastSettings(min_points=99)


def series_of(values, metric="x", **columns):
    return weekly_series(metric, MONDAY + 7 * np.arange(len(values)), values=values, **columns)


@pytest.mark.long
def test_ordinary_weeks_after_a_bad_one_are_ordinary():
    """On the old code, 42 % of them were anomalies (seeds 500..505)."""
    after = []
    for seed in range(500, 506):
        values = np.random.default_rng(seed).normal(0.5, 0.02, 13)
        values[9] = 0.2
        found = forecast_series(series_of(values), ForecastSettings(scored_weeks=5))
        assert found.is_anomaly[9]
        after.append(found.is_anomaly[10:])
    assert np.mean(after) <= 0.08


@pytest.mark.parametrize("at", [0.0, 0.4, 1.0])
def test_weeks_after_a_standstill_are_not_all_anomalies(at):
    """On the old code, all of them were (seeds 0..39)."""
    far = []
    for seed in range(40):
        noise = np.random.default_rng(seed).normal(0, 0.03, 19)
        values = np.concatenate([np.full(6, at), at + noise])
        far.append(forecast_series(series_of(values), BY_LEVEL).is_anomaly[6:])
    assert np.mean(far) <= 0.04


def test_after_a_standstill_a_change_beyond_the_error_of_measurement_is_an_anomaly():
    steady = np.full(8, 0.5)
    errors = np.full(9, 0.05)
    small = forecast_series(series_of([*steady, 0.55], standard_errors=errors), BY_LEVEL)
    large = forecast_series(series_of([*steady, 0.95], standard_errors=errors), BY_LEVEL)
    assert not small.is_anomaly.any()
    assert large.is_anomaly.tolist() == [False] * 8 + [True]
    assert small.forecast_upper[0] - small.forecast_lower[0] > 0.05


def test_a_new_level_is_followed():
    rng = np.random.default_rng(7)
    values = np.concatenate([rng.normal(0.3, 0.02, 12), rng.normal(0.6, 0.02, 12)])
    found = forecast_series(series_of(values), BY_LEVEL)
    assert found.is_anomaly[12]
    assert not found.is_anomaly[15:].any()
    assert abs(found.forecast[0] - 0.6) < 0.05


def test_two_neighbours_are_a_change_and_one_is_an_outlier():
    scores = np.array([np.nan, 0.1, 9.0, 0.2, -8.0, np.nan, 7.0, 0.1, 3.0])
    assert np.flatnonzero(lone_outliers(scores)).tolist() == [2, 8]


@pytest.mark.parametrize("metric", ["A_t", "S", "topic:algebra"])
@pytest.mark.parametrize(
    "values",
    [
        np.linspace(0.4, 0.99, 12),
        np.linspace(0.6, 0.01, 12),
        np.r_[np.linspace(0.2, 1.0, 9), 1.0, 1.0, 1.0],
        np.random.default_rng(3).choice([0.0, 1.0], 12),
        np.clip(np.random.default_rng(4).normal(0.95, 0.08, 12), 0, 1),
    ],
    ids=["rises", "falls", "reaches 1", "only 0 and 1", "clipped"],
)
@pytest.mark.long
def test_no_forecast_of_a_share_leaves_its_bounds(metric, values):
    found = forecast_series(series_of(values, metric), ForecastSettings(scored_weeks=1))
    for numbers in (found.forecast, found.forecast_lower, found.forecast_upper, found.expected):
        assert ((numbers >= 0) & (numbers <= 1))[np.isfinite(numbers)].all()
    assert (found.forecast_lower <= found.forecast).all()
    assert (found.forecast <= found.forecast_upper).all()


def test_a_share_beyond_its_bounds_is_refused():
    with pytest.raises(ValueError, match=r"beyond 0\.\.1 \(first rows: \[1\]\)"):
        series_of([0.5, 1.2], "A_t")
    assert series_of([0.5, 1.2], "I_t").bounds is None


@pytest.mark.long
@pytest.mark.parametrize("name", ["holidays", "yearly", "yhat", "trend", "zeros", "a_delim_b", "y", "holidays_lower"])
def test_any_name_of_a_holiday_can_be_fitted(name):
    days = ForecastSettings(scored_weeks=1, holidays=((name, MONDAY + 37),))
    found = forecast_series(series_of(np.random.default_rng(0).normal(0.5, 0.05, 12)), days)
    assert found.method == "prophet"


def test_a_students_bad_week_does_not_stay():
    """Seed 21; the level of each student after a week eight standard deviations off."""
    rng = np.random.default_rng(21)
    values = rng.normal(0.1, 0.05, (2_000, 12))
    values[:, 9] -= 0.4
    found = expect_students(values)
    quiet = np.abs(found.anomaly[:, 10:]) >= 2.5
    assert (np.abs(found.anomaly[:, 9]) > 2.5).mean() > 0.95
    assert quiet.mean() <= 0.03


def test_a_cohort_that_mostly_stands_still_has_a_scale():
    """Seed 22; 70 % of the students never change, which made the scale 0 and every change an anomaly."""
    values = np.full((1_000, 10), 0.2)
    values[:300] += np.random.default_rng(22).normal(0, 0.05, (300, 10))
    found = expect_students(values)
    assert (np.abs(found.anomaly[:300]) >= 2.5).mean() <= 0.04
    assert np.isnan(expect_students(np.full((50, 8), 0.2)).anomaly).all()


def test_scores_refuse_what_they_cannot_read():
    with pytest.raises(ValueError, match="relative SD has shape"):
        anomaly_scores([1.0, 2.0], np.ones((3, 3)))
    with pytest.raises(ValueError, match="infinite"):
        anomaly_scores([1.0, np.inf], np.ones((2, 2)))
