"""Forecasts, anomalies and expectations in the graph."""

import datetime as dt
import json
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.forecasts import week as forecasts_week
from seedtest_analytics.assets.forecasts.assets import weekly_kpi_expected
from seedtest_analytics.assets.forecasts.series import last_closed_week, load_series
from seedtest_analytics.assets.forecasts.week import forecast_week
from seedtest_analytics.partitions import Week
from seedtest_analytics.settings import ForecastSettings, Settings
from seedtest_analytics.stats.forecasts.expectation import expect_students
from tests._database import execute, rows_of, snapshot
from tests.assets._activity import materialize, week
from tests.assets._week_runs import outcomes_of

TABLES = ("prophet_fit_meta", "prophet_anomalies")


def store(engine: Engine, values: dict[tuple[str, int], float | None], evidence: int = 20) -> None:
    """I_t of students and weeks."""
    execute(
        engine,
        "INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES (:user, :week, CAST(:kpis AS jsonb))",
        [
            {
                "user": user,
                "week": week(number).start,
                "kpis": json.dumps({"I_t": value, "I_t_n_recent": evidence, "A_t": 0.5}),
            }
            for (user, number), value in values.items()
        ],
    )


def cohort(weeks: int, spike_at: int | None = None, seed: int = 3) -> dict[tuple[str, int], float | None]:
    rng = np.random.default_rng(seed)
    return {
        (f"u{user:02d}", number): float(np.clip(0.1 + 0.05 * rng.normal() + (0.6 if number == spike_at else 0), -1, 1))
        for number in range(weeks)
        for user in range(25)
    }


def run(engine: Engine, at: Week, **settings: Any) -> list[Any]:
    chosen = ForecastSettings().overridden_by({"processes": 1, **settings})
    return outcomes_of(engine, at, compute=forecast_week, settings=Settings(forecast=chosen))


def test_the_series_is_weighted_by_evidence_over_closed_weeks_with_gaps(database: Engine) -> None:
    store(database, {("a", 0): 0.2, ("a", 2): 0.4, ("b", 3): None})
    store(database, {("b", 0): 0.8}, evidence=60)
    with database.begin() as connection:
        found = load_series(connection, "I_t", last_week=week(3).start, n_weeks=12)
    np.testing.assert_allclose(found.values, [(0.2 * 20 + 0.8 * 60) / 80, np.nan, 0.4, np.nan])
    np.testing.assert_allclose(found.evidence, [80**2 / (20**2 + 60**2), 0, 1, 0])
    running = Week(week(3).start, week(2).as_of, timezone="UTC")
    assert last_closed_week(running) == week(2).start
    assert last_closed_week(week(3)) == week(3).start


def test_a_topic_is_a_series_of_the_share_right(database: Engine) -> None:
    execute(
        database,
        "INSERT INTO features_topic_daily (user_id, topic_id, date, attempts, correct) VALUES "
        "('u', 'algebra', :d, 4, 1), ('v', 'algebra', :d, 6, 4), ('v', 'other', :d, 6, 6)",
        {"d": week(1).start},
    )
    with database.begin() as connection:
        found = load_series(connection, "topic:algebra", last_week=week(1).start, n_weeks=4)
    assert (found.values.tolist(), found.evidence.tolist()) == ([0.5], [10.0])


def test_a_planted_week_is_an_anomaly_and_the_run_is_written_once(database: Engine) -> None:
    store(database, cohort(10, spike_at=9))
    fit, anomalies = run(database, week(9), metrics="I_t,A_t")
    assert fit.published.inserted == 2
    assert [c.check.name for c in anomalies.checks if not c.is_passed] == ["last_week_expected"]
    (row,) = rows_of(database, "SELECT * FROM prophet_anomalies")
    assert (row["week_start"], row["metric"]) == (week(9).start, "I_t")
    assert row["anomaly_score"] > 5
    assert row["value"] - row["expected"] == pytest.approx(0.6, abs=0.1)
    (meta,) = rows_of(database, "SELECT * FROM prophet_fit_meta WHERE metric = 'I_t'")
    assert meta["method"] == meta["fit_meta"]["status"] == "local_level"
    assert meta["fit_meta"]["reason"].startswith("Prophet's mean error")
    assert [point["ds"] for point in meta["forecast"]] == [week(n).start.isoformat() for n in range(10, 14)]
    assert all(point.keys() == {"ds", "yhat", "yhat_lower", "yhat_upper"} for point in meta["forecast"])
    assert len(meta["fit_meta"]["insample"]) == 10
    before = snapshot(database, *TABLES)
    run(database, week(9), metrics="I_t,A_t")
    assert snapshot(database, *TABLES) == before


