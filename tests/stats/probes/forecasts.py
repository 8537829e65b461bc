"""Good calls of ``stats.forecasts``. Prophet is not run: the series are shorter than it needs."""

from functools import cache

import numpy as np

N = 12
RNG = np.random.default_rng(0)
UNIT, NORMAL = RNG.random(N), RNG.normal(size=N)
DAYS = np.datetime64("2026-01-05") + 7 * np.arange(N)
TIMES = np.arange(1.0, N + 1)
HOLIDAYS = (("exam", np.datetime64("2026-02-02")),)


@cache
def series():
    from seedtest_analytics.stats.forecasts.series import weekly_series

    return weekly_series("A_t", DAYS, values=UNIT)


@cache
def settings():
    from seedtest_analytics.stats.forecasts.series import ForecastSettings

    return ForecastSettings(min_points=50)


@cache
def many_series():
    return [series(), series()]


PROBES = {
    "forecasts.series.weekly_series": {
        "metric": "A_t",
        "week_starts": DAYS,
        "values": UNIT,
        "evidence": TIMES,
        "standard_errors": UNIT,
        "bounds": np.array([0.0, 1.0]),
    },
    "forecasts.series.ForecastSettings": {
        "horizon_weeks": 4,
        "anomaly_threshold": 2.5,
        "interval_level": 0.8,
        "min_points": 4,
        "trend_points": 8,
        "yearly_points": 104,
        "changepoint_prior_scale": 0.05,
        "scored_weeks": 8,
    },
    "forecasts.scores.anomaly_scores": {
        "errors": NORMAL,
        "relative_sd": np.ones((N, N)),
        "floors": UNIT,
        "no_change": 0.01,
    },
    "forecasts.scores.t_to_z": {"t": 2.0, "degrees_of_freedom": 4},
    "forecasts.local_level.checked_rows": {"values": RNG.normal(size=(3, 5)), "evidence": np.ones((3, 5))},
    "forecasts.expectation.expect_students": {
        "values": RNG.normal(size=(6, 5)),
        "evidence": np.ones((6, 5)),
        "min_history": 3,
    },
    "forecasts.forecast.forecast_series": {"series": series, "settings": settings},
    "forecasts.forecast.forecast_many": {"series": many_series, "settings": settings, "processes": 1},
    "forecasts.holidays.public_holidays": {
        "countries": np.array(["FR", "DE"]),
        "first": np.datetime64("2026-01-05"),
        "last": np.datetime64("2026-03-05"),
    },
}

CHECKED_BY_CALLER = [
    ("forecasts.tails", "tail_degrees normal_scores", "forecasts.expectation.expect_students"),
    ("forecasts.local_level", "changes_of", "forecasts.expectation.expect_students"),
    (
        "forecasts.bounded",
        "unbounded bounded slope_at",
        "forecasts.series.weekly_series forecasts.forecast.forecast_series",
    ),
    (
        "forecasts.local_level",
        "one_step fit_pooled_level walk_local_level",
        "forecasts.expectation.expect_students forecasts.series.weekly_series",
    ),
    (
        "forecasts.prophet_model",
        "repetitions fit_prophet holiday_weeks",
        "forecasts.series.weekly_series forecasts.series.ForecastSettings",
    ),
    (
        "forecasts.scores",
        "error_scale lone_outliers counted_errors score_of",
        "forecasts.scores.anomaly_scores forecasts.series.weekly_series",
    ),
]
