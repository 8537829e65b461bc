"""Prophet beside its baseline, anomalies planted and found, and series that no model can be fitted to."""

import numpy as np
import pytest

from seedtest_analytics.stats.forecasts.forecast import forecast_many, forecast_series
from seedtest_analytics.stats.forecasts.holidays import public_holidays
from seedtest_analytics.stats.forecasts.prophet_model import fit_prophet, repetitions
from seedtest_analytics.stats.forecasts.series import ForecastSettings, weekly_series

MONDAY = np.datetime64("2024-01-01")
LAST = ForecastSettings(scored_weeks=1)


def weeks(n):
    return MONDAY + 7 * np.arange(n)


def quiet_series(n, seed, trend=0.0, shock=0.0):
    """Noise of a known size by evidence, and a shock in the last week, in standard deviations."""
    rng = np.random.default_rng(seed)
    evidence = rng.integers(30, 120, n).astype(float)
    noise = 0.5 / np.sqrt(evidence)
    values = 0.1 + trend * np.arange(n) + rng.normal(size=n) * noise
    values[-1] += shock * noise[-1]
    return weekly_series("I_t", weeks(n), values=values, evidence=evidence)


@pytest.mark.long
def test_a_shock_after_eight_weeks_is_found_and_signed():
    found = [forecast_series(quiet_series(9, seed, shock=sign * 8), LAST) for seed in range(4) for sign in (1, -1)]
    assert {result.method for result in found} == {"prophet"}
    scores = np.array([result.anomaly_score[-1] for result in found])
    assert (np.sign(scores) == [1, -1] * 4).all()
    assert (np.abs(scores) >= 2.5).mean() >= 0.75
    assert all(result.is_anomaly[-1] == (abs(result.anomaly_score[-1]) >= 2.5) for result in found)


def test_a_large_shock_passes_any_threshold():
    """The legacy in-sample z of nine weeks could not exceed 2.83."""
    assert forecast_series(quiet_series(9, 1, shock=1000), LAST).anomaly_score[-1] > 6


def test_later_weeks_change_no_earlier_score():
    series = quiet_series(14, 3)
    whole = forecast_series(series)
    part = forecast_series(
        weekly_series("I_t", series.weeks[:10], values=series.values[:10], evidence=series.evidence[:10])
    )
    np.testing.assert_allclose(part.expected, whole.expected[:10], equal_nan=True)
    np.testing.assert_allclose(part.anomaly_score, whole.anomaly_score[:10], equal_nan=True)


def test_a_trend_is_continued_with_an_interval():
    result = forecast_series(quiet_series(30, 4, trend=0.05), LAST)
    ahead = 0.1 + 0.05 * np.arange(30, 34)
    assert np.abs(result.forecast - ahead).max() < 0.15
    assert (result.forecast_lower < result.forecast).all()
    assert (result.forecast < result.forecast_upper).all()
    assert (np.diff(result.forecast_upper - result.forecast_lower) >= 0).all()
    np.testing.assert_array_equal(result.forecast_weeks, weeks(34)[30:])
    assert result.trend == "linear"


def test_a_bend_is_found():
    rng = np.random.default_rng(5)
    values = 0.02 * np.maximum(np.arange(40) - 20, 0) + rng.normal(size=40) * 0.01
    result = forecast_series(weekly_series("x", weeks(40), values=values), LAST)
    at = np.array([(point.week - MONDAY).astype(int) / 7 for point in result.changepoints])
    sizes = np.array([point.slope_change_per_week for point in result.changepoints])
    assert abs(sizes.sum() - 0.02) < 0.006
    assert abs(np.average(at, weights=np.abs(sizes)) - 20) < 4


@pytest.mark.long
def test_prophet_is_replaced_where_the_baseline_is_better():
    rng = np.random.default_rng(7)
    judged = ForecastSettings(scored_weeks=12)
    wander = forecast_series(weekly_series("x", weeks(30), values=np.cumsum(rng.normal(size=30))), judged)
    assert wander.beats_baseline is False
    assert wander.method == "local_level"
    assert wander.reason.startswith("Prophet's mean error")
    assert wander.forecast[0] == pytest.approx(wander.values[-1], abs=0.5)
    line = forecast_series(quiet_series(30, 8, trend=0.05), judged)
    assert (line.method, line.beats_baseline) == ("prophet", True)


def test_evidence_counts_in_prophet():
    """An outlier behind which stand two answers hardly moves the level that hundreds support."""
    values = np.full(12, 0.5) + np.tile([0.01, -0.01], 6)
    values[6] = 3.0
    evidence = np.full(12, 200.0)
    evidence[6] = 2.0
    fits = [
        fit_prophet(
            weeks(12), values, weights=weights, ask=weeks(13)[12:], settings=ForecastSettings(trend_points=99)
        ).expected[0]
        for weights in (np.ones(12), evidence)
    ]
    assert abs(fits[0] - values.mean()) < 0.02
    assert abs(fits[1] - np.average(values, weights=repetitions(evidence))) < 0.02
    assert abs(fits[1] - 0.5) < 0.3 * abs(fits[0] - 0.5)