def test_holidays_of_a_country_and_days_off_move_the_forecast_and_are_stored(database: Engine) -> None:
    """Public holidays of the series and its forecast; a break in week 4, and again in week 11, the first forecast week."""
    breaks = [str(week(4).start + dt.timedelta(days=2)), str(week(11).start + dt.timedelta(days=2))]
    quiet = {key: value if key[1] != 4 else value - 0.5 for key, value in cohort(11).items() if value is not None}
    store(database, quiet)
    chosen = {"holiday_countries": "US", "holidays": json.dumps({"break": [*breaks, "2019-01-01"]})}
    run(database, week(10), **chosen)
    (meta,) = rows_of(database, "SELECT * FROM prophet_fit_meta")
    assert meta["fit_meta"]["holidays"] == [
        {"ds": "2025-01-01", "holiday": "public holiday US"},
        {"ds": "2025-01-20", "holiday": "public holiday US"},
        {"ds": "2025-02-17", "holiday": "public holiday US"},
        *({"ds": day, "holiday": "break"} for day in breaks),
    ]
    first, second, *_ = [point["yhat"] for point in meta["forecast"]]
    assert first < second - 0.3
    run(database, week(10))
    (without,) = rows_of(database, "SELECT * FROM prophet_fit_meta")
    assert without["fit_meta"]["holidays"] == []
    first, second, *_ = [point["yhat"] for point in without["forecast"]]
    assert first == pytest.approx(second, abs=0.1)


def test_later_weeks_change_nothing_about_an_earlier_one(database: Engine) -> None:
    store(database, cohort(9))
    run(database, week(6))
    before = rows_of(database, "SELECT * FROM prophet_fit_meta")
    execute(database, "UPDATE weekly_kpi SET kpis = kpis || '{\"I_t\": 1}' WHERE week_start > :w", {"w": week(6).start})
    run(database, week(6))
    assert rows_of(database, "SELECT * FROM prophet_fit_meta") == before


@pytest.mark.parametrize(("weeks", "status"), [(0, "none"), (2, "local_level")])
def test_thin_series_are_answered_by_name(database: Engine, weeks: int, status: str) -> None:
    if weeks:
        store(database, cohort(weeks))
    fit, anomalies = run(database, week(max(weeks - 1, 0)))
    (meta,) = rows_of(database, "SELECT fit_meta FROM prophet_fit_meta")
    assert meta["fit_meta"]["status"] == status
    assert meta["fit_meta"]["reason"]
    assert all(check.is_passed for check in (*fit.checks, *anomalies.checks))


def test_a_kpi_that_is_null_everywhere_has_no_forecast_and_no_expectation(database: Engine) -> None:
    store(database, dict.fromkeys(cohort(6)))
    fit, anomalies = run(database, week(5))
    (meta,) = rows_of(database, "SELECT fit_meta, forecast FROM prophet_fit_meta")
    assert (meta["fit_meta"]["status"], meta["fit_meta"]["reason"]) == ("none", "no week has a value")
    assert anomalies.published.staged == 0
    assert all(check.is_passed for check in (*fit.checks, *anomalies.checks))
    key = week(5).start.isoformat()
    assert materialize(database, weekly_kpi_expected, partition_key=key).success
    (row,) = rows_of(
        database,
        "SELECT DISTINCT kpis -> 'I_t_expected' AS expected FROM weekly_kpi WHERE week_start = :w",
        w=week(5).start,
    )
    assert row["expected"] is None


def test_each_student_has_an_expectation_from_the_weeks_before(database: Engine) -> None:
    values = cohort(8, seed=5)
    del values["u00", 7]
    for number in range(6):
        values["u01", number] = None
    store(database, values)
    key = week(7).start.isoformat()
    assert materialize(database, weekly_kpi_expected, partition_key=key).success
    found = {
        row["user_id"]: row["kpis"]
        for row in rows_of(database, "SELECT * FROM weekly_kpi WHERE week_start = :w", w=week(7).start)
    }
    assert "u00" not in found
    assert found["u01"]["I_t_expected"] is None
    assert "3 earlier weeks" in found["u01"]["I_t_expected_reason"]
    users = [f"u{user:02d}" for user in range(1, 25)]
    grid = np.array([[np.nan] * 4 + [np.nan if (v := values[u, n]) is None else v for n in range(8)] for u in users])
    expected = expect_students(grid, np.where(np.isfinite(grid), 20.0, 0.0))
    for position, user in enumerate(users[1:], 1):
        assert found[user]["I_t_expected"] == pytest.approx(expected.expected[position, -1])
        assert found[user]["I_t_anomaly"] == pytest.approx(expected.anomaly[position, -1])
        assert found[user]["A_t"] == 0.5


def test_the_benchmark_forecasts_by_the_settings_of_the_asset(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It once scored the last week alone and told a quarter of what the graph needs."""
    from benchmarks.risk import prophet_all_weeks
    from seedtest_analytics.stats.forecasts import forecast

    seen: list[tuple[Any, int]] = []

    def recorded(series: Any, settings: Any, processes: int) -> list[Any]:
        seen.append((settings, processes))
        raise InterruptedError("the settings are known")

    monkeypatch.setattr(forecast, "forecast_many", recorded)
    monkeypatch.setattr(forecasts_week, "forecast_many", recorded)
    with pytest.raises(InterruptedError):
        prophet_all_weeks(2)
    with pytest.raises(InterruptedError):
        outcomes_of(database, week(3), compute=forecast_week)
    (of_benchmark, processes), (of_asset, processes_of_asset) = seen
    assert of_benchmark == of_asset
    assert of_asset.scored_weeks is None
    assert processes == processes_of_asset