def test_repeating_every_week_alike_changes_nothing():
    """Priors are scaled with the repetitions: weights of one size, however written, give the unweighted
    fit.
    """
    rng = np.random.default_rng(9)
    values = 0.03 * np.arange(20) + rng.normal(size=20) * 0.1
    nearly_even = np.full(20, 100.0)
    nearly_even[0] += 1.0
    assert set(repetitions(np.ones(20))) == {1}
    assert set(repetitions(nearly_even)) == {4}
    ask = weeks(24)[20:]
    plain, repeated = (
        fit_prophet(weeks(20), values, weights=w, ask=ask, settings=ForecastSettings())
        for w in (np.ones(20), nearly_even)
    )
    np.testing.assert_allclose(repeated.expected, plain.expected, atol=0.01)
    assert repeated.noise_sd == pytest.approx(plain.noise_sd, rel=0.05)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_too_few_points_give_the_local_level_by_name(n):
    result = forecast_series(weekly_series("I_t", weeks(n), values=[0.1, 0.3, 0.2][:n]))
    assert result.method == "local_level"
    assert result.reason == f"{n} weeks have a value, Prophet needs 4"
    assert np.isfinite(result.forecast).all()
    assert np.isnan(result.anomaly_score).all()
    assert np.isnan(result.forecast_lower).all()
    assert 0.1 - 1e-6 <= result.forecast[0] <= 0.3


@pytest.mark.parametrize("values", [[None, None, None], [np.nan] * 8, []])
def test_nothing_known_says_so(values):
    result = forecast_series(weekly_series("I_t", weeks(len(values)), values=values))
    assert (result.method, result.reason) == ("none", "no week has a value")
    assert np.isnan(result.forecast).all()
    assert not result.is_anomaly.any()


def test_gaps_stay_gaps():
    full = quiet_series(16, 10)
    kept = np.array([0, 1, 2, 3, 6, 7, 8, 9, 12, 13, 14, 15])
    result = forecast_series(
        weekly_series("I_t", full.weeks[kept], values=full.values[kept], evidence=full.evidence[kept]), LAST
    )
    assert result.method == "prophet"
    assert len(result.weeks) == 16
    assert np.isnan(result.values[[4, 5, 10, 11]]).all()
    assert np.isnan(result.anomaly_score[[4, 5, 10, 11]]).all()


@pytest.mark.parametrize("level", [0.0, 0.3])
def test_a_constant_series_is_no_fault(level):
    result = forecast_series(weekly_series("x", weeks(10), values=np.full(10, level)), LAST)
    np.testing.assert_allclose(result.forecast, level, atol=1e-3)
    assert not result.is_anomaly.any()


def test_weeks_must_be_weeks():
    with pytest.raises(ValueError, match="whole weeks apart"):
        weekly_series("x", [MONDAY, MONDAY + 8], values=[1.0, 2.0])
    with pytest.raises(ValueError, match="different"):
        weekly_series("x", [MONDAY, MONDAY], values=[1.0, 2.0])


def test_a_holiday_explains_its_week():
    values = np.full(30, 0.5) + np.random.default_rng(11).normal(size=30) * 0.02
    values[[5, 15, 25]] -= 0.4
    days = tuple(("break", MONDAY + 7 * week + 3) for week in (5, 15, 25, 31))
    result = forecast_series(
        weekly_series("x", weeks(30), values=values), ForecastSettings(scored_weeks=1, holidays=days)
    )
    assert result.forecast[1] < result.forecast[0] - 0.2


def test_public_holidays_are_one_kind_of_day_for_each_country():
    first, last = np.datetime64("2024-12-25"), np.datetime64("2025-01-27")
    found = public_holidays(["US", "KR"], first, last=last)
    assert [(name, str(day)) for name, day in found] == [
        ("public holiday US", "2024-12-25"),
        ("public holiday US", "2025-01-01"),
        ("public holiday US", "2025-01-20"),
        ("public holiday KR", "2024-12-25"),
        ("public holiday KR", "2025-01-01"),
        ("public holiday KR", "2025-01-27"),
    ]


def test_two_holidays_in_one_week_count_once():
    values = np.full(30, 0.5) + np.random.default_rng(11).normal(size=30) * 0.02
    values[[5, 15, 25]] -= 0.4
    one = tuple(("break", MONDAY + 7 * week + 3) for week in (5, 15, 25, 31))
    two = (*one, ("break", MONDAY + 7 * 5 + 4))
    forecasts = [
        forecast_series(weekly_series("x", weeks(30), values=values), ForecastSettings(scored_weeks=1, holidays=days))
        for days in (one, two)
    ]
    np.testing.assert_array_equal(forecasts[0].forecast, forecasts[1].forecast)


@pytest.mark.slow
def test_processes_change_nothing(monkeypatch):
    monkeypatch.setattr("seedtest_analytics.stats.forecasts.forecast.SERIES_PER_PROCESS", 1)
    series = [quiet_series(6, seed) for seed in range(4)] + [weekly_series("empty", weeks(3), values=[None] * 3)]
    done = []
    alone = forecast_many(series, LAST, on_done=done.append)
    assert done == [1, 2, 3, 4, 5]
    for own, theirs in zip(alone, forecast_many(series, LAST, processes=2), strict=True):
        assert own.method == theirs.method
        np.testing.assert_array_equal(own.forecast, theirs.forecast)
        np.testing.assert_array_equal(own.anomaly_score, theirs.anomaly_score)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "least"), [(9, 0.35), (13, 0.5), (27, 0.6)])
def test_false_alarms_and_recall(n, least):
    """False alarms near the stated 1.2 % and recall of shocks of 4 and 8 SD, after 8, 12 and 26 weeks (seeds
    0..79).
    """
    scores = {
        shock: np.array(
            [forecast_series(quiet_series(n, seed, shock=shock), LAST).anomaly_score[-1] for seed in range(80)]
        )
        for shock in (0, 4, 8)
    }
    rates = {shock: float((values >= 2.5).mean()) for shock, values in scores.items()}
    assert (np.abs(scores[0]) >= 2.5).mean() <= 0.0124 + 4 * np.sqrt(0.0124 / 80)
    assert rates[8] > 0.85
    assert rates[4] > least
